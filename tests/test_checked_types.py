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


@checked(typechecker=beartype)
def halves(rows: Rows, *names: str, by: Float[np.ndarray, " d"], **scales: float) -> Iterator[np.ndarray]:
    yield from np.split(rows / by, 2)


def test_generators_are_checked_when_they_are_called():
    assert list(numbers(3)) == [0, 1, 2]
    with pytest.raises(TypeError, match="stop"):
        numbers("3")
    rows, by = np.ones((4, 3)), np.ones(3)
    assert len(list(halves(rows, "a", "b", by=by, scale=2.0))) == 2
    for wrong in (lambda: halves(rows, by=by[1:]), lambda: halves(rows[0], by=by)):
        with pytest.raises(TypeCheckError, match=r"`by`|`rows`"):
            wrong()
    with pytest.raises(TypeCheckError, match="`names` is not"):
        halves(rows, "a", 3, by=by)
    with pytest.raises(TypeCheckError, match="`scales` is not"):
        halves(rows, by=by, scale="2")


def test_arguments_that_fit_are_checked_again_in_another_combination():
    """What passed once is looked up, so each of these has to be seen as new."""
    for _ in range(2):
        assert sums(np.ones((4, 3)), np.ones(4)).shape == (3,)
        with pytest.raises(TypeCheckError, match="`weights`"):
            sums(np.ones((4, 3)), np.ones(5))
        with pytest.raises(TypeCheckError, match="`rows`"):
            sums(np.ones((4, 3), int), np.ones(4))
        with pytest.raises(TypeCheckError, match="return"):
            sums(np.ones((4, 3)), np.ones(4), axis=1)
        with pytest.raises(TypeCheckError):
            sums(rows=np.ones((4, 3)), weights=None)


def test_nested_functions_are_checked_and_see_what_is_around_them():
    def made(factor):
        @checked(typechecker=beartype)
        def scaled(rows: Rows, *, by: int = 1) -> Rows:
            return rows * factor * by

        return scaled

    assert [float(made(factor)(np.ones((1, 1)), by=2)[0, 0]) for factor in (1.0, 3.0)] == [2.0, 6.0]
    with pytest.raises(TypeCheckError):
        made(1.0)(np.ones((1, 1)), by="2")
    with pytest.raises(TypeCheckError):
        made(1.0)(np.ones(1))


def test_the_package_itself_is_checked():
    with pytest.raises(TypeCheckError):
        stream("zero", "a name")
    with pytest.raises(TypeCheckError):
        all_metrics(np.ones(4), np.zeros(4, int))
