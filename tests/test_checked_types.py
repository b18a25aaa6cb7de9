from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from beartype import beartype
from jaxtyping import Float, TypeCheckError

import checked_types
from checked_types import ALWAYS, EVERY, checked
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


def test_calls_in_a_loop_are_checked_now_and_then_and_all_again_in_the_next_test():
    def refused():
        try:
            sums(np.ones((4, 3)), np.ones(3))
        except TypeCheckError:
            return True
        except ValueError:  # NumPy's own
            return False

    checked_types.start_anew()
    assert [refused() for _ in range(2 * EVERY + 1)] == [
        number < ALWAYS or number % EVERY == 0 for number in range(2 * EVERY + 1)
    ]
    checked_types.start_anew()
    assert refused()


def test_functions_that_one_line_makes_again_and_again_count_as_one():
    def made():
        @checked(typechecker=beartype)
        def half(number: int) -> int:
            return int(number) // 2

        return half

    checked_types.start_anew()
    results = []
    for _ in range(ALWAYS + 1):
        try:
            results.append(made()("4"))
        except TypeCheckError:
            results.append(None)
    assert results == [None] * (ALWAYS + 1)  # the last one is checked again, as one in `EVERY`
    assert made()("4") == 2
