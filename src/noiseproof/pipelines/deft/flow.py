"""The whole of DeFT: data -> noise -> phase 1 finds the wrong labels -> phase 2 adapts to the others -> card.

`deft` below is that sentence. Phase 1 is done once: a second start of the same goes on where the first
stopped, and one with another phase 2 or other evaluation sets does not learn the prompts again.

Source: Wei et al. 2024, arXiv:2409.19696.
"""

from __future__ import annotations

import datetime
import time
from typing import Any

import numpy as np

from noiseproof.backbones.wording import notes_on_names
from noiseproof.config.deft import DeftConfig
from noiseproof.core.files import hash_file, write_bytes, write_json
from noiseproof.core.records import LabelIssues
from noiseproof.detect.find_issues import to_label_issues
from noiseproof.detect.prompts import prompt_result
from noiseproof.evaluate.detection import detection_metrics
from noiseproof.evaluate.results import ResultRow
from noiseproof.pipelines import provenance
from noiseproof.pipelines.cards import CARD, data_card, finished
from noiseproof.pipelines.deft.deft_inputs import SCORES, Selecting, open_selecting, read_scores
from noiseproof.pipelines.deft.phase1 import evaluated_prompts, phase_one
from noiseproof.pipelines.deft.phase2 import facts, phase_two
from noiseproof.pipelines.finetune import RESULTS
from noiseproof.pipelines.folders import check_is_apart, only_main_process_in
from noiseproof.pipelines.inputs import notes
from noiseproof.training.loop import accelerator_for

_SCHEMA = 1


def deft(config: DeftConfig, *, command: str = "noiseproof.deft(...)", quiet: bool = False) -> dict[str, Any]:
    """Find the wrong labels with learned prompts, and adapt an encoder to the others.

    Args:
        config: which data, which image-text model, how.
        command: how the user started it, for the card.
        quiet: no progress bars.

    Returns:
        The card, as `card.json` has it; nothing in processes that only helped.

    Raises:
        InvalidArgument: a setting, a model without a text tower, an image tower that cannot be tuned so.
        CheckpointMismatch: weights that do not fit, or a folder with another training.
        BadData: data, manifest or class names cannot be used; too few labels were selected for phase 2.
    """
    check_is_apart(config.out, (config.train, config.test, *config.ood))
    accelerator = accelerator_for(config.precision)
    with only_main_process_in(config.out, accelerator):
        return _run_prepared(open_selecting(config, accelerator, command=command, quiet=quiet))


def _run_prepared(this: Selecting) -> dict[str, Any]:
    done = finished(this.out, this.identity)
    if done is not None and done["evaluated"] == this.evaluated:
        return done
    learned = phase_one(this)
    this.accelerator.wait_for_everyone()
    begin = time.perf_counter()
    rows = evaluated_prompts(this) if learned is not None else []
    after, said = phase_two(this) if this.config.phase2 != "none" else ([], [])
    if learned is None:  # a process that only helped
        return {}
    rows += after
    write_bytes(this.out / RESULTS, "".join(row.to_line() + "\n" for row in rows).encode())
    found = _card(this, learned, rows, said, time.perf_counter() - begin)
    write_json(this.out / CARD, found)
    return found


def found_issues(this: Selecting) -> LabelIssues:
    """The scores in the schema of all detectors."""
    scores, names = read_scores(this.out / SCORES, this.data), this.data.class_names
    result = prompt_result(
        scores.p_clean, scores.is_clean, scores.suggested, this.given_labels, num_classes=len(names)
    )
    classes = np.arange(len(names))
    return to_label_issues(result, this.given_labels, classes=classes, ids=this.data.ids, class_names=names)


def _detection(this: Selecting) -> dict[str, Any] | None:
    """Against the truth, where it is known."""
    clean = this.data.clean_labels
    return None if clean is None else detection_metrics(found_issues(this), clean).to_json()


def _card(
    this: Selecting, learned: dict[str, Any], rows: list[ResultRow], said: list[str], after_wall_s: float
) -> dict[str, Any]:
    results: dict[str, dict[str, float]] = {}
    for row in rows:
        results.setdefault(row.head, {})[row.set_name] = row.metrics["accuracy"]
    phase = {key: value for key, value in learned.items() if key not in ("identity", "wall_s")}
    return {
        "schema": _SCHEMA,
        "objective": "deft",
        "command": this.command,
        "model": {"name": this.config.model, "weights_hash": this.start.backbone.weights_hash},
        "settings": this.settings.model_dump(),
        "seed": this.config.seed,
        "train": data_card(this.data),
        "tests": [data_card(part.dataset) | {"role": part.role} for part in this.parts.tests],
        "noise": this.noise,
        "phase1": phase,
        "detection": _detection(this),
        "phase2": facts(this),
        "results": results,
        "scores_sha256": hash_file(this.out / SCORES),
        "wall_s": {"phase1": learned["wall_s"], "after": round(after_wall_s, 2)},
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "notes": [*notes(this.config, this.parts), *notes_on_names(this.data.class_names), *said],
        "evaluated": this.evaluated,
        "identity": this.identity,
    }
