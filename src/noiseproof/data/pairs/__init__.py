"""Image-text pairs in tables and WebDataset shards."""
