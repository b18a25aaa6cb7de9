"""Encoders behind the OpenAI embeddings protocol."""
