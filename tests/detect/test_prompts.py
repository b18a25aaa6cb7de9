import numpy as np
import pytest
import torch
from pydantic import ValidationError

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.core.rng import stream
from noiseproof.detect.detectors import check_method
from noiseproof.detect.prompt_settings import PromptSettings
from noiseproof.detect.prompts import num_steps, prompt_scores

K, DIM = 3, 4


class Linear:
    """A tower whose directions move with the mean learnable vector, starting from the axes."""

    class_names, context_dim, scale = ("a", "b", "c"), DIM, 10.0

    def encode(self, contexts):
        axes = torch.eye(K, DIM)
        return torch.nn.functional.normalize(axes + contexts.mean(1, keepdim=True), dim=-1)

    def directions(self):
        return torch.eye(K, DIM)


class Free:
    """A tower that can learn any directions: vector j belongs to class j."""

    class_names, context_dim, scale = ("a", "b", "c"), DIM, 10.0

    def encode(self, contexts):
        return torch.nn.functional.normalize(torch.eye(K, DIM) + contexts[:, :K], dim=-1)

    def directions(self):
        return torch.eye(K, DIM)


def blobs(n=600, rate=0.3, seed=0):
    rng = stream(seed, "test")
    clean = rng.integers(K, size=n)
    features = np.eye(K, DIM)[clean] + 0.2 * rng.normal(size=(n, DIM))
    is_wrong = rng.random(n) < rate
    given = np.where(is_wrong, (clean + rng.integers(1, K, size=n)) % K, clean)
    return features.astype(np.float32), given, clean


SETTINGS = PromptSettings(num_context=4, epochs=4, batch_size=50)


@pytest.mark.parametrize("variant", ["synthetic", "real"])
def test_wrong_labels_are_found_without_knowing_the_rate(variant):
    features, given, clean = blobs()
    settings = PromptSettings(num_context=4, epochs=4, batch_size=50, variant=variant)
    found = prompt_scores(features, given, Free(), settings=settings, seed=0)
    is_right = given == clean
    assert (found.is_clean == is_right).mean() > 0.95
    assert (found.suggested == clean).mean() > 0.95
    assert found.p_clean[is_right].mean() > found.p_clean[~is_right].mean() + 0.5


def test_scores_are_of_the_final_prompts_in_the_order_of_the_examples():
    features, given, _ = blobs(80)
    tower = Free()
    found = prompt_scores(features, given, tower, settings=SETTINGS, seed=0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    positive, negative = tower.encode(torch.from_numpy(found.contexts)).numpy()
    for i in range(80):
        z_pos, z_neg = 10 * positive @ unit[i], 10 * negative @ unit[i]
        p_yes = np.exp(z_pos) / (np.exp(z_pos) + np.exp(z_neg))
        np.testing.assert_allclose(found.p_yes[i], p_yes, rtol=1e-4)
        np.testing.assert_allclose(found.probs[i], np.exp(z_pos) / np.exp(z_pos).sum(), rtol=1e-4)
        assert found.p_clean[i] == pytest.approx(p_yes[given[i]], rel=1e-4)
        assert found.is_clean[i] == (found.p_clean[i] > 0.5)
        if not found.is_clean[i]:  # then it is another class than the one that is not believed
            z_pos[given[i]] = -np.inf
        assert found.suggested[i] == z_pos.argmax()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    features, given, _ = blobs(100)
    one, two, other = (
        prompt_scores(features, given, Linear(), settings=SETTINGS, seed=seed) for seed in (1, 1, 2)
    )
    assert one.p_clean.tobytes() == two.p_clean.tobytes()
    assert one.contexts.tobytes() == two.contexts.tobytes()
    assert (one.p_clean != other.p_clean).any()


def test_global_generators_play_no_part_and_are_left_alone():
    features, given, _ = blobs(100)
    state = torch.get_rng_state()
    one = prompt_scores(features, given, Linear(), settings=SETTINGS, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    two = prompt_scores(features, given, Linear(), settings=SETTINGS, seed=1)
    torch.set_rng_state(state)
    assert one.contexts.tobytes() == two.contexts.tobytes()


@pytest.mark.parametrize("variant", ["synthetic", "real"])
def test_nothing_selected_is_no_nan(variant):
    """Every label is wrong from the first step on."""
    features, _, clean = blobs(90)
    settings = PromptSettings(num_context=2, epochs=3, warmup_epochs=0, batch_size=30, variant=variant)

    class Doubting(Linear):
        def encode(self, contexts):
            positive, negative = super().encode(contexts)
            return torch.stack(
                [positive, torch.nn.functional.normalize(negative + positive.roll(-1, 0), dim=-1)]
            )

    found = prompt_scores(features, (clean + 2) % K, Doubting(), settings=settings, seed=0)
    assert found.num_selected[0] < 45
    assert np.isfinite(found.contexts).all()
    assert np.isfinite(found.p_clean).all()
    assert np.isfinite(found.losses).all()


def test_a_class_may_be_absent_and_the_last_batch_small():
    features, given, _ = blobs(101)
    steps = []
    given[given == 2] = 0
    found = prompt_scores(features, given, Free(), settings=SETTINGS, seed=0, on_step=lambda: steps.append(1))
    assert found.p_yes.shape == found.probs.shape == (101, K)
    assert len(steps) == num_steps(101, SETTINGS) == 12
    assert len(found.losses) == len(found.num_selected) == SETTINGS.epochs


def test_the_length_of_features_plays_no_part():
    features, given, _ = blobs(60)
    one = prompt_scores(features, given, Free(), settings=SETTINGS, seed=0)
    two = prompt_scores(features * np.float32(7), given, Free(), settings=SETTINGS, seed=0)
    np.testing.assert_allclose(one.p_clean, two.p_clean, atol=1e-4)


def test_the_learning_rate_falls_by_epoch_and_not_in_the_real_variant(monkeypatch):
    features, given, _ = blobs(40)
    rates = {}
    step = torch.optim.SGD.step
    for variant in ("synthetic", "real"):
        seen = rates[variant] = []
        monkeypatch.setattr(
            torch.optim.SGD, "step",
            lambda self, seen=seen: (seen.append(self.param_groups[0]["lr"]), step(self))[1],
        )  # fmt: skip
        settings = PromptSettings(num_context=4, epochs=2, batch_size=20, variant=variant)
        prompt_scores(features, given, Free(), settings=settings, seed=0)
    assert rates["synthetic"] == pytest.approx([0.03, 0.03, 0.015, 0.015])
    assert rates["real"] == pytest.approx([0.03] * 4)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("batch_size", 0, "is 0; allowed: a whole number >= 1 for the detector 'prompts'"),
        ("momentum", 1.0, "is 1.0; allowed: a number >= 0 and < 1"),
        ("epochs", 0, "is 0; allowed: a whole number >= 1"),
        ("learning_rate", float("nan"), "is nan; allowed: a number > 0"),
        ("variant", "reel", "is 'reel'; allowed: synthetic or real"),
    ],
)
def test_settings_out_of_range_are_named(option, value, message):
    with pytest.raises(InvalidArgument, match=rf"`method_options\['{option}'\]` {message}"):
        check_method("prompts", {option: value})
    with pytest.raises(ValidationError, match=rf"{option}\n.*input_value={value!r}"):
        PromptSettings(**{option: value})


def test_bad_input_is_named():
    features, given, _ = blobs(30)
    with pytest.raises(BadData, match=f"Label {given[0] + 3} in row 0 of 'given_labels'"):
        prompt_scores(features, given + 3 * (given == given[0]), Free(), settings=SETTINGS, seed=0)
    with pytest.raises(InvalidArgument, match=r"`features` is 'of shape \(30, 2\)'; allowed: \(n, 4\)"):
        prompt_scores(features[:, :2], given, Free(), settings=SETTINGS, seed=0)
    with pytest.raises(InvalidArgument, match="one label for each of the 30 rows"):
        prompt_scores(features, given[1:], Free(), settings=SETTINGS, seed=0)
    features[3, 1] = np.nan
    with pytest.raises(BadData, match="NaN or infinity in row 3"):
        prompt_scores(features, given, Free(), settings=SETTINGS, seed=0)
