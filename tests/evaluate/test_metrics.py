import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from noiseproof.core.errors import BadData
from noiseproof.core.rng import stream
from noiseproof.evaluate.metrics import (
    METRICS,
    all_metrics,
    expected_calibration_error,
    join_outcomes,
    outcomes,
    per_class_metrics,
)


@st.composite
def predictions(draw):
    """Random probabilities and labels; some classes are never labels, some never predicted."""
    n, k = draw(st.integers(1, 60)), draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    used = rng.choice(k, size=rng.integers(1, k + 1), replace=False)
    labels = rng.choice(used, size=n)
    probs = rng.dirichlet(rng.uniform(0.05, 2, size=k), size=n)
    return probs, labels


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(predictions())
def test_metrics_agree_with_scikit_learn(case):
    probs, labels = case
    predicted = probs.argmax(axis=1)
    expected = {
        "accuracy": reference.accuracy_score(labels, predicted),
        "mean_per_class_accuracy": reference.balanced_accuracy_score(labels, predicted),
        "macro_f1": reference.f1_score(labels, predicted, average="macro", zero_division=0),
        "matthews": reference.matthews_corrcoef(labels, predicted),
        "nll_nats": reference.log_loss(labels, probs, labels=np.arange(probs.shape[1])),
    }
    got = all_metrics(outcomes(probs, labels))
    assert set(got) == set(METRICS) == {*expected, "ece"}
    assert {name: got[name] for name in expected} == pytest.approx(expected, abs=1e-12, rel=1e-12)


@given(predictions())
def test_per_class_agrees_with_scikit_learn_and_is_none_where_undefined(case):
    probs, labels = case
    predicted = probs.argmax(axis=1)
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        labels, predicted, labels=np.arange(probs.shape[1]), zero_division=np.nan
    )
    rows = per_class_metrics(outcomes(probs, labels))
    assert [row.num_examples for row in rows] == support.tolist()
    for row, p, r, f in zip(rows, precision, recall, f1, strict=True):
        got = [np.nan if value is None else value for value in (row.precision, row.accuracy, row.f1)]
        assert got == pytest.approx([p, r, f], abs=1e-12, nan_ok=True)


def test_a_hand_solved_case():
    probs = np.array([[0.8, 0.2, 0.0], [0.6, 0.4, 0.0], [0.3, 0.7, 0.0], [0.1, 0.9, 0.0]])
    got = all_metrics(outcomes(probs, np.array([0, 1, 1, 1])))
    assert got["accuracy"] == pytest.approx(3 / 4)
    assert got["mean_per_class_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert got["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert got["matthews"] == pytest.approx(1 / np.sqrt(3))
    assert got["nll_nats"] == pytest.approx(-np.log(0.8 * 0.4 * 0.7 * 0.9) / 4)


def test_matthews_is_zero_where_the_prediction_is_constant():
    probs = np.array([[0.9, 0.1], [0.9, 0.1]])
    assert all_metrics(outcomes(probs, np.array([0, 1])))["matthews"] == 0


def test_calibration_error_hand_solved():
    # Two bins: (0, .5] holds .4 right and .5 wrong; (.5, 1] holds .9 right.
    confidence, is_right = np.array([0.4, 0.5, 0.9]), np.array([True, False, True])
    expected = (2 / 3) * abs(1 / 2 - 0.45) + (1 / 3) * abs(1 - 0.9)
    assert expected_calibration_error(confidence, is_right, num_bins=2) == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(1, 20))
def test_calibration_error_equals_the_slow_loop(seed, n, num_bins):
    rng = np.random.default_rng(seed)
    confidence, is_right = rng.uniform(size=n), rng.uniform(size=n) < 0.5
    edges, expected = np.linspace(0, 1, num_bins + 1), 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            expected += inside.mean() * abs(is_right[inside].mean() - confidence[inside].mean())
    got = expected_calibration_error(confidence, is_right, num_bins=num_bins)
    assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("dtype", "epsilon"), [(np.float32, 2.0**-23), (np.float64, 2.0**-52)])
def test_a_sure_mistake_costs_the_float_epsilon_and_not_infinity(dtype, epsilon):
    probs = np.array([[1, 0]], dtype)
    assert all_metrics(outcomes(probs, np.array([1])))["nll_nats"] == pytest.approx(-np.log(epsilon))


@given(predictions(), st.integers(1, 59))
def test_blocks_give_the_same_metrics_as_the_whole(case, cut):
    probs, labels = case
    parts = [
        outcomes(probs[rows], labels[rows]) for rows in (slice(0, cut), slice(cut, None)) if len(labels[rows])
    ]
    assert all_metrics(join_outcomes(parts)) == all_metrics(outcomes(probs, labels))


def test_class_order_does_not_matter():
    rng = stream(0, "test")
    probs, labels, order = rng.dirichlet(np.ones(5), size=40), rng.integers(0, 5, 40), rng.permutation(5)
    permuted = all_metrics(outcomes(probs[:, order], np.argsort(order)[labels]))
    assert permuted == pytest.approx(all_metrics(outcomes(probs, labels)), abs=1e-12)


def test_nan_probability_names_the_row():
    with pytest.raises(BadData, match=r"`probs` has NaN or infinity in row 1 "):
        all_metrics(outcomes(np.array([[0.5, 0.5], [np.nan, 0.5]]), np.array([0, 1])))


def test_scores_that_do_not_sum_to_one_name_the_row():
    with pytest.raises(BadData, match=r"`probs` row 1 has sum 1\.4 and minimum 0\.5.*sum to 1"):
        all_metrics(outcomes(np.array([[0.5, 0.5], [0.9, 0.5]]), np.array([0, 1])))


def test_negative_probability_names_the_row():
    with pytest.raises(BadData, match=r"`probs` row 0 has sum 1 and minimum -0\.5"):
        all_metrics(outcomes(np.array([[1.5, -0.5]]), np.array([0])))


def test_different_lengths_are_named():
    with pytest.raises(BadData, match=r"`probs` has 2 rows, `labels` 1"):
        all_metrics(outcomes(np.full((2, 2), 0.5), np.array([0])))


def test_label_outside_the_classes_is_named():
    with pytest.raises(
        BadData, match=r"Label 2 in row 1 of 'labels' is outside the classes; allowed: 0 to 1"
    ):
        all_metrics(outcomes(np.full((2, 2), 0.5), np.array([0, 2])))


def test_no_examples_is_an_error():
    with pytest.raises(BadData, match=r"`labels` is empty"):
        all_metrics(outcomes(np.zeros((0, 2)), np.zeros(0, int)))
