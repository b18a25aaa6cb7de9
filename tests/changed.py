"""Copies of configurations with other values."""

from __future__ import annotations

from typing import TypeVar

from noiseproof.config.base import Config

C = TypeVar("C", bound=Config)


def changed(config: C, **values: object) -> C:
    """The same configuration with other values, all of them checked again."""
    given = {name: getattr(config, name) for name in config.model_fields_set}
    return type(config)(**given | values)
