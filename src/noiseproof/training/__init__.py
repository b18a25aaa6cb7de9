"""The one loop for whole networks, and the batches it eats."""
