"""What is chosen by what there is, label match, and several detectors together."""

import numpy as np
import pytest

from noiseproof import corrupt_labels, find_label_issues
from noiseproof.core.errors import InvalidArgument, UnknownName
from noiseproof.detect.detector_result import flag_most_suspicious
from noiseproof.detect.fusion import count_votes, mean_ranks
from noiseproof.posterior import noisy_regression


@pytest.fixture
def few_examples(monkeypatch):
    """Any number of examples counts as too few for a regression."""
    monkeypatch.setattr(noisy_regression, "_LEAST_PER_CLASS", 10**9)


def clouds(kind, rate, n=800):
    rng = np.random.default_rng(0)
    clean = np.arange(n) % 4
    features = np.eye(4, 8)[clean] * 4 + rng.normal(size=(n, 8))
    return features, corrupt_labels(clean, kind=kind, rate=rate, num_classes=4, seed=0)


@pytest.mark.parametrize(("kind", "rate"), [("symmetric", 0.0), ("symmetric", 0.3), ("pair", 0.4)])
def test_many_examples_of_a_class_always_get_a_transition_matrix(kind, rate):
    features, noisy = clouds(kind, rate)
    found = find_label_issues(features, noisy.given)
    assert found.method == "transition"
    assert found.notes[0].startswith("There are enough examples of each class (200 on average)")
    assert found.noise_rate == pytest.approx(rate, abs=0.03)
    assert found.noise_rate == pytest.approx(found.suspicion.mean(), abs=1e-9)
    assert (found.is_issue == noisy.flipped).mean() > 0.95


def test_noise_that_prefers_pairs_of_classes_gets_a_transition_matrix(few_examples):
    features, noisy = clouds("pair", 0.3)
    found = find_label_issues(features, noisy.given)
    assert found.method == "transition"
    assert "transition matrix fits held-out labels better by" in found.notes[0]
    assert found.transition == pytest.approx(noisy.transition, abs=0.1)
    assert found.noise_rate == pytest.approx(0.3, abs=0.05)
    alike = find_label_issues(features, noisy.given, method="leave_one_out")
    assert (found.is_issue == noisy.flipped).mean() > (alike.is_issue == noisy.flipped).mean() + 0.05


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
def test_noise_that_prefers_nothing_does_not(rate, few_examples):
    features, noisy = clouds("symmetric", rate)
    found = find_label_issues(features, noisy.given)
    assert found.method == "leave_one_out"
    assert "needed), so the method 'leave_one_out' was used" in found.notes[0]
    assert found.noise_rate == pytest.approx(rate, abs=0.04)
    assert found.noise_rate == pytest.approx(found.suspicion.mean(), abs=1e-9)


def clouds_of_which_one_is_rare():
    """Scores prefer the last class for few of its labels, since most of these are wrong."""
    rng = np.random.default_rng(1)
    clean = np.repeat(np.arange(6), (300, 300, 300, 300, 300, 50))
    centres = 2.5 * rng.normal(size=(6, 30)) / np.sqrt(6)
    return (centres[clean] + rng.normal(size=(len(clean), 30))).astype(np.float32), clean


def test_a_rare_class_whose_labels_are_mostly_wrong_hides_no_noise():
    features, clean = clouds_of_which_one_is_rare()
    noisy = corrupt_labels(clean, kind="instance", rate=0.4, num_classes=6, seed=1, features=features)
    found = find_label_issues(features, noisy.given)
    assert found.method == "transition"
    assert "Look twice at labels of rare classes" in found.notes[0]
    assert found.noise_rate == pytest.approx(0.4, abs=0.02)  # an even spread of wrong labels finds 0.02
    assert (found.is_issue == noisy.flipped).mean() > 0.97
    even = find_label_issues(features, noisy.given, method="leave_one_out")
    # The other reading, that features do not know this class, is in the range.
    assert found.noise_rate_low == pytest.approx(even.noise_rate, abs=0.002)
    assert find_label_issues(features, clean).is_issue.mean() < 0.01


def test_scores_prefer_each_class_for_a_quarter_of_its_labels():
    labels = np.repeat([0, 1], [6, 8])
    assert noisy_regression.prefers_each_class(np.eye(2)[[0] * 12 + [1] * 2], labels)
    assert not noisy_regression.prefers_each_class(np.eye(2)[[0] * 13 + [1]], labels)


def test_one_sided_noise_of_two_classes_is_found():
    rng = np.random.default_rng(0)
    clean = np.arange(3000) % 2
    features = np.eye(2, 6)[clean] * 4 + rng.normal(size=(3000, 6)) * 0.7
    given = np.where((clean == 0) & (rng.random(3000) < 0.2), 1, clean)
    found = find_label_issues(features, given)
    assert found.method == "transition"
    assert found.noise_rate == pytest.approx((given != clean).mean(), abs=0.02)
    assert (found.is_issue == (given != clean)).mean() > 0.98


def test_names_of_classes_that_nobody_gives_change_nothing():
    features, noisy = clouds("symmetric", 0.25)
    few, many = (
        find_label_issues(features, noisy.given, class_names=tuple(map(str, range(k)))) for k in (4, 60)
    )
    assert many.method == few.method
    assert many.suspicion.tolist() == few.suspicion.tolist()
    assert many.joint[:4, :4].tolist() == few.joint.tolist()
    assert many.probs[:, 4:].max() == 0


def test_auto_says_what_took_no_part():
    features, noisy = clouds("symmetric", 0.25)
    found = find_label_issues(features, noisy.given, probs=np.eye(4)[noisy.given])
    assert found.notes[-1] == "Features were used; `probs` were not."


def test_fusion_without_features_takes_the_mean_of_the_rates():
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.95, 0.05], [0.1, 0.9], [0.2, 0.8]])
    found = find_label_issues(
        None, [0, 0, 1, 1, 1], method="fusion", probs=probs, zero_shot=probs,
        method_options={"methods": ["confident_learning", "zero_shot"]},
    )  # fmt: skip
    assert found.is_issue.tolist() == [False, False, True, False, False]


def test_label_match_by_hand():
    zero_shot = np.array([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]])
    found = find_label_issues(None, np.array(["a", "a", "b"]), zero_shot=zero_shot)
    assert found.method == "zero_shot"
    assert found.is_issue.tolist() == [False, True, True]
    assert found.suggested_labels.tolist() == ["a", "b", "a"]
    assert found.suspicion == pytest.approx([0.3, 0.6, 0.9])
    assert found.joint.tolist() == [[1, 1], [1, 0]]
    assert "because only `zero_shot` was given" in found.notes[-1]


def test_what_a_detector_needs_is_named():
    with pytest.raises(InvalidArgument, match=r"`zero_shot` is None; allowed: an \(n, k\) .*'zero_shot'"):
        find_label_issues(np.eye(4), [0, 0, 1, 1], method="zero_shot")
    with pytest.raises(InvalidArgument, match=r"`features` is None; allowed: an \(n, d\) .*'neighbours'"):
        find_label_issues(None, [0, 1], method="neighbours", probs=np.eye(2))
    with pytest.raises(InvalidArgument, match=r"`features` is None; allowed: \(n, d\) features, or `probs`"):
        find_label_issues(None, [0, 1])
    with pytest.raises(InvalidArgument, match=r"`method_options` is .*none with method 'auto'"):
        find_label_issues(np.eye(4), [0, 0, 1, 1], method_options={"k": 3})


def test_mean_ranks_by_hand():
    suspicions = np.array([[0.1, 0.9, 0.5], [0.3, 0.3, 0.2]])  # ranks 1 3 2, and 2.5 2.5 1
    assert mean_ranks(suspicions) == pytest.approx([(1.75 - 1) / 2, (2.75 - 1) / 2, (1.5 - 1) / 2])


def test_votes_are_counted_and_the_first_one_decides_between_equals():
    labels = np.array([[0, 1, 2], [0, 0, 1], [1, 0, 0]])
    assert count_votes(labels, 3).argmax(1).tolist() == [0, 0, 2]


def test_fusion_of_two_is_between_them():
    features, noisy = clouds("symmetric", 0.3)
    names = ["leave_one_out", "neighbours"]
    found = find_label_issues(features, noisy.given, method="fusion", method_options={"methods": names})
    ranks = [find_label_issues(features, noisy.given, method=name).suspicion for name in names]
    assert found.suspicion == pytest.approx(mean_ranks(np.stack(ranks)))
    assert found.is_issue.mean() == pytest.approx(0.3, abs=0.03)
    assert (found.suggested_labels != noisy.given).tolist() == found.is_issue.tolist()


WRONG = ["aum", ["aum"], ["aum", "aum"], ["aum", "auto"], ["fusion", "aum"], ["aum", "aum", "mixture"]]


@pytest.mark.parametrize("methods", WRONG)
def test_fusion_takes_two_other_detectors_or_more(methods):
    with pytest.raises(InvalidArgument, match=r"`methods` is .* two or more different detectors"):
        find_label_issues(np.eye(4), [0, 0, 1, 1], method="fusion", method_options={"methods": methods})


def test_fusion_of_an_unknown_detector_names_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'neighbours'"):
        find_label_issues(
            np.eye(4), [0, 0, 1, 1], method="fusion", method_options={"methods": ["aum", "neighbors"]}
        )


def test_a_rate_flags_so_many_and_ties_by_their_order():
    assert flag_most_suspicious(np.array([0.2, 0.9, 0.9, 0.1]), 0.25).tolist() == [False, True, False, False]
    assert flag_most_suspicious(np.array([0.2, 0.9]), 0.0).sum() == 0


def test_fusion_takes_names_with_commas_between():
    features, noisy = clouds("symmetric", 0.3)
    found = [
        find_label_issues(features, noisy.given, method="fusion", method_options={"methods": methods})
        for methods in ("leave_one_out, neighbours", ["leave_one_out", "neighbours"])
    ]
    assert found[0].suspicion.tolist() == found[1].suspicion.tolist()
