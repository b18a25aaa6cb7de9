"""`heads.json`: which head of a run classifies new examples, and the calibration of every head.

The head is chosen on training examples that were held out of fits for this choice alone, so that test sets
play no part. Calibration (`posterior.temperature`) uses examples of the test set, from which no head learned:
it changes neither a prediction nor a number of the report. Last, the head is fitted once more, to the
examples that the run held out for evaluation, too: with 500 labels, predictions were up to 1.6 points more
accurate (`benchmarks/bench_shipped_heads.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from pydantic import Field

from noiseproof.core.errors import BadData
from noiseproof.core.progress import progress
from noiseproof.core.rng import stream
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import START_AGAIN, Document, read_document
from noiseproof.data.splits import stratified_split
from noiseproof.heads.abstract import fit_heads
from noiseproof.heads.estimators import load_head
from noiseproof.heads.saved_heads import SUFFIXES, HeadCalibration
from noiseproof.pipelines.inputs.encoded import EncodedParts
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.pipelines.run_heads.heads import HeadVariant
from noiseproof.pipelines.run_heads.training import NeedsOf
from noiseproof.posterior.temperature import fit_temperature

FILE = "heads.json"
_HELD_OUT = 0.2  # share of the training examples on which the head is chosen
MOST_HELD_OUT = 10_000  # examples of a calibration, of two parameters


class HeadChoice(Document):
    """The head of a run for new examples.

    Attributes:
        head: its name.
        reason: why this one, a sentence.
        num_held_out: training examples that decided; 0 where nothing was to decide.
        held_out: of each head, accuracy on these against their labels as given, or R2 of scores.
        fitted_to_all: name of its fit to all examples, held-out ones included; `None` where there is none.
        calibrations: file of a head without suffix -> its calibration.
    """

    head: str
    reason: str
    num_held_out: int = 0
    held_out: dict[str, float] = Field(default_factory=dict)
    fitted_to_all: str | None = None
    calibrations: dict[str, HeadCalibration] = Field(default_factory=dict)


def choose_once(
    stages: Stages,
    heads: Sequence[HeadVariant],
    fitted: list[list[str]],
    encoded: EncodedParts,
    *,
    needs: NeedsOf,
    seed: int,
) -> None:
    """The stage of a run that chooses the head for new examples, calibrates all, and fits that one to all."""
    train, test = encoded.parts.train, encoded.parts.tests[0]

    def make(folder: Path) -> list[str]:
        whole, views = encoded.features(train), [view.features for view in encoded.views]
        with progress("Choice of the head", total=len(heads), unit="head") as bar:
            choice = choose_head(heads, views or [whole], whole, train.labels_to_learn, seed=seed)
            bar.update(len(heads))
        if not encoded.parts.has_scores:
            choice = calibrate_heads(
                choice, heads, stages, encoded.features(test), test.best_labels, seed=seed
            )
        head = next(each for each in heads if each.name == choice.head)
        choice, files = fit_to_all(choice, head, encoded, folder, needs=needs)
        write_record(folder / FILE, choice.to_json())
        return [FILE, *files]

    names = [head.name for head in heads]
    tested = [encoded.key(test), test.best_labels, test.given_labels]
    depends_on = [names, fitted, train.given_labels, *tested, seed, "fitted to all"]
    stages.once("choice of the head", depends_on=depends_on, make=make)


def choose_head(
    heads: Sequence[HeadVariant],
    sources: Sequence[Any],
    features: Any,
    labels: np.ndarray,
    *,
    seed: int,
) -> HeadChoice:
    """Choose by held-out training examples.

    Args:
        heads: of the run.
        sources: features to learn from, or those of two augmented views.
        features: of the same examples without augmentation.
        labels: class ids, which may be wrong (held-out ones as often for every head), or scores.
        seed: of the split.
    """
    first = heads[0].name
    if len(heads) == 1:
        return HeadChoice(head=first, reason=f"New examples are classified by {first}, the only head.")
    try:
        rows, held = _split(labels, seed, are_scores=heads[0].predicts_scores)
    except BadData:
        reason = (
            f"New examples are classified by {first}, the first head: a class has one training example only, "
            "so none can be held out to choose on."
        )
        return HeadChoice(head=first, reason=reason)
    fitted = [head.build([0])[0] for head in heads]
    views = [np.asarray(view[rows]) for view in sources]
    fit_heads(fitted, views[0], labels[rows], second_view=(*views, None)[1])
    # scikit-learn's score: accuracy of classifiers, R2 of regressors.
    found = {
        head.name: float(one.score(features[held], labels[held]))
        for head, one in zip(heads, fitted, strict=True)
    }
    best = max(found, key=found.__getitem__)  # the first of equals
    unit = "R2 of scores" if heads[0].predicts_scores else "share of labels"
    listed = ", ".join(f"{name} {share:.3f}" for name, share in found.items())
    reason = (
        f"New examples are classified by {best}: on {len(held):,} training examples that were held out of a "
        f"fit for this choice, the {unit} predicted was {listed}. Test sets play no part."
    )
    return HeadChoice(head=best, reason=reason, num_held_out=len(held), held_out=found)


def _split(labels: np.ndarray, seed: int, *, are_scores: bool) -> tuple[np.ndarray, np.ndarray]:
    if not are_scores:
        return stratified_split(labels, test_fraction=_HELD_OUT, seed=seed)
    order = stream(seed, "choice of the head").permutation(len(labels))
    num_held = max(1, round(_HELD_OUT * len(labels)))
    return np.sort(order[num_held:]), np.sort(order[:num_held])


def calibrate_heads(
    choice: HeadChoice,
    heads: Sequence[HeadVariant],
    stages: Stages,
    features: Any,
    labels: Int[np.ndarray, " n"],
    *,
    seed: int,
) -> HeadChoice:
    """The choice with the calibration of every head; one none of whose classes is held out has none.

    Args:
        choice: of the head.
        heads: of the run.
        stages: of the run, with the saved heads.
        features: of the held-out examples, still on disk.
        labels: class ids; may be wrong.
        seed: of the draw where there are many.
    """
    found = {}
    for file in (each.file(number) for each in heads for number in range(each.num_seeds)):
        head: Any = load_head(stages.path(file + SUFFIXES[0]))
        rows = np.flatnonzero(np.isin(labels, head.classes_))
        if len(rows) > MOST_HELD_OUT:
            rows = np.sort(stream(seed, "calibration").choice(rows, MOST_HELD_OUT, replace=False))
        if len(rows):
            encoded = np.searchsorted(head.classes_, labels[rows])
            found[file] = calibration_of(head.predict_proba(features[rows]), encoded)
    return choice.model_copy(update={"calibrations": found})


def fit_to_all(
    choice: HeadChoice,
    head: HeadVariant,
    encoded: EncodedParts,
    folder: Path,
    *,
    needs: NeedsOf,
) -> tuple[HeadChoice, list[str]]:
    """Fit the chosen head to the training examples and those that the run held out of them.

    Its calibration is taken for this fit, too. Not where the test set is one of its own, where labels were
    made wrong for an experiment, and where heads learn from augmented views.

    Returns:
        The choice with the name of the fit, and its files.
    """
    parts = encoded.parts
    train, test = parts.train, parts.tests[0]
    is_split_off = test.rows is not None and test.whole.fingerprint == train.whole.fingerprint
    if not is_split_off or parts.views or train.noise is not None:
        return choice, []
    of_train, of_test = train.labels_to_learn, test.labels_to_learn
    kept = np.isin(of_test, of_train) if not parts.has_scores else np.ones(len(of_test), bool)
    matrix = np.concatenate([np.asarray(encoded.features(train)), np.asarray(encoded.features(test))[kept]])
    (fitted,) = head.build([0])
    fit_heads([fitted], matrix, np.concatenate([of_train, of_test[kept]]))
    name = f"{Path(head.file(0)).name}-all"
    fitted.save(folder / "heads" / name, needs=needs(fitted))
    calibrations = {f"heads/{name}": choice.calibrations[head.file(0)]} if choice.calibrations else {}
    reason = (
        f"{choice.reason} Then it was fitted again to all {len(matrix):,} examples, those held out for "
        "evaluation included; accuracies and calibration are of the fit without them."
    )
    update = {"reason": reason, "fitted_to_all": name, "calibrations": choice.calibrations | calibrations}
    return choice.model_copy(update=update), [f"heads/{name}{suffix}" for suffix in SUFFIXES]


def calibration_of(probs: np.ndarray, labels: np.ndarray) -> HeadCalibration:
    """Calibration from probabilities (n, k) of held-out examples and their class ids in [0, k)."""
    fitted = fit_temperature(probs, labels)
    return HeadCalibration(
        sharpness=fitted.sharpness, noise_rate=fitted.noise_rate, num_held_out=fitted.num_examples
    )


def read_choice(folder: Path) -> HeadChoice:
    """The document of a run folder."""
    return read_document(folder / FILE, HeadChoice, next_step=START_AGAIN)
