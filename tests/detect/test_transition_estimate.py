"""Estimated transition matrices against exact posteriors, hand-made cases and cleanlab."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest

from noiseproof import corrupt_labels, estimate_transition
from noiseproof.core.errors import BadData, InvalidArgument, UnknownName
from noiseproof.detect import confident_learning
from noiseproof.detect.consensus import Consensus, ConsensusLoss, label_consensus, solve_consensus
from noiseproof.detect.transition_estimate import METHODS, TransitionEstimate, anchor_rows, from_joint

ASYMMETRIC = np.array([[0.8, 0.2, 0.0], [0.05, 0.65, 0.3], [0.1, 0.0, 0.9]])


def clouds(n=900, k=3, d=6, spread=0.4, seed=0):
    rng = np.random.default_rng(seed)
    clean = np.arange(n) % k
    return (np.eye(k, d)[clean] * 3 + rng.normal(scale=spread, size=(n, d))).astype(np.float32), clean


def noisy(clean, transition=ASYMMETRIC):
    return corrupt_labels(
        clean, kind="asymmetric", transition=transition, num_classes=len(transition), seed=0
    )


# All methods


# A logistic model cannot say "0.8 and never more", so anchors take T for a little too sure.
WITHIN = {"confident_joint": 0.04, "anchor": 0.2, "neighbours": 0.06}


@pytest.mark.parametrize("method", METHODS)
def test_noise_among_clear_classes_is_found(method):
    features, clean = clouds(n=3000)
    noise = noisy(clean)
    found = estimate_transition(features, noise.given, method=method)
    assert found.matrix == pytest.approx(noise.transition, abs=WITHIN[method])
    assert found.matrix.sum(1) == pytest.approx(np.ones(3))
    assert found.prior == pytest.approx(np.ones(3) / 3, abs=WITHIN[method])
    assert found.rate == pytest.approx(noise.realised_rate, abs=WITHIN[method])
    assert found.method == method


@pytest.mark.parametrize("method", METHODS)
def test_rows_are_in_the_order_of_the_classes_whatever_they_are_called(method):
    features, clean = clouds()
    given = noisy(clean).given
    by_id = estimate_transition(features, given, method=method)
    names = np.array(["cat", "ant", "bee"])
    by_name = estimate_transition(features, names[given], method=method)
    order = np.argsort(names)
    assert by_name.classes.tolist() == ["ant", "bee", "cat"]
    assert by_name.matrix == pytest.approx(by_id.matrix[np.ix_(order, order)], abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_same_data_give_same_bytes_and_stay_as_they_were(method):
    features, clean = clouds()
    given = noisy(clean).given
    before = features.tobytes(), given.tobytes()
    one, other = (estimate_transition(features, given, method=method, max_examples=500) for _ in range(2))
    assert one.matrix.tobytes() == other.matrix.tobytes()
    assert (features.tobytes(), given.tobytes()) == before


@pytest.mark.parametrize("method", METHODS)
def test_two_classes_of_unequal_size(method):
    features, clean = clouds(n=900, k=2, d=3)
    rows = np.flatnonzero((clean == 0) | (np.arange(900) % 6 == 1))  # 450 and 150
    noise = noisy(clean[rows], np.array([[0.9, 0.1], [0.3, 0.7]]))
    found = estimate_transition(features[rows], noise.given, method=method)
    assert found.matrix == pytest.approx(noise.transition, abs=2 * WITHIN[method])
    assert found.prior == pytest.approx([0.75, 0.25], abs=2 * WITHIN[method])


# Whether to trust it


@pytest.mark.parametrize("method", METHODS)
def test_an_estimate_that_broke_down_says_so(method):
    features, clean = clouds(n=2000, k=10, d=32, spread=2.5)
    given = corrupt_labels(clean, kind="symmetric", rate=0.8, num_classes=10, seed=0).given
    found = estimate_transition(features, given, method=method)
    assert (found.matrix.argmax(1) != np.arange(10)).any()
    assert "of 10 classes" in found.doubt


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("kind", "rate"), [("symmetric", 0.0), ("symmetric", 0.5), ("pair", 0.3)])
def test_a_good_estimate_is_not_doubted(method, kind, rate):
    features, clean = clouds(n=2000, k=5, d=32)
    given = corrupt_labels(clean, kind=kind, rate=rate, num_classes=5, seed=0).given
    assert estimate_transition(features, given, method=method).doubt is None


def test_doubt_by_hand():
    matrix, names = np.array([[0.6, 0.4], [0.7, 0.3]]), np.array(["ant", "bee"])
    found = TransitionEstimate(matrix, np.array([0.5, 0.5]), names, "anchor")
    assert re.search(r"for 1 of 2 classes, 'bee' among them, another label \('ant'\)", found.doubt)
    assert TransitionEstimate(np.eye(2), np.array([0.5, 0.5]), names, "anchor").doubt is None


# Confident joint


def confident_joint(probs, given):
    return confident_learning.confident_joint(
        confident_learning.confidence(probs, given), given, num_classes=probs.shape[1]
    )


def test_confident_joint_by_hand():
    probs = np.array([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8], [0.95, 0.05], [0.5, 0.5]])
    given = np.array([0, 0, 0, 1, 1, 1])
    # Thresholds are 1.7 / 3 and 1.35 / 3: rows are of class 0, 0, 1, 1, 0, 1.
    assert confident_joint(probs, given).tolist() == [[2, 1], [1, 2]]
    matrix, prior = from_joint(np.array([[2, 1], [1, 2]]), given)
    assert matrix.tolist() == [pytest.approx([2 / 3, 1 / 3]), pytest.approx([1 / 3, 2 / 3])]
    assert prior.tolist() == pytest.approx([0.5, 0.5])


def test_joint_by_hand_where_not_all_examples_are_confident():
    matrix, prior = from_joint(np.array([[3, 1], [0, 2]]), np.array([0] * 10 + [1] * 30))
    # Joint: (0.25 x 3/4, 0.25 / 4), (0, 0.75).
    assert prior.tolist() == pytest.approx([0.1875, 0.8125])
    assert matrix[0].tolist() == [1.0, 0.0]
    assert matrix[1].tolist() == pytest.approx([0.0625 / 0.8125, 0.75 / 0.8125])


@pytest.mark.parametrize("seed", range(5))
def test_confident_joint_equals_cleanlab(seed):
    count = pytest.importorskip("cleanlab.count")
    rng = np.random.default_rng(seed)
    k = 4
    given = np.arange(80) % k
    probs = rng.dirichlet(np.ones(k), 80) * 0.6 + 0.4 * np.eye(k)[rng.permutation(given)]
    counts = confident_joint(probs, given)
    theirs = count.compute_confident_joint(given, probs, calibrate=False)
    assert counts.tolist() == theirs.tolist()
    matrix, prior = from_joint(counts, given)
    joint = count.estimate_joint(given, probs, confident_joint=theirs)
    assert pytest.approx(joint, abs=1e-12) == (matrix * prior[:, None]).T


def slow_confident_joint(probs, given):
    n, k = probs.shape
    thresholds = [sum(probs[i, j] for i in range(n) if given[i] == j) / sum(given == j) for j in range(k)]
    counts = [[0] * k for _ in range(k)]
    for i in range(n):
        sure = [j for j in range(k) if probs[i, j] >= thresholds[j] - 1e-6]
        if sure:
            counts[given[i]][max(sure, key=lambda j: probs[i, j])] += 1
    return [[max(c, 1) if i == j else c for j, c in enumerate(row)] for i, row in enumerate(counts)]


def test_confident_joint_equals_a_slow_loop():
    rng = np.random.default_rng(0)
    probs, given = rng.dirichlet(np.ones(2), 60), np.arange(60) % 2
    assert confident_joint(probs, given).tolist() == slow_confident_joint(probs, given)


# Anchors


def test_anchors_by_hand():
    probs, given = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [0.2, 0.8]]), np.array([0, 0, 1, 1])
    assert anchor_rows(probs, given, quantile=0.5).tolist() == [[0.9, 0.1], [0.2, 0.8]]
    assert anchor_rows(probs, given, quantile=0.99).tolist() == [[0.9, 0.1], [0.2, 0.8]]  # at least one
    both = anchor_rows(probs, given, quantile=0.0).tolist()
    assert both == [pytest.approx([0.8, 0.2]), pytest.approx([0.3, 0.7])]
    few = anchor_rows(probs, np.array([0, 0, 0, 1]), quantile=0.0).tolist()
    assert few == [pytest.approx([2 / 3, 1 / 3]), pytest.approx([0.2, 0.8])]


def test_anchors_of_the_exact_posterior_are_the_matrix():
    rng = np.random.default_rng(0)
    clean_posterior = np.concatenate([rng.dirichlet(np.ones(3), 500), np.eye(3).repeat(30, 0)])
    given = np.arange(len(clean_posterior)) % 3
    # Each class is likeliest to be given where it surely is the class.
    found = anchor_rows(clean_posterior @ ASYMMETRIC, given, quantile=0.9)
    assert found == pytest.approx(ASYMMETRIC, abs=0.02)


def test_a_prior_follows_from_given_probabilities_alone():
    rng = np.random.default_rng(0)
    clean = rng.choice(3, 4000, p=[0.5, 0.3, 0.2])
    given = noisy(clean).given
    found = estimate_transition(None, given, method="anchor", probs=np.eye(3)[clean] @ ASYMMETRIC)
    assert found.matrix == pytest.approx(ASYMMETRIC, abs=1e-6)
    assert found.prior == pytest.approx([0.5, 0.3, 0.2], abs=0.03)


# Neighbours


def exact_consensus(matrix, prior):
    triples = np.array(list(itertools.product(range(len(prior)), repeat=3)))
    shares = [sum(p * row[a] * row[b] * row[c] for p, row in zip(prior, matrix, strict=True))
              for a, b, c in triples]  # fmt: skip
    return Consensus(triples, np.array(shares), len(prior))


@pytest.mark.parametrize("k", [2, 3, 6])
def test_exact_consensuses_give_the_matrix_back(k):
    rng = np.random.default_rng(k)
    matrix = 0.35 * rng.dirichlet(np.ones(k), k) + 0.65 * np.eye(k)
    prior = rng.dirichlet(np.full(k, 5.0))
    found, found_prior = solve_consensus(exact_consensus(matrix, prior))
    assert found == pytest.approx(matrix, abs=2e-3)
    assert found_prior == pytest.approx(prior, abs=2e-3)


def test_surprise_equals_a_slow_loop_and_its_gradient_finite_differences():
    k = 3
    rng = np.random.default_rng(0)
    consensus = exact_consensus(rng.dirichlet(np.ones(k), k), rng.dirichlet(np.ones(k)))

    def slow(flat):
        matrix = np.exp(flat[: k * k].reshape(k, k))
        matrix, prior = matrix / matrix.sum(1, keepdims=True), np.exp(flat[k * k :])
        prior = prior / prior.sum()
        total = 0.0
        for (a, b, c), share in zip(consensus.triples, consensus.shares, strict=True):
            total -= share * np.log(sum(p * row[a] * row[b] * row[c]
                                        for p, row in zip(prior, matrix, strict=True)))  # fmt: skip
        return total

    flat = rng.normal(size=k * k + k)
    value, gradient = ConsensusLoss(consensus)(flat)
    assert value == pytest.approx(slow(flat))
    steps = 1e-5 * np.eye(len(flat))
    numerical = [(slow(flat + step) - slow(flat - step)) / 2e-5 for step in steps]
    assert gradient == pytest.approx(np.array(numerical), abs=1e-8)


def test_two_classes_by_hand():
    """T = ((1, 0), (1/2, 1/2)), p = (1/2, 1/2): three labels 1 in 1/16 of the triples, and so on."""
    triples = np.array(list(itertools.product((0, 1), repeat=3)))
    shares = np.where(triples.any(1), 1 / 16, 9 / 16)
    matrix, prior = solve_consensus(Consensus(triples, shares, 2))
    assert matrix == pytest.approx(np.array([[1, 0], [0.5, 0.5]]), abs=1e-2)
    assert prior == pytest.approx([0.5, 0.5], abs=1e-2)


def test_consensus_by_hand():
    # Two groups of three, each member the neighbour of the others; then labels 0 0 1 and 1 1 1.
    features = np.array([[1, 0], [1, 0.1], [1, -0.1], [0, 1], [0.1, 1], [-0.1, 1]], np.float32)
    labels = np.array([0, 0, 1, 1, 1, 1])
    found = label_consensus(features, labels, num_classes=2, max_examples=6, rng=np.random.default_rng(0))
    shares = {tuple(t): s for t, s in zip(found.triples.tolist(), found.shares, strict=True)}
    assert shares == {
        (0, 0, 1): pytest.approx(1 / 6),
        (0, 1, 0): pytest.approx(1 / 6),
        (1, 0, 0): pytest.approx(1 / 6),
        (1, 1, 1): pytest.approx(1 / 2),
    }


def test_copies_of_an_example_are_its_neighbours():
    features = np.ones((5, 2), np.float32)
    found = label_consensus(
        features, np.array([0, 0, 0, 0, 1]), num_classes=2, max_examples=5, rng=np.random.default_rng(0)
    )
    assert found.shares.sum() == pytest.approx(1.0)
    own = found.shares[found.triples[:, 0] == 1].sum()
    assert own > 0  # the example that nobody is nearest to still counts once


# Bad input


def test_a_class_of_two_examples_has_too_few_neighbours():
    features, clean = clouds(n=60)
    given = np.where(np.arange(60) < 2, 7, clean)
    with pytest.raises(BadData, match=r"The class 7 has 2 examples .*3 or more of each\. Next: leave"):
        estimate_transition(features, given, method="neighbours")


@pytest.mark.parametrize("method", METHODS)
def test_one_class_is_an_error(method):
    with pytest.raises(BadData, match=r"one class only, 4; allowed: two or more"):
        estimate_transition(clouds(n=30)[0], np.full(30, 4), method=method)


@pytest.mark.parametrize("method", ["confident_joint", "anchor"])
def test_probabilities_that_do_not_sum_to_one_are_named(method):
    probs, given = np.full((6, 2), 0.5), np.arange(6) % 2
    for row in ([0.5, 0.4], [1.5, -0.5]):
        probs[4] = row
        with pytest.raises(BadData, match=r"Row 4 of `probs` has the sum .*not logits"):
            estimate_transition(None, given, method=method, probs=probs)
    probs[4] = np.nan
    with pytest.raises(BadData, match=r"`probs` has NaN or infinity in row 4"):
        estimate_transition(None, given, method=method, probs=probs)
    with pytest.raises(InvalidArgument, match=r"`probs` is .*\(6, 3\).*2 columns"):
        estimate_transition(None, given, method=method, probs=np.full((6, 3), 1 / 3))
    with pytest.raises(BadData, match=r"has 6 rows, `probs` 5"):
        estimate_transition(None, given, method=method, probs=np.full((5, 2), 0.5))


def test_options_that_are_not_allowed():
    features, clean = clouds(n=30)
    with pytest.raises(UnknownName, match=r"Unknown method 'anchors'\. Did you mean 'anchor'"):
        estimate_transition(features, clean, method="anchors")
    with pytest.raises(InvalidArgument, match=r"`quantile` is 1\.0; allowed: a number >= 0 and < 1"):
        estimate_transition(features, clean, quantile=1.0)
    with pytest.raises(InvalidArgument, match=r"`max_examples` is 0; allowed: a whole number >= 1"):
        estimate_transition(features, clean, max_examples=0)
    with pytest.raises(
        InvalidArgument, match=r"`probs` is 'given'; allowed: None for the method 'neighbours'"
    ):
        estimate_transition(features, clean, method="neighbours", probs=np.eye(3)[clean])
    with pytest.raises(InvalidArgument, match=r"`features` is None; allowed: "):
        estimate_transition(None, clean)


def test_features_that_are_not_finite_are_named():
    features, clean = clouds(n=30)
    features[17, 2] = np.nan
    with pytest.raises(BadData, match=r"`features` has NaN or infinity in row 17"):
        estimate_transition(features, clean)


@pytest.mark.parametrize("name", ["features", "probs"])
def test_rows_of_different_examples_are_refused(name):
    features, clean = clouds(60)
    values = {"features": features, "probs": np.eye(3)[clean]}
    frame = pd.DataFrame(values[name], index=[f"e{i}" for i in range(60)])
    labels = pd.Series(clean, index=frame.index)
    with pytest.raises(BadData, match=rf"`given_labels` and `{name}` have rows of different examples"):
        estimate_transition(**{"features": None, name: frame}, given_labels=labels[::-1])
    assert estimate_transition(**{"features": None, name: frame}, given_labels=labels).rate < 0.1
