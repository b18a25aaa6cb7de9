"""Inputs of the detectors, checked, and quantities that several detectors share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.checks import (
    check_finite,
    check_label_range,
    check_matrix,
    check_unique_ids,
    check_unique_names,
)
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.row_blocks import row_blocks
from noiseproof.detect.training_dynamics import Dynamics, training_dynamics
from noiseproof.posterior.calibration import Calibration, calibrate
from noiseproof.posterior.copies import Copies, find_copies
from noiseproof.posterior.leave_one_out import LeaveOneOut, choose_rows, leave_one_out
from noiseproof.posterior.noisy_regression import (
    NoisyRegression,
    can_fit,
    fit_noisy_regression,
    prefers_each_class,
)
from noiseproof.posterior.ridge_rows import Rows
from noiseproof.posterior.transition_gain import TransitionGain, transition_gain
from noiseproof.posterior.true_labels import TransitionModel, fit_transition_model

_MOST_SINGLE = 10  # examples with a label of their own each; more of them are rather ids
_SUMS_TO_1 = 1e-3  # probabilities may come from float16
_BLOCK_ROWS = 8192
_LARGEST = 1e15  # sums of many squares still fit into float32

Probs = Float[np.ndarray, "n k"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Inputs of a detector; quantities that several detectors need are computed once.

    Attributes:
        given_labels: (n,) class ids.
        classes: k labels in the user's vocabulary.
        features: (n, d) features from a frozen encoder, array-like.
        probs: (n, k) out-of-sample probabilities of the user's own model (`pred_probs`).
        zero_shot: (n, k) probabilities of an image-text model that never saw the labels.
        text_tower: text tower of the image-text model that computed the features (`detect.text_tower`).
        seed: of detectors that draw random numbers.
    """

    given_labels: Int[np.ndarray, " n"]
    classes: np.ndarray
    features: Any = None
    probs: Any = None
    zero_shot: Any = None
    text_tower: Any = None
    seed: int = 0

    @property
    def num_classes(self) -> int:
        """Number of classes, k."""
        return len(self.classes)

    def __len__(self) -> int:
        return len(self.given_labels)

    def require(self, name: str, method: str) -> Any:
        """An input that a method needs.

        Raises:
            InvalidArgument: the input is missing.
        """
        value = getattr(self, name)
        if value is None:
            raise invalid(
                name, None, f"{_DESCRIPTIONS[name]} for the method {method!r}",
                "Next: pass it, or take method='auto', which chooses by the inputs.",
            )  # fmt: skip
        return value

    @cached_property
    def present_classes(self) -> Int[np.ndarray, " c"]:
        """Classes that occur among the given labels; models are fitted for these only."""
        return np.unique(self.given_labels)

    @cached_property
    def compact_labels(self) -> Int[np.ndarray, " n"]:
        """Given labels as positions in `present_classes`."""
        return np.searchsorted(self.present_classes, self.given_labels)

    def over_all_classes(self, probs: Float[np.ndarray, "n c"]) -> Probs:
        """Probabilities of the present classes with a column of zeros for every other class."""
        if len(self.present_classes) == self.num_classes:
            return probs
        wide = np.zeros((len(probs), self.num_classes), probs.dtype)
        wide[:, self.present_classes] = probs
        return wide

    def joint_over_all_classes(self, joint: Float[np.ndarray, "c c"]) -> Float[np.ndarray, "k k"]:
        """Counts of the present classes with zeros for every other class."""
        if len(self.present_classes) == self.num_classes:
            return joint
        wide = np.zeros((self.num_classes, self.num_classes))
        wide[np.ix_(self.present_classes, self.present_classes)] = joint
        return wide

    @cached_property
    def copies(self) -> Copies:
        """Identical and nearly identical examples, to be left out together."""
        return find_copies(self.features).to_leave_out(self.compact_labels)

    @cached_property
    def rows(self) -> Rows:
        """Rows of the kind from which the given labels are predicted best."""
        return choose_rows(self.features, self.compact_labels, num_classes=len(self.present_classes))

    @cached_property
    def leave_one_out(self) -> LeaveOneOut:
        """Leave-one-out scores of a ridge head, for the present classes; copies are left out together."""
        groups = self.copies.groups if self.copies.has_copy.any() else None
        return leave_one_out(
            self.features, self.compact_labels,
            num_classes=len(self.present_classes), groups=groups, rows=self.rows,
        )  # fmt: skip

    @property
    def scores(self) -> Float[np.ndarray, "n c"]:
        """Scores of `leave_one_out`."""
        return self.leave_one_out.scores

    @cached_property
    def calibration(self) -> Calibration:
        """Probabilities of the true label, if wrong labels are spread evenly over the classes."""
        return calibrate(self.scores, self.compact_labels)

    @property
    def has_regression(self) -> bool:
        """Whether `transition_model` is a regression: enough examples of classes that differ."""
        return self._classes_differ and self._is_each_preferred

    @property
    def has_rare_classes(self) -> bool:
        """Whether a regression could be fitted but for classes that scores prefer too rarely."""
        return self._classes_differ and not self._is_each_preferred

    @cached_property
    def _classes_differ(self) -> bool:
        return can_fit(self.scores, self.compact_labels)

    @cached_property
    def _is_each_preferred(self) -> bool:
        return prefers_each_class(self.scores, self.compact_labels)

    @cached_property
    def transition_model(self) -> NoisyRegression | TransitionModel:
        """Probabilities of the true label, with a fitted transition matrix."""
        fit = fit_noisy_regression if self.has_regression else fit_transition_model
        return fit(self.scores, self.compact_labels)

    @cached_property
    def transition_gain(self) -> TransitionGain:
        """How much better a transition matrix than `calibration` fits held-out labels."""
        return transition_gain(self.scores, self.compact_labels)

    @cached_property
    def _dynamics(self) -> Dynamics:
        return training_dynamics(
            self.features, self.given_labels, num_classes=self.num_classes, seed=self.seed
        )

    def dynamics(self, method: str) -> Dynamics:
        """Training dynamics of two heads."""
        self.require("features", method)
        return self._dynamics

    def out_of_sample_probs(self, method: str) -> Probs:
        """Class probabilities from a model that did not see the label of the example."""
        if self.probs is not None:
            return self.probs
        self.require("features", method)
        return self.over_all_classes(self.calibration.probs)


_DESCRIPTIONS = {
    "features": "an (n, d) array of features",
    "probs": "an (n, k) array of out-of-sample probabilities",
    "zero_shot": "an (n, k) array of probabilities of an image-text model",
    "text_tower": "the text tower of an image-text model",
}


def encode_labels(labels: np.ndarray, class_names: Sequence[str] = ()) -> tuple[np.ndarray, np.ndarray]:
    """The sorted classes, and every label as its class id.

    Raises:
        BadData: one class only, types that cannot be ordered, a class id without a name.
    """
    if class_names:
        if not np.issubdtype(labels.dtype, np.integer):
            raise invalid(
                "given_labels", labels.dtype.name, "class ids (integers) if `class_names` are given"
            )
        check_label_range(labels, len(class_names), "given_labels")
        check_unique_names(class_names, "`class_names`")
        classes, encoded = np.arange(len(class_names)), labels.astype(np.int64)
    else:
        try:
            classes, encoded = np.unique(labels, return_inverse=True)
        except TypeError as error:
            raise BadData(
                f"`given_labels` mixes types that cannot be ordered ({error}); allowed: one type."
            ) from error
    num_present = len(np.unique(encoded))
    if _MOST_SINGLE < num_present == len(encoded):
        raise BadData(
            f"`given_labels` has another label for each of the {len(encoded):,} examples; allowed: classes "
            "that occur more than once. Next: check the label column, which may hold ids."
        )
    if num_present < 2:
        raise BadData(
            f"`given_labels` has one class only, {labels[:1].tolist()[0]!r}; allowed: two or more. "
            "Next: check the label column."
        )
    return classes, encoded


def check_examples(rows: Any, labels: np.ndarray, ids: Any, *, name: str = "features") -> None:
    """Check that rows are finite, that every row has a label, and that features are not all equal.

    Args:
        rows: (n, d) array, memory-mapped or not.
        labels: (n,).
        ids: (n,) unique ids, or `None`.
        name: of the rows, for messages.
    """
    check_matrix(rows, name)
    if labels.ndim != 1:
        raise invalid("given_labels", labels.shape, "an array of one axis, (n,)")
    for which, values in (("given_labels", labels), ("ids", ids)):
        if values is not None and len(values) != len(rows):
            raise BadData(
                f"`{which}` has {len(values)} rows, `{name}` {len(rows)}; they must agree. "
                "Next: pass the labels of exactly these examples."
            )
    if ids is not None:
        check_unique_ids(np.asarray(ids), "ids")
    if len(labels) < 2:
        raise BadData(f"`{name}` has {len(labels)} rows; allowed: two or more.")
    first, is_varied = np.asarray(rows[:1]), False
    for part in row_blocks(len(labels), _BLOCK_ROWS):
        block = np.asarray(rows[part])
        check_finite(block, name, first_row=part.start)
        if name == "features":  # `check_probs` checks probabilities
            _check_size(block, first_row=part.start)
            is_varied = is_varied or bool((block != first).any())
    if name == "features" and not is_varied:
        raise BadData(
            "All rows of `features` are equal; allowed: rows that differ. Next: check the encoder and its "
            "inputs."
        )


def _check_size(block: np.ndarray, *, first_row: int) -> None:
    """Raise `BadData` if the squares of the features would overflow float32."""
    sizes = np.maximum(block.max(axis=1), -block.min(axis=1).astype(np.float64))
    if sizes.max() > _LARGEST:
        row = int(sizes.argmax())
        raise BadData(
            f"`features` has {sizes[row]:.3g} in row {first_row + row}; allowed: numbers up to {_LARGEST:g}. "
            "Next: divide all features by the same number."
        )


def check_probs(probs: Any, name: str, num_classes: int) -> None:
    """Check that rows are probabilities of k classes, block by block.

    Args:
        probs: (n, k), already checked by `check_examples`.
        name: of the argument.
        num_classes: k.
    """
    if probs.shape[1] != num_classes:
        raise invalid(
            name, f"of shape {tuple(probs.shape)}", f"{num_classes} columns, one per class",
            "Next: pass `class_names` if some classes do not occur among the labels.",
        )  # fmt: skip
    for rows in row_blocks(len(probs), _BLOCK_ROWS):
        block = np.asarray(probs[rows])
        sums = block.sum(axis=1, dtype=np.float64)
        wrong = np.flatnonzero((block.min(axis=1) < 0) | (np.abs(sums - 1) > _SUMS_TO_1))
        if len(wrong):
            row = int(wrong[0])
            raise BadData(
                f"Row {rows.start + row} of `{name}` has the sum {sums[row]:.6g} and the minimum "
                f"{block[row].min():.6g}; allowed: probabilities that sum to 1. Next: pass the output of "
                "`predict_proba`, not logits."
            )
