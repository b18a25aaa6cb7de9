"""Losses and regularisers on arrays."""
