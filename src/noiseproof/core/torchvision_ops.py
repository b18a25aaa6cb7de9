"""Makes `import torchvision` work beside a torch it was not compiled for.

A CPU build of torch next to the registry's torchvision cannot load torchvision's compiled operators, and
the import fails because two schemas are missing. Declaring them is enough for everything noiseproof uses
(transforms, data sets); the operators themselves stay unavailable and raise when called.
"""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

import torch

from noiseproof.core.errors import missing_extra

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_PACKAGES = {"open_clip": "open-clip-torch"}  # module -> package, where the names differ
_kept: list[torch.library.Library] = []  # a library that is collected takes its schemas along


def declare_missing_operators() -> None:
    """Declare torchvision's operators if importing torchvision fails without them; else do nothing."""
    if _kept or "torchvision" in sys.modules:
        return
    try:
        importlib.metadata.version("torchvision")
    except importlib.metadata.PackageNotFoundError:
        return
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name, schema in _SCHEMAS.items():
            library.define(name + schema)
        _kept.append(library)


def import_beside_torchvision(module: str, *, extra: str, purpose: str) -> Any:
    """A module that loads torchvision.

    Raises:
        MissingExtra: it, or a package that it needs, is not installed.
    """
    try:
        declare_missing_operators()
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or module).partition(".")[0]
        raise missing_extra(_PACKAGES.get(package, package), extra, purpose) from error
