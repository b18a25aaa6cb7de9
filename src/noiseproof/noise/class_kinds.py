"""Kinds of noise that depend on the class only: symmetric, pair, asymmetric; and real wrong labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.core.checks import check_label_range, check_transition
from noiseproof.core.errors import BadData, invalid
from noiseproof.noise.class_maps import CLASS_MAPS, targets_of
from noiseproof.noise.draw import Draw, widened
from noiseproof.noise.transition import check_flippable, draw_from, expected_rate, flip_along


def symmetric(
    clean_labels: Int[np.ndarray, " n"], *, rate: float, num_classes: int, rng: np.random.Generator
) -> Draw:
    """Give exactly round(rate * n) labels, chosen at random, to one of the k - 1 other classes.

    Raises:
        InvalidArgument: there is no other class to go to.

    Source: Han et al. 2018, arXiv:1804.06872, Section 4 (symmetry flipping); flips to the other classes, as
    in Chen, Wang et al. 2024, arXiv:2309.17002, Section 2.1.
    Differs: an exact count instead of one draw per label.
    """
    num_flips = round(rate * len(clean_labels))
    if num_flips and num_classes < 2:
        raise invalid("num_classes", num_classes, "at least 2 where labels are to change")
    rows = rng.choice(len(clean_labels), num_flips, replace=False) if num_flips else np.empty(0, np.int64)
    given = widened(clean_labels, num_classes)
    # A step of 1 to k - 1 around the circle of classes never ends where it began.
    steps = rng.integers(1, max(num_classes, 2), size=num_flips)
    given[rows] = (clean_labels[rows].astype(np.int64) + steps) % num_classes
    return Draw(given)


def symmetric_inclusive(
    clean_labels: Int[np.ndarray, " n"], *, rate: float, num_classes: int, rng: np.random.Generator
) -> Draw:
    """Draw exactly round(rate * n) labels anew, uniformly over all k classes, the true one included.

    About rate * (k - 1) / k of the labels end up wrong: compare results that were published with it by the
    realised rate.

    Source: the released code of Chen, Wang et al. 2024, arXiv:2309.17002, for the noisy downstream sets of
    Appendix B.5.
    """
    num_drawn = round(rate * len(clean_labels))
    rows = rng.choice(len(clean_labels), num_drawn, replace=False) if num_drawn else np.empty(0, np.int64)
    given = widened(clean_labels, num_classes)
    given[rows] = rng.integers(0, num_classes, size=num_drawn)
    return Draw(given)


def pair(
    clean_labels: Int[np.ndarray, " n"], *, rate: float, num_classes: int, rng: np.random.Generator
) -> Draw:
    """Give exactly round(rate * n) labels to the next class, the last class to the first.

    The count of every class is within one of rate * n_i.

    Raises:
        InvalidArgument: there is no other class to go to.

    Source: Han et al. 2018, arXiv:1804.06872, Section 4 (pair flipping).
    Differs: an exact count instead of one draw per label.
    """
    if round(rate * len(clean_labels)) and num_classes < 2:
        raise invalid("num_classes", num_classes, "at least 2 where labels are to change")
    following = np.roll(np.arange(num_classes), -1)
    return Draw(flip_along(clean_labels, following, rate=rate, rng=rng))


def asymmetric(
    clean_labels: Int[np.ndarray, " n"],
    *,
    num_classes: int,
    rng: np.random.Generator,
    rate: float | None = None,
    class_map: str | Mapping[Any, Any] | None = None,
    transition: Any = None,
    class_names: Sequence[str] = (),
) -> Draw:
    """Confuse classes by a map or a matrix.

    With a map, exactly round(rate * m) of the m labels whose class the map names change, as is usual in the
    literature: that of CIFAR-10 names five of ten classes, so a rate of 0.4 makes 20 % of the labels wrong.
    With a matrix, class i gives floor or ceil of n_i T_ij labels to class j.

    Args:
        rate: with a map, share of the labels of its classes.
        class_map: a name of `CLASS_MAPS`, or class name or id -> class name or id.
        transition: row-stochastic (k, k) instead of rate and map.

    Raises:
        InvalidArgument: neither map nor matrix or both, or not what they should be.
        UnknownName: the map names a class that is not there.
        BadData: labels are to change, and no class of the map has examples.

    Source: Patrini et al. 2017, arXiv:1609.03683, Section 5.
    Differs: exact counts instead of one draw per label.
    """
    if transition is not None and class_map is None:
        if rate is not None:
            raise invalid("rate", rate, "nothing beside `transition`, which has all rates")
        matrix = check_transition(transition, num_classes)
        given = draw_from(clean_labels, matrix, rng=rng)
        return Draw(given, asked_rate=expected_rate(clean_labels, matrix))
    if transition is not None or class_map is None:
        raise invalid(
            "class_map", class_map, "a map, or a matrix as `transition`: one of the two for 'asymmetric'",
            f"Maps by name: {', '.join(CLASS_MAPS)}.",
        )  # fmt: skip
    if rate is None:
        raise invalid("rate", rate, "a share between 0 and 1 of the labels whose class the map names")
    targets = targets_of(class_map, num_classes, class_names)
    num_movable = int((targets[clean_labels] != clean_labels).sum())
    if len(clean_labels):
        check_flippable(rate, num_movable, "no class of `class_map` has examples")
    return Draw(flip_along(clean_labels, targets, rate=rate, rng=rng))


def real(
    clean_labels: Int[np.ndarray, " n"], *, num_classes: int, rng: np.random.Generator, given: Any
) -> Draw:
    """Take the labels as they were given; nothing is drawn.

    Args:
        given: n class ids in [0, k), such as those of CIFAR-10N.

    Raises:
        InvalidArgument: no class ids.
        BadData: another length, or a label outside the classes; its row is named.

    Source: such labels as those of Wei et al. 2022, arXiv:2110.12088 (CIFAR-10N and CIFAR-100N).
    """
    del rng
    labels = np.array(given)
    if labels.ndim != 1 or (len(labels) and labels.dtype.kind not in "iu"):
        raise invalid(
            "given", f"{labels.dtype} of shape {labels.shape}", "integers of shape (n,), 0 to k - 1"
        )
    if len(labels) != len(clean_labels):
        raise BadData(f"`given` has {len(labels)} labels, `labels` {len(clean_labels)}; they must agree.")
    check_label_range(labels, num_classes, "given")
    as_drawn = labels.astype(widened(clean_labels, num_classes).dtype)
    wrong = as_drawn != clean_labels
    return Draw(as_drawn, asked_rate=float(wrong.mean()) if len(wrong) else 0.0)
