import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noiseproof.heads.step_budget import step_budget
from noiseproof.training.schedule import learning_rate_factor


def trace(num_steps, warmup_steps=0, decay="cosine"):
    return [
        learning_rate_factor(step, num_steps=num_steps, warmup_steps=warmup_steps, decay=decay)
        for step in range(num_steps)
    ]


def test_cosine_by_hand():
    r = math.sqrt(0.5)
    expected = [1, (1 + r) / 2, 0.5, (1 - r) / 2]
    assert trace(4) == pytest.approx(expected)
    assert learning_rate_factor(4, num_steps=4) == pytest.approx(0.0, abs=1e-15)


def test_linear_by_hand():
    assert trace(4, decay="linear") == pytest.approx([1, 0.75, 0.5, 0.25])
    assert learning_rate_factor(4, num_steps=4, decay="linear") == 0.0


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_warm_up_rises_to_the_full_rate_then_falls_from_it(decay):
    rates = trace(13, warmup_steps=5, decay=decay)
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == pytest.approx(trace(8, decay=decay))


@given(num_steps=st.integers(1, 300), warmup=st.integers(0, 400), decay=st.sampled_from(["cosine", "linear"]))
def test_rates_stay_in_bounds_and_fall_after_the_warm_up(num_steps, warmup, decay):
    rates = trace(num_steps, warmup, decay)
    assert all(0 < rate <= 1 for rate in rates)
    rising, falling = rates[:warmup], rates[warmup:]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)


@given(
    n=st.integers(2, 10**7), epochs=st.integers(1, 100), batch_size=st.integers(1, 4096),
)  # fmt: skip
def test_published_schedule_is_unchanged_without_a_bound(n, epochs, batch_size):
    asked = step_budget(n, epochs=epochs, batch_size=batch_size)
    assert asked.epochs == epochs
    assert asked.steps_per_epoch == math.ceil(n / batch_size)
    assert asked.num_steps == epochs * math.ceil(n / batch_size)


@given(
    n=st.integers(2, 10**8),
    epochs=st.integers(1, 100),
    batch_size=st.integers(1, 4096),
    max_steps=st.integers(1, 5000),
)
def test_bounded_schedule_never_exceeds_its_bound(n, epochs, batch_size, max_steps):
    bounded = step_budget(n, epochs=epochs, batch_size=batch_size, max_steps=max_steps)
    assert 1 <= bounded.num_steps <= max_steps
    assert 1 <= bounded.epochs <= epochs
    asked = step_budget(n, epochs=epochs, batch_size=batch_size)
    if asked.num_steps <= max_steps:
        assert bounded == asked


def test_small_data_get_more_epochs_up_to_the_least_steps():
    assert step_budget(96, epochs=30, batch_size=64, min_steps=500, max_steps=1000).num_steps == 500
    assert step_budget(96, epochs=30, batch_size=64, min_steps=500, max_steps=250).num_steps == 250
    assert step_budget(96, epochs=30, batch_size=64, min_steps=500).num_steps == 500
    assert step_budget(1336, epochs=30, batch_size=64, min_steps=500, max_steps=1000).num_steps == 630


def test_epochs_fall_before_the_batch_grows():
    # 10,000 examples x 30 epochs at 64 have 4,710 steps; six epochs of 157 fit into 1,000.
    bounded = step_budget(10_000, epochs=30, batch_size=64, max_steps=1000)
    assert (bounded.epochs, bounded.steps_per_epoch) == (6, 157)


def test_batch_doubles_until_three_epochs_fit():
    # Three epochs of 50,000 are 2,346 steps at 64, 1,173 at 128, 588 at 256, where five fit into 1,000.
    bounded = step_budget(50_000, epochs=30, batch_size=64, max_steps=1000)
    assert (bounded.epochs, bounded.steps_per_epoch) == (5, 196)


def test_fewer_epochs_than_three_stay_as_asked():
    bounded = step_budget(50_000, epochs=1, batch_size=64, max_steps=1000)
    assert (bounded.epochs, bounded.steps_per_epoch) == (1, 782)


def test_a_large_asked_batch_is_kept():
    bounded = step_budget(100_000, epochs=30, batch_size=1024, max_steps=980)
    assert (bounded.epochs, bounded.steps_per_epoch) == (10, 98)
