"""Encoders by short names; each says how to prepare an example and how to encode a batch."""
