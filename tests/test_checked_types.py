from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from beartype import beartype
from jaxtyping import Float, TypeCheckError

from checked_types import checked
from noiseproof.core.rng import stream
from noiseproof.evaluate.metrics import all_metrics

Rows = Float[np.ndarray, "n d"]


@checked(typechecker=beartype)
def sums(rows: Rows, weights: Float[np.ndarray, " n"], *, axis: int = 0) -> Float[np.ndarray, " d"]:
    return (rows * weights[:, None]).sum(axis)


@checked(typechecker=beartype)
@dataclass
class Pair:
    left: Rows
    right: Float[np.ndarray, " n"]


@checked(typechecker=beartype)
def numbers(stop: int) -> Iterator[int]:
    yield from range(stop)


def test_arguments_and_results_are_checked_by_type_and_shape():
    rows, weights = np.ones((4, 3)), np.ones(4)
    assert sums(rows, weights).tolist() == [4.0, 4.0, 4.0]
    for wrong in ((rows[0], weights), (rows, weights[1:]), (rows.astype(int), weights), ([[1.0]], weights)):
        with pytest.raises(TypeCheckError):
            sums(*wrong)
    with pytest.raises(TypeCheckError):
        sums(rows, weights, axis="0")
    with pytest.raises(TypeCheckError, match="return"):
        sums(rows, weights, axis=1)


def test_lengths_of_one_call_bind_no_other():
    assert sums(np.ones((4, 3)), np.ones(4)).shape == (3,)
    assert sums(np.ones((5, 2)), np.ones(5)).shape == (2,)


def test_fields_of_a_dataclass_are_checked_together():
    assert Pair(np.ones((2, 3)), np.ones(2)).left.shape == (2, 3)
    with pytest.raises(TypeCheckError):
        Pair(np.ones((2, 3)), np.ones(3))


def test_generators_are_checked_when_they_are_called():
    assert list(numbers(3)) == [0, 1, 2]
    with pytest.raises(TypeError, match="stop"):
        numbers("3")


def test_the_package_itself_is_checked():
    with pytest.raises(TypeCheckError):
        stream("zero", "a name")
    with pytest.raises(TypeCheckError):
        all_metrics(np.ones(4), np.zeros(4, int))
