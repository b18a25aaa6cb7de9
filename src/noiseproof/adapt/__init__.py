"""Training that knows its labels may be wrong: example weights learned from a few clean ones, selection."""
