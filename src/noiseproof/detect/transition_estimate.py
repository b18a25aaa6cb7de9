"""Estimate the transition matrix of the noise from features and given labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import nnls
from sklearn.linear_model import LogisticRegression

from noiseproof.core.arrays import as_labels, as_matrix
from noiseproof.core.checks import Range, check_arguments
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.registry import unknown_name
from noiseproof.core.rng import stream
from noiseproof.detect.arguments import ids_of, in_class_order
from noiseproof.detect.column_order import check_column_order
from noiseproof.detect.confident_learning import calibrated_joint, confidence, confident_joint
from noiseproof.detect.consensus import label_consensus, solve_consensus
from noiseproof.detect.evidence import check_examples, check_probs, encode_labels
from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.ridge_rows import row_type
from noiseproof.posterior.true_labels import scores_without_copies

METHODS = ("confident_joint", "anchor", "neighbours")
DEFAULT_METHOD = "confident_joint"
# Ridge scores of two classes differ by about 1, logits of a confident classifier by about 8.
_SCORE_SCALE = 8.0
_LEAST_OF_A_CLASS = 3
_ALLOWED = {
    "quantile": Range(0.0, 1.0, excludes_high=True),
    "max_examples": Range(1.0, is_whole=True),
}

Probs = Float[np.ndarray, "n k"]
Labels = Int[np.ndarray, " n"]
Matrix = Float[np.ndarray, "k k"]
Shares = Float[np.ndarray, " k"]


@dataclass(frozen=True, eq=False)
class TransitionEstimate:
    """An estimated transition matrix and the shares of the clean classes.

    Attributes:
        matrix: row-stochastic `T[i, j] = P(given = j | clean = i)`.
        prior: share of each clean class, sums to 1.
        classes: k given labels, in the order of rows and columns.
        method: name of the estimator.
    """

    matrix: Matrix
    prior: Shares
    classes: np.ndarray
    method: str

    @property
    def rate(self) -> float:
        """Share of wrong labels, in [0, 1]."""
        return float(self.prior @ (1 - np.diag(self.matrix)))

    @property
    def doubt(self) -> str | None:
        """A sentence on why the estimate is not reliable, or `None`.

        It is not reliable if some class gets another label more often than its own. Such noise cannot be
        distinguished from exchanged class names; more likely the estimate failed, e.g. because few labels are
        correct or the features do not separate the classes.
        """
        other = self.matrix.argmax(axis=1)
        doubtful = np.flatnonzero(other != np.arange(len(other)))
        if not len(doubtful):
            return None
        first, instead = self.classes[[doubtful[0], other[doubtful[0]]]].tolist()
        return (
            f"The estimated transition matrix is not reliable: for {len(doubtful)} of {len(other)} classes, "
            f"{first!r} among them, another label ({instead!r}) would be given more often than the right "
            "one. Prefer a loss without a matrix, or give the true matrix of the noise."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {name: getattr(self, name).tolist() for name in ("matrix", "prior", "classes")}
        return {"method": self.method, "rate": self.rate, **values}


def estimate_transition(
    features: Any,
    given_labels: Any,
    *,
    method: str = DEFAULT_METHOD,
    probs: Any = None,
    quantile: float = 0.7,
    max_examples: int = 15_000,
    seed: int = 0,
) -> TransitionEstimate:
    """Estimate the transition matrix of noise that depends on the class only.

    Args:
        features: (n, d) from any frozen encoder; `None` if `probs` are given.
        given_labels: (n,) labels of any type; may be wrong.
        method: "confident_joint", "anchor" or "neighbours".
        probs: (n, k) out-of-sample probabilities of the given labels (`pred_probs`), columns of a data frame
            by name, of an array in the order of the sorted labels. By default leave-one-out predictions from
            the features.
        quantile: for "anchor", in [0, 1): examples above this quantile of their class are its anchors.
        max_examples: for "neighbours": neighbours are searched for at most this many random examples.
        seed: of the choice of these examples.

    Raises:
        BadData: one class only, lengths or indices differ, NaN, a class with fewer than 3 examples for
            "neighbours", probabilities that do not sum to 1 (the row is named).
        InvalidArgument, UnknownName: an option is out of range, the method does not exist.
    """
    _check_options(method, features, probs, quantile, max_examples)
    labels = as_labels(given_labels)
    passed = {"given_labels": given_labels, "features": features, "probs": probs}
    if features is not None:
        features = as_matrix(features, "features")
        check_examples(features, labels, None)
    classes, encoded = encode_labels(labels)
    ids_of(None, passed, len(labels))  # refuses indices that differ
    if probs is not None:
        matrix = as_matrix(probs, "probs")
        check_examples(matrix, labels, None, name="probs")
        matrix, is_named = in_class_order(matrix, probs, "probs", classes.tolist(), ())
        check_probs(matrix, "probs", len(classes))
        if not is_named:
            check_column_order(matrix, encoded, classes.tolist(), "probs")
        probs = np.asarray(matrix, np.float64)
    if method == "neighbours":
        matrix, prior = _from_neighbours(np.asarray(features), encoded, classes, max_examples, seed)
    elif method == "confident_joint":
        probs = calibrate(scores_without_copies(features, encoded), encoded).probs if probs is None else probs
        counts = confident_joint(confidence(probs, encoded), encoded, num_classes=len(classes))
        matrix, prior = from_joint(counts, encoded)
    else:
        probs = _given_probs(features, encoded) if probs is None else probs
        matrix = anchor_rows(probs, encoded, quantile=quantile)
        prior = _prior_of(matrix, encoded)
    return TransitionEstimate(matrix, prior, classes, method)


def from_joint(counts: Int[np.ndarray, "k k"], given_labels: Labels) -> tuple[Matrix, Shares]:
    """Transition matrix and clean prior of a confident joint.

    Args:
        counts: of given label (row) and true class (column).
        given_labels: class ids.
    """
    joint = calibrated_joint(counts, given_labels)
    prior = joint.sum(axis=0)
    return (joint / prior).T, prior


def anchor_rows(probs: Probs, given_labels: Labels, *, quantile: float) -> Matrix:
    """T from anchors: row i is the mean prediction for the examples that look most like class i.

    For an example that certainly belongs to class i, P(given = j | x) is T[i, j].

    Args:
        probs: of the given labels.
        given_labels: class ids; if m examples have the given label i, the (1 - quantile) m examples with the
            largest p_i, at least one, are the anchors of class i.
        quantile: in [0, 1).

    Source: Patrini et al. 2017, arXiv:1609.03683, Eqs. 12 and 13.
    Differs: the mean of several anchors instead of a single one, as released, whose probabilities are noisy.
    The quantile refers to one class, not to all examples, so it means the same for 10 and 100 classes.
    """
    n, k = probs.shape
    num_anchors = np.ceil((1 - quantile) * np.bincount(given_labels, minlength=k)).astype(int).clip(1, n)
    anchors = [np.argpartition(-probs[:, i], num - 1)[:num] for i, num in enumerate(num_anchors)]
    matrix = np.stack([probs[rows].mean(axis=0) for rows in anchors]).astype(np.float64)
    return matrix / matrix.sum(axis=1, keepdims=True)


def _prior_of(matrix: Matrix, given_labels: Labels) -> Shares:
    """The clean prior for which T reproduces the shares of the given labels best (least squares)."""
    shares = np.bincount(given_labels, minlength=len(matrix)) / len(given_labels)
    prior, _ = nnls(matrix.T, shares)
    return prior / prior.sum()


def _given_probs(features: Any, given_labels: Labels) -> Probs:
    """P(given | x): a logistic regression on leave-one-out scores, without assumptions about the noise.

    Its k (k + 1) parameters distinguish pair noise from symmetric noise.
    """
    scores = scores_without_copies(features, given_labels).astype(np.float64)
    model = LogisticRegression(max_iter=1000).fit(_SCORE_SCALE * scores, given_labels)
    return model.predict_proba(_SCORE_SCALE * scores)


def _from_neighbours(
    features: Float[np.ndarray, "n d"], given_labels: Labels, classes: np.ndarray, most: int, seed: int
) -> tuple[Matrix, Shares]:
    counts = np.bincount(given_labels, minlength=len(classes))
    few = np.flatnonzero(counts < _LEAST_OF_A_CLASS)
    if len(few):
        raise BadData(
            f"The class {classes[few[:1]].tolist()[0]!r} has {counts[few[0]]} examples ({len(few)} such "
            f"classes); the method 'neighbours' needs {_LEAST_OF_A_CLASS} or more of each. Next: leave the "
            "class out or take the method 'confident_joint'."
        )
    consensus = label_consensus(
        features.astype(row_type(features), copy=False), given_labels, num_classes=len(classes),
        max_examples=most, rng=stream(seed, "transition", "neighbours"),
    )  # fmt: skip
    return solve_consensus(consensus)


def _check_options(method: str, features: Any, probs: Any, quantile: Any, max_examples: Any) -> None:
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    check_arguments({"quantile": quantile, "max_examples": max_examples}, _ALLOWED)
    if method == "neighbours" and probs is not None:
        raise invalid("probs", "given", "None for the method 'neighbours'", "It uses features only.")
    if features is None and probs is None:
        raise invalid("features", None, "(n, d) features, or `probs` beside it")
