"""Engines that run an encoder: PyTorch, ONNX Runtime, or the backbone itself; checked on the first rows."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from noiseproof.backbones.base import AbstractBackbone, AbstractTorchBackbone
from noiseproof.core.errors import NoiseproofError, first_line, invalid, missing_extra
from noiseproof.core.registry import unknown_name
from noiseproof.core.threads import one_thread
from noiseproof.features.onnx_graph import NotExportable, onnx_graph

ENGINES = ("auto", "torch", "onnxruntime")
PRECISIONS = ("float32", "bfloat16")
LARGEST_DIFFERENCE = 1e-4
NUM_COMPARED = 8

# Measured on 2 cores with EfficientNet-Lite0: calls of 2 to 8 images, one thread each and as many calls at
# a time as there are cores, are faster than one call of 64 on all cores, and no core waits for another.
_ROWS_PER_ONNX_CALL = 4
# Texts, MiniLM: a token costs least in calls of about 512 tokens, of long texts as of short ones.
_TOKENS_PER_CALL = 512
_MOST_TEXTS = 64
# ONNX Runtime sums a product with one row in another order than one with several.
_FEWEST_TEXTS = 2

# A run extracts several data sets with one backbone: exporting takes longer than comparing.
_exported_before: weakref.WeakKeyDictionary[nn.Module, dict[tuple[int, ...], Engine]] = (
    weakref.WeakKeyDictionary()
)


@dataclass(frozen=True)
class Engine:
    """A way to run an encoder.

    Attributes:
        name: `"torch"`, `"onnxruntime"` or `"backbone"` (its own `encode`).
        encode: from at most `rows_per_call` prepared examples to their features, float32.
        rows_per_call: examples per call at which it is fastest, or the most where `tokens_per_call` counts.
        tokens_per_call: tokens per call at which it is fastest, of an encoder of texts.
        is_parallel: whether calls from several threads at once, of one thread each, are safe and faster.
        agreement: largest relative difference from eager PyTorch on the first rows; `None` if not compared.
        note: why it is another engine than the requested one.
    """

    name: str
    encode: Callable[[np.ndarray], np.ndarray]
    rows_per_call: int
    is_parallel: bool
    agreement: float | None = None
    note: str | None = None
    tokens_per_call: int | None = None

    def rows_of_length(self, num_tokens: int) -> int:
        """Number of texts of a length at which a call is fastest."""
        if self.tokens_per_call is None:
            return self.rows_per_call
        return min(self.rows_per_call, max(_FEWEST_TEXTS, self.tokens_per_call // num_tokens))


def choose_engine(
    backbone: AbstractBackbone,
    first_rows: np.ndarray,
    *,
    engine: str = "auto",
    precision: str = "float32",
    batch_size: int = 64,
) -> Engine:
    """The requested engine, or the fastest that gives the same features.

    `auto` is PyTorch on a GPU or in bfloat16 and ONNX Runtime on a CPU. ONNX Runtime is used only if it is
    installed, the model can be exported, and its features of the first rows are those of eager PyTorch: for
    every row |a - b| / |b| <= 1e-4 in the Euclidean norm. Otherwise a warning gives the reason for PyTorch.

    Args:
        backbone: the encoder.
        first_rows: prepared examples to compare on.
        engine: one of `ENGINES`.
        precision: `"bfloat16"` is automatic mixed precision, PyTorch only.
        batch_size: examples per call of PyTorch.

    Raises:
        InvalidArgument: ONNX Runtime together with bfloat16.
        MissingExtra: ONNX Runtime was requested by name and is not installed.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    if engine == "onnxruntime" and precision != "float32":
        raise invalid("precision", precision, "'float32' with engine='onnxruntime'", "Next: engine='torch'.")
    if not isinstance(backbone, AbstractTorchBackbone):
        return Engine("backbone", backbone.encode, batch_size, is_parallel=False)
    is_onnx = engine == "onnxruntime" or (
        engine == "auto" and precision == "float32" and not torch.cuda.is_available()
    )
    if not is_onnx:
        return _torch_engine_of(backbone, precision, batch_size)
    try:
        return checked_onnx_engine(backbone, first_rows[:NUM_COMPARED])
    except _NotUsableError as error:
        if engine == "onnxruntime" and error.is_not_installed:
            raise missing_extra("onnxruntime", "vision", "engine='onnxruntime'") from error
        warnings.warn(f"{backbone.name!r} runs on PyTorch, not ONNX Runtime: {error}", stacklevel=3)
        return replace(_torch_engine_of(backbone, precision, batch_size), note=str(error))


def _torch_engine_of(backbone: AbstractTorchBackbone, precision: str, batch_size: int) -> Engine:
    """PyTorch; for texts on a CPU in calls of one thread each, since several share a product in a way that
    depends on its number of rows, and features would depend on the other texts of a call.
    """
    engine = torch_engine(backbone.module, precision=precision, batch_size=batch_size)
    if not backbone.free_axes or torch.cuda.is_available():
        return engine
    return replace(
        engine, encode=lambda batch: engine.encode(backbone.lengthened(batch)), is_parallel=True,
        tokens_per_call=_TOKENS_PER_CALL,
    )  # fmt: skip


def torch_engine(module: nn.Module, *, precision: str = "float32", batch_size: int = 64) -> Engine:
    """PyTorch on the GPU if there is one, else channels-last on the CPU. Moves the module there."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(batch: np.ndarray) -> Float[np.ndarray, "b d"]:
        rows = torch.from_numpy(batch).to(device)
        with torch.inference_mode(), _exact_float32(), _autocast(device, precision):
            return module(rows).float().cpu().numpy()

    return Engine("torch", encode, batch_size, is_parallel=False)


def checked_onnx_engine(backbone: AbstractTorchBackbone, first_rows: np.ndarray) -> Engine:
    """ONNX Runtime, compared with the backbone's own features of the first rows."""
    fixed = tuple(size for axis, size in enumerate(first_rows.shape[1:], 1) if axis not in backbone.free_axes)
    exported = _exported_before.setdefault(backbone.module, {})
    if fixed not in exported:
        exported[fixed] = onnx_engine(backbone.module, first_rows[:1], free_axes=backbone.free_axes)
    engine = exported[fixed]
    starts = range(0, len(first_rows), engine.rows_per_call)
    ours = [engine.encode(first_rows[start : start + engine.rows_per_call]) for start in starts]
    with one_thread():
        reference = backbone.encode(first_rows)
    difference = largest_difference(np.concatenate(ours), reference)
    if not difference <= LARGEST_DIFFERENCE:  # also when it is NaN
        raise _NotUsableError(
            f"its features differ by {difference:.1e} relative, allowed: {LARGEST_DIFFERENCE:.0e}."
        )
    return replace(engine, agreement=difference)


def onnx_engine(module: nn.Module, example_row: np.ndarray, *, free_axes: tuple[int, ...] = ()) -> Engine:
    """ONNX Runtime on the CPU, one thread per call.

    The graph is exported for one number of rows: with every shape known, padding and reshaping are folded
    away and convolutions fuse with their activations (a fifth faster). Shorter calls are filled up. Only
    where other axes are free, the number of rows is free, too, from two on.

    Args:
        module: from the prepared batch to features, on the CPU.
        example_row: (1, ...) prepared example, for its shape and type.
        free_axes: axes whose length differs from batch to batch.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise _NotUsableError("the package `onnxruntime` is not installed.", is_not_installed=True) from error
    fewest = _FEWEST_TEXTS if free_axes else _ROWS_PER_ONNX_CALL
    shape = (fewest, *example_row.shape[1:])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    axes = {axis: f"axis{axis}" for axis in (0, *free_axes)}
    free = {"batch": axes, "features": {0: "axis0"}} if free_axes else None
    example = torch.from_numpy(np.zeros(shape, example_row.dtype))
    try:
        graph = onnx_graph(module, (example,), inputs=["batch"], outputs=["features"], free=free)
    except NotExportable as error:
        raise _NotUsableError(str(error)) from error
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own exception types, per reason
        raise _NotUsableError(
            f"ONNX Runtime refuses the model ({type(error).__name__}: {first_line(error)})."
        ) from error

    def encode(batch: np.ndarray) -> Float[np.ndarray, "b d"]:
        rows = batch
        if len(batch) < fewest:
            rows = np.zeros((fewest, *batch.shape[1:]), batch.dtype)
            rows[: len(batch)] = batch
        return session.run(None, {"batch": rows})[0][: len(batch)]

    if not free_axes:
        return Engine("onnxruntime", encode, fewest, is_parallel=True)
    return Engine("onnxruntime", encode, _MOST_TEXTS, is_parallel=True, tokens_per_call=_TOKENS_PER_CALL)


def largest_difference(ours: Float[np.ndarray, "b d"], reference: Float[np.ndarray, "b d"]) -> float:
    """max over rows of |a - b| / |b|, Euclidean norms; NaN if anything is."""
    gaps = np.linalg.norm(ours.astype(np.float64) - reference, axis=1)
    sizes = np.linalg.norm(reference.astype(np.float64), axis=1)
    return float((gaps / np.maximum(sizes, np.finfo(np.float32).tiny)).max())


class _NotUsableError(NoiseproofError):
    """ONNX Runtime cannot stand in for PyTorch here."""

    def __init__(self, reason: str, *, is_not_installed: bool = False) -> None:
        super().__init__(reason)
        self.is_not_installed = is_not_installed


@contextlib.contextmanager
def _exact_float32() -> Any:
    """Turn off TF32, which rounds convolutions on a GPU to 10 bits; features must not depend on it."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def _autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
