import math

import pytest
import torch
from torch import nn

from noiseproof.heads.modules import ACTIVATIONS, Architecture, StackedBatchNorm, StackedHeads, StackedLinear


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def num_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def as_torch_modules(head: StackedHeads, member: int, architecture: Architecture) -> nn.Module:
    """One member as plain torch layers with the same numbers: the published head, written out."""
    activations = {
        "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "identity": nn.Identity
    }  # fmt: skip

    def linear(stacked: StackedLinear) -> nn.Linear:
        layer = nn.Linear(stacked.weight.shape[2], stacked.weight.shape[1])
        layer.weight.data, layer.bias.data = stacked.weight.data[member], stacked.bias.data[member]
        return layer

    layers: list[nn.Module] = []
    for i, stacked in enumerate(head.reshape.hidden):
        layers.append(linear(stacked))
        if architecture.use_batch_norm:
            layers.append(nn.BatchNorm1d(stacked.weight.shape[1]))
            layers[-1].weight.data = head.reshape.norms[i].weight.data[member].clone()
            layers[-1].bias.data = head.reshape.norms[i].bias.data[member].clone()
        layers.append(activations[architecture.activation]())
    layers.append(linear(head.reshape.out))
    return nn.Sequential(*layers)


# Shapes and counts


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(
    ("d", "ratio", "hidden"), [(40, 4.0, 160), (64, 2.5, 160), (200, 1.0, 200), (8, 4.0, 32)]
)
def test_number_of_parameters_is_exact(d, ratio, hidden, layers, batch_norm, residual):
    k, members = 7, 2
    architecture = Architecture(layers, ratio, use_batch_norm=batch_norm, use_residual=residual)
    head = StackedHeads(d, k, architecture, generators=generators(*range(members)))
    expected = (d * hidden + hidden) + (layers - 1) * (hidden * hidden + hidden) + (hidden * d + d)
    expected += layers * 2 * hidden if batch_norm else 0
    expected += d if residual else 0
    expected += d * k + k
    assert num_parameters(head) == members * expected
    z, logits = head(normal(members, 5, d))
    assert z.shape == (members, 5, d)
    assert logits.shape == (members, 5, k)


@pytest.mark.parametrize("d", [32, 50])
def test_default_mlp_has_eight_d_squared_weights(d):
    head = StackedHeads(d, 3, Architecture(), generators=generators(0))
    assert num_parameters(head.reshape) == 8 * d**2 + 5 * d


def test_linear_probe_is_one_layer_on_the_features_themselves():
    head = StackedHeads(6, 3, Architecture(hidden_layers=0), generators=generators(0))
    x = normal(1, 4, 6)
    z, logits = head(x)
    assert num_parameters(head) == 6 * 3 + 3
    assert torch.equal(z, x)
    expected = x[0] @ head.classify.weight[0].T + head.classify.bias[0]
    assert logits[0].detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-6)


# Initial weights


def test_classifier_starts_as_released():
    """Uniform in +-sqrt(6 / d) (Kaiming, a = 0) with zero bias."""
    d, k = 200, 100
    head = StackedHeads(d, k, Architecture(hidden_layers=0), generators=generators(3))
    bound = math.sqrt(6 / d)
    weight = head.classify.weight.detach()
    assert weight.abs().max().item() <= bound
    # 20,000 draws: the largest is within 0.1 % of the bound, the standard deviation within 2 %.
    assert weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert head.classify.bias.abs().max().item() == 0


def test_mlp_starts_like_torch_layers():
    d = 100
    head = StackedHeads(d, 2, Architecture(hidden_layers=2), generators=generators(3))
    for layer, num_in in (
        (head.reshape.hidden[0], d),
        (head.reshape.hidden[1], 4 * d),
        (head.reshape.out, 4 * d),
    ):
        bound = 1 / math.sqrt(num_in)  # of nn.Linear, for weight and bias
        for values, tolerance in ((layer.weight.detach(), 0.02), (layer.bias.detach(), 0.2)):
            assert values.abs().max().item() <= bound
            assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=tolerance)


def test_members_differ_by_their_generators_only():
    head = StackedHeads(6, 3, Architecture(), generators=generators(1, 2, 1))
    weight = head.reshape.hidden[0].weight
    assert torch.equal(weight[0], weight[2])
    assert not torch.equal(weight[0], weight[1])


# Forward


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    ("layers", "activation"), [(1, "relu"), (2, "gelu"), (3, "silu"), (1, "tanh"), (2, "identity")]
)
def test_each_member_equals_plain_torch_layers(layers, activation, batch_norm, residual):
    architecture = Architecture(layers, 4.0, activation, batch_norm, residual, residual_scale=0.5)
    head = StackedHeads(10, 3, architecture, generators=generators(1, 2, 3)).train()
    x = normal(3, 6, 10)
    plain = [as_torch_modules(head, i, architecture).train() for i in range(3)]
    for is_training in (True, False):
        head.train(is_training)
        z, logits = head(x)
        for i in range(3):
            expected = plain[i].train(is_training)(x[i])
            expected = 0.5 * expected + x[i] if residual else expected
            assert z[i].detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-5)
            by_hand = z[i] @ head.classify.weight[i].T + head.classify.bias[i]
            assert logits[i].detach().numpy() == pytest.approx(by_hand.detach().numpy(), abs=1e-5)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_member_of_a_stack_equals_the_same_head_alone(batch_norm, residual):
    architecture = Architecture(2, 4.0, use_batch_norm=batch_norm, use_residual=residual, dropout=0.4)
    together = StackedHeads(5, 3, architecture, generators=generators(7, 8, 9)).train()
    x = normal(3, 6, 5)
    z, logits = together(x)
    for i, seed in enumerate((7, 8, 9)):
        alone = StackedHeads(5, 3, architecture, generators=generators(seed)).train()
        z_alone, logits_alone = alone(x[i : i + 1])
        assert z[i].detach().numpy() == pytest.approx(z_alone[0].detach().numpy(), abs=1e-6)
        assert logits[i].detach().numpy() == pytest.approx(logits_alone[0].detach().numpy(), abs=1e-5)


def test_residual_scale_is_learnable_per_feature_and_starts_as_asked():
    head = StackedHeads(
        5, 3, Architecture(use_residual=True, residual_scale=0.25), generators=generators(0, 1)
    )
    assert isinstance(head.reshape.scale, nn.Parameter)
    assert head.reshape.scale.shape == (2, 1, 5)
    assert torch.equal(head.reshape.scale, torch.full((2, 1, 5), 0.25))


def test_residual_scale_of_zero_leaves_the_features():
    head = StackedHeads(5, 3, Architecture(use_residual=True, residual_scale=0.0), generators=generators(0))
    x = normal(1, 4, 5)
    assert torch.equal(head(x)[0], x)


# Batch normalisation


def test_batch_norm_equals_torch_over_training_and_evaluation():
    ours = StackedBatchNorm(3, 5)
    torchs = [nn.BatchNorm1d(5) for _ in range(3)]
    for i, norm in enumerate(torchs):
        ours.weight.data[i] = norm.weight.data.copy_(normal(5, seed=i))
        ours.bias.data[i] = norm.bias.data.copy_(normal(5, seed=10 + i))
    for step in range(4):
        x = normal(3, 8, 5, seed=step) * (step + 1) + step
        found = ours(x)
        for i, norm in enumerate(torchs):
            assert found[i].detach().numpy() == pytest.approx(norm(x[i]).detach().numpy(), abs=1e-5)
            assert ours.running_mean[i].numpy() == pytest.approx(norm.running_mean.numpy(), abs=1e-6)
            assert ours.running_var[i].numpy() == pytest.approx(norm.running_var.numpy(), rel=1e-5)
    ours.eval()
    x = normal(3, 4, 5, seed=99)
    for i, norm in enumerate(torchs):
        assert ours(x)[i].detach().numpy() == pytest.approx(norm.eval()(x[i]).detach().numpy(), abs=1e-5)


def test_batch_norm_gradients_equal_torch():
    ours, theirs = StackedBatchNorm(2, 4), [nn.BatchNorm1d(4) for _ in range(2)]
    x = normal(2, 6, 4).requires_grad_()
    (ours(x) ** 3).sum().backward()
    for i, norm in enumerate(theirs):
        alone = x.detach()[i].clone().requires_grad_()
        (norm(alone) ** 3).sum().backward()
        assert x.grad[i].numpy() == pytest.approx(alone.grad.numpy(), abs=1e-4)
        assert ours.weight.grad[i].numpy() == pytest.approx(norm.weight.grad.numpy(), rel=1e-4, abs=1e-5)


def test_batch_norm_of_one_example_uses_what_it_knows():
    norm = StackedBatchNorm(1, 3).train()
    x = normal(1, 1, 3)
    assert norm(x).detach().numpy() == pytest.approx((x / math.sqrt(1 + 1e-5)).numpy(), abs=1e-6)
    assert norm.running_mean.abs().max().item() == 0


# Dropout


def test_dropout_keeps_the_mean_and_drops_the_asked_part():
    architecture = Architecture(1, 100.0, "identity", dropout=0.3)
    head = StackedHeads(20, 2, architecture, generators=generators(0)).train()
    mask = head.reshape._mask(torch.zeros(1, 50, 2000))
    values = mask.unique()
    assert values.tolist() == pytest.approx([0.0, 1 / 0.7])
    assert (mask == 0).double().mean().item() == pytest.approx(0.3, abs=0.01)  # 100,000 draws: sd 0.0015
    assert mask.mean().item() == pytest.approx(1.0, abs=0.02)


def test_dropout_masks_are_each_members_own():
    head = StackedHeads(5, 2, Architecture(dropout=0.5), generators=generators(1, 2)).train()
    x = normal(1, 4, 5).expand(2, -1, -1)
    first, second = head.reshape._mask(torch.zeros(2, 4, 128))
    assert not torch.equal(first, second)
    assert not torch.equal(head(x)[0], head(x)[0])
    head.eval()
    assert torch.equal(head(x)[0], head(x)[0])


def test_table_of_activations():
    x = torch.tensor([-1.0, 0.0, 2.0])
    expected = {
        "relu": [0, 0, 2],
        "gelu": [-0.5 * (1 + math.erf(-1 / math.sqrt(2))), 0, 1 + math.erf(2 / math.sqrt(2))],
        "silu": [-1 / (1 + math.e), 0, 2 / (1 + math.exp(-2))],
        "tanh": [math.tanh(-1), 0, math.tanh(2)],
        "identity": [-1, 0, 2],
    }
    assert set(ACTIVATIONS) == set(expected)
    for name, values in expected.items():
        assert ACTIVATIONS[name](x).tolist() == pytest.approx(values)
