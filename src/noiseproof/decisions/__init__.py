"""Decisions of people about labels: read from files of many tools, checked, settled where they disagree."""
