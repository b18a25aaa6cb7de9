"""The first-order form against a second-order graph, written plainly, in double precision."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from noiseproof.core.rng import isolated
from noiseproof.heads.modules import Architecture, StackedHeads
from noiseproof.robust.meta_gradient import DenseStep, NetworkStep, is_dense

N, M, K, RATE = 12, 7, 3, 0.3


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def batches(*shape):
    labels = torch.arange(N) % K
    return (
        {"x": drawn(N, *shape), "given_labels": labels},
        {"x": drawn(M, *shape), "given_labels": labels[:M]},
    )


def made(network):
    with isolated(0, "test network"):
        return network().double().train()


def conv_net():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(8, K),
    )  # fmt: skip


NETWORKS = {
    "linear": (lambda: nn.Linear(5, K), (5,)),
    "mlp": (lambda: nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 5), nn.Linear(5, K)), (5,)),
    "conv": (conv_net, (3, 6, 6)),
}
every_network = pytest.mark.parametrize(("network", "shape"), NETWORKS.values(), ids=NETWORKS.keys())


def cross_entropy(model, batch):
    return nn.functional.cross_entropy(model(batch["x"]), batch["given_labels"], reduction="none")


def mae(model, batch):
    probs = torch.softmax(model(batch["x"]), -1)
    return 2 * (1 - probs[torch.arange(len(probs)), batch["given_labels"]])


def by_second_order(model, batch, meta_batch, shares, meta_losses):
    """Differentiates through the virtual step, as the released code does."""
    shares = shares.clone().requires_grad_()
    buffers = {name: each.clone() for name, each in model.named_buffers()}
    parameters = dict(model.named_parameters())

    def at(values, losses, of):
        wrapped = Called(model, losses)
        renamed = {f"model.{name}": each for name, each in (values | buffers).items()}
        return functional_call(wrapped, renamed, (of,))

    with isolated(1, "dropout"):
        loss = (shares * at(parameters, cross_entropy, batch)).sum()
        gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
        moved = {
            name: each - RATE * gradient
            for (name, each), gradient in zip(parameters.items(), gradients, strict=True)
        }
        meta_loss = at(moved, meta_losses, meta_batch).mean()
    return torch.autograd.grad(meta_loss, shares)[0]


class Called(nn.Module):
    def __init__(self, model, losses):
        super().__init__()
        self.model, self.losses = model, losses

    def forward(self, batch):
        return self.losses(self.model, batch)


@every_network
@pytest.mark.parametrize("meta_losses", [cross_entropy, mae])
def test_slopes_are_those_of_a_second_order_graph(network, shape, meta_losses):
    model, (batch, meta_batch) = made(network), batches(*shape)
    shares = torch.rand(N, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / N
    expected = by_second_order(made(network), batch, meta_batch, shares, meta_losses)
    with isolated(1, "dropout"):
        found = NetworkStep(model, batch, cross_entropy).slopes(shares, meta_batch, meta_losses, rate=RATE)
    assert expected.abs().min() > 1e-9
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


@every_network
def test_slopes_are_finite_differences_of_the_meta_loss(network, shape):
    batch, meta_batch = batches(*shape)
    shares = torch.full((N,), 1 / N, dtype=torch.float64)
    with isolated(1, "dropout"):
        step = NetworkStep(made(network), batch, cross_entropy)
        found = step.slopes(shares, meta_batch, cross_entropy, rate=RATE)

    def meta_loss(of_shares):
        model = made(network)
        with isolated(1, "dropout"):
            (of_shares * cross_entropy(model, batch)).sum().backward()
            with torch.no_grad():
                for each in model.parameters():
                    each -= RATE * each.grad
                return float(cross_entropy(model, meta_batch).mean())

    for i in range(0, N, 4):
        nudge = torch.zeros(N, dtype=torch.float64)
        nudge[i] = 1e-5
        difference = (meta_loss(shares + nudge) - meta_loss(shares - nudge)) / 2e-5
        assert float(found[i]) == pytest.approx(difference, rel=1e-5, abs=1e-9)


def test_one_scalar_parameter_worked_out_by_hand():
    """l_i = (w - x_i)^2 / 2 at w = 0, so the gradient is -x_i; meta loss (w - 1)^2 / 2.

    With x = (2, -4), shares (1/2, 1/4), eta 1/10: L' = -1 + 1 = 0, w_hat = 0, M'(w_hat) = -1. So the slopes
    are -eta <-x_i, -1> = -x_i / 10: more of example 1, which pulls towards 1, less of example 2.
    """
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.zeros_(model.weight)

    def squares(model, batch):
        return (model(torch.ones(len(batch["x"]), 1, dtype=torch.float64))[:, 0] - batch["x"]) ** 2 / 2

    batch = {"x": torch.tensor([2.0, -4.0], dtype=torch.float64)}
    meta_batch = {"x": torch.ones(1, dtype=torch.float64)}
    shares = torch.tensor([0.5, 0.25], dtype=torch.float64)
    slopes = NetworkStep(model, batch, squares).slopes(shares, meta_batch, squares, rate=0.1)
    assert slopes.tolist() == pytest.approx([-0.2, 0.4])


def test_only_the_real_forward_touches_running_statistics():
    batch, meta_batch = batches(3, 6, 6)
    model, plain = made(conv_net), made(conv_net)
    step = NetworkStep(model, batch, cross_entropy)
    step.slopes(torch.full((N,), 1 / N).double(), meta_batch, cross_entropy, rate=RATE)
    plain(batch["x"])
    for name, value in plain.named_buffers():
        assert torch.equal(dict(model.named_buffers())[name], value), name
    assert int(model[1].num_batches_tracked) == 1


def test_the_graph_of_the_first_forward_serves_the_final_step():
    batch, meta_batch = batches(3, 6, 6)
    model, plain = made(conv_net), made(conv_net)
    with isolated(1, "dropout"):
        step = NetworkStep(model, batch, cross_entropy)
    step.slopes(torch.full((N,), 1 / N).double(), meta_batch, cross_entropy, rate=RATE)
    step.backward(torch.full((N,), 1 / N).double())
    with isolated(1, "dropout"):
        cross_entropy(plain, batch).mean().backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_frozen_parameters_take_no_part():
    batch, meta_batch = batches(3, 6, 6)
    frozen, whole = made(conv_net), made(conv_net)
    for each in list(frozen.parameters())[:-2]:
        each.requires_grad_(False)
    shares = torch.full((N,), 1 / N).double()
    with isolated(1, "dropout"):
        found = NetworkStep(frozen, batch, cross_entropy).slopes(shares, meta_batch, cross_entropy, rate=RATE)
    with isolated(1, "dropout"):
        encoded = batch | {"x": whole[:-1](batch["x"])}
        encoded_meta = meta_batch | {"x": whole[:-1](meta_batch["x"])}
    last = whole[-1]
    expected = by_second_order(last, encoded, encoded_meta, shares, cross_entropy)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-8, atol=1e-12)


# Heads


def head(**options):
    generators = [torch.Generator().manual_seed(0)]
    return StackedHeads(5, K, Architecture(**options), generators=generators).double().train()


def losses_of_head(model, batch):
    return nn.functional.cross_entropy(model(batch["x"][None])[1][0], batch["given_labels"], reduction="none")


HEADS = {
    "linear": {"hidden_layers": 0},
    "mlp": {"hidden_layers": 1, "hidden_ratio": 2.0},
    "deep": {"hidden_layers": 2, "hidden_ratio": 9.0, "activation": "gelu"},
}


@pytest.mark.parametrize("options", HEADS.values(), ids=HEADS.keys())
def test_products_of_activations_give_the_slopes_of_the_general_form(options):
    batch, meta_batch = batches(5)
    shares = torch.rand(N, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / N
    general = NetworkStep(head(**options), batch, losses_of_head)
    dense = DenseStep(head(**options), batch, losses_of_head)
    expected = general.slopes(shares, meta_batch, losses_of_head, rate=RATE)
    found = dense.slopes(shares, meta_batch, losses_of_head, rate=RATE)
    assert expected.abs().min() > 1e-9
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-13)
    assert torch.equal(dense.losses, general.losses)


@pytest.mark.parametrize("options", HEADS.values(), ids=HEADS.keys())
def test_products_of_activations_give_the_gradients_of_the_real_step(options):
    batch, _ = batches(5)
    shares = torch.rand(N, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / N
    one, other = head(**options), head(**options)
    DenseStep(one, batch, losses_of_head).backward(shares)
    NetworkStep(other, batch, losses_of_head).backward(shares)
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-14)


def test_a_head_is_dense_where_examples_do_not_mix():
    assert is_dense(head(hidden_layers=0))
    assert is_dense(head(dropout=0.5))
    assert not is_dense(head(use_batch_norm=True))
    assert not is_dense(head(use_residual=True))


def test_dropout_of_a_head_is_drawn_once_for_the_training_batch():
    """The masks of a head come from its own generator: only the form by products sees them again."""
    batch, meta_batch = batches(5)
    shares = torch.full((N,), 1 / N).double()
    one, other = head(dropout=0.4), head(dropout=0.4)
    step = DenseStep(one, batch, losses_of_head)
    step.slopes(shares, meta_batch, losses_of_head, rate=RATE)
    step.backward(shares)
    (shares * losses_of_head(other, batch)).sum().backward()
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
