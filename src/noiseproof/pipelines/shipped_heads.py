"""`heads.json`: which head of a run classifies new examples, and the calibration of every head.

The head is chosen on training examples that were held out of fits for this choice alone, so that test sets
play no part. Calibration (`posterior.temperature`) uses examples of the test set, from which no head learned:
it changes neither a prediction nor a number of the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.core.checksums import write_record
from noiseproof.core.documents import START_AGAIN, Document, read_document
from noiseproof.core.errors import BadData
from noiseproof.core.rng import stream
from noiseproof.data.splits import stratified_split
from noiseproof.heads.abstract import fit_heads
from noiseproof.heads.estimators import load_head
from noiseproof.heads.saved_heads import SUFFIXES, HeadCalibration
from noiseproof.pipelines.heads import HeadVariant
from noiseproof.pipelines.stages import Stages
from noiseproof.posterior.temperature import fit_temperature

FILE = "heads.json"
_HELD_OUT = 0.2  # share of the training examples on which the head is chosen
_MOST_HELD_OUT = 10_000  # examples of a calibration, of two parameters


class HeadChoice(Document):
    """The head of a run for new examples.

    Attributes:
        head: its name.
        num_held_out: training examples that decided; 0 where nothing was to decide.
        accuracy: of each head on these, against their labels as given.
        reason: why this one, a sentence.
        calibrations: file of a head without suffix -> its calibration.
    """

    head: str
    num_held_out: int
    accuracy: dict[str, float]
    reason: str
    calibrations: dict[str, HeadCalibration]


def choose_head(
    heads: Sequence[HeadVariant],
    sources: Sequence[np.ndarray],
    features: Any,
    given_labels: Int[np.ndarray, " n"],
    *,
    seed: int,
) -> tuple[str, int, dict[str, float], str]:
    """Name of the head, number of held-out examples, accuracies on them, and the reason.

    Args:
        heads: of the run.
        sources: features to learn from, or those of two augmented views.
        features: of the same examples without augmentation.
        given_labels: which may be wrong; held-out ones are wrong as often for every head.
        seed: of the split.
    """
    first = heads[0].name
    if len(heads) == 1:
        return first, 0, {}, f"`predict` and `export` use {first}, the only head."
    try:
        rows, held = stratified_split(given_labels, test_fraction=_HELD_OUT, seed=seed)
    except BadData:
        return first, 0, {}, (
            f"`predict` and `export` use {first}, the first head: a class has one training example only, so "
            "none can be held out to choose on."
        )  # fmt: skip
    fitted = [head.build([0])[0] for head in heads]
    views = [view[rows] for view in sources]
    fit_heads(fitted, views[0], given_labels[rows], second_view=(*views, None)[1])
    held_features = features[held]
    accuracy = {
        head.name: float((one.predict(held_features) == given_labels[held]).mean())
        for head, one in zip(heads, fitted, strict=True)
    }
    best = max(accuracy, key=accuracy.__getitem__)  # the first of equals
    listed = ", ".join(f"{name} {100 * share:.1f} %" for name, share in accuracy.items())
    return best, len(held), accuracy, (
        f"`predict` and `export` use {best}: of the labels of {len(held):,} training examples that were held "
        f"out of a fit for this choice, the heads predicted {listed}. Test sets play no part."
    )  # fmt: skip


def calibrate_heads(
    heads: Sequence[HeadVariant], stages: Stages, features: Any, labels: Int[np.ndarray, " n"], *, seed: int
) -> dict[str, HeadCalibration]:
    """File of each head, without suffix -> its calibration.

    A head none of whose classes is among the held-out ones has none.

    Args:
        heads: of the run.
        stages: of the run, with the saved heads.
        features: of the held-out examples, still on disk.
        labels: class ids; may be wrong.
        seed: of the draw where there are many.
    """
    found = {}
    for file in (head.file(number) for head in heads for number in range(head.num_seeds)):
        head = load_head(stages.path(file + SUFFIXES[0]))
        rows = np.flatnonzero(np.isin(labels, head.classes_))
        if len(rows) > _MOST_HELD_OUT:
            rows = np.sort(stream(seed, "calibration").choice(rows, _MOST_HELD_OUT, replace=False))
        if len(rows):
            encoded = np.searchsorted(head.classes_, labels[rows])
            fitted = fit_temperature(head.predict_proba(features[rows]), encoded)
            found[file] = HeadCalibration(
                sharpness=fitted.sharpness, noise_rate=fitted.noise_rate, num_held_out=len(rows)
            )
    return found


def write_choice(folder: Path, choice: HeadChoice) -> list[str]:
    """Write the document; returns its name."""
    write_record(folder / FILE, choice.to_json())
    return [FILE]


def read_choice(folder: Path) -> HeadChoice:
    """The document of a run folder."""
    return read_document(folder / FILE, HeadChoice, next_step=START_AGAIN)
