"""What the singular values of features say."""
