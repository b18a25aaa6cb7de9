import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.core.rng import stream
from noiseproof.evaluate.metrics import METRICS, all_metrics, outcomes
from noiseproof.evaluate.protocol import evaluate_head, interval, leader, seed_means, summarise
from noiseproof.evaluate.results import ResultRow


def row(head, seed, set_name, accuracy):
    domain = "id" if set_name == "test" else "ood"
    return ResultRow(head, seed, set_name, domain, 10, dict.fromkeys(METRICS, accuracy), {})


def fitted(num_classes=3, n=90):
    rng = stream(0, "test")
    labels = rng.integers(0, num_classes, n)
    features = rng.normal(size=(n, 4)) + np.eye(num_classes, 4)[labels] * 2
    return LogisticRegression().fit(features, labels), features, labels


def evaluate(head, features, labels, **options):
    options = {"class_names": ("a", "b", "c")} | options
    return evaluate_head(
        head, features, labels, name="linear", seed=3, set_name="test", domain="id", **options
    )


def test_a_head_is_evaluated_in_blocks_with_the_same_result():
    head, features, labels = fitted()
    whole = evaluate(head, features, labels)
    assert evaluate(head, features, labels, block_size=7) == whole
    assert whole.metrics == all_metrics(outcomes(head.predict_proba(features), labels))
    assert whole.key == ("linear", 3, "test")
    assert [entry.num_examples for entry in whole.per_class.values()] == np.bincount(labels).tolist()


def test_a_class_the_head_never_saw_has_probability_zero():
    head, features, labels = fitted()
    blind = LogisticRegression().fit(features[labels != 1], labels[labels != 1])
    found = evaluate(blind, features, labels)
    assert found.per_class["b"].accuracy == 0
    assert found.per_class["b"].precision is None
    assert found.metrics["accuracy"] == pytest.approx(blind.score(features, labels))
    del head


def test_a_head_with_more_classes_than_names_is_an_error():
    head, features, labels = fitted()
    with pytest.raises(BadData, match=r"Label 2 in row 2 of 'head.classes_' is outside the classes"):
        evaluate(head, features, labels, class_names=("a", "b"))


def test_features_and_labels_of_different_length_are_named():
    head, features, labels = fitted()
    with pytest.raises(BadData, match=r"'test': `features` has 90 rows, `labels` 89"):
        evaluate(head, features, labels[:-1])


def test_an_empty_set_is_an_error():
    head, features, labels = fitted()
    with pytest.raises(BadData, match=r"'test' has no examples"):
        evaluate(head, features[:0], labels[:0])


def test_interval_hand_solved():
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == pytest.approx(2)
    assert found.half_width == pytest.approx(4.302652729911275 / np.sqrt(3))  # t table, 2 degrees of freedom


def test_interval_agrees_with_scipy():
    values = stream(0, "test").normal(size=7)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = interval(values)
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high))


def test_one_seed_has_no_interval():
    assert interval([0.5]).half_width is None


def test_interval_of_nothing_is_an_error():
    with pytest.raises(InvalidArgument, match=r"`values` is \(\); allowed: one number or more"):
        interval([])


def test_out_of_domain_sets_are_averaged_within_a_seed_first():
    # Per set the seeds differ widely, but every seed's average is .5: the interval must be zero wide.
    rows = [row("nmtune", seed, "sketch", 0.5 + 0.1 * seed) for seed in range(3)]
    rows += [row("nmtune", seed, "art", 0.5 - 0.1 * seed) for seed in range(3)]
    rows += [row("nmtune", seed, "test", 0.9) for seed in range(3)]
    (summary,) = summarise(rows)
    assert summary.ood_mean["accuracy"].mean == pytest.approx(0.5)
    assert summary.ood_mean["accuracy"].half_width == pytest.approx(0, abs=1e-12)
    assert summary.per_set["sketch"]["accuracy"].half_width > 0.2
    assert summary.gap["accuracy"].mean == pytest.approx(0.4)


def test_the_gap_is_paired_by_seed():
    rows = [row("mlp", seed, "test", 0.9 + 0.01 * seed) for seed in range(3)]
    rows += [row("mlp", seed, "art", 0.6 + 0.01 * seed) for seed in range(3)]
    (summary,) = summarise(rows)
    assert summary.gap["accuracy"].half_width == pytest.approx(0, abs=1e-12)
    assert summary.id_mean["accuracy"].half_width > 0.01


def test_a_seed_that_lacks_a_set_is_left_out_of_the_average():
    rows = [row("mlp", 0, "art", 0.6), row("mlp", 0, "sketch", 0.4), row("mlp", 1, "art", 0.9)]
    assert seed_means(rows, head="mlp", sets=["art", "sketch"], metric="accuracy") == {0: 0.5}


def test_without_out_of_domain_sets_there_is_no_mean_and_no_gap():
    (summary,) = summarise([row("mlp", 0, "test", 0.9)])
    assert (summary.ood_mean, summary.gap) == ({}, {})
    assert summary.id_mean["accuracy"].values == (0.9,)


def test_no_rows_have_no_summary():
    assert summarise([]) == []


def test_a_lead_that_every_seed_shows_is_clear():
    rows = [row("a", seed, "test", 0.5 + 0.1 * seed) for seed in range(3)]
    rows += [row("b", seed, "test", 0.51 + 0.1 * seed + 0.001 * (seed == 1)) for seed in range(3)]
    found = leader(rows, sets=["test"])
    assert (found.head, found.runner_up, found.is_clear) == ("b", "a", True)


def test_a_lead_within_the_luck_of_seeds_is_not_clear():
    rows = [row("a", seed, "test", value) for seed, value in enumerate([0.5, 0.6, 0.55])]
    rows += [row("b", seed, "test", value) for seed, value in enumerate([0.6, 0.5, 0.58])]
    found = leader(rows, sets=["test"])
    assert (found.head, found.is_clear) == ("b", False)


def test_with_one_seed_no_lead_is_clear():
    found = leader([row("a", 0, "test", 0.1), row("b", 0, "test", 0.9)], sets=["test"])
    assert (found.head, found.is_clear) == ("b", False)


def test_without_sets_there_is_no_leader():
    assert leader([row("a", 0, "test", 0.1)], sets=[]) is None
