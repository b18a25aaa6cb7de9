"""DeFT's second phase: any encoder is adapted to the selected examples, and to all of them for comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from noiseproof.backbones.backbones import open_backbone
from noiseproof.core.errors import BadData
from noiseproof.core.files import digest
from noiseproof.data.splits import subset
from noiseproof.evaluate.protocol import evaluate_head
from noiseproof.evaluate.results import ResultRow, read_results
from noiseproof.heads.estimators import LinearProbe
from noiseproof.pipelines.deft.deft_inputs import SCORES, Selecting, features_of, read_scores
from noiseproof.pipelines.finetune import RESULTS, run_prepared
from noiseproof.pipelines.finetune_inputs import make_tuning

FOLDER = "phase2"
ALL, SELECTED, RELABELLED = "all", "selected", "relabelled"


@dataclass(frozen=True, eq=False)
class Choice:
    """What phase 2 learns from.

    Attributes:
        name: of the choice.
        rows: of the training part.
        labels: theirs.
    """

    name: str
    rows: Int[np.ndarray, " m"]
    labels: Int[np.ndarray, " m"]


def phase_two(this: Selecting, scores_file: Path) -> tuple[list[ResultRow], list[str]]:
    """Train on all examples, on the selected, and (heads) on all with suggested labels for the others.

    Nothing is computed for an example that was not selected, but for the two comparisons.

    Returns:
        Results on the test sets, and notes for the card.

    Raises:
        BadData: there are fewer than two classes left to learn.
    """
    scores = read_scores(scores_file, this.data)
    least = 1 if this.config.phase2 == "heads" else 2  # a part of each class is held out there
    rows, notes = _kept(this, scores.is_clean, least)
    given = this.given_labels
    choices = [Choice(ALL, np.arange(len(given)), given), Choice(SELECTED, rows, given[rows])]
    if this.config.phase2 == "full":
        return [row for choice in choices for row in _tuned(this, choice)], notes
    relabelled = np.where(scores.is_clean, given, scores.suggested)
    if len(np.unique(relabelled)) > 1:
        choices.append(Choice(RELABELLED, np.arange(len(given)), relabelled))
    return _heads(this, choices), notes


def _kept(
    this: Selecting, is_clean: Bool[np.ndarray, " n"], least: int
) -> tuple[Int[np.ndarray, " m"], list[str]]:
    """Rows of the selected examples, of classes that have enough of them."""
    names, given = this.data.class_names, this.given_labels
    counts = np.bincount(given[is_clean], minlength=len(names))
    here = np.bincount(given, minlength=len(names)) > 0
    lost = [
        name for name, count, is_here in zip(names, counts, here, strict=True) if is_here and count < least
    ]
    rows = np.flatnonzero(is_clean & (counts[given] >= least))
    if (counts >= least).sum() < 2:
        raise BadData(
            f"Phase 1 selected {int(is_clean.sum())} of {len(given)} labels, which leaves "
            f"{int((counts >= least).sum())} classes with at least {least}; allowed in phase 2: two classes. "
            f"Next: look at {SCORES} in {str(this.out)!r}, train longer (--epochs, --out), or --phase2 none."
        )
    if not lost:
        return rows, []
    return rows, [
        f"Phase 2 has no example of {len(lost)} classes of which fewer than {least} labels were selected: "
        f"{', '.join(lost[:5])}."
    ]


def _heads(this: Selecting, choices: list[Choice]) -> list[ResultRow]:
    """Linear probes on features that are computed once."""
    backbone = open_backbone(this.config.phase2_backbone or this.config.model)
    features = features_of(this, this.parts.train, backbone)
    tests = [(part, features_of(this, part, backbone)) for part in this.parts.tests]
    rows = []
    for choice in choices:
        head = LinearProbe(seed=this.config.seed).fit(features[choice.rows], choice.labels)
        for part, test_features in tests:
            row = evaluate_head(
                head, test_features, part.best_labels, name=f"heads-{choice.name}", seed=this.config.seed,
                set_name=part.name, domain=part.domain,
                class_names=this.data.class_names,
            )  # fmt: skip
            rows.append(row)
    return rows


def _tuned(this: Selecting, choice: Choice) -> list[ResultRow]:
    """A fine-tuning of its own, in a folder of its own, that knows these examples only."""
    settings = this.config.phase2_settings.model_dump()
    how = digest([this.config.phase2_backbone or this.config.model, settings])[:8]
    out = this.out / FOLDER / f"{choice.name}-{how}"  # another training has another folder
    config = this.config.for_phase2(out)
    train = replace(
        this.parts.train, dataset=subset(this.data, choice.rows), noise=None, rows=None
    )  # fmt: skip
    parts = replace(this.parts, train=train)
    run_prepared(make_tuning(config, this.accelerator, parts, command=this.command, quiet=this.quiet))
    found = read_results(out / RESULTS) if this.accelerator.is_main_process else []
    return [replace(row, head=f"full-{choice.name}-{row.head.removeprefix('tuned-')}") for row in found]


def facts(this: Selecting) -> dict[str, Any]:
    """What the card says of how phase 2 was done."""
    if this.config.phase2 == "none":
        return {"kind": "none"}
    said: dict[str, Any] = {
        "kind": this.config.phase2,
        "backbone": this.config.phase2_backbone or this.config.model,
    }
    if this.config.phase2 == "full":
        said["settings"] = this.config.phase2_settings.model_dump()
    return said
