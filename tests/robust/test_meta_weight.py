"""Meta-Weight-Net on a whole network, by the loop that trains all of them."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from noiseproof.core.errors import CheckpointMismatch, InvalidArgument, UnknownName
from noiseproof.core.rng import isolated
from noiseproof.robust.meta_loss import MetaWeightLoss, current_rate
from noiseproof.robust.weight_net import WeightNet, WeightNetOptions
from noiseproof.training.augment import PadCropFlip
from noiseproof.training.batches import ArrayBatches, Normaliser
from noiseproof.training.loop import CHECKPOINT, LOG, TrainingSchedule, accelerator_for, train
from noiseproof.training.order import Order

pytest.importorskip("accelerate")
NUM_STEPS, GREY = 9, Normaliser((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
OPTIONS = WeightNetOptions(learning_rate=0.01)


class InterruptedHereError(Exception):
    pass


def batches(num: int = 24, *, batch_size: int = 8, wrong: bool = True) -> ArrayBatches:
    rng = np.random.default_rng(num)
    clean = np.arange(num) % 3
    pixels = rng.integers(0, 90, (num, 6, 6, 3)) + 50 * clean[:, None, None, None]
    given = np.where((np.arange(num) % 4 == 0) & wrong, (clean + 1) % 3, clean)
    order = Order(num, batch_size, seed=2)
    return ArrayBatches(pixels.astype(np.uint8), order, PadCropFlip(1), GREY, {"given_labels": given})


def network() -> nn.Module:
    with isolated(0, "network"):
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(64, 3)
        )


def run(folder, *, stop_at=None, num_steps=NUM_STEPS, silent=False, **options):
    folder.mkdir(exist_ok=True)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    options = {"inner_rate": current_rate(optimizer), "options": OPTIONS} | options
    loss = MetaWeightLoss(batches(12, batch_size=6, wrong=False), **options)
    if silent:
        for each in loss.weighter.net.parameters():
            nn.init.constant_(each, -100.0)
    steps = iter(range(10**6))

    def observed(model, batch):
        if next(steps) == stop_at:
            raise InterruptedHereError
        return loss(model, batch)

    train(
        model, batches(), observed, optimizer,
        schedule=TrainingSchedule(num_steps, seed=1, checkpoint_steps=2, log_steps=1),
        accelerator=accelerator_for("float32"), folder=folder, identity={}, quiet=True,
        stateful={"weights": loss},
    )  # fmt: skip
    return model, loss


def log(folder):
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


@pytest.mark.parametrize("update_every", [1, 2])
def test_a_training_that_was_interrupted_ends_with_the_same_bytes(tmp_path, update_every):
    options = {"options": WeightNetOptions(learning_rate=0.01, update_every=update_every)}
    run(tmp_path / "whole", **options)
    with pytest.raises(InterruptedHereError):
        run(tmp_path / "parts", stop_at=5, **options)
    run(tmp_path / "parts", **options)
    whole, parts = ((tmp_path / each / CHECKPOINT).read_bytes() for each in ("whole", "parts"))
    assert whole == parts
    timeless = [
        [{**row, "wall_s": 0, "checksum": ""} for row in log(tmp_path / each)] for each in ("whole", "parts")
    ]
    assert timeless[0] == timeless[1]


def test_the_log_has_weights_and_the_gradient_of_v(tmp_path):
    run(tmp_path)
    rows = log(tmp_path)
    assert len(rows) == NUM_STEPS
    for row in rows:
        assert sum(row["weight_histogram"]) == 8
        assert 0 < row["mean_weight"] < 1
        assert row["weight_gradient_norm"] > 0
        assert row["skipped_steps"] == 0
    assert len({row["mean_weight"] for row in rows}) == NUM_STEPS


def test_a_step_is_the_one_of_the_released_procedure(tmp_path):
    """Virtual step through a second-order graph, V's step, a second forward with V's new weights."""
    ours, loss = run(tmp_path, num_steps=1, inner_rate=0.1)
    model, net = network(), WeightNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    meta_optimizer = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=1e-4)
    (batch,) = batches().iterate(range(1), share_of_one())
    (meta,) = batches(12, batch_size=6, wrong=False).iterate(range(1), share_of_one())

    def losses(values, images, labels):
        scores = torch.func.functional_call(model, values, (images,))
        return nn.functional.cross_entropy(scores, labels, reduction="none")

    buffers = {name: each.clone() for name, each in model.named_buffers()}
    parameters = dict(model.named_parameters())
    with isolated(1, "step", 0, 0):
        first = losses(parameters | buffers, batch["images"], batch["given_labels"])
        weighted = (torch.sigmoid(net(first.detach())) * first).mean()
        gradients = torch.autograd.grad(weighted, list(parameters.values()), create_graph=True)
        moved = {
            name: each - 0.1 * gradient
            for (name, each), gradient in zip(parameters.items(), gradients, strict=True)
        }
        losses(moved | buffers, meta["images"], meta["given_labels"]).mean().backward()
    meta_optimizer.step()
    optimizer.zero_grad()
    with isolated(1, "step", 0, 0):
        again = nn.functional.cross_entropy(model(batch["images"]), batch["given_labels"], reduction="none")
    (torch.sigmoid(net(again.detach())).detach() * again).mean().backward()
    optimizer.step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(loss.weighter.net.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def share_of_one():
    from noiseproof.training.order import Share

    return Share()


def test_steps_whose_weights_are_all_zero_leave_the_network_as_it_was(tmp_path):
    model, loss = run(tmp_path, silent=True)
    for name, value in network().named_parameters():
        assert torch.equal(dict(model.named_parameters())[name], value), name
    assert loss.weighter.num_skipped_steps == NUM_STEPS
    assert log(tmp_path)[-1]["skipped_steps"] == NUM_STEPS
    assert all(torch.isfinite(each).all() for each in loss.weighter.net.parameters())


def test_a_checkpoint_of_another_v_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(CheckpointMismatch, match=r"(?s)does not fit the model.*hidden"):
        run(tmp_path, options=WeightNetOptions(num_hidden=9))


@pytest.mark.parametrize("meta_loss", ["cross_entropy", pytest.param("mae", marks=pytest.mark.slow)])
def test_wrong_labels_come_to_count_less(tmp_path, meta_loss):
    _, loss = run(tmp_path, num_steps=150, options=WeightNetOptions(learning_rate=0.02), meta_loss=meta_loss,
                      inner_rate=0.5)  # fmt: skip
    right, wrong = loss.weighter.weights(torch.tensor([0.05, 4.0]))
    assert right > 2 * wrong


def test_inner_rate_can_follow_the_schedule():
    optimizer = torch.optim.SGD(network().parameters(), lr=0.05)
    rate = current_rate(optimizer)
    assert rate() == 0.05
    optimizer.param_groups[0]["lr"] = 0.01
    assert rate() == 0.01


def test_options_out_of_range_are_named():
    with pytest.raises(InvalidArgument, match=r"`inner_rate` is 0\.0; allowed: a number > 0"):
        MetaWeightLoss(batches(), inner_rate=0.0)
    with pytest.raises(UnknownName, match=r"Unknown meta loss 'gce'. Known: cross_entropy, mae"):
        MetaWeightLoss(batches(), inner_rate=0.1, meta_loss="gce")
