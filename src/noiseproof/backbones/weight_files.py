"""Files that alone decide what an encoder is, found without building it; nothing here loads PyTorch."""

from __future__ import annotations

import sys
from importlib.resources.abc import Traversable
from pathlib import Path

from noiseproof.backbones.bundled.bundled_files import bundled_files
from noiseproof.backbones.bundled.zoo_cards import zoo_card, zoo_file


def weight_files(name: str) -> list[Traversable] | None:
    """Files of weights and cards of an encoder.

    Returns:
        `None` where files do not decide: weights of a hub may change there, and models can be registered in
        Python.

    Raises:
        NoiseproofError: as `open_backbone`; there is no such encoder.
    """
    prefix, _, rest = name.partition(":")
    if prefix == "bundled":
        return bundled_files(rest)
    if prefix == "zoo":
        card = zoo_card(rest)
        files = [zoo_file(rest, ".json"), zoo_file(rest, ".safetensors")]
        return files if _is_built_in(card.architecture) else None
    architecture, _, checkpoint = rest.partition("@")
    if prefix == "timm" and checkpoint and _is_built_in(architecture):
        return [Path(checkpoint)]
    return None


def _is_built_in(architecture: str | None) -> bool:
    """Whether a model is one of timm's or ours; others can be registered only after timm was imported."""
    timm = sys.modules.get("timm")
    if architecture is None or timm is None:
        return architecture is not None
    if not timm.is_model(architecture):
        return False
    return timm.model_entrypoint(architecture).__module__.startswith(("timm.", "noiseproof."))
