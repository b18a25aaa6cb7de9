import math

import numpy as np
import pytest
import torch

from noiseproof.adapt.objective import classification_loss
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.rng import isolated
from noiseproof.losses.losses import TABLE, resolve_options

MATRIX = [[0.8, 0.2], [0.3, 0.7]]


def loss_of(name, options=None, *, num_examples=2):
    options = resolve_options(name, options)
    loss, _ = classification_loss(name, options, num_examples=num_examples, num_classes=2)
    return loss


def batch_of(logits, labels):
    rows = torch.arange(len(labels))
    return {"images": logits, "given_labels": torch.tensor(labels, dtype=torch.int32), "row": rows}


def test_the_loss_of_a_batch_is_the_mean_over_its_examples():
    """Two examples of two classes: one at even odds loses ln 2, one at 3 : 1 loses ln 4 / 3."""
    batch = batch_of(torch.tensor([[0.0, 0.0], [math.log(3), 0.0]]), [1, 0])
    expected = (math.log(2) + math.log(4 / 3)) / 2
    assert float(loss_of("cross_entropy")(torch.nn.Identity(), batch)) == pytest.approx(expected)


def test_forward_sends_the_predictions_through_the_matrix():
    """p = (3/4, 1/4) and T give P(given = 0) = 3/4 x 0.8 + 1/4 x 0.3 = 0.675."""
    batch = batch_of(torch.tensor([[math.log(3), 0.0]]), [0])
    loss = loss_of("forward", {"transition": MATRIX}, num_examples=1)
    assert float(loss(torch.nn.Identity(), batch)) == pytest.approx(-math.log(0.675))


def test_without_a_matrix_the_error_says_where_to_get_one():
    with pytest.raises(
        InvalidArgument, match=r"'transition'.* is None; allowed: a \(2, 2\) matrix.*estimate_"
    ):
        loss_of("backward")


@pytest.mark.parametrize("name", TABLE)
def test_every_loss_moves_the_network(name):
    options = {"transition": MATRIX} if name in ("forward", "backward") else None
    with isolated(0, "objective"):
        model = torch.nn.Linear(3, 2)
        images = torch.randn(6, 3)
    loss = loss_of(name, options, num_examples=6)
    batch = batch_of(images, [0, 1, 1, 0, 1, 0])
    with isolated(1, "objective"):  # some losses draw
        loss(model, batch).backward()
    assert model.weight.grad.isfinite().all()
    assert model.weight.grad.any()


def test_what_a_loss_draws_depends_on_the_step_alone():
    batch = batch_of(torch.linspace(-2, 2, 16).view(8, 2).cos(), [0, 1, 1, 0, 0, 0, 1, 1])

    def values(loss):
        found = []
        for step in (0, 1, 0):
            with isolated(0, "step", step):
                found.append(float(loss(torch.nn.Identity(), batch)))
        return np.array(found)

    first, second, again = values(loss_of("peer", num_examples=8))
    assert first == again != second


def test_what_a_loss_remembers_can_be_saved():
    batch = batch_of(torch.linspace(-2, 2, 16).view(8, 2).cos(), [0, 1, 1, 0, 0, 0, 1, 1])
    made = [
        classification_loss("elr", resolve_options("elr", None), num_examples=8, num_classes=2)
        for _ in range(2)
    ]
    (one, of_one), (other, of_other) = made
    first = float(one(torch.nn.Identity(), batch))
    kept = {name: value.clone() for name, value in of_one["loss"].state_dict().items()}
    of_other["loss"].load_state_dict(kept)
    second = float(one(torch.nn.Identity(), batch))
    assert float(other(torch.nn.Identity(), batch)) == second != first
    with pytest.raises(RuntimeError, match="targets of 3 examples instead of 8"):
        of_one["loss"].load_state_dict({"targets": torch.zeros(1, 3, 2)})


def test_a_loss_without_memory_has_nothing_to_save():
    _, companions = classification_loss("gce", resolve_options("gce", None), num_examples=8, num_classes=2)
    assert companions == {}
