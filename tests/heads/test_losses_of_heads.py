"""Every loss in every head: fitted, stacked, cloned, saved, with two views."""

import numpy as np
import pytest
from sklearn.base import clone

from noiseproof import LinearProbe, MLPProbe, NMTune, corrupt_labels
from noiseproof.core.errors import InvalidArgument, UnknownName
from noiseproof.heads.abstract import fit_heads
from noiseproof.heads.estimators import HEADS, load_head
from noiseproof.heads.fit import _stacks
from noiseproof.heads.loss_surface import loss_surface
from noiseproof.losses.losses import TABLE, needs_transition

K = 3
T = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
# Not bounded below, it rewards an MLP without end for getting some labels wrong.
LEAST = {"backward": 0.7}


def clouds(n=150, spread=0.7, seed=0):
    rng = np.random.default_rng(seed)
    clean = np.arange(n) % K
    return (np.eye(K, 6)[clean] * 3 + rng.normal(scale=spread, size=(n, 6))).astype(np.float32), clean


def options_of(loss):
    return {"transition": T} if needs_transition(loss) else None


def quick(kind, loss, **options):
    options = {"epochs": 8, "batch_size": 16, "learning_rate": 0.04} | options
    return HEADS[kind](loss=loss, loss_options=options_of(loss), **options)


every_loss = pytest.mark.parametrize("loss", TABLE)


@pytest.mark.parametrize("kind", HEADS)
@every_loss
def test_every_head_learns_with_every_loss(kind, loss):
    features, clean = clouds()
    given = corrupt_labels(clean, kind="symmetric", rate=0.2, num_classes=K, seed=0).given
    head = quick(kind, loss).fit(features, given)
    assert head.score(features, clean) > LEAST.get(loss, 0.85)


@every_loss
def test_same_seed_gives_the_same_head_and_another_seed_another(loss):
    features, labels = clouds()
    one, same, other = (quick("linear", loss, seed=s, epochs=2).fit(features, labels) for s in (3, 3, 4))
    assert one.predict_proba(features).tobytes() == same.predict_proba(features).tobytes()
    assert one.predict_proba(features).tobytes() != other.predict_proba(features).tobytes()


@every_loss
def test_a_head_learns_the_same_beside_others(loss):
    """Stacked with other seeds and other losses: draws and memories are each head's own."""
    features, labels = clouds()
    heads = [quick("linear", loss, seed=seed, epochs=3) for seed in (0, 1)]
    heads += [quick("linear", "gce" if loss != "gce" else "mae", seed=0, epochs=3)]
    fit_heads(heads, features, labels)
    for seed in (0, 1):
        alone = quick("linear", loss, seed=seed, epochs=3).fit(features, labels)
        assert heads[seed].predict_proba(features) == pytest.approx(alone.predict_proba(features), abs=1e-5)


def test_only_heads_of_one_loss_and_its_options_share_their_steps():
    import torch

    same = [LinearProbe(loss="gce", loss_options=o, seed=s) for s, o in enumerate([None, {"q": 0.7}, {}])]
    others = [LinearProbe(loss="gce", loss_options={"q": 0.5}), LinearProbe(loss="mae"), LinearProbe()]
    stacks = _stacks([head.spec() for head in same + others], torch.device("cpu"))
    assert stacks == [[0, 1, 2], [3], [4], [5]]


@every_loss
def test_two_views_are_trained_on(loss):
    features, labels = clouds()
    second = features + np.random.default_rng(1).normal(scale=0.1, size=features.shape).astype(np.float32)
    head = NMTune(recipe="released", epochs=3, loss=loss, loss_options=options_of(loss))
    head.fit(features, labels, second_view=second)
    alone = NMTune(recipe="released", epochs=3, loss=loss, loss_options=options_of(loss))
    alone.fit(features, labels, second_view=features)
    assert np.isfinite(head.predict_proba(features)).all()
    assert head.predict_proba(features).tobytes() != alone.predict_proba(features).tobytes()


@pytest.mark.parametrize("transition", [T, np.array(T)], ids=["list", "array"])
def test_a_loss_is_cloned_and_saved_with_its_head(transition, tmp_path):
    features, labels = clouds()
    head = LinearProbe(epochs=2, loss="forward", loss_options={"transition": transition})
    assert clone(head).get_params()["loss"] == "forward"
    assert clone(head).spec() == head.spec()
    head.fit(features, labels)
    back = load_head(head.save(tmp_path / "head"))
    assert back.spec() == head.spec()
    assert back.predict_proba(features).tobytes() == head.predict_proba(features).tobytes()
    assert head.set_params(loss="gce", loss_options={"q": 0.5}).spec().training.loss_options == (
        ("q", 0.5),
        ("threshold", 0.0),
    )


def test_noise_is_withstood_better_than_by_cross_entropy():
    """Half of the labels wrong, few examples: what the losses are for."""
    features, clean = clouds(n=240, spread=1.2)
    noise = corrupt_labels(clean, kind="pair", rate=0.4, num_classes=K, seed=0)
    options = {"epochs": 60, "learning_rate": 0.02}
    plain = MLPProbe(**options).fit(features, noise.given).score(features, clean)
    for loss in ("forward", "gce", "elr"):
        told = {"transition": noise.transition} if loss == "forward" else None
        head = MLPProbe(loss=loss, loss_options=told, **options).fit(features, noise.given)
        assert head.score(features, clean) > plain + 0.03, loss


@pytest.mark.parametrize("head", HEADS.values())
@pytest.mark.parametrize("loss", ["forward", "backward"])
def test_a_missing_matrix_is_told_with_the_way_to_one(head, loss):
    with pytest.raises(InvalidArgument, match=r"\(3, 3\) matrix for the loss .*\.estimate_transition\("):
        head(loss=loss).fit(*clouds())
    with pytest.raises(InvalidArgument, match=r"of shape \(2, 2\)'; allowed: \(3, 3\)"):
        head(loss=loss, loss_options={"transition": [[0.9, 0.1], [0.2, 0.8]]}).fit(*clouds())


@pytest.mark.parametrize("head", HEADS.values())
def test_options_are_checked_before_the_data(head):
    with pytest.raises(InvalidArgument, match=r"`loss_options\['q'\]` is 2; allowed: a number > 0 and <= 1"):
        head(loss="gce", loss_options={"q": 2}).fit(None, None)
    with pytest.raises(UnknownName, match=r"Unknown option of the loss 'mae' 'q'"):
        head(loss="mae", loss_options={"q": 0.5}).fit(None, None)
    with pytest.raises(InvalidArgument, match=r"row 0 sums to 1\.2"):
        head(loss="forward", loss_options={"transition": [[1, 0.2], [0, 1]]}).fit(None, None)


def test_the_surface_of_a_loss_is_its_own():
    import torch

    features, labels = clouds()
    numbers = torch.from_numpy(labels)
    head = LinearProbe(epochs=2, loss="mae").fit(features, labels)
    parameters, summed = loss_surface(head)
    value = summed(parameters, torch.from_numpy(features).double(), numbers)
    right = head.predict_proba(features)[np.arange(len(labels)), labels]
    assert float(value) == pytest.approx(2 * (1 - right).sum(), rel=1e-5)
    with pytest.raises(InvalidArgument, match=r"`loss` is 'elr'; allowed: a loss of one example at a time"):
        loss_surface(LinearProbe(epochs=2, loss="elr").fit(features, labels))
