"""Small trainable parts that are put into a frozen image tower: prompts, adapters, scales and shifts."""
