"""The whole of DeFT: data -> noise -> phase 1 finds the wrong labels -> phase 2 adapts to the others -> card.

`deft` below is that sentence. Phase 1 is done once: a second start of the same goes on where the first
stopped, and one with another phase 2 or other evaluation sets does not learn the prompts again.

Source: Wei et al. 2024, arXiv:2409.19696.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.backbones.wording import notes_on_names
from noiseproof.config.deft import DeftConfig
from noiseproof.core.files import hash_file, write_bytes, write_json
from noiseproof.core.records import LabelIssues
from noiseproof.detect.find_issues import to_label_issues
from noiseproof.detect.prompts import prompt_result
from noiseproof.evaluate.detection import detection_metrics
from noiseproof.evaluate.results import read_results
from noiseproof.pipelines.cards import TRAINING_CARD, data_section, make_card, results_section
from noiseproof.pipelines.deft.deft_inputs import SCORES, Selecting, open_selecting, read_scores
from noiseproof.pipelines.deft.phase1 import FACTS, PROMPTS, TUNED, evaluated_prompts, run_phase1
from noiseproof.pipelines.deft.phase2 import facts, phase_two
from noiseproof.pipelines.finetune import RESULTS
from noiseproof.pipelines.folders import check_is_apart, only_main_process_in
from noiseproof.pipelines.inputs import notes
from noiseproof.pipelines.provenance import differences, made_with
from noiseproof.pipelines.stages import Stages, publish
from noiseproof.training.loop import LOG, accelerator_for

AFTER = "phase2.json"
PHASE_1, PHASE_2 = "phase 1", "phase 2"  # the stages


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
    is_main = this.accelerator.is_main_process
    stages = Stages(this.out, made_with=made_with(this.command), is_writer=is_main)
    stages.check_free((PROMPTS, TUNED, SCORES, FACTS, LOG, RESULTS, AFTER), cards=[TRAINING_CARD])
    key = stages.once(
        PHASE_1, depends_on=this.identity, make=lambda folder: run_phase1(this, folder), if_changed="refuse"
    )
    this.accelerator.wait_for_everyone()
    stages.once(
        PHASE_2, depends_on=[key, this.evaluated], make=lambda folder: _evaluate(this, stages, folder)
    )
    if not is_main:  # a process that only helped
        return {}
    publish(stages, cards=[TRAINING_CARD])
    card = _card(this, stages)
    write_json(this.out / TRAINING_CARD, card)
    return card


def _evaluate(this: Selecting, stages: Stages, folder: Path) -> list[str]:
    """The prompts on all test sets, then phase 2 and its results."""
    rows = evaluated_prompts(this, stages) if this.accelerator.is_main_process else []
    after, after_notes = phase_two(this, stages.path(SCORES)) if this.config.phase2 != "none" else ([], [])
    if not this.accelerator.is_main_process:
        return []
    write_bytes(folder / RESULTS, "".join(row.to_line() + "\n" for row in [*rows, *after]).encode())
    write_json(folder / AFTER, {"notes": after_notes})
    return [RESULTS, AFTER]


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


def _card(this: Selecting, stages: Stages) -> dict[str, Any]:
    phase1, after = (json.loads((this.out / name).read_text()) for name in (FACTS, AFTER))
    return make_card(
        "deft",
        config=this.config,
        made_with=stages.made_with[PHASE_1],
        wall_s=stages.wall_s,
        notes=[
            *notes(this.config, this.parts),
            *notes_on_names(this.data.class_names),
            *after["notes"],
            *differences(stages.made_with, PHASE_1),
        ],
        model={"name": this.config.model, "weights_hash": this.start.backbone.weights_hash},
        seed=this.config.seed,
        train=data_section(this.data),
        tests=[data_section(part.dataset) | {"role": part.role} for part in this.parts.tests],
        noise=this.noise,
        phase1=phase1,
        detection=_detection(this),
        phase2=facts(this),
        results=results_section(read_results(this.out / RESULTS)),
        scores_sha256=hash_file(this.out / SCORES),
        identity=this.identity,
    )
