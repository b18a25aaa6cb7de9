import numpy as np
import pytest

from noiseproof.core.unit_length import unit_length


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_by_hand(dtype):
    found = unit_length(np.array([[3, 4], [0, 0], [0, -2]], dtype))
    assert found.dtype == dtype
    assert found == pytest.approx(np.array([[0.6, 0.8], [0, 0], [0, -1]]))


@pytest.mark.parametrize(("dtype", "factors"), [
    (np.float32, [1e-44, 1e-30, 1e-20, 1e20, 1e37]),
    (np.float64, [5e-324, 1e-300, 1e-200, 1e-160, 1e160, 1e300]),
])  # fmt: skip
def test_lengths_outside_the_range_of_squares(dtype, factors):
    rows = np.array([[3, 4]] * len(factors), dtype) * np.array(factors, dtype)[:, None]
    expected = rows[:, [0]].astype(np.longdouble) / rows[:, [1]].astype(np.longdouble)  # rounded if subnormal
    found = unit_length(rows)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(len(factors)), rel=1e-6)
    assert found[:, [0]] / found[:, [1]] == pytest.approx(expected.astype(np.float64), rel=1e-5)


def test_a_row_does_not_depend_on_the_rows_beside_it():
    rows = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    beside = np.concatenate([rows, np.zeros((1, 7), np.float32), rows * np.float32(1e-30)])
    assert unit_length(beside)[:5].tobytes() == unit_length(rows).tobytes()
    assert unit_length(rows[:0]).shape == (0, 7)
