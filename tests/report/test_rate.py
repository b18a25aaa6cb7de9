"""How many labels are wrong, in words."""

import pytest

from noiseproof.detect.reviewed_rate import Estimate
from noiseproof.report.rate import rate_sentence, rate_sentences, review_sentences, sample_sentence


def test_a_narrow_range_is_an_estimate():
    found = rate_sentence(0.2, 0.18, 0.2599, 1000)
    assert found == "About 20.0 % of the labels are wrong (between 18.0 and 26.0 %)."


def test_a_wide_range_says_how_many_to_check():
    found = rate_sentence(0.078, 0.046, 0.17601, 10_000)
    assert found == (
        "Between 4.6 and 17.6 % of the labels are wrong, perhaps 7.8 %; the features cannot tell more "
        "exactly. Check the first 1,761 by suspicion."
    )


@pytest.mark.parametrize(("low", "high"), [(None, None), (0.1, None), (None, 0.1)])
def test_no_range_is_no_sentence(low, high):
    assert rate_sentence(0.1, low, high, 10) is None


def test_a_range_of_zero_width_is_no_certainty():
    found = rate_sentence(0.0, 0.0, 0.0, 112)
    assert found == "Less than 0.1 % of the labels are wrong, as far as these features can tell."
    assert "between 0.0 and 0.1 %" in rate_sentence(0.0, 0.0, 0.0006, 112)


def test_what_decided_labels_tell_is_said_with_its_basis():
    ends = {"value": 0.1, "low": 0.05, "high": 0.2}
    reviewed = {
        "num_checked": 60, "num_wrong": 41, "num_flagged": 45, "num_flagged_wrong": 40, "precision": ends,
        "rate": ends, "basis": "sample", "num_draws": 80, "next_num": 100,
        "next_wrong": {"value": 39.4, "low": 19.6, "high": 57.2},
    }  # fmt: skip
    assert review_sentences(reviewed) == [
        "60 labels are checked: 41 were wrong.",
        "Of the 45 checked labels that looked wrong, 40 really were (10.0 %, between 5.0 and 20.0 %).",
        "Of the next 100 labels by suspicion about 39 are wrong (between 19 and 58).",
    ]
    detector = {"rate": 0.08, "low": 0.07, "high": 0.09}
    card = {"rate": 0.1, "low": 0.05, "high": 0.2, "num_examples": 9, "basis": "sample", "replaces": detector}
    first, *others = rate_sentences(card, reviewed)
    assert first == (
        "10.0 % of all labels were wrong (between 5.0 and 20.0 %), by a sample of 80 drawn labels; this "
        "replaces the detector's estimate of 8.0 %."
    )
    assert others == review_sentences(reviewed)
    for unknown in (detector | {"high": 1.0}, detector | {"low": None, "high": None}):
        assert rate_sentences(card | {"replaces": unknown}, reviewed)[0].endswith("80 drawn labels.")
    corrected = review_sentences(reviewed | {"num_corrected": 1})[0]
    assert corrected == "60 labels are checked: 41 were wrong, 1 of them was corrected since."
    guess = review_sentences(reviewed | {"basis": "suspicion", "precision": None, "next_wrong": None})
    assert guess[1].startswith(
        "Perhaps 10.0 % of all labels were wrong (between 5.0 and 20.0 %), if suspicion"
    )
    assert review_sentences(None) == []
    few = reviewed | {"rate": None, "precision": None, "next_wrong": None}
    assert review_sentences(few) == ["60 labels are checked: 41 were wrong."]


def test_a_sample_says_what_is_missing_to_tell_the_rate():
    rate = Estimate(0.1, 0.05, 0.2)
    assert sample_sentence(rate, 40, size=50) == (
        "10.0 % of all labels were wrong (between 5.0 and 20.0 %), by a sample of 40 drawn labels. 10 of its "
        "draws are left."
    )
    assert sample_sentence(rate, 49, size=50).endswith(" 1 of its draws is left.")
    assert sample_sentence(None, 1, size=50).startswith("1 of the 50 draws of the sample is checked")
    assert sample_sentence(None, 20, size=50).startswith("20 of the 50 draws of the sample are checked")
    found = sample_sentence(None, 40, size=40, missing=["a", "b", "c", "d"])
    assert "and 'a', 'b', 'c' and 1 more have none any more" in found


def test_a_range_up_to_one_names_no_number():
    found = rate_sentence(0.363, 0.0, 1.0, 600)
    assert found == "These features cannot tell how many labels are wrong."
