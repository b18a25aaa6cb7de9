"""Files of `torch.save`, read without running code from them."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noiseproof.core.errors import BadData, DamagedFile, first_line


def read_torch_file(path: Path, what: str, *, next_step: str, has_arrays: bool = False) -> Any:
    """Read what `torch.load(weights_only=True)` accepts, and the `argparse.Namespace` of timm's checkpoints.

    Args:
        what: noun for the file, in messages.
        next_step: advice for a file with more than that, a sentence.
        has_arrays: NumPy arrays of integers are accepted, too.

    Raises:
        BadData: it is a pickle with more in it, or a TorchScript archive.
        DamagedFile: it cannot be parsed.
    """
    _refuse_torch_script(path, what)
    allowed = "tensors and arrays of integers" if has_arrays else "tensors"
    # A Namespace only holds the options of the training: loading one sets attributes and runs no code.
    harmless = [argparse.Namespace, *(_integer_arrays() if has_arrays else [])]
    try:
        with torch.serialization.safe_globals(harmless):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadData(
            f"The {what} {str(path)!r} is a pickle with more than {allowed} in it, which could run any "
            f"code when opened; allowed: {allowed} only. Next: {next_step} "
            f"({first_line(error)})"
        ) from error
    except Exception as error:  # each format has its own family of parse errors
        raise DamagedFile(
            f"The {what} {str(path)!r} cannot be read, so it is damaged or no {what}: {error}. "
            "Next: fetch it again."
        ) from error


def _refuse_torch_script(path: Path, what: str) -> None:
    """Name an archive of `torch.jit.save`, which is code with weights; `torch.save` writes no constants."""
    try:
        with zipfile.ZipFile(path) as archive:
            is_script = any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return  # an older format of torch.save, or a damaged file, which torch names
    if is_script:
        raise BadData(
            f"The {what} {str(path)!r} is a TorchScript archive, code and weights together; allowed: a state "
            "dict. Next: save `torch.jit.load(path).state_dict()` with safetensors, where you trust the code."
        )


def _integer_arrays() -> list[Any]:
    """Functions and types that rebuild an array of integers; none of them can run other code.

    NumPy 2 has moved the function that makes arrays: files name it by its old or its new place.
    """
    reconstruct = np.zeros(0).__reduce__()[0]
    places = [(reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    kinds = [type(np.dtype(kind)) for kind in ("int64", "int32", "int16", "int8", "uint8")]
    return [*places, np.ndarray, np.dtype, *kinds]
