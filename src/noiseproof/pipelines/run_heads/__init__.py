"""The heads of a run: options, training, evaluation, the one that predicts."""
