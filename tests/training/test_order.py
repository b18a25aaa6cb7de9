import numpy as np
import pytest

from noiseproof.core.errors import InvalidArgument
from noiseproof.training.order import BalancedOrder, Order, Share


def test_an_epoch_has_every_row_at_most_once():
    order = Order(10, 3, seed=0)
    rows = np.concatenate([order.rows(step) for step in range(order.steps_per_epoch)])
    assert order.steps_per_epoch == 3
    assert len(np.unique(rows)) == 9


def test_epochs_are_shuffled_differently_and_seeds_too():
    order = Order(50, 50, seed=0)
    assert not np.array_equal(order.rows(0), order.rows(1))
    assert not np.array_equal(order.rows(0), Order(50, 50, seed=1).rows(0))
    np.testing.assert_array_equal(np.sort(order.rows(1)), np.arange(50))


def test_a_step_has_the_same_rows_wherever_one_begins():
    late = Order(20, 4, seed=5).rows(7)
    order = Order(20, 4, seed=5)
    np.testing.assert_array_equal([order.rows(step) for step in range(8)][-1], late)


def test_repeats_show_a_third_of_the_examples_three_times():
    order = Order(12, 6, seed=0, repeats=3)
    rows = np.concatenate([order.rows(0), order.rows(1)])
    assert len(rows) == 12
    assert np.unique(rows, return_counts=True)[1].tolist() == [3, 3, 3, 3]


def test_shares_of_a_batch_are_disjoint_and_complete():
    batch = np.arange(8)
    parts = [batch[Share(rank, 3).of(8)] for rank in range(3)]
    assert sorted(np.concatenate(parts).tolist()) == batch.tolist()


@pytest.mark.parametrize("batch_size", [0, 11])
def test_a_batch_that_is_empty_or_larger_than_the_data_is_refused(batch_size):
    with pytest.raises(InvalidArgument, match=rf"`batch_size` is {batch_size}; allowed: 1 to 10"):
        Order(10, batch_size, seed=0)


def test_repeats_below_one_are_refused():
    with pytest.raises(InvalidArgument, match="`repeats` is 0"):
        Order(10, 5, seed=0, repeats=0)


LABELS = np.array([0] * 10 + [1] * 3 + [3] * 1)  # no example of class 2


def epoch_of(order, epoch):
    steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
    return np.concatenate([order.rows(step) for step in steps])


def test_a_balanced_epoch_has_as_many_examples_of_each_class():
    order = BalancedOrder(LABELS, per_class=4, batch_size=4, seed=0)
    assert order.steps_per_epoch == 3
    for epoch in range(3):
        assert np.bincount(LABELS[epoch_of(order, epoch)]).tolist() == [4, 4, 0, 4]


def test_a_balanced_epoch_repeats_an_example_only_where_the_class_has_too_few():
    order = BalancedOrder(LABELS, per_class=4, batch_size=4, seed=0)
    times = np.bincount(epoch_of(order, 0), minlength=len(LABELS))
    assert times[:10].tolist().count(1) == 4  # four of ten, each once
    assert sorted(times[10:13]) == [1, 1, 2]  # all three, then one of them again
    assert times[13] == 4


def test_each_balanced_epoch_is_a_draw_of_its_own_and_the_seed_decides():
    order = BalancedOrder(LABELS, per_class=4, batch_size=4, seed=0)
    again, other = (BalancedOrder(LABELS, per_class=4, batch_size=4, seed=seed) for seed in (0, 1))
    assert set(epoch_of(order, 0)) != set(epoch_of(order, 1))
    np.testing.assert_array_equal(epoch_of(order, 1), epoch_of(again, 1))
    assert not np.array_equal(epoch_of(order, 0), epoch_of(other, 0))


@pytest.mark.parametrize(("per_class", "batch_size", "said"), [(0, 1, "`per_class` is 0"), (2, 7, "1 to 6")])
def test_a_balanced_epoch_that_cannot_be_is_refused(per_class, batch_size, said):
    with pytest.raises(InvalidArgument, match=said):
        BalancedOrder(LABELS, per_class, batch_size, 0)
