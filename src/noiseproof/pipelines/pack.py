"""A trained encoder as two small files that others can use: float16 weights and the card."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from noiseproof.backbones.checkpoints.weights import read_checkpoint
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.storage import files
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.sealed_tensors import sealed_metadata
from noiseproof.pipelines.outputs.cards import TRAINING_CARD, read_card
from noiseproof.pipelines.outputs.identity import header_from
from noiseproof.pipelines.outputs.output_folders import only_process_in
from noiseproof.pipelines.pretrain import WEIGHTS
from noiseproof.pretrain.pretrain_settings import PretrainSettings

# Of the run that made it, not of the encoder.
_LEFT_OUT = ("schema", "kind", "noiseproof", "config", "notes", "identity", "versions", "hardware")
_SCHEMA = 1  # of the cards in `weights/`
_VERSIONS = ("noiseproof", "torch", "timm", "open-clip-torch", "accelerate", "numpy")


def pack(folder: Path, *, name: str, out: Path) -> Path:
    """Write `out`/`name`.safetensors and, last, `out`/`name`.json.

    Args:
        folder: what `pretrain` left.
        name: letters, digits, `-` and `_`.
        out: a new folder, or one that noiseproof wrote.

    Returns:
        Path of the weights.

    Raises:
        MissingFile: the training in `folder` is not finished.
        BadData: a weight is outside the range of float16.
        InvalidArgument: a bad name, or `out` has files that noiseproof did not write.
    """
    if not re.fullmatch(r"[a-z0-9][\w-]*", name):
        raise invalid("name", name, "small letters, digits, '-' and '_'")
    card = read_card(folder / TRAINING_CARD, "pretrain")
    state = {key: _halved(key, value) for key, value in read_checkpoint(folder / WEIGHTS).items()}
    content = save(state, metadata=sealed_metadata(state, header_from(card).to_json()))
    with only_process_in(out):
        files.write_bytes(out / f"{name}.safetensors", content)
        write_record(out / f"{name}.json", {"name": name} | _packed_card(card, content))
    return out / f"{name}.safetensors"


def _halved(key: str, value: torch.Tensor) -> torch.Tensor:
    if not value.is_floating_point():
        return value
    half = value.to(torch.float16)
    if not torch.isfinite(half).all():
        raise BadData(
            f"The weight {key!r} goes up to {float(value.abs().max()):.3g}; allowed: up to 65504, the range "
            "of float16. Next: share the float32 file instead."
        )
    return half.contiguous()


def _packed_card(card: dict[str, Any], content: bytes) -> dict[str, Any]:
    kept = {key: value for key, value in card.items() if key not in _LEFT_OUT}
    versions = {name: card["versions"][name] for name in _VERSIONS if name in card["versions"]}
    return kept | {
        "schema": _SCHEMA,
        "settings": {name: card["config"][name] for name in PretrainSettings.model_fields},
        "versions": versions,
        "cpu": card["hardware"]["cpu"],
        "gpu": card["hardware"]["gpu"],
        "dtype": "float16",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
