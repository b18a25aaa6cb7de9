"""The streaming spectrum against numpy's SVD of the whole matrix."""

import json
import math

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.diagnose.spectrum import SpectrumAccumulator, spectra, spectrum


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def with_singular_values(n: int, d: int, values: np.ndarray, seed: int = 0) -> np.ndarray:
    left = np.linalg.qr(random(n, len(values), seed=seed))[0]
    right = np.linalg.qr(random(d, len(values), seed=seed + 1))[0]
    return left @ np.diag(values) @ right.T


def slow_entropy(values: np.ndarray) -> float:
    total = sum(values)
    return -sum((v / total) * math.log(v / total) for v in values if v > 0)


# Exact cases


@pytest.mark.parametrize(("n", "d"), [(50, 7), (7, 50), (6, 6)])
def test_rank_one_has_no_entropy_and_one_direction(n, d):
    card = spectrum(np.outer(np.arange(1.0, n + 1), np.arange(2.0, d + 2)))
    assert card.entropy_nats == pytest.approx(0.0, abs=1e-12)
    assert card.largest_ratio == pytest.approx(0.0, abs=1e-12)
    assert card.effective_rank == pytest.approx(1.0)
    assert len(card.singular_values) == min(n, d)


@pytest.mark.parametrize(("n", "d"), [(40, 9), (9, 40)])
@pytest.mark.parametrize("k", [2, 5, 9])
def test_k_orthonormal_directions_have_entropy_ln_k(n, d, k):
    card = spectrum(with_singular_values(n, d, np.full(k, 3.0)))
    assert card.singular_values == pytest.approx([3.0] * k + [0.0] * (9 - k), abs=1e-12)
    assert card.entropy_nats == pytest.approx(math.log(k))
    assert card.largest_ratio == pytest.approx(math.log(k))
    assert card.effective_rank == pytest.approx(k)


def test_hand_solved_spectrum():
    # Singular values 6, 3, 1: p = .6, .3, .1.
    card = spectrum([[6.0, 0, 0], [0, 0, 3.0], [0, 1.0, 0], [0, 0, 0]])
    assert card.singular_values == pytest.approx([6, 3, 1])
    assert card.entropy_nats == pytest.approx(
        -0.6 * math.log(0.6) - 0.3 * math.log(0.3) - 0.1 * math.log(0.1)
    )
    assert card.largest_ratio == pytest.approx(-math.log(0.6))
    assert (card.num_examples, card.dim, card.is_centred) == (4, 3, False)


def test_centring_by_hand():
    # Rows (1, 0) and (3, 0) have mean (2, 0); what is left is (-1, 0), (1, 0) with s = sqrt(2).
    raw, centred = spectra(np.array([[1.0, 0.0], [3.0, 0.0]]))
    assert raw.singular_values == pytest.approx([math.sqrt(10), 0])
    assert centred.singular_values == pytest.approx([math.sqrt(2), 0], abs=1e-12)
    assert (raw.is_centred, centred.is_centred) == (False, True)


@pytest.mark.parametrize("features", [np.zeros((5, 3)), np.full((5, 3), 2.0)])
def test_no_variation_is_not_an_error(features):
    card = spectrum(features, is_centred=True)
    assert card.singular_values == pytest.approx(np.zeros(3), abs=1e-9)
    assert card.largest_ratio >= 0
    assert math.isfinite(card.entropy_nats)


def test_one_row():
    card = spectrum(np.array([[3.0, 4.0]]))
    assert card.singular_values == pytest.approx([5.0])
    assert card.effective_rank == pytest.approx(1.0)


# Against numpy


@given(
    n=st.integers(1, 40),
    d=st.integers(1, 24),
    rank=st.integers(1, 24),
    decay=st.floats(0, 1.0),
    exponent=st.integers(-30, 30),
    block_rows=st.integers(1, 50),
    offset=st.sampled_from([0.0, 5.0]),
    seed=st.integers(0, 10**6),
)
@settings(deadline=None, max_examples=80)
def test_any_matrix_has_the_spectrum_of_numpy(n, d, rank, decay, exponent, block_rows, offset, seed):
    values = 10.0 ** (-decay * np.arange(min(n, d, rank)))
    features = (with_singular_values(n, d, values, seed) + offset) * 10.0**exponent
    for card, matrix in zip(
        spectra(features, block_rows=block_rows), (features, features - features.mean(0)), strict=True
    ):
        expected = np.linalg.svd(matrix, compute_uv=False)
        # Both sides know a singular value to rounding of the largest number that was in the matrix.
        rounding = 1e-13 * np.linalg.norm(features)
        assert card.singular_values == pytest.approx(expected, rel=1e-6, abs=rounding)
        assert (np.diff(card.singular_values) <= 0).all()
        assert 0 <= card.entropy_nats <= math.log(min(n, d)) + 1e-12
        assert 0 <= card.largest_ratio <= card.entropy_nats + 1e-9
    if offset == 0:
        raw = spectrum(features, block_rows=block_rows)
        assert raw.entropy_nats == pytest.approx(slow_entropy(values), abs=1e-9)
        assert raw.largest_ratio == pytest.approx(-math.log(values[0] / values.sum()), abs=1e-9)


def test_the_ratio_never_exceeds_the_entropy():
    # -ln max p is the Renyi entropy of order infinity, never above Shannon's.
    card = spectrum(random(60, 10))
    assert card.largest_ratio < card.entropy_nats < math.log(10)


@pytest.mark.parametrize("condition", [1e3, 2e4, 1e5, 1e7])
@pytest.mark.parametrize("shape", [(300, 20), (20, 300), (20, 20)])
def test_steep_spectra_keep_six_digits(condition, shape):
    values = np.geomspace(1.0, 1 / condition, 20)
    features = with_singular_values(*shape, values)
    # Built from its factors, so the truth is known without any SVD.
    assert spectrum(features, block_rows=64).singular_values == pytest.approx(values, rel=1e-6)


def test_a_steep_spectrum_needs_the_refinement():
    """What the Gram matrix alone loses, so that the test above does test the QR path."""
    values = np.geomspace(1.0, 1e-9, 20)
    features = with_singular_values(300, 20, values)
    refined = spectrum(features).singular_values
    gram_only = spectrum(features, is_refined=False).singular_values
    assert refined == pytest.approx(values, rel=1e-6)
    assert abs(gram_only[-1] / values[-1] - 1) > 1e-2
    assert gram_only[:5] == pytest.approx(values[:5], rel=1e-6)


def test_dead_features_beside_a_steep_spectrum():
    values = np.geomspace(1.0, 1e-7, 12)
    features = np.zeros((100, 20))
    features[:, ::2][:, :10] = with_singular_values(100, 10, values[:10])
    expected = np.concatenate([values[:10], np.zeros(10)])
    assert spectrum(features).singular_values == pytest.approx(expected, rel=1e-6, abs=1e-15)


def test_dead_features_alone_do_not_ask_for_another_reading():
    class CountsReadings:
        def __init__(self, array):
            self.array, self.shape, self.rows_read = array, array.shape, 0

        def __len__(self):
            return len(self.array)

        def __getitem__(self, rows):
            block = self.array[rows]
            self.rows_read += len(block)
            return block

    features = random(90, 6)
    features[:, 2] = 0
    counted = CountsReadings(features)
    spectrum(counted, block_rows=40)
    assert counted.rows_read == 90


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e8])
def test_centred_equals_the_svd_of_the_centred_matrix(mean):
    features = random(200, 8) + mean
    expected = np.linalg.svd(features - features.mean(0), compute_uv=False)
    found = spectrum(features, is_centred=True, block_rows=33).singular_values
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, scipy.sparse.csr_array])
def test_both_spectra_equal_each_alone(kind):
    features = random(30, 5) + 2
    raw, centred = spectra(kind(features))
    assert raw.singular_values.tolist() == spectrum(features).singular_values.tolist()
    assert centred.singular_values.tolist() == spectrum(features, is_centred=True).singular_values.tolist()


@pytest.mark.parametrize("factor", [1e-12, 3.7, 1e12])
def test_what_is_read_from_the_spectrum_has_no_unit(factor):
    features = random(40, 6) + 1
    one, other = spectrum(features), spectrum(features * factor)
    assert other.singular_values == pytest.approx(one.singular_values * factor)
    for name in ("entropy_nats", "largest_ratio", "effective_rank"):
        assert getattr(other, name) == pytest.approx(getattr(one, name))


@pytest.mark.parametrize("block_rows", [1, 7, 64, 65, 10_000])
def test_block_size_does_not_matter(block_rows):
    features = random(64, 9) + 0.5
    assert spectrum(features, block_rows=block_rows).singular_values == pytest.approx(
        spectrum(features).singular_values
    )


def test_order_of_rows_and_columns_does_not_matter():
    features = random(30, 7)
    shuffled = features[np.random.default_rng(1).permutation(30)][:, ::-1]
    assert spectrum(shuffled).singular_values == pytest.approx(spectrum(features).singular_values)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_any_number_type_is_accumulated_in_float64(dtype):
    features = (random(50, 6) * 8).astype(dtype)
    expected = np.linalg.svd(features.astype(np.float64), compute_uv=False)
    assert spectrum(features).singular_values == pytest.approx(expected)


# Shards


@pytest.mark.parametrize("is_centred", [False, True])
def test_merged_shards_equal_the_whole(is_centred):
    features = random(70, 6) + 3
    whole, merged = SpectrumAccumulator(), SpectrumAccumulator()
    whole.update(features)
    for rows in (features[:10], features[10:11], features[11:]):
        shard = SpectrumAccumulator()
        shard.update(rows)
        merged.merge(shard)
    merged.merge(SpectrumAccumulator())
    assert merged.num_examples == 70
    assert merged.mean() == pytest.approx(features.mean(0))
    one, other = (each.singular_values(is_centred=is_centred) for each in (whole, merged))
    assert other == pytest.approx(one)
    reference = spectrum(features, is_centred=is_centred)
    assert other == pytest.approx(reference.singular_values)


def test_merging_leaves_the_other_as_it_was():
    first, second = SpectrumAccumulator(), SpectrumAccumulator()
    second.update(random(5, 3))
    before = second.singular_values()
    first.merge(second)
    first.update(random(4, 3, seed=1))
    assert second.num_examples == 5
    assert second.singular_values().tolist() == before.tolist()


def test_shards_of_other_widths_are_refused():
    first, second = SpectrumAccumulator(), SpectrumAccumulator()
    first.update(random(5, 3))
    second.update(random(5, 4))
    with pytest.raises(BadData, match="`features` has 4 columns after 3 before"):
        first.merge(second)
    with pytest.raises(BadData, match="`features` has 2 columns after 3 before"):
        first.update(random(5, 2))
    assert first.num_examples == 5


# Input


def test_memory_mapped_features_are_left_alone(tmp_path):
    path = tmp_path / "features.npy"
    features = random(100, 5).astype(np.float32)
    np.save(path, features)
    mapped = np.load(path, mmap_mode="r")
    assert spectrum(mapped, block_rows=16).singular_values.tolist() == pytest.approx(
        spectrum(features).singular_values.tolist()
    )
    assert np.array_equal(np.load(path), features)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 17, 39])
def test_a_row_that_is_not_finite_is_named(value, row):
    features = random(40, 3)
    features[row, 1] = value
    with pytest.raises(BadData, match=f"NaN or infinity in row {row} "):
        spectrum(features, block_rows=8)


def test_infinities_that_cancel_are_found():
    features = random(10, 2)
    features[4] = [np.inf, -np.inf]
    with pytest.raises(BadData, match="in row 4 "):
        spectrum(features)


@pytest.mark.parametrize("features", [np.zeros((0, 4)), []])
def test_no_rows(features):
    with pytest.raises(BadData, match="`features` has 0 rows"):
        spectrum(features)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_other_shapes(shape):
    with pytest.raises(InvalidArgument, match=r"`features` is \(.*allowed: an array of two axes"):
        spectrum(np.zeros(shape))


@pytest.mark.parametrize("block_rows", [0, -3])
def test_block_rows_out_of_range(block_rows):
    with pytest.raises(InvalidArgument, match=f"`block_rows` is {block_rows}; allowed: a whole number >= 1"):
        spectrum(np.ones((3, 2)), block_rows=block_rows)


def test_card_is_plain_json():
    card = spectrum(random(10, 4).astype(np.float32))
    read = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert read["singular_values"] == card.singular_values.tolist()
    assert read["entropy_nats"] == card.entropy_nats
    assert read["is_centred"] is False


def test_features_too_large_to_be_squared():
    with pytest.raises(BadData, match=r"too large to be squared: up to 1\.0e\+200"):
        spectrum(np.full((4, 3), 1e200))


@pytest.mark.parametrize("features", [np.ones((3, 2)) * 1j, np.full((3, 2), "a")])
def test_features_that_are_no_real_numbers(features):
    with pytest.raises(InvalidArgument, match="allowed: an array of real numbers"):
        spectrum(features)


def test_features_without_columns():
    with pytest.raises(InvalidArgument, match="with d >= 1"):
        spectrum(np.ones((3, 0)))


def test_few_rows_are_decomposed_exactly():
    features = random(30, 50) * np.geomspace(1, 1e-6, 50)
    exact = np.linalg.svd(features, compute_uv=False)
    assert spectrum(features).singular_values == pytest.approx(exact, rel=1e-8)
    assert spectrum(features, is_centred=True).singular_values[-1] == pytest.approx(0, abs=1e-12)


def test_features_too_small_to_be_squared_are_an_error():
    features = np.random.default_rng(0).normal(size=(20, 4))
    tiny = spectrum(features * 1e-140)
    np.testing.assert_allclose(tiny.entropy_nats, spectrum(features).entropy_nats, rtol=1e-9)
    with pytest.raises(BadData, match="too small to be squared; allowed: above 1e-150"):
        spectrum(features * 1e-165)
