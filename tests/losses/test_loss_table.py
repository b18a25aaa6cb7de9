import inspect

import numpy as np
import pytest

from noiseproof.core.errors import InvalidArgument, UnknownName
from noiseproof.losses.batch import batch_loss, per_example_loss
from noiseproof.losses.losses import LOSSES, TABLE, check_transition_given, needs_transition, resolve_options

GOOD = [[0.9, 0.1], [0.2, 0.8]]


def test_options_and_their_defaults_are_those_of_the_functions():
    for name, loss in TABLE.items():
        parameters = inspect.signature(LOSSES.load(name)).parameters
        for option, told in loss.options.items():
            if told.default is not None and (name, option) != ("elr", "momentum"):  # of the memory
                assert parameters[option].default == told.default, (name, option)


def test_functions_are_called_as_the_table_calls_them():
    for name in TABLE:
        assert LOSSES.load(name).__name__ == name


def test_every_default_is_allowed():
    checked = [
        option for loss in TABLE.values() for option in loss.options.values() if option.default is not None
    ]
    assert len(checked) == 19
    assert all(option.allowed.holds(option.default) for option in checked)


def test_options_that_are_left_out_have_their_defaults():
    assert resolve_options("gce", None) == resolve_options("gce", {}) == (("q", 0.7), ("threshold", 0.0))
    assert resolve_options("gce", {"threshold": 0, "q": np.float32(0.5)}) == (("q", 0.5), ("threshold", 0.0))
    assert resolve_options("mae", {}) == ()


def test_options_can_be_hashed_whatever_they_were_given_as():
    as_list, as_array = (resolve_options("forward", {"transition": form}) for form in (GOOD, np.array(GOOD)))
    assert hash(as_list) == hash(as_array)
    assert as_list == as_array
    assert type(dict(resolve_options("taylor", {"order": np.int64(3)}))["order"]) is int


@pytest.mark.parametrize(
    ("loss", "option", "value", "allowed"),
    [
        ("gce", "q", 0.0, "a number > 0 and <= 1"),
        ("gce", "q", 1.1, "a number > 0 and <= 1"),
        ("gce", "q", "a", "a number > 0 and <= 1"),
        ("gce", "q", True, "a number > 0 and <= 1"),
        ("gce", "q", float("nan"), "a number > 0 and <= 1"),
        ("gce", "threshold", 1.0, "a number >= 0 and < 1"),
        ("cross_entropy", "label_smoothing", 1, "a number >= 0 and < 1"),
        ("sce", "alpha", -0.1, "a number >= 0"),
        ("sce", "clamp", 0.0, "a number < 0"),
        ("nce_rce", "beta", float("inf"), "a number >= 0"),
        ("bootstrap_soft", "beta", 2, "a number >= 0 and <= 1"),
        ("bootstrap_hard", "beta", -1, "a number >= 0 and <= 1"),
        ("peer", "alpha", -1, "a number >= 0"),
        ("taylor", "order", 0, "a whole number >= 1 and <= 100"),
        ("taylor", "order", 1.5, "a whole number >= 1 and <= 100"),
        ("bi_tempered", "t1", 1.2, "a number >= 0 and <= 1"),
        ("bi_tempered", "t2", 0.5, "a number >= 1 and <= 4"),
        ("elr", "momentum", 1.0, "a number >= 0 and < 1"),
    ],
)
def test_a_value_out_of_range_is_told_with_the_range(loss, option, value, allowed):
    with pytest.raises(InvalidArgument) as caught:
        resolve_options(loss, {option: value})
    assert (
        str(caught.value)
        == f"`loss_options['{option}']` is {value!r}; allowed: {allowed} for the loss {loss!r}."
    )


def test_an_unknown_option_is_told_with_the_known_ones():
    with pytest.raises(
        UnknownName, match=r"Unknown option of the loss 'gce' 'treshold'\. Did you mean 'threshold'"
    ):
        resolve_options("gce", {"treshold": 0.1})
    with pytest.raises(UnknownName, match=r"option of the loss 'mae' 'q'.*It has none\. Next: leave"):
        resolve_options("mae", {"q": 0.7})
    with pytest.raises(UnknownName, match=r"Unknown loss 'gse'\. Did you mean"):
        resolve_options("gse", None)
    with pytest.raises(InvalidArgument, match=r"`loss_options` is \['q'\]; allowed: a mapping"):
        resolve_options("gce", ["q"])


@pytest.mark.parametrize("loss", ["forward", "backward"])
def test_what_is_no_transition_matrix_is_refused(loss):
    for matrix, message in (
        ([[0.9, 0.2], [0.2, 0.8]], r"row 0 sums to 1\.1.*rows that sum to 1"),
        ([[0.9, 0.2], [0.1, 0.8]], r"columns do sum to 1: transpose it"),
        ([[1.1, -0.1], [0.2, 0.8]], r"`transition\[0, 0\]` is 1\.1; allowed: a probability"),
        ([[0.9, 0.1]], r"of shape \(1, 2\)"),
        ([0.5, 0.5], r"of shape \(2,\)"),
        (0.3, r"of shape \(\)"),
        ("photos", "a matrix of numbers"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            resolve_options(loss, {"transition": matrix})


def test_backward_needs_an_inverse_and_forward_does_not():
    singular = [[0.5, 0.5], [0.5, 0.5]]
    with pytest.raises(
        InvalidArgument, match=r"no usable inverse'; allowed: .*'backward'.*take the loss 'forward'"
    ):
        resolve_options("backward", {"transition": singular})
    assert resolve_options("forward", {"transition": singular})


@pytest.mark.parametrize("least", [0.0, 1e-50, 1e-7])  # 1e-50 is 0 in float32
def test_a_label_that_cannot_come_about_is_refused(least):
    with pytest.raises(
        InvalidArgument, match=r"column 1 sums to .*'; allowed: a matrix that can produce every given label"
    ):
        resolve_options("forward", {"transition": [[1, 0], [1 - least, least]]})


@pytest.mark.parametrize("loss", ["forward", "backward"])
def test_a_missing_matrix_is_told_before_training(loss):
    options = resolve_options(loss, None)  # a pipeline fills it in
    assert needs_transition(loss)
    with pytest.raises(InvalidArgument, match=r"\(3, 3\) matrix for the loss .*estimate_transition\("):
        check_transition_given(loss, options, 3)
    with pytest.raises(InvalidArgument, match=r"of shape \(2, 2\)'; allowed: \(3, 3\)"):
        check_transition_given(loss, resolve_options(loss, {"transition": GOOD}), 3)
    check_transition_given(loss, resolve_options(loss, {"transition": GOOD}), 2)
    assert not needs_transition("gce")


@pytest.mark.parametrize("loss", ["peer", "elr"])
def test_a_loss_of_a_training_has_no_value_for_one_example(loss):
    with pytest.raises(
        InvalidArgument, match=rf"`loss` is '{loss}'; allowed: a loss of one example at a time"
    ):
        per_example_loss(loss, resolve_options(loss, None), num_classes=3)


def test_an_incomplete_loss_cannot_be_made():
    with pytest.raises(InvalidArgument, match="estimate_transition"):
        batch_loss("forward", resolve_options("forward", None), num_examples=3, num_classes=2, generators=[])
