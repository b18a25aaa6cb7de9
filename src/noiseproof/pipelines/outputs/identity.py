"""Identity of a training, by which it is resumed, and the header of its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from noiseproof.backbones.checkpoints.weights import WeightsHeader
from noiseproof.core.records import Dataset
from noiseproof.core.storage.files import hash_file

# These settings do not change the weights.
_WITHOUT_EFFECT = {"checkpoint_steps", "workers"}


def identity(
    settings: BaseModel,
    *,
    seed: int,
    noise: Mapping[str, Any],
    data: Dataset,
    targets: np.ndarray,
    num_processes: int = 1,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that decides the weights: two trainings of one identity end, on a CPU, with the same bytes.

    Args:
        settings: of the training. A model that is a file is known by its contents.
        seed: of everything that is drawn.
        noise: its section of the card.
        data: examples; their fingerprint covers images and ids.
        targets: labels or captions, which the fingerprint leaves out.
        num_processes: processes that share each batch, and draw and normalise on their own.
        more: what else decides them, plain values.
    """
    values = settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    if Path(str(values.get("model"))).is_file():
        values["model"] = hash_file(Path(values["model"]))
    made_from = {
        **{f"settings.{key}": value for key, value in values.items()},
        **{f"noise.{key}": value for key, value in noise.items()},
        "seed": seed,
        "num_processes": num_processes,
        "data": data.fingerprint,
        "targets": hashlib.sha256("\0".join(map(str, targets.tolist())).encode()).hexdigest(),
        **(more or {}),
    }
    return json.loads(json.dumps(made_from))  # as checkpoints have it


def header_from(facts: Mapping[str, Any]) -> WeightsHeader:
    """Header of a file of weights, from the facts of its training or from its card."""
    names = ("noise", "preprocessing", "architecture", "prefix")
    return WeightsHeader(**{name: facts[name] for name in names}, additions=facts.get("additions"))
