"""Data and features of a flow, and what readers of its results should know of them."""
