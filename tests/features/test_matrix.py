import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_array

from noiseproof.features.matrix import ShardedMatrix


def made(sizes, dtype=np.float32):
    rng = np.random.default_rng(0)
    shards = [rng.standard_normal((size, 4)).astype(dtype) for size in sizes]
    return ShardedMatrix(shards), np.concatenate(shards).astype(np.float32)


@pytest.mark.parametrize("sizes", [[7], [3, 3, 1], [1, 1], [5, 2]])
@pytest.mark.parametrize(
    "key",
    [
        0, -1, np.int64(1), slice(None), slice(1, -1), slice(None, None, -2), slice(5, 1), slice(0, 0),
        [0, 1, 1, -1], np.array([1, 0]), [], (0, 2), (-1, slice(1, 3)), (slice(0, 2), 1),
        (slice(0, 2), slice(None, None, 2)), (slice(None), [3, 0]), ([0, 1], slice(2)), ([0, 1], [1, 2]),
        Ellipsis, None, (Ellipsis, 0), np.array([[0, 1], [1, 0]]), (slice(None), None), True,
    ],
    ids=repr,
)  # fmt: skip
def test_indexing_is_that_of_numpy(sizes, key):
    matrix, plain = made(sizes)
    np.testing.assert_array_equal(matrix[key], plain[key])
    assert matrix[key].dtype == np.float32


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    seed=st.integers(0, 99),
    count=st.integers(0, 9),
)
def test_any_rows_can_be_chosen_by_number_or_mask(sizes, seed, count):
    matrix, plain = made(sizes)
    rng = np.random.default_rng(seed)
    rows = rng.integers(-len(plain), len(plain), count)
    mask = rng.random(len(plain)) < 0.5
    np.testing.assert_array_equal(matrix[rows], plain[rows])
    np.testing.assert_array_equal(matrix[mask], plain[mask])


@pytest.mark.parametrize("key", [7, -8, [0, 7], [-8]], ids=repr)
def test_a_row_outside_is_an_index_error(key):
    matrix, _ = made([3, 4])
    with pytest.raises(IndexError, match="is outside a matrix of 7 rows"):
        matrix[key]


def test_a_mask_of_another_length_is_an_index_error():
    with pytest.raises(IndexError, match="mask of 3 rows cannot choose from 7"):
        made([3, 4])[0][np.ones(3, dtype=bool)]


def test_rows_cannot_be_chosen_by_fractions():
    with pytest.raises(IndexError, match="not by float64"):
        made([3, 4])[0][[0.5]]


def test_arithmetic_functions_and_iteration_are_those_of_numpy():
    matrix, plain = made([3, 4])
    np.testing.assert_array_equal(matrix * 2 - matrix, plain)
    np.testing.assert_array_equal(np.exp(matrix), np.exp(plain))
    np.testing.assert_array_equal(matrix @ plain.T, plain @ plain.T)
    assert float(np.mean(matrix)) == pytest.approx(float(plain.mean()))
    np.testing.assert_array_equal(np.stack(list(matrix)), plain)
    assert (matrix.shape, matrix.ndim, matrix.size, matrix.nbytes, len(matrix)) == ((7, 4), 2, 28, 112, 7)
    assert "shape=(7, 4)" in repr(matrix)


def test_blocks_cover_every_row_once():
    matrix, plain = made([3, 4])
    blocks = list(matrix.blocks(2))
    assert [start for start, _ in blocks] == [0, 2, 4, 6]
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in blocks]), plain)


def test_scikit_learn_takes_it_as_an_array():
    matrix, plain = made([30, 20])
    np.testing.assert_array_equal(check_array(matrix), plain)
    labels = (plain[:, 0] > 0).astype(int)
    assert LogisticRegression().fit(matrix, labels).score(matrix, labels) > 0.9


def test_float16_shards_are_read_as_float32():
    matrix, plain = made([3, 4], np.float16)
    assert matrix.dtype == matrix[0].dtype == matrix[[0]].dtype == np.asarray(matrix).dtype == np.float32
    np.testing.assert_array_equal(matrix, plain)


def test_one_shard_becomes_an_array_without_a_copy_and_several_cannot():
    matrix, plain = made([7])
    assert np.shares_memory(np.asarray(matrix), matrix[2:5])
    assert not np.shares_memory(np.array(matrix), matrix[2:5])
    assert np.asarray(matrix, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="without a copy"):
        made([3, 4])[0].__array__(copy=False)
    np.testing.assert_array_equal(np.asarray(matrix), plain)


@pytest.mark.parametrize(
    "key", [3, -1, slice(1, 4), slice(None, None, -1), [0, -1], [], (slice(2), 1)], ids=repr
)
def test_chosen_rows_are_indexed_as_those_of_numpy(key):
    matrix, plain = made([3, 4])
    index = np.array([6, 0, 3, -2])
    np.testing.assert_array_equal(matrix.rows(index)[key], plain[index][key])
    np.testing.assert_array_equal(matrix.rows(index).rows([1, 0, 2, 3])[key], plain[index][[1, 0, 2, 3]][key])


class Counted(np.ndarray):
    """Counts the rows that are taken out of it."""

    num_read = 0

    def __getitem__(self, rows):
        Counted.num_read += len(rows)
        return np.asarray(self)[rows]


def test_choosing_rows_reads_none_and_a_slice_reads_only_its_own():
    chosen = ShardedMatrix([np.zeros((1000, 2), np.float32).view(Counted)]).rows(np.arange(0, 1000, 2))
    assert (chosen.shape, len(chosen), chosen.dtype, Counted.num_read) == ((500, 2), 500, np.float32, 0)
    assert chosen[10:20].shape == (10, 2)
    assert Counted.num_read == 10


def test_chosen_rows_become_an_array_with_a_copy_only():
    matrix, plain = made([7])
    mask = np.arange(7) % 2 == 0
    np.testing.assert_array_equal(np.asarray(matrix.rows(mask)), plain[mask])
    np.testing.assert_array_equal(matrix.rows(mask) * 2, plain[mask] * 2)
    with pytest.raises(ValueError, match="without a copy"):
        matrix.rows(mask).__array__(copy=False)
    with pytest.raises(IndexError, match="Row 7 is outside"):
        matrix.rows([7])
