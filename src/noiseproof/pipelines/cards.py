"""The reproducibility card: what a run was made of and made on."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from noiseproof.adapt.finetune_settings import FinetuneSettings
from noiseproof.adapt.initial_encoder import Start
from noiseproof.adapt.learnable import Tune
from noiseproof.backbones.weights import WeightsHeader, hash_weights
from noiseproof.core.errors import CheckpointMismatch
from noiseproof.core.files import hash_file
from noiseproof.core.records import Dataset
from noiseproof.diagnose.spectrum import spectrum
from noiseproof.evaluate.results import ResultRow
from noiseproof.pipelines.provenance import hardware, versions
from noiseproof.pretrain.pretrain_settings import Settings
from noiseproof.pretrain.task import Task
from noiseproof.training.loop import LOG, logged

CARD = "card.json"
_SCHEMA = 1
# Where a training stops and how it is read change nothing of what it learns.
_NO_MATTER = {"checkpoint_steps", "workers"}


def identity(
    settings: BaseModel,
    *,
    seed: int,
    noise: Mapping[str, Any],
    data: Dataset,
    targets: np.ndarray,
    num_processes: int = 1,
) -> dict[str, Any]:
    """What a training is: two with the same identity end, on a CPU, with the same weights.

    Args:
        settings: how. A model that is a file is known by its contents.
        seed: of everything.
        noise: what the card says of it.
        data: whose fingerprint covers images and ids.
        targets: labels or captions, which the fingerprint leaves out.
        num_processes: that share each batch, and draw and normalise on their own.
    """
    values = settings.model_dump(exclude=_NO_MATTER)
    if Path(str(values.get("model"))).is_file():
        values["model"] = hash_file(Path(values["model"]))
    return {
        **{f"settings.{key}": value for key, value in values.items()},
        **{f"noise.{key}": value for key, value in noise.items()},
        "seed": seed,
        "num_processes": num_processes,
        "data": data.fingerprint,
        "targets": _hash_texts(targets),
    }


def evaluation(test: Dataset, labels: np.ndarray) -> dict[str, str]:
    """What the results in a card are of.

    Args:
        test: whose fingerprint covers images and ids.
        labels: class ids that count as right.
    """
    return {"data": test.fingerprint, "targets": _hash_texts(np.array(test.class_names, object)[labels])}


def finished(
    folder: Path, this: Mapping[str, Any], *, evaluated: Mapping[str, str] | None = None, file: str = CARD
) -> dict[str, Any] | None:
    """The card in this folder, if it is of this training; `None` where there is none yet.

    Args:
        folder: of a training.
        this: identity of the training that is asked for.
        evaluated: what the results have to be of; `None` takes those of any test set.
        file: of the card, which has an entry `identity`.

    Raises:
        CheckpointMismatch: the folder has another training, or results on other examples; what differs is
            named.
    """
    path = folder / file
    if not path.is_file():
        return None
    found = _read_card(path)
    differing = sorted(
        key for key in found["identity"].keys() | this.keys() if found["identity"].get(key) != this.get(key)
    )
    if differing:
        raise CheckpointMismatch(
            f"`out` is {str(folder)!r}, which has a finished training with other settings "
            f"({', '.join(differing)}); allowed: a new folder, or the same settings. Next: give another "
            "--out, or the settings of before."
        )
    if evaluated is not None and found.get("evaluation") != dict(evaluated):
        raise CheckpointMismatch(
            f"`out` is {str(folder)!r}, whose training is finished and was evaluated on other examples or "
            f"labels than this --test ({found['test']['name']!r}); allowed: the same. Next: repeat that "
            "--test to see its card, give another --out, or evaluate the encoder with 'noiseproof run'."
        )
    return found


def _read_card(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except ValueError:
        found = None
    if not isinstance(found, dict) or "identity" not in found:
        raise CheckpointMismatch(
            f"`out` has a {path.name} that no training of noiseproof wrote ({str(path)!r}); allowed: a new "
            "folder. Next: give another --out."
        )
    return found


def _hash_texts(values: np.ndarray) -> str:
    return hashlib.sha256("\0".join(map(str, values.tolist())).encode()).hexdigest()


def pretrain_card(
    *,
    task: Task,
    settings: Settings,
    seed: int,
    command: str,
    folder: Path,
    train: Dataset,
    test: Dataset,
    noise: Mapping[str, Any],
    results: Mapping[str, float],
    test_features: np.ndarray,
    this: Mapping[str, Any],
    evaluated: Mapping[str, str],
) -> dict[str, Any]:
    """Everything about one finished training, as plain values."""
    last = logged(folder / LOG)[-1:] or [dict.fromkeys(("step", "loss", "wall_s"))]  # it may be lost
    return {
        "schema": _SCHEMA,
        "objective": settings.objective,
        "model": settings.model,
        "architecture": task.architecture,
        "prefix": task.prefix,
        "command": command,
        "settings": settings.model_dump(),
        "seed": seed,
        "train": data_card(train),
        "test": data_card(test),
        "noise": dict(noise),
        "preprocessing": _preprocessing(task, settings),
        "facts": dict(task.facts),
        "results": dict(results),
        "spectrum": spectrum(test_features).to_json(),
        "weights_hash": hash_weights(task.weights),
        "num_steps": last[0]["step"],
        "final_loss": last[0]["loss"],
        "wall_s": last[0]["wall_s"],
        "versions": versions(),
        "hardware": hardware(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "identity": dict(this),
        "evaluation": dict(evaluated),
    }


def weights_header(card: Mapping[str, Any]) -> WeightsHeader:
    """The part of a card that the weights themselves carry, should they lose it.

    That is the noise, and what `timm:NAME@FILE` has to know: which images they take, where among them the
    encoder is and what was put into it.
    """
    names = ("noise", "preprocessing", "architecture", "prefix")
    return WeightsHeader(**{name: card[name] for name in names}, additions=card.get("additions"))


def _preprocessing(task: Task, settings: Settings) -> dict[str, Any]:
    return {
        "image_size": settings.image_size,
        "interpolation": "bicubic",
        "crop_share": settings.crop_share if settings.reading == "stream" else 1.0,
        "mean": list(task.normalise.mean),
        "std": list(task.normalise.std),
    } | dict(task.preprocessing)


def data_card(dataset: Dataset) -> dict[str, Any]:
    """What a card says of a data set."""
    return {
        "name": dataset.name,
        "num_examples": len(dataset),
        "fingerprint": dataset.fingerprint,
        "class_names": list(dataset.class_names[:1000]),
    }


_SCHEMA = 1
RULE = (
    "highest accuracy on held-out training examples with their labels as given, the first of equals; test "
    "sets play no part"
)


def tuned_metadata(start: Start, settings: FinetuneSettings, noise: Mapping[str, Any]) -> dict[str, Any]:
    """What a card has for the header of tuned weights, see `weights_header`."""
    tune = Tune.parse(settings.tune)
    stays = tune.addition if tune.has_own_weights else None
    return {
        "additions": None if stays is None else stays.to_json(),
        "noise": dict(noise),
        "preprocessing": start.preprocessing,
        "architecture": start.architecture,
        "prefix": "",
    }


def finetune_card(
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
        "versions": versions(),
        "hardware": hardware(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "notes": list(notes),
        "evaluated": evaluated,
        "identity": trained["identity"],
    }
