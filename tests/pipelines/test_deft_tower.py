import math

import numpy as np
import pytest
import torch
from torch import nn

from noiseproof.config.deft import DeftConfig, DeftSettings
from noiseproof.config.values import load_config
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.rng import stream
from noiseproof.detect.prompts import first_contexts, score_with
from noiseproof.losses.dual_prompts import complementary_labels
from noiseproof.pipelines.deft.tower import ComplementaryBatches, DualPrompts, tower_loss
from noiseproof.training.augment import Unchanged
from noiseproof.training.batches import ArrayBatches, Normaliser
from noiseproof.training.loop import TrainingSchedule, accelerator_for, train
from noiseproof.training.networks import outputs
from noiseproof.training.optimizers import make_optimizer
from noiseproof.training.order import Order, Share

K, WIDTH = 3, 4


class Free:
    """A text tower that can learn any directions: vector j belongs to class j."""

    class_names, context_dim, scale = ("a", "b", "c"), WIDTH, 10.0

    def encode(self, contexts):
        return nn.functional.normalize(torch.eye(K, WIDTH) + contexts[:, :K], dim=-1)

    def directions(self):
        return torch.eye(K, WIDTH)


class Pixels(nn.Module):
    """An image tower that maps the four colours of an image's one pixel."""

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(3, WIDTH)

    def forward(self, images):
        return self.map(images.flatten(1))


def model(seed=0):
    torch.manual_seed(seed)
    return DualPrompts(Pixels(), Free(), first_contexts(Free(), num_context=K, seed=seed) + 0.3)


def colours(n=240, rate=0.3, seed=0):
    """Images of one pixel, red, green or blue, and labels of which some are wrong."""
    rng = stream(seed, "test")
    clean = rng.integers(K, size=n)
    pixels = np.clip(60 + 140 * np.eye(3)[clean] + 15 * rng.normal(size=(n, 3)), 0, 255)
    given = np.where(rng.random(n) < rate, (clean + rng.integers(1, K, size=n)) % K, clean)
    return pixels.astype(np.uint8).reshape(n, 1, 1, 3), given, clean


def visits(pixels, given, batch_size=8, seed=0):
    order = Order(len(given), batch_size, seed)
    read = ArrayBatches(
        pixels, order, Unchanged(), Normaliser((0.5,) * 3, (0.25,) * 3), {"given_labels": given}
    )
    return ComplementaryBatches(read, given, K, seed)


def first_batch(epoch=1):
    pixels, given, _ = colours()
    batches = visits(pixels, given)
    step = (epoch - 1) * batches.order.steps_per_epoch
    return next(batches.iterate(range(step, step + 1), Share()))


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("variant", ["synthetic", "real"])
def test_the_loss_is_that_of_a_loop_over_examples(epoch, variant):
    batch, net = first_batch(epoch), model()
    found = tower_loss(Free(), variant=variant, warmup_epochs=1)(net, batch)
    features, (positive, negative) = net(batch["images"])
    cls, neg, count = 0.0, 0.0, 0
    for v, y, c in zip(
        features, batch["given_labels"].tolist(), batch["complementary"].tolist(), strict=True
    ):
        z_pos, z_neg = (10 * positive @ v).tolist(), (10 * negative @ v).tolist()
        p_yes = [1 / (1 + math.exp(b - a)) for a, b in zip(z_pos, z_neg, strict=True)]
        p = math.exp(z_pos[y]) / sum(map(math.exp, z_pos))
        is_clean = p_yes[y] > 0.5 and (variant == "synthetic" or max(p_yes) == p_yes[y])
        if epoch == 1 or is_clean:
            reverse = -math.log(1e-4) * (1 - p) if epoch == 1 and variant == "real" else 0.0
            cls, count = cls - math.log(p) + reverse, count + 1
        believed = y if epoch == 1 or is_clean else int(np.argmax(z_pos))
        neg -= math.log(max(1 - p_yes[c], 1e-5)) + math.log(max(p_yes[believed], 1e-5))
    assert found.item() == pytest.approx(cls / max(count, 1) + neg / len(features), rel=1e-5)


def test_the_negative_terms_teach_the_negative_vectors_alone():
    batch, net = first_batch(), model()
    features, (positive, _) = net(batch["images"])
    classification = nn.functional.cross_entropy(10 * features @ positive.mT, batch["given_labels"])
    classification.backward()
    expected = {name: each.grad.clone() for name, each in net.named_parameters()}
    net.zero_grad()
    tower_loss(Free(), variant="synthetic", warmup_epochs=1)(net, batch).backward()
    for name, each in net.named_parameters():
        if name == "contexts":
            torch.testing.assert_close(each.grad[0], expected[name][0])
            assert float(each.grad[1].abs().sum()) > 0
            assert float(expected[name][1].abs().sum()) == 0
        else:
            torch.testing.assert_close(each.grad, expected[name])


def test_a_visit_depends_on_its_step_and_not_on_where_the_iteration_began():
    pixels, given, _ = colours(40)
    batches = visits(pixels, given)
    whole = list(batches.iterate(range(12), Share()))
    late = list(batches.iterate(range(7, 12), Share()))
    for one, other in zip(whole[7:], late, strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert [int(batch["epoch"][0]) for batch in whole] == [1] * 5 + [2] * 5 + [3] * 2
    assert all((batch["complementary"] != batch["given_labels"]).all() for batch in whole)
    halves = [list(batches.iterate(range(12), Share(rank, 2))) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        both = torch.stack([half[step]["complementary"] for half in halves], 1).flatten()
        assert torch.equal(both, batch["complementary"])


def test_complementary_labels_are_drawn_anew_at_each_visit():
    pixels, given, _ = colours(8)
    batches = list(visits(pixels, given).iterate(range(6), Share()))
    by_row = [batch["complementary"][batch["images"].flatten(1).sum(1).argsort()] for batch in batches]
    assert any(not torch.equal(by_row[0], other) for other in by_row[1:])
    rows = visits(pixels, given).order.rows(3)
    drawn = complementary_labels(given[rows], num_classes=K, rng=stream(0, "complementary", 3))
    assert batches[3]["complementary"].tolist() == drawn.tolist()


@pytest.mark.slow_but_first
@pytest.mark.parametrize("variant", ["synthetic", "real"])
def test_tower_and_prompts_that_learn_together_find_the_wrong_labels(tmp_path, variant):
    pytest.importorskip("accelerate")
    pixels, given, clean = colours()
    batches, net = visits(pixels, given), model()
    optimizer = make_optimizer(net, "momentum", learning_rate=0.03, weight_decay=5e-4)
    train(
        net, batches, tower_loss(Free(), variant=variant, warmup_epochs=1), optimizer,
        schedule=TrainingSchedule(6 * batches.order.steps_per_epoch, is_constant=variant == "real"),
        accelerator=accelerator_for("float32"), folder=tmp_path, identity={}, quiet=True,
    )  # fmt: skip
    images = Normaliser((0.5,) * 3, (0.25,) * 3)(pixels)
    features = outputs(net, net.tower, [images])
    found = score_with(net.contexts.detach(), features, given, Free(), variant=variant)
    assert (found.is_clean == (given == clean)).mean() > 0.95
    assert (found.suggested == clean).mean() > 0.95


def test_a_constant_rate_is_logged_as_such(tmp_path):
    pytest.importorskip("accelerate")
    import json

    pixels, given, _ = colours(16)
    batches, net = visits(pixels, given), model()
    train(
        net, batches, tower_loss(Free(), variant="real", warmup_epochs=1),
        make_optimizer(net, "momentum", learning_rate=0.03, weight_decay=0.0),
        schedule=TrainingSchedule(4, is_constant=True, log_steps=1), accelerator=accelerator_for("float32"),
        folder=tmp_path, identity={}, quiet=True,
    )  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["learning_rate"] for row in rows] == [0.03] * 4


@pytest.mark.parametrize("text", ["head", "vpt", "last-blocks", "no"])
def test_what_cannot_be_tuned_is_refused_with_what_can(text):
    with pytest.raises(
        InvalidArgument, match=f"`tune` is '{text}'; allowed: none, full, last-blocks:N, bias"
    ):
        load_config(DeftConfig, options={"train": "a", "out": "b", "tune": text})


def test_settings_are_those_of_the_paper_by_default():
    settings = DeftSettings(tune="vpt-deep")
    assert (settings.learning_rate, settings.weight_decay, settings.momentum) == (0.03, 5e-4, 0.9)
    assert (settings.epochs, settings.batch_size) == (10, 64)
    assert settings.schedule(Order(640, 64, 0), seed=0).warmup_steps == 0
    assert settings.tune == "vpt-deep"
    assert (settings.num_context, settings.warmup_epochs, settings.variant) == (16, 1, "synthetic")
