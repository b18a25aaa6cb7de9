"""Decisions of people in a flow: which labels are known, how many are wrong, whether cleaning helped."""
