import numpy as np
import pytest
from synthetic_encoders import RATES, features_under

from noiseproof.diagnose.signature import signature
from noiseproof.diagnose.verdict import Reference, leave_one_out, verdict
from noiseproof.errors import BadData, InvalidArgument


def known(rates=RATES, **options):
    return [
        Reference(f"noise{i}", rate, signature(features_under(rate, seed=i, **options), num_draws=60))
        for i, rate in enumerate(rates)
    ]


@pytest.fixture(scope="module")
def references():
    return known()


@pytest.mark.parametrize("rate", [0.02, 0.15, 0.25, 0.4])
def test_an_encoder_of_the_family_is_placed(references, rate):
    unknown = signature(features_under(rate, seed=50), num_draws=60)
    found = verdict(unknown, references)
    assert found.can_tell, found.reason
    assert found.low <= rate <= found.high
    assert found.rate == pytest.approx(rate, abs=0.06)
    assert found.high - found.low <= 0.3
    assert any(each.name == found.nearest and abs(each.rate - rate) < 0.11 for each in references)


def test_leaving_one_out_is_right_about_its_noise(references):
    found = leave_one_out(references)
    assert [one.rate for one, _ in found] == list(RATES)
    told = [(one.rate, each) for one, each in found if each.can_tell]
    assert len(told) >= 4
    assert all(each.low <= rate <= each.high for rate, each in told)


def test_the_answer_is_read_off_the_curve_by_hand():
    """Draws that are all alike, SVE = 1 + rate and nothing else that moves: a value of 1.25 is 25 %."""

    def made(sve):
        values = np.tile([sve, 1.0, 1.0, 1.0], (3, 1))
        shares = np.array([[0.5 + sve / 10, 0.5 - sve / 10]] * 2)
        return type(signature(np.eye(4), num_draws=2))(values, shares, 10, 2, 0)

    references = [Reference(str(r), r, made(1 + r)) for r in (0.0, 0.1, 0.3, 0.5)]
    found = verdict(made(1.25), references)
    assert (found.rate, found.statistic) == (pytest.approx(0.25), "SVE")
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))  # neither examples nor the curve err
    assert [each.is_monotone for each in found.readings] == [True, False, False, False]


def test_cannot_tell_where_no_curve_is_monotone():
    rng = np.random.default_rng(0)
    signatures = [signature(features_under(0.1, seed=i, data_seed=0), num_draws=30) for i in range(6)]
    references = [
        Reference(str(r), r, each) for r, each in zip(RATES, rng.permutation(signatures), strict=True)
    ]
    found = verdict(signature(features_under(0.1, seed=9), num_draws=30), references)
    assert (found.rate, found.low, found.high, found.can_tell) == (None, None, None, False)
    assert "no statistic is monotone" in found.reason


def test_cannot_tell_of_features_of_another_width(references):
    found = verdict(signature(features_under(0.1, d=30), num_draws=60), references)
    assert found.rate is None
    assert "its features have width 30, those of the known encoders 24" in found.reason


@pytest.mark.parametrize("kind", ["isotropic", "two strong directions", "no mean"])
def test_cannot_tell_of_an_encoder_outside_the_family(references, kind):
    rng = np.random.default_rng(3)
    features = {
        "isotropic": rng.normal(size=(1200, 24)),
        "two strong directions": rng.normal(size=(1200, 24)) * np.array([5, 5] + [0.1] * 22),
        "no mean": features_under(0.2, offset=0.0),
    }[kind]
    found = verdict(signature(features, num_draws=60), references)
    assert found.rate is None
    assert "unlike those of the known encoders" in found.reason


def test_cannot_tell_beyond_the_curve():
    references = known((0.2, 0.25, 0.3, 0.35))
    found = verdict(signature(features_under(0.05, seed=9), num_draws=60), references)
    assert found.rate is None
    assert found.reason.startswith(("its statistics are beyond", "its spectrum is unlike"))


def test_cannot_tell_where_the_interval_is_too_wide(references):
    unknown = signature(features_under(0.15, seed=50), num_draws=60)
    found = verdict(unknown, references, max_width=0.001)
    assert found.rate is None
    assert "is wider than 0.001" in found.reason


def test_fewer_examples_give_a_wider_interval():
    widths = []
    for n in (150, 5000):
        unknown = signature(features_under(0.15, seed=50, n=n), num_draws=60)
        readings = verdict(unknown, known(n=n), max_width=1.0).readings
        widths.append(np.median([each.bootstrap_error for each in readings if each.is_monotone]))
    assert widths[1] < 0.5 * widths[0]


def test_two_encoders_of_one_rate_are_averaged(references):
    twice = [*references, Reference("again", 0.2, signature(features_under(0.2, seed=77), num_draws=60))]
    assert verdict(signature(features_under(0.15, seed=50), num_draws=60), twice).can_tell


def test_answers_are_plain_values(references):
    import json

    text = json.dumps(verdict(signature(features_under(0.15, seed=50), num_draws=60), references).to_json())
    assert len(json.loads(text)["readings"]) == 4


def test_what_cannot_be_compared_is_told(references):
    with pytest.raises(
        InvalidArgument, match="`references` is '3 different rates'; allowed: encoders of 4 rates"
    ):
        verdict(references[0].signature, references[1:4])
    with pytest.raises(BadData, match=r"'noise0' is of 1200 examples, .*that in question of 100"):
        verdict(signature(features_under(0.1, n=100), num_draws=60), references)
    with pytest.raises(InvalidArgument, match=r"`max_width` is 3.0; allowed: a share"):
        verdict(references[0].signature, references, max_width=3.0)
    other = Reference("wide", 0.4, signature(features_under(0.4, d=30), num_draws=60))
    with pytest.raises(BadData, match=r"features of widths \[24, 30\]; allowed: one width"):
        verdict(references[0].signature, [*references, other])
