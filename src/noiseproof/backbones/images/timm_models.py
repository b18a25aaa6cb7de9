"""Import timm with the models that we add to it."""

from __future__ import annotations

from typing import Any

from noiseproof.core.errors import MissingExtra, missing_extra
from noiseproof.core.torchvision_ops import declare_missing_operators

SMALL_SUFFIX = "_32px"  # of the names in `small_resnets`: a timm network whose stem keeps all pixels


def import_timm(purpose: str) -> Any:
    """The module `timm`, or `MissingExtra`."""
    try:
        declare_missing_operators()
        import timm

        import noiseproof.backbones.images.small_resnets  # noqa: F401  registers our small models
    except ModuleNotFoundError as error:
        raise _extra_for(error, purpose) from error
    return timm


def _extra_for(error: ModuleNotFoundError, purpose: str) -> MissingExtra:
    return missing_extra((error.name or "timm").split(".")[0], "vision", purpose)
