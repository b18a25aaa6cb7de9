"""Metrics, and the protocol that gives them intervals."""
