"""Configuration of `noiseproof pretrain`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from noiseproof.config.base import option
from noiseproof.config.data import DATA, RUN, CacheConfig, NoisyDataConfig
from noiseproof.core.errors import InvalidArgument
from noiseproof.pretrain.pretrain_settings import PretrainSettings, read_recipe, recipes_for

TRAINING = "Training"


class PretrainConfig(NoisyDataConfig, CacheConfig, PretrainSettings):
    """Everything `noiseproof pretrain` takes; the command's options have the same names."""

    panels = {PretrainSettings: TRAINING}  # noqa: RUF012  a ClassVar of the base

    recipe: str | None = option(
        None, panel=RUN, help="Shipped recipe whose name starts with pretrain-, or a YAML file of settings.",
        shown_default="none",
    )  # fmt: skip
    test: str = option(panel=DATA, help="Data set with clean labels for the card; it decides nothing.")
    caption: str | None = option(
        None, panel=DATA, help="Column of the captions.", shown_default="made from class names"
    )

    @classmethod
    def merge(cls, from_file: Mapping[Any, Any], from_options: Mapping[str, Any]) -> dict[Any, Any]:
        """Start from the settings of the recipe; a file and the command line win over it."""
        values = {**from_file, **from_options}
        if values.get("recipe") is None:
            return values
        settings = read_recipe(str(values["recipe"])).settings
        objective = from_options.get("objective", settings.get("objective"))
        if settings.get("objective") != objective:
            raise InvalidArgument(
                f"`recipe` {values['recipe']!r} is for 'noiseproof pretrain {settings.get('objective')}', "
                f"not '{objective}'. Next: use that command, or one of: {', '.join(recipes_for(objective))}."
            )
        return {**settings, **values}

    @property
    def settings(self) -> PretrainSettings:
        """The settings of the training, without the data."""
        return self.settings_of(PretrainSettings)
