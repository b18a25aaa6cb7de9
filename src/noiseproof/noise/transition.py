"""Transition matrices of label noise: closed forms, labels drawn from one, and what was realised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy  # its parts are loaded when they are first used
from jaxtyping import Float, Int

from noiseproof.core.errors import BadData, InvalidArgument, MissingFile
from noiseproof.core.records import rows_as_shares
from noiseproof.core.storage.array_files import read_array
from noiseproof.core.storage.regular_files import read_regular
from noiseproof.noise.draw import widened

Matrix = Float[np.ndarray, "k k"]


def realised_transition(
    clean: Int[np.ndarray, " n"], given: Int[np.ndarray, " n"], num_classes: int
) -> Matrix:
    """Row-stochastic `T[i, j] = P(given = j | clean = i)` as counted; identity where i has no examples."""
    return rows_as_shares(_pair_counts(clean, given, num_classes))


def target_entropy_nats(
    clean: Int[np.ndarray, " n"], given: Int[np.ndarray, " n"], num_classes: int
) -> float:
    """Entropy of the wrong label given the true class: 0 for pair noise, ln(k - 1) for symmetric noise.

    Returns:
        Mean over the wrong labels, plugged in from counts and so biased down where they are few; 0 for none.
    """
    counts = _pair_counts(clean, given, num_classes).astype(np.float64)
    np.fill_diagonal(counts, 0)
    total = counts.sum(axis=1)
    shares = counts / np.maximum(total, 1)[:, None]
    return float(scipy.special.entr(shares).sum(1) @ total / max(total.sum(), 1))


def flip_along(
    clean_labels: Int[np.ndarray, " n"],
    targets: Int[np.ndarray, " k"],
    *,
    rate: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, " n"]:
    """Give labels of class i to `targets[i]`; classes whose target is themselves stay.

    Args:
        rate: share of the labels that have somewhere to go, in [0, 1].

    Returns:
        Labels of which exactly round(rate * m) changed, m of them having somewhere to go; in every class
        within one of its share.
    """
    given = widened(clean_labels, len(targets))
    moves = targets != np.arange(len(targets))
    rows = _by_class(clean_labels[moves[clean_labels]], np.flatnonzero(moves[clean_labels]), rng)
    sizes = np.array([len(of_class) for of_class in rows], np.int64)
    # Rounding the running total rounds every class to a neighbour and the sum exactly.
    num_flips = np.diff(np.rint(rate * np.concatenate([[0], np.cumsum(sizes)])).astype(np.int64))
    for of_class, count in zip(rows, num_flips, strict=True):
        flipped = of_class[:count]
        given[flipped] = targets[clean_labels[flipped]]
    return given


def draw_from(
    clean_labels: Int[np.ndarray, " n"], transition: Matrix, *, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Labels whose realised matrix is as near to `transition` as whole numbers allow.

    Class i with n_i examples gives floor or ceil of n_i T_ij of them to class j, by systematic rounding: the
    expected count is n_i T_ij exactly, so that classes of a few examples are not biased.

    Args:
        transition: row-stochastic, as `records.check_transition` gives it.
    """
    num_classes = len(transition)
    given = widened(clean_labels, num_classes)
    for of_class in _by_class(clean_labels, np.arange(len(clean_labels)), rng):
        order = rng.permutation(num_classes)  # so that no two targets always share a rounding
        edges = np.concatenate([[0.0], np.cumsum(transition[clean_labels[of_class[0]], order])])
        edges = np.floor(len(of_class) * edges / edges[-1] + rng.random()).astype(np.int64)
        edges[-1] = len(of_class)  # whatever the sum of the row was rounded to
        given[of_class] = np.repeat(order, np.diff(edges))
    return given


def expected_rate(clean_labels: Int[np.ndarray, " n"], transition: Matrix) -> float:
    """Share of labels that a matrix makes wrong, in expectation over these examples."""
    return float((1 - np.diag(transition))[clean_labels].mean()) if len(clean_labels) else 0.0


def check_flippable(rate: float, num_movable: int, what: str) -> None:
    """Raise `BadData` where labels are to change and none can."""
    if rate > 0 and num_movable == 0:
        raise BadData(
            f"`rate` is {rate}, and no label can change: {what}. Allowed with these labels: 0. "
            "Next: name classes that have examples."
        )


def _pair_counts(
    clean: Int[np.ndarray, " n"], given: Int[np.ndarray, " n"], num_classes: int
) -> Int[np.ndarray, "k k"]:
    pairs = clean.astype(np.int64) * num_classes + given
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def _by_class(
    labels: Int[np.ndarray, " m"], rows: Int[np.ndarray, " m"], rng: np.random.Generator
) -> list[Int[np.ndarray, " l"]]:
    """The rows of each class that occurs, in ascending order of the class, each in random order."""
    shuffled = rng.permutation(len(rows))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    bounds = np.flatnonzero(np.diff(labels[order])) + 1
    return [each for each in np.split(rows[order], bounds) if len(each)]


def read_transition(path: Path) -> np.ndarray:
    """A matrix from a .npy file, or from text with a row per line and commas or spaces between.

    Raises:
        MissingFile: no such file.
        InvalidArgument: it holds no matrix of numbers.
    """
    if not path.is_file():
        raise MissingFile(f"`transition` is {str(path)!r}, which is no file. Next: check the path.")
    try:
        if path.suffix == ".npy":
            return read_array(path, str(path))
        text = read_regular(path).decode("utf-8-sig").replace(",", " ")
        return np.loadtxt(text.splitlines(), ndmin=2)
    except (ValueError, OSError) as error:
        raise InvalidArgument(
            f"`transition` is {str(path)!r}, which holds no matrix of numbers ({error}); allowed: a .npy "
            "file, or text with a row per line. Next: correct it."
        ) from error
