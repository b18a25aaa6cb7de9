import numpy as np
import pytest
from synthetic_encoders import features_under

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.diagnose.signature import signature
from noiseproof.diagnose.spectrum import SpectrumAccumulator, spectra


def test_all_examples_have_the_spectrum_of_the_features():
    features = features_under(0.2, n=300)
    found = signature(features, num_draws=3)
    whole = spectra(features)[0]
    assert found.shares.shape == (4, 24)
    assert found.shares[0] == pytest.approx(whole.singular_values / whole.singular_values.sum())
    assert found.entropy_nats == pytest.approx(whole.entropy_nats)
    assert found.largest_ratio == pytest.approx(whole.largest_ratio)


def test_a_draw_is_the_spectrum_of_the_rows_it_has():
    """The slow way: repeat the rows of every block as often as it was drawn."""
    from noiseproof.core.rng import stream

    n, blocks = 103, 7
    features = features_under(0.1, n=n, d=5)
    found = signature(features, seed=4, num_blocks=blocks, num_draws=5)
    rng = stream(4, "signature", n, blocks)
    homes = rng.permutation(np.arange(n) % blocks)
    draws = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=5)
    for shares, times in zip(found.shares[1:], draws, strict=True):
        rows = np.concatenate([np.repeat([i], times[homes[i]]) for i in range(n)]).astype(int)
        values = np.linalg.svd(features[rows], compute_uv=False)
        assert shares == pytest.approx(values / values.sum(), rel=1e-9)


def test_spread_of_draws_is_that_of_new_examples():
    drawn = signature(features_under(0.1), num_draws=400).shares[1:]
    fresh = np.array(
        [signature(features_under(0.1, data_seed=s), num_draws=2).shares[0] for s in range(1, 60)]
    )
    ratio = drawn.std(axis=0) / fresh.std(axis=0)
    assert 0.6 < np.median(ratio) < 1.6
    assert (ratio > 0.3).all()
    assert (ratio < 3).all()


def test_same_seed_draws_the_same_and_another_does_not():
    features = features_under(0.1, n=200)
    one, other = (signature(features, seed=s, num_draws=4).shares for s in (1, 1))
    assert one.tobytes() == other.tobytes()
    assert signature(features, seed=2, num_draws=4).shares[1:].tobytes() != one[1:].tobytes()


def test_few_rows_and_dead_features_have_a_signature():
    features = np.zeros((3, 6))
    features[:, :2] = [[1, 0], [0, 1], [1, 1]]
    assert np.isfinite(signature(features, num_draws=8).shares).all()


def test_what_has_no_signature_is_told():
    with pytest.raises(BadData, match="`features` has 1 rows; allowed: 2 or more"):
        signature(np.ones((1, 3)))
    with pytest.raises(InvalidArgument, match="`num_draws` is 1; allowed: a whole number >= 2"):
        signature(np.ones((5, 3)), num_draws=1)
    with pytest.raises(InvalidArgument, match="`num_blocks` is 0"):
        signature(np.ones((5, 3)), num_blocks=0)
    bad = np.ones((5, 3))
    bad[3, 0] = np.nan
    with pytest.raises(BadData, match="NaN or infinity in row 3"):
        signature(bad)
    with pytest.raises(BadData, match="`features` are too large to be squared"):
        signature(np.ones((5, 3)) * 1e160)
    with pytest.raises(BadData, match="`features` are too small to be squared"):
        signature(np.eye(5, 3) * 1e-160)


def test_small_values_of_a_signature_are_those_of_the_spectrum():
    """A steep spectrum that the Gram matrix still holds, and one whose end it has lost."""
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(300, 6)))[0]
    for smallest, expected in ((1e-4, 1e-4), (1e-12, 0.0)):
        features = turned * np.array([1, 0.5, 0.1, 0.01, 0.001, smallest])
        shares = signature(features, num_draws=2).shares[0]
        accumulated = SpectrumAccumulator()
        accumulated.update(features)
        assert shares == pytest.approx(accumulated.singular_values() / 1.611, rel=1e-3)
        assert shares[-1] == pytest.approx(expected / 1.611, rel=1e-3)
