"""Asymmetric noise: which wrong label depends on the class, by a map or by a whole matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.errors import invalid
from noiseproof.noise.class_maps import CLASS_MAPS, targets_of
from noiseproof.noise.draw import Draw
from noiseproof.noise.transition import check_flippable, draw_from, expected_rate, flip_along
from noiseproof.records import check_transition


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
    """Confuse classes as a map or a matrix says.

    With a map, exactly round(rate * m) of the m labels whose class the map names change, as is usual in the
    literature: that of CIFAR-10 names five of ten classes, so a rate of 0.4 makes 20 % of the labels wrong.
    With a matrix, class i gives floor or ceil of n_i T_ij labels to class j.

    Args:
        clean_labels: class ids in [0, k).
        num_classes: k.
        rng: the only source of chance.
        rate: with a map, share of the labels of its classes.
        class_map: a name of `CLASS_MAPS`, or class name or id -> class name or id.
        transition: row-stochastic (k, k) instead of rate and map.
        class_names: of the class ids.

    Raises:
        InvalidArgument: neither map nor matrix or both, or not what they should be.
        UnknownName: the map names a class that is not there.
        BadData: labels are to change, and no class of the map has examples.

    Source: Patrini et al. 2017, arXiv:1609.03683, Section 5.
    Differs: exact counts instead of one draw per label.
    """
    if (class_map is None) == (transition is None):
        raise invalid(
            "class_map", class_map, "a map, or a matrix as `transition`: one of the two for 'asymmetric'",
            f"Maps by name: {', '.join(CLASS_MAPS)}.",
        )  # fmt: skip
    if transition is not None:
        if rate is not None:
            raise invalid("rate", rate, "nothing beside `transition`, which says all rates")
        matrix = check_transition(transition, num_classes)
        given = draw_from(clean_labels, matrix, rng=rng)
        return Draw(given, asked_rate=expected_rate(clean_labels, matrix))
    if rate is None:
        raise invalid("rate", rate, "a share between 0 and 1 of the labels whose class the map names")
    assert class_map is not None  # since there is no matrix
    targets = targets_of(class_map, num_classes, class_names)
    num_movable = int((targets[clean_labels] != clean_labels).sum())
    if len(clean_labels):
        check_flippable(rate, num_movable, "no class of `class_map` has examples")
    return Draw(flip_along(clean_labels, targets, rate=rate, rng=rng))
