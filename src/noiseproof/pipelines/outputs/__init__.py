"""An output folder: what is done already, its kind and lock, its card."""
