"""The flow of `noiseproof adapt deft`: data -> noise -> phase 1 finds wrong labels -> phase 2 adapts -> card.

Both phases are stages. A second start with the same configuration resumes where the first stopped; one with
another phase 2 or other evaluation sets does not learn the prompts again.

Source: Wei et al. 2024, arXiv:2409.19696.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.backbones.image_text.prompt_words import notes_on_names
from noiseproof.config.deft import DeftConfig
from noiseproof.config.keywords import takes_keywords
from noiseproof.core.records import LabelIssues
from noiseproof.core.storage.checksums import read_record, write_record
from noiseproof.core.storage.documents import START_AGAIN
from noiseproof.core.storage.files import hash_file
from noiseproof.detect.find_issues import to_label_issues
from noiseproof.detect.prompts import prompt_result
from noiseproof.evaluate.detection import detection_metrics
from noiseproof.evaluate.results import read_results, write_results
from noiseproof.pipelines.deft.deft_inputs import SCORES, DeftState, open_deft, read_scores
from noiseproof.pipelines.deft.phase1 import FACTS, PROMPTS, TUNED, evaluate_prompts, run_phase1
from noiseproof.pipelines.deft.phase2 import phase2_section, run_phase2
from noiseproof.pipelines.finetune import RESULTS
from noiseproof.pipelines.inputs.data_notes import notes
from noiseproof.pipelines.outputs.cards import data_section, results_section
from noiseproof.pipelines.outputs.output_folders import check_is_apart, only_main_process_in
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.pipelines.training_flow import run_training
from noiseproof.training.loop import LOG, accelerator_for

PHASE2_FILE = "phase2.json"


@takes_keywords(DeftConfig)
def deft(config: DeftConfig, *, command: str = "noiseproof.deft(...)", quiet: bool = False) -> dict[str, Any]:
    """Find the wrong labels with learned prompts, and adapt an encoder to the others.

    Args:
        config: of data, image-text model and training.
        command: how the user started it, for the card.
        quiet: no progress bars.

    Returns:
        The contents of `card.json`; empty in processes that only helped.

    Raises:
        InvalidArgument: a setting, a model without a text tower, an image tower that cannot be tuned so.
        CheckpointMismatch: weights that do not fit, or a folder with another training.
        BadData: data, manifest or class names cannot be used; too few labels were selected for phase 2.
    """
    check_is_apart(config.out, (config.train, config.test, *config.ood))
    accelerator = accelerator_for(config.precision)
    with only_main_process_in(config.out, accelerator):
        return run_training(
            open_deft(config, accelerator, command=command, quiet=quiet),
            "deft",
            files=(PROMPTS, TUNED, SCORES, FACTS, LOG, RESULTS, PHASE2_FILE),
            train=run_phase1,
            evaluate=_evaluate,
            describe=_describe,
            stages=("phase 1", "phase 2"),
            trains_twice=True,
        )


def _evaluate(state: DeftState, stages: Stages, folder: Path) -> list[str]:
    rows = evaluate_prompts(state, stages) if state.accelerator.is_main_process else []
    phase2_rows, phase2_notes = (
        run_phase2(state, stages.path(SCORES)) if state.config.phase2 != "none" else ([], [])
    )
    if not state.accelerator.is_main_process:
        return []
    write_results(folder / RESULTS, [*rows, *phase2_rows])
    write_record(folder / PHASE2_FILE, {"notes": phase2_notes})
    return [RESULTS, PHASE2_FILE]


def load_deft_issues(state: DeftState) -> LabelIssues:
    """The scores in the schema of all detectors."""
    scores, names = read_scores(state.out / SCORES, state.data), state.data.class_names
    result = prompt_result(
        scores.p_clean, scores.is_clean, scores.suggested, state.given_labels, num_classes=len(names)
    )
    classes = np.arange(len(names))
    return to_label_issues(result, state.given_labels, classes=classes, ids=state.data.ids, class_names=names)


def _detection(state: DeftState) -> dict[str, Any] | None:
    """Metrics of the selection against the true labels, where they are known."""
    clean = state.data.clean_labels
    return None if clean is None else detection_metrics(load_deft_issues(state), clean).to_json()


def _describe(state: DeftState) -> dict[str, Any]:
    phase1, phase2 = (read_record(state.out / name, next_step=START_AGAIN) for name in (FACTS, PHASE2_FILE))
    return {
        "notes": [
            *notes(state.config, state.parts),
            *notes_on_names(state.data.class_names),
            *phase2["notes"],
        ],
        "model": {"name": state.config.model, "weights_hash": state.initial.backbone.weights_hash},
        "train": data_section(state.data),
        "tests": [data_section(part.dataset) | {"role": part.role} for part in state.parts.tests],
        "noise": state.noise,
        "phase1": phase1,
        "detection": _detection(state),
        "phase2": phase2_section(state),
        "results": results_section(read_results(state.out / RESULTS)),
        "scores_sha256": hash_file(state.out / SCORES),
    }
