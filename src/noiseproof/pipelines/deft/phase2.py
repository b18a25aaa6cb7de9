"""DeFT's second phase: any encoder is adapted to the selected examples, and to all of them for comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from noiseproof.backbones.backbones import open_backbone
from noiseproof.core.errors import BadData
from noiseproof.core.plurals import counted
from noiseproof.core.storage.files import digest
from noiseproof.data.splits import subset
from noiseproof.evaluate.protocol import evaluate_head
from noiseproof.evaluate.results import ResultRow, read_results
from noiseproof.heads.estimators import LinearProbe
from noiseproof.pipelines.deft.deft_inputs import SCORES, DeftState, part_features, read_scores
from noiseproof.pipelines.finetune import RESULTS, run_prepared
from noiseproof.pipelines.finetune_inputs import prepare_finetuning

FOLDER = "phase2"
ALL, SELECTED, RELABELLED = "all", "selected", "relabelled"


@dataclass(frozen=True, eq=False)
class TrainingChoice:
    """Examples and labels that phase 2 learns from.

    Attributes:
        name: part of the name in the results.
        rows: of the training part.
        labels: class ids of these rows.
    """

    name: str
    rows: Int[np.ndarray, " m"]
    labels: Int[np.ndarray, " m"]


def run_phase2(state: DeftState, scores_file: Path) -> tuple[list[ResultRow], list[str]]:
    """Train on all examples, on the selected, and (heads) on all with suggested labels for the others.

    Examples that were not selected are used by the two comparisons only.

    Returns:
        Results on the test sets, and notes for the card.

    Raises:
        BadData: fewer than two classes are left to learn.
    """
    scores = read_scores(scores_file, state.data)
    least = 1 if state.config.phase2 == "heads" else 2  # a part of each class is held out there
    rows, notes = _selected_rows(state, scores.is_clean, least)
    given = state.given_labels
    choices = [TrainingChoice(ALL, np.arange(len(given)), given), TrainingChoice(SELECTED, rows, given[rows])]
    if state.config.phase2 == "full":
        return [row for choice in choices for row in _finetune(state, choice)], notes
    relabelled = np.where(scores.is_clean, given, scores.suggested)
    if len(np.unique(relabelled)) > 1:
        choices.append(TrainingChoice(RELABELLED, np.arange(len(given)), relabelled))
    return _train_heads(state, choices), notes


def _selected_rows(
    state: DeftState, is_clean: Bool[np.ndarray, " n"], least: int
) -> tuple[Int[np.ndarray, " m"], list[str]]:
    """Rows of the selected examples, of classes that have enough of them."""
    names, given = state.data.class_names, state.given_labels
    counts = np.bincount(given[is_clean], minlength=len(names))
    is_present = np.bincount(given, minlength=len(names)) > 0
    lost = [
        name
        for name, count, has_any in zip(names, counts, is_present, strict=True)
        if has_any and count < least
    ]
    rows = np.flatnonzero(is_clean & (counts[given] >= least))
    if (counts >= least).sum() < 2:
        raise BadData(
            f"Phase 1 selected {int(is_clean.sum())} of {len(given)} labels, which leaves "
            f"{counted(int((counts >= least).sum()), 'class', 'classes')} with at least {least}; allowed "
            "in phase 2: two classes. "
            f"Next: check {SCORES} in {str(state.out)!r}, train longer (--epochs, --out), or --phase2 none."
        )
    if not lost:
        return rows, []
    return rows, [
        f"Phase 2 has no example of {counted(len(lost), 'class', 'classes')} of which fewer than {least} "
        f"labels were selected: {', '.join(lost[:5])}."
    ]


def _train_heads(state: DeftState, choices: list[TrainingChoice]) -> list[ResultRow]:
    """Linear probes on features that are computed once."""
    backbone = open_backbone(state.config.phase2_backbone or state.config.model)
    features = part_features(state, state.parts.train, backbone)
    tests = [(part, part_features(state, part, backbone)) for part in state.parts.tests]
    rows = []
    for choice in choices:
        head = LinearProbe(seed=state.config.seed).fit(features[choice.rows], choice.labels)
        for part, test_features in tests:
            row = evaluate_head(
                head, test_features, part.best_labels, name=f"heads-{choice.name}", seed=state.config.seed,
                set_name=part.name, domain=part.domain,
                class_names=part.class_names,
            )  # fmt: skip
            rows.append(row)
    return rows


def _finetune(state: DeftState, choice: TrainingChoice) -> list[ResultRow]:
    """Fine-tune an encoder on these examples only, in a folder of its own."""
    settings = state.config.phase2_settings.model_dump()
    suffix = digest([state.config.phase2_backbone or state.config.model, settings])[:8]
    out = state.out / FOLDER / f"{choice.name}-{suffix}"  # a folder for each encoder and settings
    config = state.config.for_phase2(out)
    train = replace(state.parts.train, dataset=subset(state.data, choice.rows), noise=None, rows=None)
    parts = replace(state.parts, train=train)
    run_prepared(
        prepare_finetuning(config, state.accelerator, parts, command=state.command, quiet=state.quiet)
    )
    results = read_results(out / RESULTS) if state.accelerator.is_main_process else []
    return [replace(row, head=f"full-{choice.name}-{row.head.removeprefix('tuned-')}") for row in results]


def phase2_section(state: DeftState) -> dict[str, Any]:
    """Kind, encoder and settings of phase 2, for the card."""
    if state.config.phase2 == "none":
        return {"kind": "none"}
    section: dict[str, Any] = {
        "kind": state.config.phase2,
        "backbone": state.config.phase2_backbone or state.config.model,
    }
    if state.config.phase2 == "full":
        section["settings"] = state.config.phase2_settings.model_dump()
    return section
