import pytest
import torch
from torch import nn

from noiseproof.adapt.interpolation import interpolate_weights, probs_by_state
from noiseproof.core.errors import CheckpointMismatch, InvalidArgument


def small(seed):
    torch_seed = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.5, 1.5, generator=torch_seed)
            else:
                value.fill_(seed)
    return model


def test_a_line_worked_out_by_hand():
    found = interpolate_weights({"w": torch.tensor([0.0, 4.0])}, {"w": torch.tensor([2.0, 0.0])}, 0.25)
    assert found["w"].tolist() == [0.5, 3.0]


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_line_agrees_with_a_slow_loop_over_all_numbers(alpha):
    before, after = small(1).state_dict(), small(2).state_dict()
    found = interpolate_weights(before, after, alpha)
    assert found.keys() == before.keys()
    for name, value in found.items():
        pairs = zip(before[name].flatten().tolist(), after[name].flatten().tolist(), strict=True)
        if value.is_floating_point():
            expected = [(1 - alpha) * old + alpha * new for old, new in pairs]
        else:
            expected = [new if alpha else old for old, new in pairs]
        assert value.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_the_ends_are_the_two_networks_bit_for_bit():
    before, after = small(1).state_dict(), small(2).state_dict()
    for alpha, end in ((0.0, before), (1.0, after)):
        found = interpolate_weights(before, after, alpha)
        assert all(torch.equal(value, end[name]) for name, value in found.items())


def test_each_set_of_weights_says_what_a_network_of_its_own_says():
    states = {str(seed): small(seed).state_dict() for seed in (1, 2)}
    images = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    found = dict(probs_by_state(small(3).eval(), states, images))
    for seed in (1, 2):
        expected = torch.softmax(small(seed).eval()(images).double(), 1)
        torch.testing.assert_close(found[str(seed)], expected)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_a_place_that_is_not_on_the_line_is_refused(alpha):
    with pytest.raises(InvalidArgument, match="`alpha` is"):
        interpolate_weights({}, {}, alpha)


def test_networks_of_two_architectures_are_refused():
    other = small(2).state_dict() | {"3.weight": torch.zeros(5, 16), "more": torch.zeros(1)}
    with pytest.raises(CheckpointMismatch, match=r"2 differ: 3.weight, more"):
        interpolate_weights(small(1).state_dict(), other, 0.5)
