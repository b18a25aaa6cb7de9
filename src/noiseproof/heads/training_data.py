"""Checks of the features and labels that a head is fitted on, and of features to predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from noiseproof.core.arrays import as_label_array, as_matrix, is_number, rows_of_any_length
from noiseproof.core.checks import check_finite
from noiseproof.core.errors import BadData
from noiseproof.heads.recipes import HeadSpec

# Of scores, in the float32 of heads: rounding stays below a hundredth of the standard deviation, and weights
# neither overflow nor vanish.
_MOST_UNITS, _LEAST_UNIT, _LARGEST = 8e4, 1e-30, 1e30


def training_data(
    heads: Sequence[BaseEstimator], features: Any, given_labels: Any
) -> tuple[Float[np.ndarray, "n d"], np.ndarray]:
    """Features and labels after the checks of scikit-learn for every head; float32 features are not copied.

    Raises:
        BadData: NaN or infinity (the row is named), different lengths.
    """
    _check_same_length(features, given_labels)
    features, given_labels = _plain(features), as_label_array(given_labels, "y")
    first, *others = heads
    if is_regressor(first) and given_labels.ndim:
        given_labels = _as_scores(given_labels)
    # `check_finite` below names the row, scikit-learn does not.
    matrix, labels = validate_data(first, features, given_labels, dtype=np.float32, ensure_all_finite=False)
    for head in others:  # the same data: copy what scikit-learn recorded instead of checking again
        head.n_features_in_ = matrix.shape[1]
        if hasattr(first, "feature_names_in_"):
            head.feature_names_in_ = first.feature_names_in_
    if not is_regressor(first):
        check_classification_targets(labels)
    check_finite(matrix)
    return _writeable(matrix), labels


def encode_classes(labels: np.ndarray) -> tuple[np.ndarray, Int[np.ndarray, " n"]]:
    """The sorted classes, and each label as its class id.

    Raises:
        BadData: one class only.
    """
    classes, encoded = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise BadData(
            f"The labels have one class only, {classes.tolist()[0]!r}; allowed: two or more. "
            "Next: check the label column."
        )
    return classes, encoded.astype(np.int64)


def check_second_view_given(specs: Sequence[HeadSpec], second_view: Any) -> None:
    """Raise `BadData` if a consistency term needs two views and only one was given."""
    needs_two = any(s.regularization.is_cross_view and s.regularization.weight_mse for s in specs)
    if needs_two and second_view is None:
        raise BadData(
            "The recipe 'released' compares two augmented views; `second_view` is None. Allowed: (n, d) "
            "features of a second view. Next: extract with two views, set `weight_mse` to 0 or take "
            "`recipe='paper'`."
        )


def second_view_of(
    features: Float[np.ndarray, "n d"], second_view: Any, *, columns: Sequence[Any]
) -> Float[np.ndarray, "n d"]:
    """Check the second view of these features.

    Args:
        features: first view.
        second_view: as the user passed it.
        columns: names of the columns of the first view; empty without names.

    Raises:
        BadData: NaN or infinity (the row is named), another shape, other columns or columns in another order.
    """
    others = list(getattr(second_view, "columns", ()))
    is_named = bool(columns and others) and all(isinstance(name, str) for name in (*columns, *others))
    if is_named and others != list(columns):
        raise BadData(
            f"`second_view` has the columns {', '.join(map(str, others[:12]))}, the features "
            f"{', '.join(map(str, columns[:12]))}; allowed: the same in one order. Next: bring them into one "
            "order."
        )
    matrix = check_array(second_view, dtype=np.float32, ensure_all_finite=False, input_name="second_view")
    if matrix.shape != features.shape:
        raise BadData(
            f"`second_view` has shape {matrix.shape}, the features {features.shape}; they must agree: row i "
            "of both is example i, encoded by the same backbone."
        )
    check_finite(matrix, "second_view")
    return _writeable(matrix)


def _as_scores(labels: np.ndarray) -> np.ndarray:
    """Labels as finite numbers."""
    try:
        scores = labels.astype(np.float64)
    except (TypeError, ValueError) as error:
        row = next(row for row, label in enumerate(labels) if not is_number(label))
        raise BadData(
            f"`y` has {labels.tolist()[row]!r} in row {row}; allowed for a regressor: numbers. Next: correct "
            "such rows or leave them out, or fit a classifier."
        ) from error
    check_finite(scores.reshape(len(scores), -1), "y")
    return scores


def unit_of(scores: Float[np.ndarray, " n"], weights: np.ndarray | None) -> tuple[float, float]:
    """Mean and standard deviation of scores; 1 in place of 0.

    Raises:
        BadData: float32, in which heads compute, cannot tell the scores apart or hold them.
    """
    is_one = scores.min() == scores.max()
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(scores[0] if is_one else np.average(scores, weights=weights))
        scale = 1.0 if is_one else float(np.sqrt(np.average(np.square(scores - mean), weights=weights)))
    is_apart = is_one or abs(mean) < _MOST_UNITS * scale
    if not is_apart or not (_LEAST_UNIT < scale < _LARGEST and abs(mean) < _LARGEST):
        raise BadData(
            f"`y` has scores around {mean:g} that vary by {scale:g}; allowed: a standard deviation of at "
            f"least {_LEAST_UNIT:g}, a mean of at most {_MOST_UNITS:g} times it, and both below "
            f"{_LARGEST:g}, since heads compute in float32. Next: subtract the mean, or take another unit."
        )
    return mean, scale


def weights_of(
    sample_weight: Any, num_examples: int
) -> tuple[Float[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Weights with mean 1, and the rows that they are of: those whose weight is not zero.

    Raises:
        BadData: another length, a negative weight, NaN or infinity, nothing but zeros.
    """
    given = rows_of_any_length(sample_weight)
    if given.shape != (num_examples,) or given.dtype.kind not in "biuf":
        raise BadData(
            f"`sample_weight` is an array of shape {given.shape} and type {given.dtype}, of {num_examples} "
            f"examples; allowed: ({num_examples},) numbers."
        )
    weights = given.astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise BadData(
            f"`sample_weight` has {weights[wrong[0]]} in row {wrong[0]}; "
            "allowed: finite numbers of at least 0."
        )
    rows = np.flatnonzero(weights)
    if not len(rows):
        raise BadData(
            "`sample_weight` is zero for all examples; allowed: a positive number for some of them."
        )
    kept = weights[rows] / weights.max()  # no sum overflows
    return (kept / kept.mean()).astype(np.float32), rows


def features_to_predict(head: BaseEstimator, features: Any) -> Float[np.ndarray, "n d"]:
    """Check features to predict; they must be as wide as those of the fit.

    Raises:
        BadData: NaN or infinity (the row is named).
    """
    matrix = validate_data(head, _plain(features), dtype=np.float32, reset=False, ensure_all_finite=False)
    check_finite(matrix)
    return matrix


def _plain(features: Any) -> Any:
    """Tensors, masked arrays and columns of lists as arrays; scikit-learn checks everything else itself."""
    rows = features if isinstance(features, (list, tuple)) else [features]
    has_tensors = any(hasattr(row, "detach") for row in rows)
    is_column = getattr(features, "ndim", 2) == 1 and features.dtype == object
    is_converted = has_tensors or is_column or isinstance(features, np.ma.MaskedArray)
    return as_matrix(features, "X") if is_converted else features


def _check_same_length(features: Any, given_labels: Any) -> None:
    n, num_labels = _num_rows(features), _num_rows(given_labels)
    if n is not None and num_labels is not None and n != num_labels:
        raise BadData(
            f"The labels have {num_labels} rows, the features {n}; they must agree. Next: pass the labels of "
            "exactly these examples."
        )


def _num_rows(values: Any) -> int | None:
    shape = getattr(values, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else None
    return len(values) if hasattr(values, "__len__") else None


def _writeable(matrix: np.ndarray) -> np.ndarray:
    """A contiguous, writeable matrix, as torch requires."""
    return matrix if matrix.flags.writeable and matrix.flags.c_contiguous else np.array(matrix)
