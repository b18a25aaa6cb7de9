"""A torch module as an ONNX graph in memory."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from noiseproof.core.errors import NoiseproofError, first_line
from noiseproof.core.threads import one_thread


class NotExportable(NoiseproofError):
    """A model uses what no ONNX graph of the exporter can have."""


def onnx_graph(
    module: nn.Module,
    examples: tuple[Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    free: Mapping[str, Mapping[int, str]] | None,
) -> bytes:
    """The contents of an ONNX file of a module.

    By tracing: the newer exporter needs one more package and took ten times as long, for the same graph.

    Args:
        module: moved to the CPU.
        examples: values of its arguments.
        inputs: names of the arguments.
        outputs: names of what it returns.
        free: input or output -> axis -> name, of axes of any length; `None` without any.

    Raises:
        NotExportable: the exporter does not know an operation of it.
    """
    buffer: Any = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.inference_mode(), one_thread(), _attention_in_parts():
            warnings.simplefilter("ignore")  # it announces its successor, and every shape it traces through
            torch.onnx.export(
                module.cpu(), examples, buffer, dynamo=False, input_names=list(inputs),
                output_names=list(outputs), dynamic_axes=free,
            )  # fmt: skip
    except Exception as error:  # whatever a model does that the exporter does not know
        raise NotExportable(
            f"the model cannot be exported ({type(error).__name__}: {first_line(error)})."
        ) from error
    return buffer.getvalue()


@contextlib.contextmanager
def _attention_in_parts() -> Iterator[None]:
    """torch's attention would be traced as one operator of its own, which no ONNX file can have."""
    was_whole = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_whole)
