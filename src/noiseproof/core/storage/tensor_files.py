"""Tensors in a safetensors file that is written completely or not at all.

`safetensors.torch.save_file` has a temporary file of its own beside the target, which a kill leaves there, as
large as a checkpoint, and gives the target permissions for its owner only. This writes the same bytes to the
temporary file of `files.replacing`, tensor by tensor, so that memory has no second copy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import torch
from torch import Tensor

from noiseproof.core.storage.files import replacing

# Names in the format, in the order of safetensors: wide types are first in the file, so that all are aligned.
_NAMES = {
    torch.int64: "I64", torch.float64: "F64", torch.complex64: "C64", torch.float32: "F32",
    torch.int32: "I32", torch.bfloat16: "BF16", torch.float16: "F16", torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int8: "I8", torch.uint8: "U8",
    torch.bool: "BOOL",
}  # fmt: skip


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]
) -> None:
    """Write tensors by name; the same tensors give the same bytes.

    Args:
        tensors: on any device, in any memory layout.

    Raises:
        NoSpaceLeft: disk or quota is full; the file is as it was.
    """
    ranks = {dtype: rank for rank, dtype in enumerate(_NAMES)}
    in_order = sorted(tensors.items(), key=lambda each: (ranks[each[1].dtype], each[0]))
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in in_order:
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    content = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 8)
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        for _, tensor in in_order:
            flat = tensor.detach().cpu().contiguous().view(-1)
            file.write(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
