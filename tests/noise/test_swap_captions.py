from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.noise.captions import swap_captions


def captions_of(n):
    return [f"a photo of thing {i}" for i in range(n)]


@given(
    texts=st.lists(st.sampled_from("abcdef"), min_size=0, max_size=40),
    rate=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None)
def test_exact_count_derangement_multiset_and_seed(texts, rate, seed):
    if round(rate * len(texts)) == 1:
        return
    noisy = swap_captions(texts, rate=rate, seed=seed)
    rows = np.flatnonzero(noisy.swapped)
    assert len(rows) == round(rate * len(texts))
    assert (noisy.sources[rows] != rows).all()
    assert sorted(noisy.sources) == list(range(len(texts)))
    untouched = np.flatnonzero(~noisy.swapped)
    assert (noisy.sources[untouched] == untouched).all()
    assert Counter(noisy.given) == Counter(texts) == Counter(noisy.clean)
    assert [texts[i] for i in noisy.sources] == list(noisy.given)
    assert list(noisy.given) == list(swap_captions(texts, rate=rate, seed=seed).given)
    # As few equal texts as there can be: 2c - m where one text fills more than half of the m rows.
    most = max(Counter(noisy.clean[rows]).values(), default=0)
    assert noisy.num_same_text == max(2 * most - len(rows), 0)


def test_two_rows_change_places():
    noisy = swap_captions(["a dog", "a cat"], rate=1.0, seed=0)
    assert noisy.given.tolist() == ["a cat", "a dog"]
    assert noisy.swapped.all()
    assert noisy.realised_rate == 1.0


def test_every_derangement_of_four_is_drawn():
    drawn = Counter(tuple(swap_captions("abcd", rate=1, seed=seed).sources) for seed in range(900))
    assert len(drawn) == 9  # !4
    assert min(drawn.values()) > 40


def test_equal_captions_come_from_another_row():
    noisy = swap_captions(["same"] * 7, rate=1.0, seed=1)
    assert (noisy.sources != np.arange(7)).all()
    assert noisy.swapped.all()
    assert noisy.num_same_text == 7


def test_no_rate_changes_nothing():
    noisy = swap_captions(captions_of(9), rate=0.0, seed=0)
    assert noisy.given.tolist() == captions_of(9)
    assert not noisy.swapped.any()


def test_no_captions_are_no_captions():
    assert swap_captions([], rate=0.5, seed=0).realised_rate == 0.0


def test_other_seeds_choose_other_rows():
    chosen = {swap_captions(captions_of(60), rate=0.3, seed=s).swapped.tobytes() for s in range(6)}
    assert len(chosen) == 6


def test_long_captions_do_not_widen_the_short_ones():
    noisy = swap_captions(["x" * 10_000, *captions_of(2000)], rate=0.5, seed=0)
    assert noisy.given.dtype == object


@pytest.mark.parametrize(("n", "rate"), [(1, 1.0), (10, 0.1), (3, 0.3)])
def test_one_caption_has_no_other_to_change_places_with(n, rate):
    with pytest.raises(
        InvalidArgument, match=rf"`rate` is {rate}; allowed: a share of the {n} captions .*two"
    ):
        swap_captions(captions_of(n), rate=rate, seed=0)


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan"), "0.2"], ids=repr)
def test_a_caption_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(InvalidArgument, match=r"`rate` is .*; allowed: a share between 0 and 1"):
        swap_captions(captions_of(4), rate=rate, seed=0)


def test_a_negative_caption_seed_is_refused():
    with pytest.raises(InvalidArgument, match="`seed` is -1"):
        swap_captions(captions_of(4), rate=0.5, seed=-1)


@pytest.mark.parametrize("bad", [None, float("nan"), 3], ids=repr)
def test_a_caption_that_is_no_text_is_named_by_row(bad):
    with pytest.raises(BadData, match=r"caption in row 2 is .*; allowed: a text in every row"):
        swap_captions(["a", "b", bad], rate=1.0, seed=0)
