import tracemalloc

import numpy as np
import pytest
from scipy.stats import truncnorm

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.noise.instance_targets import draw_targets, flat, flip_rates, target_probs
from noiseproof.noise.kinds import corrupt_labels

both = pytest.mark.parametrize("kind", ["instance", "instance_ptd"])


def pixels(n=400, seed=0):
    """Images of a few kinds, as raw bytes."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(40, 200, (5, 4, 4, 3))
    noise = rng.normal(0, 12, (n, 4, 4, 3))
    return np.clip(kinds[np.arange(n) % 5] + noise, 0, 255).astype(np.uint8)


def corrupted(kind, *, rate=0.4, k=4, n=400, features=None, seed=0):
    labels = np.arange(n) % k
    features = pixels(n) if features is None else features
    return corrupt_labels(labels, kind=kind, rate=rate, num_classes=k, seed=seed, features=features)


def test_probabilities_by_hand():
    probs = target_probs(np.log(np.array([[1.0, 2.0, 5.0, 3.0]], np.float32)), own=2)
    assert probs[0] == pytest.approx([1 / 6, 2 / 6, 0, 3 / 6])


def test_targets_are_drawn_as_the_published_loop_says():
    """softmax(x W_y) without the true class, example by example; each example stands there 4,000 times."""
    k, d, copies = 3, 3, 4000
    x, labels = np.random.default_rng(0).normal(size=(6, d)), np.array([0, 0, 1, 1, 2, 2])
    inputs, clean = np.repeat(x, copies, axis=0), np.repeat(labels, copies)
    rows = np.arange(len(clean))
    targets, entropy = draw_targets(
        inputs, rows, clean, num_classes=k, prepare=flat, rng=np.random.default_rng(7)
    )
    weights = [child.standard_normal((d, k), dtype=np.float32) for child in np.random.default_rng(7).spawn(k)]
    entropies = []
    for i, own in enumerate(labels):
        p = np.zeros(k)
        for c in range(k):
            if c != own:
                p[c] = np.exp(sum(x[i, m] * weights[own][m, c] for m in range(d)))
        p /= p.sum()
        entropies.append(-sum(value * np.log(value) for value in p if value))
        drawn = np.bincount(targets[i * copies : (i + 1) * copies], minlength=k) / copies
        assert drawn == pytest.approx(p, abs=5 * np.sqrt(0.25 / copies))
        assert drawn[own] == 0
    assert entropy == pytest.approx(np.mean(entropies), abs=1e-5)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3, 0.95, 1.0])
def test_flip_rates_are_those_of_a_truncated_normal(rate):
    drawn = flip_rates(40_000, rate, np.random.default_rng(0))
    exact = truncnorm(-rate / 0.1, (1 - rate) / 0.1, loc=rate, scale=0.1)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert drawn.mean() == pytest.approx(exact.mean(), abs=5 * exact.std() / 200)
    assert np.quantile(drawn, [0.1, 0.5, 0.9]) == pytest.approx(exact.ppf([0.1, 0.5, 0.9]), abs=0.005)


@both
def test_alike_examples_get_alike_wrong_labels(kind):
    noisy = corrupted(kind, k=20, n=4000, features=pixels(4000), rate=0.5)
    kinds = np.arange(4000) % 5
    agree = []
    for c in range(20):
        for one in range(5):
            wrong = noisy.given[noisy.flipped & (np.arange(4000) % 20 == c) & (kinds == one)]
            if len(wrong) > 1:
                agree.append(np.bincount(wrong).max() / len(wrong))
    assert np.mean(agree) > 0.6  # of 19 targets; without regard to the example it would be about 0.12


def test_raw_pixels_make_the_published_noise_one_hot_and_centring_mends_it():
    features = np.random.default_rng(0).integers(0, 256, (2000, 300), np.uint8)
    published = corrupted("instance_ptd", k=10, n=2000, features=features)
    ours = corrupted("instance", k=10, n=2000, features=features)
    assert published.example_entropy_nats < 0.02
    assert 0.3 < ours.example_entropy_nats < np.log(9)


def test_published_noise_exceeds_small_rates_and_meets_middle_ones():
    n = 20_000
    features = np.random.default_rng(0).integers(0, 256, (n, 4), np.uint8)
    for rate, expected in ((0.1, 0.1288), (0.4, 0.4)):  # means of the truncated normal distributions
        noisy = corrupted("instance_ptd", rate=rate, n=n, features=features)
        assert noisy.realised_rate == pytest.approx(expected, abs=5 * np.sqrt(0.25 / n))


@pytest.mark.parametrize("change", [lambda x: x * 1000.0, lambda x: x + 500.0], ids=["scaled", "shifted"])
def test_scale_and_offset_of_features_do_not_matter(change):
    features = np.random.default_rng(0).normal(size=(400, 6))
    one, other = corrupted("instance", features=features), corrupted("instance", features=change(features))
    assert (one.given == other.given).mean() > 0.99  # rounding may move a draw across an edge


def test_features_that_are_all_the_same_are_uniform_noise():
    noisy = corrupted("instance", features=np.ones((400, 3)))
    assert noisy.realised_rate == 0.4
    assert noisy.example_entropy_nats == pytest.approx(np.log(3))


@both
def test_shape_of_the_images_does_not_matter(kind):
    one, other = corrupted(kind), corrupted(kind, features=pixels().reshape(400, -1).astype(np.float64))
    assert one.given.tobytes() == other.given.tobytes()


@both
def test_memory_does_not_grow_with_the_square_of_the_classes(kind):
    n, d, k = 3000, 1000, 60
    features = np.random.default_rng(0).integers(0, 256, (n, d), np.uint8)
    tracemalloc.start()
    corrupted(kind, n=n, k=k, features=features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (
        peak < 25e6
    )  # W of all classes as published: d k^2 float64 = 29 MB; here blocks of 1,024 rows, 4 MB each


@both
def test_features_have_to_fit(kind):
    with pytest.raises(BadData, match="`features` has 399 rows, `labels` 400"):
        corrupted(kind, features=pixels(399))
    with pytest.raises(
        InvalidArgument, match=r"`features` is 'uint8 of shape \(400,\)'; allowed: numbers of shape"
    ):
        corrupted(kind, features=np.zeros(400, np.uint8))
    with pytest.raises(InvalidArgument, match="`features` is '<U1 of shape"):
        corrupted(kind, features=np.full((400, 2), "a"))
    bad = pixels().reshape(400, -1).astype(np.float64)
    bad[7, 3] = np.nan
    with pytest.raises(BadData, match="`features` has NaN or infinity in row 7"):
        corrupted(kind, features=bad)


@pytest.mark.parametrize("scale", [1 / 255, -1.0, 2.0], ids=["unit", "negative", "too large"])
def test_the_published_procedure_takes_raw_pixels_only(scale):
    with pytest.raises(
        BadData, match=r"`features` has values from .*raw pixels, 0 to 255.*use kind 'instance'"
    ):
        corrupted("instance_ptd", features=pixels() * scale)


def test_the_more_alike_a_class_is_the_more_go_to_one_target():
    """What the document warns of: centring takes the mean of all off, not that of each class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 8000)
    shares = []
    for separation in (0, 1):
        features = separation * rng.normal(size=(10, 64))[labels] + rng.normal(size=(8000, 64))
        noisy = corrupt_labels(labels, kind="instance", rate=0.5, num_classes=10, seed=0, features=features)
        wrong = noisy.transition * (1 - np.eye(10))
        shares.append((wrong.max(axis=1) / wrong.sum(axis=1)).mean())
    assert shares[0] < 0.2
    assert shares[1] > 0.35
