"""Number of the algorithms that find wrong labels, in the keys of stored results."""

# Raise it whenever a detector, an estimate of the transition matrix or `posterior.true_labels` gives other
# results for the same inputs: stages and rows of studies that depend on them are then computed anew.
ALGORITHM = 5
