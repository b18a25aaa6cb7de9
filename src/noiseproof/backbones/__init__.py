"""Encoders by short names; each prepares examples and encodes batches."""
