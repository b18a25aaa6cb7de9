"""Which labels are wrong, from arrays alone."""
