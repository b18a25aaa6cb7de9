import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseproof.core.errors import BadData, InvalidArgument, UnknownName
from noiseproof.noise.kinds import KINDS, corrupt_labels


@st.composite
def cases(draw):
    num_classes = draw(st.integers(2, 6))
    n = draw(st.integers(0, 60))
    labels = draw(st.lists(st.integers(0, num_classes - 1), min_size=n, max_size=n))
    return np.array(labels, np.int64), num_classes, draw(st.floats(0, 1)), draw(st.integers(0, 2**31))


def options_for(kind, labels, num_classes, rate):
    """What the kind needs, so that any labels will do."""
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 2, 3), np.uint8)
    circle = {c: (c + 1) % num_classes for c in range(num_classes)}
    return {
        "asymmetric": {"rate": rate, "class_map": circle},
        "instance": {"rate": rate, "features": pixels},
        "instance_ptd": {"rate": rate, "features": pixels},
        "real": {"given": (labels + (np.arange(len(labels)) % 3 == 0)) % num_classes},
    }.get(kind, {"rate": rate})


def test_the_contract_covers_every_kind():
    assert KINDS.names == (
        "symmetric", "symmetric_inclusive", "pair", "asymmetric", "instance", "instance_ptd", "real"
    )  # fmt: skip


every_kind = pytest.mark.parametrize("kind", KINDS.names)


@every_kind
@given(case=cases())
@settings(deadline=None, max_examples=50)
def test_what_every_kind_of_noise_keeps(kind, case):
    labels, num_classes, rate, seed = case
    before = labels.copy()
    asked = options_for(kind, labels, num_classes, rate)
    noisy = corrupt_labels(labels, kind=kind, **asked, num_classes=num_classes, seed=seed)
    again = corrupt_labels(labels, kind=kind, **asked, num_classes=num_classes, seed=seed)
    assert noisy.given.tobytes() == again.given.tobytes()
    assert noisy.given.dtype == labels.dtype
    assert np.array_equal(labels, before)
    assert np.array_equal(noisy.clean, before)
    assert np.array_equal(noisy.flipped, noisy.given != before)
    assert ((noisy.given >= 0) & (noisy.given < num_classes)).all()
    assert noisy.transition.sum(axis=1) == pytest.approx(np.ones(num_classes))


@every_kind
def test_a_rate_of_0_is_the_identity(kind):
    labels = np.arange(30) % 3
    asked = options_for(kind, labels, 3, 0.0) | ({"given": labels} if kind == "real" else {})
    noisy = corrupt_labels(labels, kind=kind, **asked, num_classes=3, seed=0)
    assert noisy.given.tolist() == labels.tolist()
    assert noisy.transition.tolist() == np.eye(3).tolist()


@pytest.mark.parametrize("kind", ["symmetric", "pair", "asymmetric", "instance"])
@given(case=cases())
@settings(deadline=None, max_examples=50)
def test_kinds_with_an_exact_count_change_just_so_many(kind, case):
    labels, num_classes, rate, seed = case
    asked = options_for(kind, labels, num_classes, rate)
    noisy = corrupt_labels(labels, kind=kind, **asked, num_classes=num_classes, seed=seed)
    assert noisy.flipped.sum() == round(rate * len(labels))


@every_kind
def test_labels_of_few_bits_stay_so(kind):
    labels = (np.arange(40) % 4).astype(np.int8)
    asked = options_for(kind, labels, 4, 0.5)
    noisy = corrupt_labels(labels, kind=kind, **asked, num_classes=4, seed=0)
    assert noisy.given.dtype == np.int8
    assert noisy.flipped.any()


@pytest.mark.parametrize("kind", ["symmetric", "pair", "instance", "instance_ptd"])
def test_one_class_has_no_other_whatever_the_kind(kind):
    labels = np.zeros(9, np.int64)
    with pytest.raises(
        InvalidArgument, match="`num_classes` is 1; allowed: at least 2 where labels are to ch"
    ):
        corrupt_labels(labels, kind=kind, **options_for(kind, labels, 1, 0.5), num_classes=1, seed=0)


FOREIGN = {
    "features": np.zeros((4, 2)),
    "given": np.zeros(4, int),
    "class_map": "cifar10",
    "transition": np.eye(2),
}


@pytest.mark.parametrize("kind", ["symmetric", "symmetric_inclusive", "pair"])
@pytest.mark.parametrize("option", FOREIGN)
def test_options_that_a_kind_does_not_take_are_refused(kind, option):
    foreign = {option: FOREIGN[option]}
    with pytest.raises(
        InvalidArgument, match=f"`{option}` is .*allowed: nothing for kind '{kind}', which takes: rate"
    ):
        corrupt_labels(np.array([0, 1, 0, 1]), kind=kind, rate=0.5, num_classes=2, seed=0, **foreign)


def test_real_labels_have_the_rate_they_have():
    with pytest.raises(
        InvalidArgument, match=r"`rate` is 0.2; allowed: nothing for kind 'real', which takes: given"
    ):
        corrupt_labels(np.array([0, 1]), kind="real", rate=0.2, given=np.array([1, 1]), num_classes=2, seed=0)


@pytest.mark.parametrize(("kind", "option"), [("instance", "features"), ("real", "given"), ("pair", "rate")])
def test_an_option_that_a_kind_needs_is_asked_for(kind, option):
    asked = options_for(kind, np.array([0, 1]), 2, 0.5) | {option: None}
    with pytest.raises(InvalidArgument, match=f"`{option}` is None; allowed: "):
        corrupt_labels(np.array([0, 1]), kind=kind, num_classes=2, seed=0, **asked)


@given(case=cases())
@settings(deadline=None)
def test_symmetric_changes_an_exact_number_and_never_to_itself(case):
    labels, num_classes, rate, seed = case
    noisy = corrupt_labels(labels, rate=rate, num_classes=num_classes, seed=seed)
    assert noisy.flipped.sum() == round(rate * len(labels))


def test_symmetric_spreads_evenly_over_the_other_classes():
    labels = np.zeros(40_000, np.int64)
    noisy = corrupt_labels(labels, rate=0.3, num_classes=4, seed=0)
    # 12,000 flips over 3 classes: 4,000 each with a standard deviation of 52, so 260 is five of them.
    assert np.bincount(noisy.given)[1:] == pytest.approx([4000] * 3, abs=260)


def test_transition_is_counted_from_the_labels():
    labels = np.array([0, 0, 0, 0, 1, 1])
    noisy = corrupt_labels(labels, rate=0.5, num_classes=3, seed=3)
    expected = np.eye(3)
    for true in (0, 1):
        for seen in range(3):
            expected[true, seen] = np.mean(noisy.given[labels == true] == seen)
    assert noisy.transition == pytest.approx(expected)
    assert noisy.transition[2].tolist() == [0, 0, 1]  # no examples: identity
    assert noisy.realised_rate == pytest.approx(0.5)


def test_other_seeds_give_other_labels():
    labels = np.arange(100) % 5
    draws = {corrupt_labels(labels, rate=0.4, num_classes=5, seed=s).given.tobytes() for s in range(5)}
    assert len(draws) == 5


def test_narrow_dtypes_do_not_overflow():
    labels = np.full(50, 120, np.int8)
    noisy = corrupt_labels(labels, rate=1.0, num_classes=121, seed=0)
    assert noisy.flipped.all()
    assert noisy.given.dtype == np.int8
    assert noisy.given.min() >= 0


def test_one_class_without_noise_is_left_alone():
    noisy = corrupt_labels(np.zeros(3, np.int64), rate=0.0, num_classes=1, seed=0)
    assert noisy.given.tolist() == [0, 0, 0]
    assert noisy.transition.tolist() == [[1.0]]


def test_one_class_has_nowhere_to_go():
    with pytest.raises(InvalidArgument, match="`num_classes` is 1; allowed: at least 2"):
        corrupt_labels(np.zeros(4, np.int64), rate=0.5, num_classes=1, seed=0)


@pytest.mark.parametrize("rate", [-0.1, 1.01, 20.0, float("nan")])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(InvalidArgument, match=f"`rate` is {rate}; allowed: a share between 0 and 1"):
        corrupt_labels(np.array([0, 1]), rate=rate, num_classes=2, seed=0)


def test_no_classes_are_refused():
    with pytest.raises(InvalidArgument, match="`num_classes` is 0"):
        corrupt_labels(np.array([], np.int64), rate=0.5, num_classes=0, seed=0)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_the_classes_is_named_by_row(label):
    with pytest.raises(BadData, match=f"Label {label} in row 1 .* outside the classes; allowed: 0 to 2"):
        corrupt_labels(np.array([0, label, 2]), rate=0.5, num_classes=3, seed=0)


def test_an_unknown_kind_gets_a_suggestion():
    with pytest.raises(
        UnknownName, match=r"Unknown kind of label noise 'symetric'. Did you mean 'symmetric'"
    ):
        corrupt_labels(np.array([0, 1]), kind="symetric", rate=0.5, num_classes=2, seed=0)


@pytest.mark.parametrize("labels", [["cat", "dog"], [0.0, 1.0], [True, False], [[0, 1]]], ids=str)
def test_labels_that_are_no_class_ids_are_refused(labels):
    with pytest.raises(InvalidArgument, match=r"`labels` is .*; allowed: integers of shape \(n,\)"):
        corrupt_labels(labels, rate=0.5, num_classes=2, seed=0)


@pytest.mark.parametrize("rate", ["0.5", None, True, [0.5]], ids=repr)
def test_a_rate_that_is_no_number_is_refused(rate):
    with pytest.raises(InvalidArgument, match=r"`rate` is .*; allowed: a share between 0 and 1"):
        corrupt_labels(np.array([0, 1]), rate=rate, num_classes=2, seed=0)


def test_a_negative_seed_is_refused():
    with pytest.raises(InvalidArgument, match="`seed` is -1; allowed: an integer of at least 0"):
        corrupt_labels(np.array([0, 1]), rate=0.5, num_classes=2, seed=-1)


def test_classes_beyond_the_range_of_the_dtype_do_not_wrap_around():
    noisy = corrupt_labels(np.zeros(2000, np.int8), rate=1.0, num_classes=1000, seed=0)
    assert noisy.given.min() >= 1
    assert noisy.given.max() > 127
