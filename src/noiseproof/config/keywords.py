"""Flows that take their options as keywords: `run(train="photos/", out="runs/photos")`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from noiseproof.config.base import Config
from noiseproof.config.values import load_config
from noiseproof.core.errors import InvalidArgument, invalid

R = TypeVar("R")


def takes_keywords(model: type[Config]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Let a flow be called with a configuration, or with the fields of one as keywords."""

    def decorate(flow: Callable[..., R]) -> Callable[..., R]:
        own = list(inspect.signature(flow).parameters)[1:]

        @functools.wraps(flow)
        def call(config: Any = None, /, **options: Any) -> R:
            rest = {name: options.pop(name) for name in own if name in options}
            if config is None:
                return flow(load_config(model, options=options), **rest)
            if not isinstance(config, model):
                raise invalid(
                    "config", config, f"a {model.__name__}, or its fields as keywords",
                    f"Next: {flow.__name__}(train=..., out=...).",
                )  # fmt: skip
            if options:
                raise InvalidArgument(
                    f"{flow.__name__} got a configuration and {', '.join(options)}; allowed: one of the two. "
                    f"Next: leave the configuration out, or change it by {model.__name__}(...)."
                )
            return flow(config, **rest)

        return call

    return decorate
