"""The card of a fine-tuning: from what, how, on which labels, which step was kept and why."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noiseproof import card
from noiseproof.adapt.learnable import Tune
from noiseproof.adapt.settings import FinetuneSettings
from noiseproof.adapt.start import Start
from noiseproof.evaluate.results import ResultRow
from noiseproof.stages import hash_file

_SCHEMA = 1
RULE = (
    "highest accuracy on held-out training examples with their labels as given, the first of equals; test "
    "sets play no part"
)


def tuned_metadata(start: Start, settings: FinetuneSettings, noise: Mapping[str, Any]) -> dict[str, Any]:
    """What the tuned weights say of themselves, see `training_card.provenance`."""
    tune = Tune.parse(settings.tune)
    stays = tune.addition if tune.has_own_weights else None
    return {
        "additions": None if stays is None else stays.to_json(),
        "noise": dict(noise),
        "preprocessing": start.preprocessing,
        "architecture": start.architecture,
        "prefix": "",
    }


def make_card(
    *,
    backbone: str,
    start: Start,
    settings: FinetuneSettings,
    seed: int,
    command: str,
    weights: Path,
    data: Mapping[str, Any],
    noise: Mapping[str, Any],
    trained: Mapping[str, Any],
    rows: Sequence[ResultRow],
    notes: Sequence[str],
    evaluated: str,
    evaluation_wall_s: float,
) -> dict[str, Any]:
    """Everything about one finished fine-tuning, as plain values.

    Args:
        weights: file of those that were selected.
        data: role -> what the card says of the data sets.
        trained: what the training left, with its `identity`.
        evaluated: hash of what it was evaluated on.
    """
    results: dict[str, dict[str, float]] = {}
    for row in rows:
        results.setdefault(row.head, {})[row.set_name] = row.metrics["accuracy"]
    return {
        "schema": _SCHEMA,
        "objective": "finetune",
        "command": command,
        "backbone": {
            "name": backbone,
            "init": settings.init,
            "weights_hash": start.backbone.weights_hash,
        },
        **tuned_metadata(start, settings, noise),
        "settings": settings.model_dump(),
        "seed": seed,
        **data,
        "learning": trained["learning"],
        "selection": trained["selection"] | {"rule": RULE},
        "weights": trained["weights"],
        "transition": trained["transition"],
        "results": results,
        "weights_sha256": hash_file(weights),
        "num_steps": trained["num_steps"],
        "final_loss": trained["final_loss"],
        "wall_s": {"training": trained["wall_s"], "evaluation": round(evaluation_wall_s, 2)},
        "versions": card.versions(),
        "hardware": card.hardware(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "notes": list(notes),
        "evaluated": evaluated,
        "identity": trained["identity"],
    }
