"""Import timm with the models that we add to it."""

from __future__ import annotations

from typing import Any

from noiseproof.core.torchvision_ops import import_beside_torchvision

SMALL_SUFFIX = "_32px"  # of the names in `small_resnets`: a timm network whose stem keeps all pixels


def import_timm(purpose: str) -> Any:
    """The module `timm`, or `MissingExtra`."""
    timm = import_beside_torchvision("timm", extra="vision", purpose=purpose)
    import noiseproof.backbones.images.small_resnets  # noqa: F401  registers our small models

    return timm
