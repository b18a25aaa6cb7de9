"""A page on which people look at labels and decide, and a server that keeps their decisions."""
