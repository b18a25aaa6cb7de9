"""How many labels are wrong, in words."""

import pytest

from noiseproof.report.rate import rate_sentence


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
