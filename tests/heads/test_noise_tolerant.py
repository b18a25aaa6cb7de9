"""NMTune that tolerates noise: it learns what the true labels probably are."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from noiseproof import CoTeaching, LinearProbe, MLPProbe, NMTune, corrupt_labels
from noiseproof.core.errors import InvalidArgument
from noiseproof.heads import abstract
from noiseproof.heads.abstract import fit_heads
from noiseproof.heads.estimators import load_head
from noiseproof.heads.fit import TrainingExamples, _loss, _stacks
from noiseproof.losses.losses import TABLE, needs_transition
from noiseproof.posterior.true_labels import true_label_probs
from rewritten import rewritten

K = 3
CORRECTING = {"forward", "backward", "bootstrap_soft", "bootstrap_hard"}
SHORT = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01}


def clouds(n=150, rate=0.3, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    clean = np.arange(n) % K
    features = (np.eye(K, 8)[clean] * 3 + rng.normal(scale=spread, size=(n, 8))).astype(np.float32)
    return features, clean, corrupt_labels(clean, kind="symmetric", rate=rate, num_classes=K, seed=seed).given


def knowing(monkeypatch, probs):
    """All heads get these probabilities of the true labels; says how often they were asked for."""
    calls = []
    monkeypatch.setattr(abstract, "true_label_probs", lambda *given: calls.append(given) or probs)
    return calls


def numbers(head) -> np.ndarray:
    return np.concatenate([value.numpy().ravel() for _, value in sorted(head.state_.items())])


def test_loss_of_a_batch_by_hand():
    """Two examples in two views; what they are given as does not matter."""
    probs = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    examples = TrainingExamples((torch.zeros(2, 4),) * 2, torch.tensor([1, 1]), 2, probs)
    log_probs = torch.tensor([[0.5, 0.5], [0.75, 0.25]]).log().repeat(2, 1)[None]  # view by view
    loss = _loss([NMTune(noise_tolerant=True).spec()], examples)
    found = loss(log_probs, torch.tensor([[1, 1, 1, 1]]), torch.tensor([[0, 1]]))
    expected = [np.log(2), 0.25 * np.log(4 / 3) + 0.75 * np.log(4)] * 2
    assert found[0].tolist() == pytest.approx(expected, rel=1e-6)
    # Each head sees its own rows.
    swapped = loss(log_probs, torch.tensor([[1, 1, 1, 1]]), torch.tensor([[1, 0]]))
    assert swapped[0].tolist() == pytest.approx([np.log(2), np.log(4 / 3)] * 2, rel=1e-6)


def test_training_equals_a_slow_loop():
    """Full batches; AdamW and the loss written out, without regularisers."""
    features, _, given = clouds(30)
    options = {"epochs": 4, "batch_size": 30, "learning_rate": 0.01, "weight_decay": 0.0}
    none = {"weight_mse": 0.0, "weight_cov": 0.0, "weight_svd": 0.0}
    head = NMTune(noise_tolerant=True, **options, **none).fit(features, given)
    start = NMTune(**options | {"epochs": 1, "learning_rate": 1e-30}, **none).fit(features, given)

    probs = true_label_probs(features, given)
    values = {name: value.double().clone().requires_grad_() for name, value in start.state_.items()}
    optimizer = torch.optim.AdamW(values.values(), weight_decay=0.0)
    x = torch.from_numpy(features).double()
    for step in range(4):
        optimizer.param_groups[0]["lr"] = 0.01 * (1 + np.cos(np.pi * step / 4)) / 2
        hidden = torch.relu(x @ values["reshape.hidden.0.weight"].T + values["reshape.hidden.0.bias"])
        z = hidden @ values["reshape.out.weight"].T + values["reshape.out.bias"]
        logits = z @ values["classify.weight"].T + values["classify.bias"]
        total = 0.0
        for i in range(30):
            for true in range(K):
                total = total - probs[i, true] * torch.log_softmax(logits[i], -1)[true]
        optimizer.zero_grad()
        (total / 30).backward()
        optimizer.step()
    for name, value in values.items():
        assert head.state_[name].numpy() == pytest.approx(value.detach().numpy(), abs=2e-5), name


@pytest.mark.parametrize("loss", ["cross_entropy", "gce"])
def test_labels_that_are_surely_right_are_plain_nmtune(loss, monkeypatch):
    features, _, given = clouds()
    knowing(monkeypatch, np.eye(K)[given])
    tolerant = NMTune(noise_tolerant=True, loss=loss, **SHORT).fit(features, given)
    assert numbers(tolerant) == pytest.approx(
        numbers(NMTune(loss=loss, **SHORT).fit(features, given)), abs=1e-5
    )


def test_only_the_true_labels_matter(monkeypatch):
    features, clean, given = clouds()
    knowing(monkeypatch, np.eye(K)[clean])
    heads = [NMTune(noise_tolerant=True, **SHORT).fit(features, labels) for labels in (given, clean)]
    assert numbers(heads[0]).tobytes() == numbers(heads[1]).tobytes()


@pytest.mark.slow
def test_it_withstands_what_plain_nmtune_learns_by_heart():
    features, _, given = clouds(300, 0.5)
    test, truth, _ = clouds(600, 0.0, seed=1)
    options = {"epochs": 60, "batch_size": 32, "learning_rate": 0.005}
    plain, tolerant = (NMTune(noise_tolerant=on, **options).fit(features, given) for on in (False, True))
    assert tolerant.score(test, truth) > plain.score(test, truth) + 0.1
    assert tolerant.score(features, given) < plain.score(features, given)


def test_it_learns_the_same_beside_others_and_true_labels_are_estimated_once(monkeypatch):
    features, _, given = clouds()
    heads = [NMTune(noise_tolerant=on, seed=seed, **SHORT) for on in (True, False) for seed in (0, 1)]
    alone = [clone(head).fit(features, given) for head in heads]
    calls = knowing(monkeypatch, true_label_probs(features, given))
    fit_heads([*heads, LinearProbe(**SHORT)], features, given)
    assert len(calls) == 1
    for head, expected in zip(heads, alone, strict=True):
        assert numbers(head) == pytest.approx(numbers(expected), abs=1e-6)
    fit_heads([NMTune(**SHORT), MLPProbe(**SHORT)], features, given)
    assert len(calls) == 1  # nobody needs it


def test_tolerant_heads_are_stacked_apart_from_others():
    specs = [NMTune(noise_tolerant=on, seed=seed).spec() for on in (True, False) for seed in (0, 1)]
    assert _stacks(specs, torch.device("cuda")) == [[0, 1], [2, 3]]


@pytest.mark.slow_but_first
@pytest.mark.parametrize("loss", sorted(TABLE.keys() - {"peer", "elr"} - CORRECTING))
def test_it_takes_every_other_loss_of_one_example(loss):
    features, _, given = clouds()
    head = NMTune(noise_tolerant=True, loss=loss, **SHORT).fit(features, given)
    plain = NMTune(loss=loss, **SHORT).fit(features, given)
    assert np.isfinite(numbers(head)).all()
    assert numbers(head).tobytes() != numbers(plain).tobytes()


@pytest.mark.parametrize("loss", sorted(CORRECTING))
def test_a_loss_that_corrects_for_the_same_noise_is_refused(loss):
    """The least -ln (T^T p) of labels (0.7, 0.3) with T = ((.6, .4), (.4, .6)) has p_0 = 1.5: none."""
    assert needs_transition(loss) or loss.startswith("bootstrap")
    with pytest.raises(InvalidArgument, match=rf"`loss` is '{loss}'; allowed: a loss for correct labels"):
        NMTune(noise_tolerant=True, loss=loss).fit(*clouds()[::2])
    assert NMTune(loss=loss).spec().training.loss == loss


@pytest.mark.parametrize("loss", ["peer", "elr"])
def test_a_loss_that_needs_the_given_labels_is_refused(loss):
    with pytest.raises(InvalidArgument, match=rf"`loss` is '{loss}'; allowed: a loss of one example"):
        NMTune(noise_tolerant=True, loss=loss, **SHORT).fit(*clouds()[::2])


def test_two_views_have_one_true_label():
    features, clean, given = clouds()
    second = features + np.float32(0.01)
    head = NMTune(recipe="released", noise_tolerant=True, **SHORT | {"epochs": 20})
    assert head.fit(features, given, second_view=second).score(features, clean) > 0.8


def test_a_saved_head_keeps_the_option_and_one_from_before_has_it_off(tmp_path):
    import json

    features, _, given = clouds()
    head = NMTune(**SHORT).set_params(noise_tolerant=np.True_).fit(features, given)  # of a grid search
    head.save(tmp_path / "head")
    again = load_head(tmp_path / "head")
    assert again.get_params()["noise_tolerant"] is True
    assert again.predict_proba(features).tobytes() == head.predict_proba(features).tobytes()
    options = json.loads((tmp_path / "head.json").read_text())["options"]
    del options["noise_tolerant"]
    rewritten(tmp_path / "head.json", options=options)
    assert load_head(tmp_path / "head").get_params()["noise_tolerant"] is False


def test_the_option_decides_the_spec():
    assert NMTune().spec() == NMTune(noise_tolerant=False).spec() != NMTune(noise_tolerant=True).spec()


def test_trainers_with_their_own_way_refuse_it():
    features, _, given = clouds()
    head = NMTune(noise_tolerant=True, weight_mse=0.0, weight_cov=0.0, weight_svd=0.0)
    with pytest.raises(InvalidArgument, match=r"`head.noise_tolerant` is True; allowed: False"):
        CoTeaching(head).fit(features, given)
