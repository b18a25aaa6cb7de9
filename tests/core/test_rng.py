import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from noiseproof.core.rng import isolated, stream, torch_seed

PATHS = [
    (),
    ("split",),
    ("noise",),
    ("head", 0),
    ("head", 1),
    ("head", 0, "batches"),
    ("head", 10),
    ("head1", 0),
]


@given(seed=st.integers(0, 2**40), path=st.lists(st.text("abc", min_size=1) | st.integers(0, 99), max_size=3))
def test_same_seed_and_path_give_the_same_draws(seed, path):
    assert stream(seed, *path).bytes(32) == stream(seed, *path).bytes(32)
    assert torch_seed(seed, *path) == torch_seed(seed, *path)


def test_every_seed_and_path_has_draws_of_its_own():
    draws = {stream(seed, *path).bytes(16) for seed in range(5) for path in PATHS}
    assert len(draws) == 5 * len(PATHS)
    seeds = {torch_seed(seed, *path) for seed in range(5) for path in PATHS}
    assert len(seeds) == 5 * len(PATHS)


def test_a_new_stream_shifts_no_other():
    undisturbed = stream(0, "split").random(10)
    one = stream(0, "split")
    first = one.random(5)
    stream(0, "noise").random(1000)
    assert np.concatenate([first, one.random(5)]).tolist() == undisturbed.tolist()


def test_streams_are_not_correlated():
    draws = np.stack([stream(seed, *path).normal(size=4000) for seed in range(3) for path in PATHS])
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    # 276 pairs with a standard deviation of 0.016 each: five of them.
    assert abs(correlation).max() < 0.08
    assert abs(draws.mean(1)).max() < 0.08


def test_global_state_has_no_say():
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    one = stream(3, "x").bytes(8), torch_seed(3, "x")
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(2)
    assert (stream(3, "x").bytes(8), torch_seed(3, "x")) == one


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**63])
def test_torch_takes_the_seed(seed):
    value = torch_seed(seed, "head")
    assert 0 <= value < 2**63
    torch.Generator().manual_seed(value)


def test_a_negative_seed_is_an_error():
    with pytest.raises(ValueError, match="non-negative"):
        stream(-1)


def test_global_generators_have_a_stream_of_their_own_inside_and_are_as_before_outside():
    import random

    def drawn():
        return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002

    def state():
        return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002

    before = state()
    with isolated(0, "dropout", 1):
        first = drawn()
    with isolated(0, "dropout", 1):
        again = drawn()
    with isolated(0, "dropout", 2):
        other = drawn()
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))
    assert state() == before


def test_global_generators_come_back_after_an_error():
    before = torch.get_rng_state().tolist()
    with pytest.raises(ZeroDivisionError), isolated(0, "x"):
        _ = 1 / 0
    assert torch.get_rng_state().tolist() == before
