"""One pass of a frozen encoder, kept on disk."""
