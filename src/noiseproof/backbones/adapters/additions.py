"""Additions by name, as `tune` and files of weights have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from noiseproof.backbones.adapters.adapters import WIDTH, add_adapters
from noiseproof.backbones.adapters.scale_shift import add_scale_shift
from noiseproof.backbones.adapters.tower_layout import Tower, tower_of
from noiseproof.backbones.adapters.visual_prompts import LENGTH, add_prompts
from noiseproof.core.errors import invalid
from noiseproof.core.rng import isolated

PREFIX = "additions"  # of the names of their weights
# Name -> size where none is given; SSF has none.
SIZES: dict[str, int | None] = {
    "vpt-deep": LENGTH,
    "vpt-shallow": LENGTH,
    "adapter": WIDTH,
    "ssf": None,
}


@dataclass(frozen=True)
class Addition:
    """Parameters that are put into a frozen tower.

    Attributes:
        name: a key of `SIZES`.
        size: prompt tokens of each place, or inner width of the adapters.
    """

    name: str
    size: int | None = None

    @property
    def is_merged(self) -> bool:
        """Whether it is merged into the weights after training; others stay beside them."""
        return self.size is None

    @property
    def text(self) -> str:
        """The addition as users write it."""
        return self.name if self.size is None else f"{self.name}:{self.size}"

    def to_json(self) -> dict[str, Any]:
        """For the header of files of weights."""
        return {"name": self.name, "size": self.size}


def add_to(network: Any, addition: Addition, *, seed: int) -> None:
    """Put an addition into a network, in place; what learns is under `additions` or beside the weights.

    Args:
        network: an image tower; see `tower_of`. Nothing is frozen here.
        addition: what.
        seed: of first values.

    Raises:
        InvalidArgument: a tower that this addition is not for, or one that has additions already.
    """
    tower = tower_for(network, addition)
    with isolated(seed, "init", addition.name):
        parts = _added(tower, addition)
    if parts is not None:
        network.add_module(PREFIX, parts)


def tower_for(network: Any, addition: Addition) -> Tower:
    """The tower that an addition would be put into; refusals as in `add_to`."""
    if has_additions(network):
        raise invalid(
            "backbone", "a network with prompts or adapters", "one without",
            "Next: start from the encoder that they were put into.",
        )  # fmt: skip
    tower = tower_of(network)
    if not tower.blocks and addition.name != "ssf":
        raise invalid(
            "tune", addition.text, f"full, last-blocks:N, bias, lora, ssf or head for a {tower.family}",
            "Prompts and adapters are for transformers. Next: one of these, or a ViT.",
        )  # fmt: skip
    return tower


def has_additions(network: Any) -> bool:
    """Whether something was put into it that stays beside its weights."""
    return PREFIX in dict(network.named_children())


def _added(tower: Tower, addition: Addition) -> nn.Module | None:
    if addition.size is None:
        add_scale_shift(tower)
        return None
    if addition.name == "adapter":
        return add_adapters(tower, addition.size)
    return add_prompts(tower, addition.size, is_deep=addition.name == "vpt-deep")
