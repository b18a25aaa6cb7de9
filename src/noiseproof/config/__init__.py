"""Configurations of the verbs: one pydantic model each, on a shared `DataConfig`, and their loader."""
