"""Pre-training under noise that is known: supervised, image-text and SimCLR objectives."""
