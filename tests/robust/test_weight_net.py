import pytest
import torch
from torch import nn

from noiseproof.core.errors import InvalidArgument, UnknownName
from noiseproof.robust.weight_net import ExampleWeighter, WeightNet, WeightNetOptions

LOSSES = torch.tensor([0.1, 0.7, 2.0, 5.0], dtype=torch.float64)


def weigher(**options):
    made = ExampleWeighter(WeightNetOptions(**options))
    made.net.double()
    return made


def with_log_odds(made, value: float, slope: float = 0.0):
    """V(l) = value + slope l: one hidden unit that passes on the loss."""
    with torch.no_grad():
        for each in made.net.parameters():
            each.zero_()
        made.net.hidden.weight[0] = 1.0
        made.net.out.weight[0, 0] = slope
        made.net.out.bias[0] = value
    return made


def test_weights_are_sigmoids_of_an_affine_net_worked_out_by_hand():
    made = with_log_odds(weigher(), 1.0, -0.5)
    expected = [1 / (1 + 2.718281828459045 ** -(1 - 0.5 * loss)) for loss in LOSSES.tolist()]
    assert made.weights(LOSSES).tolist() == pytest.approx(expected)
    assert made.shares(LOSSES).tolist() == pytest.approx([each / 4 for each in expected])


def test_normalised_shares_are_weights_over_their_sum():
    made = weigher(normalise=True)
    weights = made.weights(LOSSES)
    assert made.shares(LOSSES).tolist() == pytest.approx((weights / weights.sum()).tolist())


@pytest.mark.parametrize("normalise", [False, True])
def test_gradient_of_v_is_that_of_a_plain_graph_through_the_shares(normalise):
    made = weigher(optimizer="sgd", normalise=normalise, learning_rate=1.0, weight_decay=0.0)
    slopes = torch.tensor([0.3, -0.2, 0.1, 0.5], dtype=torch.float64)
    plain = WeightNet().double()
    weights = torch.sigmoid(plain(LOSSES))
    shares = weights / weights.sum() if normalise else weights / 4
    (shares * slopes).sum().backward()
    before = [each.detach().clone() for each in made.net.parameters()]
    made.learn(LOSSES, lambda _: slopes)
    for old, new, reference in zip(before, made.net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(new.detach(), old - 1.9 * reference.grad)  # Nesterov from rest: 1 + 0.9
    norm = torch.cat([each.grad.flatten() for each in plain.parameters()]).norm()
    assert made.facts()["weight_gradient_norm"] == pytest.approx(float(norm))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_v_learns_to_mute_examples_that_raise_the_meta_loss(optimizer):
    made = weigher(optimizer=optimizer, learning_rate=0.05)
    for _ in range(200):
        made.learn(LOSSES, lambda _: torch.sign(LOSSES - 1.0))  # large losses hurt
    assert (made.weights(LOSSES)[:2] > 0.8).all()
    assert (made.weights(LOSSES)[2:] < 0.2).all()


@pytest.mark.parametrize("normalise", [False, True])
def test_weights_that_are_all_zero_skip_the_step_and_are_counted(normalise):
    made = with_log_odds(weigher(normalise=normalise), -1e4)
    assert made.shares(LOSSES) is None
    assert made.shares(LOSSES) is None
    facts = made.facts()
    assert facts["skipped_steps"] == 2
    assert facts["mean_weight"] == 0
    assert facts["weight_histogram"] == [4, 0, 0, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("value", [-1e4, -800.0, -100.0, 100.0, 1e4])
def test_extreme_weights_never_make_v_a_nan(normalise, value):
    made = with_log_odds(weigher(normalise=normalise), value, 0.01)
    for _ in range(3):
        made.learn(LOSSES, lambda _: torch.tensor([1e6, -1e6, 0.0, 1e-30], dtype=torch.float64))
        shares = made.shares(LOSSES)
        assert shares is None or torch.isfinite(shares).all()
    assert all(torch.isfinite(each).all() for each in made.net.parameters())


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_an_update_without_a_finite_gradient_is_left_out_and_counted(broken):
    made = weigher()
    before = made.weights(LOSSES)
    made.learn(LOSSES, lambda shares: torch.full_like(shares, broken))
    assert torch.equal(made.weights(LOSSES), before)
    assert made.facts()["skipped_updates"] == 1


def test_histogram_counts_every_weight_once():
    made = with_log_odds(weigher(), 2.0, -1.0)  # weights about .87, .79, .5, .05
    made.shares(LOSSES)
    assert made.facts()["weight_histogram"] == [1, 0, 0, 0, 0, 1, 0, 1, 1, 0]
    assert made.facts()["mean_weight"] == pytest.approx(float(made.weights(LOSSES).mean()), abs=1e-6)


def test_it_learns_in_one_of_so_many_steps():
    made = weigher(update_every=3)
    turns = []
    for _ in range(7):
        turns.append(made.is_turn)
        made.shares(LOSSES)
    assert turns == [True, False, False, True, False, False, True]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_weigher_that_is_read_back_goes_on_as_if_nothing_had_happened(optimizer):
    one, other = (weigher(optimizer=optimizer, seed=seed) for seed in (0, 1))
    for _ in range(3):
        one.learn(LOSSES, lambda shares: LOSSES - 1)
        one.shares(LOSSES)
    other.load_state_dict(one.state_dict())
    for each in (one, other):
        each.learn(LOSSES, lambda shares: LOSSES - 2)
        each.shares(LOSSES)
    assert torch.equal(one.weights(LOSSES), other.weights(LOSSES))
    assert one.facts() == other.facts()
    assert one.num_steps == other.num_steps == 4


def test_the_state_of_another_v_is_refused():
    with pytest.raises(RuntimeError, match="hidden"):
        weigher().load_state_dict(weigher(num_hidden=7).state_dict())


def test_options_out_of_range_are_named():
    with pytest.raises(UnknownName, match=r"Unknown meta optimizer 'adm'\. Did you mean 'adam'\?"):
        WeightNetOptions(optimizer="adm")
    with pytest.raises(InvalidArgument, match=r"`learning_rate of V` is 0\.0; allowed: a number > 0"):
        WeightNetOptions(learning_rate=0.0)
    with pytest.raises(InvalidArgument, match="`update_every` is 0; allowed: a whole number >= 1"):
        WeightNetOptions(update_every=0)
    for options in ({"num_hidden": 0}, {"learning_rate": float("inf")},
                    {"weight_decay": -1.0}):  # fmt: skip
        (name,) = options
        with pytest.raises(InvalidArgument, match=f"`{name}( of V)?` is .*; allowed: a "):
            WeightNetOptions(**options)


def test_v_is_the_published_one_and_draws_from_its_own_seed():
    assert [tuple(each.shape) for each in WeightNet().parameters()] == [(100, 1), (100,), (1, 100), (1,)]
    assert torch.equal(WeightNet(seed=3).hidden.weight, WeightNet(seed=3).hidden.weight)
    assert not torch.equal(WeightNet(seed=3).hidden.weight, WeightNet(seed=4).hidden.weight)
    assert isinstance(WeightNet(), nn.Module)
