import itertools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris, load_wine

from noiseproof import find_label_issues
from noiseproof.detect import evidence as inputs
from noiseproof.detect.training_dynamics import (
    Dynamics,
    _Recorder,
    _threshold_samples,
    label_margins,
    training_dynamics,
)
from noiseproof.posterior.mixture import fit_mixture


def test_margin_by_hand():
    logits = torch.tensor([[[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]])
    assert label_margins(logits, torch.tensor([[0, 2]])).tolist() == [[1.0, -1.0]]


def test_the_record_equals_a_slow_loop():
    """Two heads, five examples, four epochs in a random order and in two batches each."""
    generator = torch.Generator().manual_seed(0)
    is_sample = torch.tensor([[True, False, False, False, False], [False, True, False, False, False]])
    labels = torch.where(is_sample, 2, torch.tensor([0, 1, 0, 1, 1]))
    record, said = _Recorder(2, 5, 2, torch.device("cpu")), []
    for _ in range(4):
        order = torch.stack([torch.randperm(5, generator=generator) for _ in range(2)])
        logits = torch.randn(2, 5, 3, generator=generator)
        losses = -logits.log_softmax(-1).gather(-1, labels[..., None]).squeeze(-1)
        said.append((logits, losses))
        for rows in order.split([3, 2], dim=1):
            of_rows = logits.gather(1, rows[..., None].expand(-1, -1, 3))
            record.add(rows, of_rows, labels.gather(1, rows), losses.gather(1, rows))
    found = record.result(is_sample)
    for i in range(5):
        heads = [m for m in range(2) if not is_sample[m, i]]
        margins, lost, learned, loss, scores = [], [], False, [], []
        for m in heads:
            at = (slice(m, m + 1), slice(i, i + 1))
            of_head = [float(label_margins(logits[at], labels[at])) for logits, _ in said]
            margins.append(np.mean(of_head))
            lost.append(sum(a > 0 >= b for a, b in itertools.pairwise(of_head)))
            learned = learned or max(of_head) > 0
            loss.append(np.mean([float(losses[m, i]) for _, losses in said]))
            scores.append(np.mean([logits[m, i, :2].tolist() for logits, _ in said], axis=0))
        assert found.margin[i] == pytest.approx(np.mean(margins), abs=1e-5)
        assert found.forgotten[i] == np.mean(lost)
        assert found.is_learned[i] == learned
        assert found.loss[i] == pytest.approx(np.mean(loss), abs=1e-5)
        assert found.scores[i] == pytest.approx(np.mean(scores, axis=0), abs=1e-5)


@pytest.mark.parametrize(("n", "k"), [(2, 2), (3, 2), (50, 9), (1000, 4)])
def test_each_head_has_threshold_samples_of_its_own(n, k):
    is_sample = _threshold_samples(n, k, seed=0)
    assert not is_sample.all(0).any()
    assert is_sample.sum(1).tolist() == [max(1, round(n / (k + 1)))] * 2


def blobs(n=400, scale=1.0, rate=0.1):
    rng = np.random.default_rng(0)
    clean = np.arange(n) % 4
    features = (np.eye(4, 12)[clean] * 4 + rng.normal(size=(n, 12)) * 0.8) * scale
    is_wrong = rng.permutation(n) < rate * n
    return features, np.where(is_wrong, (clean + 1 + rng.integers(3, size=n)) % 4, clean), is_wrong


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_margins_tell_wrong_labels_whatever_the_scale_of_the_features(scale):
    features, given, is_wrong = blobs(scale=scale)
    found = training_dynamics(features, given, num_classes=4, seed=0)
    assert found.margin[~is_wrong].min() > np.quantile(found.margin[is_wrong], 0.9)
    assert (found.margin[is_wrong] <= found.threshold).mean() > 0.9


def test_a_margin_at_the_threshold_is_a_suspicion_of_one_half():
    features, given, _ = blobs()
    seen = training_dynamics(features, given, num_classes=4, seed=0)
    found = find_label_issues(features, given, method="aum")
    assert (
        found.is_issue.tolist()
        == (found.suspicion >= 0.5).tolist()
        == (seen.margin <= seen.threshold).tolist()
    )
    assert np.argsort(found.suspicion).tolist() == np.argsort(-seen.margin).tolist()


def test_features_that_are_zero_but_for_one_give_a_finite_answer():
    found = find_label_issues(np.eye(30, 3, k=-29), np.arange(30) % 2, method="aum")
    assert np.isfinite(found.suspicion).all()


def test_a_known_rate_says_how_many_are_flagged():
    features, given, is_wrong = blobs()
    for method in ("small_loss", "forgetting"):
        found = find_label_issues(features, given, method=method, method_options={"rate": 0.1})
        assert found.is_issue.sum() == 40
        assert "10.0% with the highest suspicion are flagged; this share is given" in found.notes[-1]
    estimated = find_label_issues(features, given, method="small_loss")
    assert estimated.is_issue.mean() == pytest.approx(is_wrong.mean(), abs=0.02)
    assert "estimated by leave-one-out" in estimated.notes[-1]


def test_losses_of_two_humps_are_divided():
    features, given, is_wrong = blobs(rate=0.3)
    found = find_label_issues(features, given, method="mixture")
    assert found.notes == ()
    assert (found.is_issue == is_wrong).mean() > 0.95


def test_losses_of_one_hump_are_not_divided_and_that_is_said():
    rng = np.random.default_rng(0)
    given = np.arange(200) % 2
    found = find_label_issues(rng.normal(size=(200, 5)), given, method="mixture")
    assert "one mode" in found.notes[-1]
    assert found.method == "mixture"


def test_humps_are_told_from_a_long_tail():
    rng = np.random.default_rng(0)
    apart = np.r_[rng.normal(0, 1, 4000), rng.normal(6, 2, 4000)]
    assert fit_mixture(apart, seed=0).is_bimodal
    assert fit_mixture(apart, seed=0).low_mean == pytest.approx(0, abs=0.2)
    for tail in (np.abs(rng.normal(size=5000)), rng.exponential(size=5000), np.full(5, 2.0)):
        assert not fit_mixture(tail, seed=0).is_bimodal


def test_the_smallest_losses_are_never_issues(monkeypatch):
    """A wide far hump has more density than a narrow near one on both sides of it."""
    rng = np.random.default_rng(0)
    losses = np.r_[0.0, 0.1, rng.normal(0.5, 0.03, 3000), rng.normal(1.5, 0.3, 600)]
    n = len(losses)
    seen = Dynamics(-losses, 0.0, np.zeros(n), np.ones(n, bool), losses, np.tile([1.0, 0.0], (n, 1)))
    monkeypatch.setattr(inputs, "training_dynamics", lambda *args, **more: seen)
    found = find_label_issues(rng.normal(size=(n, 3)), np.arange(n) % 2, method="mixture")
    assert not found.is_issue[:2].any()
    assert found.suspicion[:2].max() < found.suspicion[3002:].min()


def test_what_is_never_learned_is_the_most_suspicious():
    features, given, _ = blobs()
    evidence = training_dynamics(features, given, num_classes=4, seed=0)
    found = find_label_issues(features, given, method="forgetting")
    assert found.suspicion[~evidence.is_learned].min() > found.suspicion[evidence.is_learned].max()


@pytest.mark.slow_but_first
@pytest.mark.parametrize("method", ["aum", "mixture"])
@pytest.mark.parametrize("data", ["clusters", "iris", "wine"])
def test_right_labels_are_not_flagged_where_there_is_nothing_to_separate(method, data):
    if data == "clusters":
        rng = np.random.default_rng(0)
        labels = np.arange(400) % 2
        features = 4 * np.eye(2, 8)[labels] + rng.normal(size=(400, 8))
    else:
        bunch = {"iris": load_iris, "wine": load_wine}[data]()
        features, labels = bunch.data, bunch.target
    found = find_label_issues(features, labels, method=method)
    assert found.is_issue.mean() < 0.12
