import math

import numpy as np
import pytest
import torch
from scipy import stats

from noiseproof import CoTeaching, DivideMix, LinearProbe, MLPProbe, NMTune, corrupt_labels
from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.heads.modules import StackedHeads
from noiseproof.posterior.mixture import fit_mixture
from noiseproof.robust import divide_mix
from noiseproof.robust.co_teaching import selected_by_other_head
from noiseproof.robust.divide_mix import imbalance, refine_targets, semi_supervised_losses

TRAINERS = {"co-teaching": CoTeaching, "divide mix": DivideMix}
every_trainer = pytest.mark.parametrize("trainer", TRAINERS.values(), ids=TRAINERS.keys())
# Wide features and few examples: a linear head alone learns wrong labels by heart.
QUICK = {"epochs": 15, "batch_size": 50}


def blobs(n=500, d=150, k=5, kind="symmetric", rate=0.5):
    rng = np.random.default_rng(0)
    labels = np.arange(2 * n) % k
    features = (np.eye(k, d)[labels] * 4 + rng.normal(size=(2 * n, d))).astype(np.float32)
    noisy = corrupt_labels(labels[:n], kind=kind, rate=rate, num_classes=k, seed=0)
    return features[:n], noisy, features[n:], labels[n:]


@pytest.mark.slow_but_first
@every_trainer
@pytest.mark.parametrize("head", [LinearProbe(**QUICK), MLPProbe(**QUICK, hidden_ratio=0.5)],
                         ids=["linear", "mlp"])  # fmt: skip
def test_it_beats_the_same_head_alone_under_noise(trainer, head):
    features, noisy, test_features, test_labels = blobs()
    alone = head.fit(features, noisy.given).score(test_features, test_labels)
    together = trainer(head).fit(features, noisy.given).score(test_features, test_labels)
    assert together > alone + 0.05


def test_divide_mix_finds_the_wrong_labels():
    features, noisy, *_ = blobs()
    model = DivideMix(LinearProbe(**QUICK)).fit(features, noisy.given)
    assert model.clean_probability_.shape == (500,)
    right = model.clean_probability_
    assert ((right >= 0) & (right <= 1)).all()
    assert right[~noisy.flipped].mean() > right[noisy.flipped].mean() + 0.3


def test_co_teaching_estimates_how_many_labels_are_wrong():
    features, noisy, *_ = blobs(rate=0.3)
    model = CoTeaching(LinearProbe(**QUICK)).fit(features, noisy.given)
    assert model.forget_rate_ == pytest.approx(0.3, abs=0.05)
    assert CoTeaching(LinearProbe(**QUICK), forget_rate=0.2).fit(features, noisy.given).forget_rate_ == 0.2


def watched_forwards(monkeypatch):
    """(is training, has a gradient, rows) of each forward pass of the heads."""
    seen, forward = [], StackedHeads.forward

    def watched(self, features):
        seen.append((self.training, torch.is_grad_enabled(), features.shape[1]))
        return forward(self, features)

    monkeypatch.setattr(StackedHeads, "forward", watched)
    return seen


def test_divide_mix_guesses_without_dropout_and_leaves_running_statistics_alone(monkeypatch):
    features, noisy, *_ = blobs(n=100)
    seen = watched_forwards(monkeypatch)
    head = MLPProbe(epochs=5, batch_size=50, hidden_ratio=0.5, dropout=0.5, batch_norm=True)
    DivideMix(head).fit(features, noisy.given)
    assert sum(is_training for is_training, *_ in seen) == 10  # one pass per step
    assert {each[:2] for each in seen} == {(True, True), (False, False)}


def test_divide_mix_divides_blocks_of_rows_and_finds_the_same(monkeypatch):
    features, noisy, *_ = blobs(n=100)
    head = LinearProbe(epochs=4, batch_size=20)
    whole = DivideMix(head).fit(features, noisy.given)
    monkeypatch.setattr(divide_mix, "_BLOCK_ROWS", 30)
    seen = watched_forwards(monkeypatch)
    blocks = DivideMix(head).fit(features, noisy.given)
    assert {rows for is_training, _, rows in seen if not is_training} == {20, 30, 10}
    assert blocks.clean_probability_ == pytest.approx(whole.clean_probability_, abs=1e-4)


@every_trainer
def test_same_seed_same_bytes_and_heads_that_differ(trainer):
    features, noisy, *_ = blobs(n=100)
    one, same, other = (
        trainer(LinearProbe(epochs=4, batch_size=50, seed=seed)).fit(features, noisy.given)
        for seed in (3, 3, 4)
    )
    probs = one.predict_proba(features)
    assert probs.tobytes() == same.predict_proba(features).tobytes()
    assert probs.tobytes() != other.predict_proba(features).tobytes()
    first, second = (head.predict_proba(features) for head in one.heads_)
    assert first.tobytes() != second.tobytes()
    assert probs == pytest.approx((first + second) / 2)


@every_trainer
def test_it_is_a_scikit_learn_classifier_that_keeps_names_of_classes(trainer, tmp_path):
    features, noisy, *_ = blobs(n=100)
    names = np.array(["ant", "bee", "cat", "dog", "emu"])
    head = LinearProbe(**QUICK)
    model = trainer(head).fit(features, names[noisy.given])
    assert set(model.predict(features)) <= set(names)
    assert model.predict_proba(features).sum(1) == pytest.approx(np.ones(100))
    assert model.get_params()["head__epochs"] == 15
    assert not hasattr(head, "state_")
    model.heads_[1].save(tmp_path / "head")
    again = LinearProbe.load(tmp_path / "head").predict_proba(features)
    assert again.tobytes() == model.heads_[1].predict_proba(features).tobytes()


@every_trainer
def test_data_that_cannot_teach_is_refused(trainer):
    features, noisy, *_ = blobs(n=100)
    with pytest.raises(BadData, match=r"one class only, 0; allowed: two or more\. Next: check"):
        trainer().fit(features, np.zeros(100, np.int64))
    with pytest.raises(BadData, match="99 rows, the features 100; they must agree"):
        trainer().fit(features, noisy.given[1:])
    features[7, 0] = np.nan
    with pytest.raises(BadData, match="NaN or infinity in row 7"):
        trainer().fit(features, noisy.given)


@every_trainer
def test_two_examples_are_enough(trainer):
    model = trainer(LinearProbe(epochs=4)).fit(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array(["a", "b"]))
    assert np.isfinite(model.predict_proba(np.array([[1.0, 0.0], [0.0, 1.0]]))).all()


@every_trainer
def test_a_head_with_regularisers_is_refused(trainer):
    features, noisy, *_ = blobs(n=50)
    with pytest.raises(InvalidArgument, match="`head` is 'NMTune'; allowed: LinearProbe or MLPProbe"):
        trainer(NMTune()).fit(features, noisy.given)


@pytest.mark.parametrize(("model", "message"), [
    (CoTeaching(forget_rate=1.0), r"`forget_rate` is 1\.0; allowed: a number >= 0 and < 1, or None"),
    (CoTeaching(ramp_epochs=0), "`ramp_epochs` is 0; allowed: a whole number >= 1"),
    (DivideMix(warmup_epochs=0), "`warmup_epochs` is 0; allowed: a whole number >= 1"),
    (CoTeaching().set_params(ramp_epochs=math.inf), "`ramp_epochs` is inf; allowed: a whole number >= 1"),
    (CoTeaching().set_params(forget_rate="a"), "`forget_rate` is 'a'; allowed: a number >= 0 and < 1"),
    (CoTeaching().set_params(head="linear"), "`head` is 'linear'; allowed: a LinearProbe or MLPProbe, or"),
    (DivideMix().set_params(warmup_epochs=1.5), r"`warmup_epochs` is 1\.5; allowed: a whole number >= 1"),
    (DivideMix().set_params(warmup_epochs="2"), "`warmup_epochs` is '2'; allowed: a whole number >= 1"),
    (DivideMix().set_params(threshold=1.0), r"`threshold` is 1\.0; allowed: a number > 0 and < 1"),
    (DivideMix().set_params(alpha=math.inf), "`alpha` is inf; allowed: a number >= 1e-06"),
    (DivideMix().set_params(unlabelled_weight=math.inf), "`unlabelled_weight` is inf; allowed: a number"),
    (DivideMix().set_params(penalty_weight=None), "`penalty_weight` is None; allowed: a number >= 0"),
    (DivideMix(temperature=0.0), r"`temperature` is 0\.0; allowed: a number >= 1e-06 and <= 1"),
    (DivideMix(alpha=0.0), r"`alpha` is 0\.0; allowed: a number >= 1e-06"),
    (DivideMix(unlabelled_weight=-1.0), r"`unlabelled_weight` is -1\.0; allowed: a number >= 0"),
])  # fmt: skip
def test_options_out_of_range_are_named(model, message):
    features, noisy, *_ = blobs(n=50)
    with pytest.raises(InvalidArgument, match=message):
        model.fit(features, noisy.given)


# The pieces


def test_each_head_learns_from_what_the_other_finds_easy():
    losses = torch.tensor([[0.1, 0.9, 0.5, 0.4], [3.0, 1.0, 2.0, 4.0]])
    assert selected_by_other_head(losses, 0.5).tolist() == [[1, 2], [0, 3]]
    assert selected_by_other_head(losses, 0.0).tolist() == [[1], [0]]
    assert selected_by_other_head(losses, 1.0).sort(1).values.tolist() == [[0, 1, 2, 3]] * 2


def test_refined_targets_worked_out_by_hand():
    """w = 0.8 > 1/2: (0.8 + 0.2 * 0.5, 0.2 * 0.5) = (0.9, 0.1), squared and divided by 0.82.
    w = 0.1: the mean of (0.5, 0.5) and (0.1, 0.9) is (0.3, 0.7), squared and divided by 0.58.
    """
    probs = torch.tensor([[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.1, 0.9]]], dtype=torch.float64)
    clean = torch.tensor([[0.8, 0.1], [0.8, 0.1]], dtype=torch.float64)
    targets = refine_targets(probs, torch.tensor([0, 0]), clean, threshold=0.5, temperature=0.5)
    assert targets[0, 0].tolist() == pytest.approx([0.81 / 0.82, 0.01 / 0.82])
    assert targets[0, 1].tolist() == pytest.approx([0.09 / 0.58, 0.49 / 0.58])
    assert torch.equal(targets[0], targets[1])


@pytest.mark.parametrize(("k", "temperature"), [(10, 0.02), (1000, 0.05), (4, 1e-6), (3, 1.0)])
def test_targets_stay_probabilities_however_sharp(k, temperature):
    generator = torch.Generator().manual_seed(0)
    probs = torch.softmax(0.1 * torch.randn(2, 6, k, generator=generator), -1)
    labels, clean = torch.arange(6) % k, torch.tensor([[0.0, 0.4, 0.6, 0.9, 1.0, 0.1]] * 2)
    targets = refine_targets(probs, labels, clean, threshold=0.5, temperature=temperature)
    assert targets.sum(-1).numpy() == pytest.approx(np.ones((2, 6)), abs=1e-5)
    assert targets[0, 4].argmax() == labels[4]
    assert targets[0, 0].argmax() == probs.mean(0)[0].argmax()


def drawn_log_probs():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 4, 3, generator=generator, dtype=torch.float64).log_softmax(-1)


def test_semi_supervised_loss_is_that_of_a_plain_loop():
    log_probs = drawn_log_probs()
    targets = drawn_log_probs().exp().flip(1)
    is_labelled = torch.tensor([[True, False, True, True], [False, False, True, False]])
    found = semi_supervised_losses(log_probs, targets, is_labelled, unlabelled_weight=7.0).mean(1)
    for head in range(2):
        total = 0.0
        for row in range(4):
            for c in range(3):
                t, q = float(targets[head, row, c]), float(log_probs[head, row, c])
                total += -t * q if is_labelled[head, row] else 7.0 * (math.exp(q) - t) ** 2 / 3
        assert float(found[head]) == pytest.approx(total / 4)


def test_imbalance_is_zero_for_balanced_heads_and_that_of_a_plain_loop():
    even = torch.tensor([[[0.9, 0.1], [0.1, 0.9]]] * 2, dtype=torch.float64).log()
    assert imbalance(even).tolist() == pytest.approx([0, 0])
    log_probs = drawn_log_probs()
    for head in range(2):
        means = [sum(math.exp(float(log_probs[head, row, c])) for row in range(4)) / 4 for c in range(3)]
        expected = sum(math.log((1 / 3) / mean) / 3 for mean in means)
        assert float(imbalance(log_probs)[head]) == pytest.approx(expected)
    for function in (imbalance, lambda x: semi_supervised_losses(
        x, drawn_log_probs().exp(), torch.tensor([[True, False] * 2] * 2), unlabelled_weight=3.0
    )):  # fmt: skip
        logits = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        assert torch.autograd.gradcheck(
            lambda x, f=function: f(x.log_softmax(-1)), (logits.requires_grad_(),)
        )


def test_clean_probability_is_bayes_rule_for_two_gaussians():
    rng = np.random.default_rng(0)
    losses = np.r_[rng.normal(1.0, 0.1, 600), rng.normal(3.0, 0.4, 400)]
    found = fit_mixture(losses, seed=0).clean
    low, high = (share * stats.norm.pdf(losses, mean, std) for share, mean, std in
                 ((0.6, 1.0, 0.1), (0.4, 3.0, 0.4)))  # fmt: skip
    assert found == pytest.approx(low / (low + high), abs=0.15)
    assert found[:600].min() > 0.8
    assert np.median(found[600:]) < 1e-3


def test_losses_that_are_all_equal_leave_every_label_clean():
    assert fit_mixture(np.full(5, 2.0), seed=0).clean.tolist() == [1.0] * 5
