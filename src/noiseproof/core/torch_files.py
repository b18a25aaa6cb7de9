"""Files of `torch.save`, read without running code from them."""

from __future__ import annotations

import pickle
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noiseproof.core.errors import BadData, DamagedFile


def read_torch_file(path: Path, what: str, *, next_step: str, has_arrays: bool = False) -> Any:
    """Read what `torch.load(weights_only=True)` accepts.

    Args:
        path: of the file.
        what: noun for the file, in messages.
        next_step: advice for a file with more than that, a sentence.
        has_arrays: NumPy arrays of integers are accepted, too.

    Raises:
        BadData: it is a pickle with more in it.
        DamagedFile: it cannot be parsed.
    """
    allowed = "tensors and arrays of integers" if has_arrays else "tensors"
    try:
        with torch.serialization.safe_globals(_integer_arrays()) if has_arrays else nullcontext():
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadData(
            f"The {what} {str(path)!r} is a pickle with more than {allowed} in it, which could run any "
            f"code when opened; allowed: {allowed} only. Next: {next_step} "
            f"({str(error).splitlines()[0]})"
        ) from error
    except Exception as error:  # each format has its own family of parse errors
        raise damaged(path, what, error) from error


def damaged(path: Path, what: str, error: Exception) -> DamagedFile:
    """The one wording for a file that cannot be parsed."""
    return DamagedFile(
        f"The {what} {str(path)!r} cannot be read, so it is damaged or no {what}: {error}. "
        "Next: fetch it again."
    )


def _integer_arrays() -> list[Any]:
    """Functions and types that rebuild an array of integers; none of them can run other code.

    NumPy 2 has moved the function that makes arrays: files name it by its old or its new place.
    """
    reconstruct = np.zeros(0).__reduce__()[0]
    places = [(reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    kinds = [type(np.dtype(kind)) for kind in ("int64", "int32", "int16", "int8", "uint8")]
    return [*places, np.ndarray, np.dtype, *kinds]
