import numpy as np
import pytest
from synthetic_encoders import RATES, features_under

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.diagnose.signature import Signature, signature
from noiseproof.diagnose.verdict import Reference, verdict


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
    assert found.rate is not None, found.reason
    assert found.rate == pytest.approx(rate, abs=0.03)
    assert found.low < found.rate < found.high
    assert any(each.name == found.nearest and abs(each.rate - rate) < 0.11 for each in references)


def of_a_family(rate, luck, rng, d=24):
    """Exact spectrum, as of infinitely many examples: noise, and the luck of pre-training."""
    values = np.sort(np.arange(1, d + 1) ** -(1.2 - rate) * np.exp(luck * rng.normal(size=d)))[::-1]
    return Signature(np.tile(values / values.sum(), (3, 1)), 1000, 0)


@pytest.mark.parametrize(("luck", "least_told"), [(0.02, 0.8), (0.05, 0.8), (0.1, 0.5)])
def test_of_the_intervals_that_are_told_about_95_percent_hold_the_noise(luck, least_told):
    rng = np.random.default_rng(7)
    right = []
    for _ in range(60):
        references = [Reference(str(rate), rate, of_a_family(rate, luck, rng)) for rate in RATES]
        for rate in (0.02, 0.07, 0.15, 0.25, 0.4):
            found = verdict(of_a_family(rate, luck, rng), references)
            if found.rate is not None:
                right.append(found.low <= rate <= found.high)
    assert len(right) > least_told * 300
    assert np.mean(right) > 0.91


def test_where_noise_leaves_no_trace_hardly_anything_is_told():
    rng = np.random.default_rng(8)
    told = []
    for _ in range(100):
        references = [Reference(str(rate), rate, of_a_family(0.1, 0.05, rng)) for rate in RATES]
        told.append(verdict(of_a_family(0.1, 0.05, rng), references).rate is not None)
    assert np.mean(told) < 0.08


def test_leaving_one_out_is_right_about_its_noise(references):
    found = {
        one.rate: verdict(one.signature, [each for each in references if each is not one])
        for one in references
    }
    assert list(found) == list(RATES)
    told = [(rate, each) for rate, each in found.items() if each.rate is not None]
    assert len(told) >= 4
    assert all(each.low <= rate <= each.high for rate, each in told)


def made(angle, *, num_draws=2):
    """Two shares on the circle of square roots: the Hellinger distance between angles is a chord."""
    shares = np.array([np.cos(angle) ** 2, np.sin(angle) ** 2])
    return Signature(np.tile(shares, (1 + num_draws, 1)), 10, 0)


def test_the_nearest_point_of_the_curve_by_hand():
    """Known roots (1, 0), (cos t, sin t), ... at equal angles: by symmetry half an angle is half a step."""
    references = [Reference(f"{i}", 0.1 * i, made(0.1 * i)) for i in range(6)]
    found = verdict(made(0.25), references)
    assert found.rate == pytest.approx(0.25)
    assert found.example_error == 0  # all draws alike
    # On the arc, half a step of 0.1 beyond either neighbour: the sagitta over sqrt 2.
    assert found.misfit == pytest.approx((1 - np.cos(0.05)) / np.sqrt(2))
    # Each known encoder is half way between its neighbours; a step of 0.2 has the larger sagitta.
    assert found.curve_error == pytest.approx(0, abs=1e-12)
    assert found.allowed_misfit == pytest.approx(2 * (1 - np.cos(0.1)) / np.sqrt(2) + 1e-3)
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))
    assert verdict(made(0.2), references).misfit == pytest.approx(0, abs=1e-12)


def test_the_nearest_point_is_that_of_a_fine_grid(references):
    """The slow way: ten thousand points of the curve, and their distances."""
    unknown = signature(features_under(0.17, seed=50), num_draws=60)
    found = verdict(unknown, references)
    grid = np.linspace(0, 0.5, 10001)
    roots = np.sqrt([each.signature.shares[0] for each in references])
    curve = np.stack([np.interp(grid, RATES, roots[:, k]) for k in range(roots.shape[1])], axis=1)
    distances = np.linalg.norm(curve - np.sqrt(unknown.shares[0]), axis=1) / np.sqrt(2)
    assert found.rate == pytest.approx(grid[distances.argmin()], abs=1e-4)
    assert found.misfit == pytest.approx(distances.min(), abs=1e-6)


def test_the_error_of_examples_is_the_spread_over_draws(references):
    """The slow way: each draw of all encoders as if it were all examples."""
    unknown = signature(features_under(0.17, seed=50), num_draws=60)

    def of_draw(one, r):
        return Signature(np.repeat(one.shares[r : r + 1], 3, axis=0), one.num_examples, one.seed)

    guesses = [
        verdict(
            of_draw(unknown, r),
            [Reference(each.name, each.rate, of_draw(each.signature, r)) for each in references],
            max_width=1.0,
        ).rate
        for r in range(1, 61)
    ]
    assert verdict(unknown, references).example_error == pytest.approx(np.std(guesses, ddof=1))


def test_at_an_end_nothing_is_known_of_what_lies_beyond():
    references = [Reference(f"{r}", r, made(r)) for r in (0.2, 0.3, 0.4, 0.5)]
    below, above = (verdict(made(angle), references, max_width=1.0) for angle in (0.199, 0.501))
    assert (below.rate, below.low) == (0.2, 0.0)
    assert (above.rate, above.high) == (0.5, 1.0)
    assert verdict(made(0.501), references).reason.startswith("the interval, 50 to 100 %, is wider than 30 %")


def test_cannot_tell_where_noise_leaves_no_trace():
    """Encoders that differ by chance alone predict one another badly."""
    rng = np.random.default_rng(0)
    signatures = [signature(features_under(0.1, seed=i, data_seed=0), num_draws=30) for i in range(6)]
    references = [
        Reference(str(r), r, each) for r, each in zip(RATES, rng.permutation(signatures), strict=True)
    ]
    found = verdict(signature(features_under(0.1, seed=9), num_draws=30), references)
    assert (found.rate, found.low, found.high) == (None, None, None)
    assert "is wider than 30 %" in found.reason


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


def test_cannot_tell_where_the_interval_is_too_wide(references):
    unknown = signature(features_under(0.15, seed=50), num_draws=60)
    found = verdict(unknown, references, max_width=0.001)
    assert found.rate is None
    assert "is wider than 0.1 %" in found.reason


def test_fewer_examples_give_a_larger_error():
    few, many = (
        verdict(signature(features_under(0.15, seed=50, n=n), num_draws=60), known(n=n)) for n in (150, 5000)
    )
    assert many.example_error < 0.5 * few.example_error


def test_two_encoders_of_one_rate_are_averaged(references):
    twice = [*references, Reference("again", 0.2, signature(features_under(0.2, seed=77), num_draws=60))]
    assert verdict(signature(features_under(0.15, seed=50), num_draws=60), twice).rate is not None


def test_answers_are_plain_values(references):
    import json

    text = json.dumps(verdict(signature(features_under(0.15, seed=50), num_draws=60), references).to_json())
    assert set(json.loads(text)) >= {"rate", "low", "high", "reason", "nearest", "curve_error"}


def test_what_cannot_be_compared_is_told(references):
    with pytest.raises(
        InvalidArgument, match="`references` is '3 different rates'; allowed: encoders of 4 or more rates"
    ):
        verdict(references[0].signature, references[1:4])
    with pytest.raises(BadData, match=r"'noise0' has 1200 examples, .*the unknown one 100"):
        verdict(signature(features_under(0.1, n=100), num_draws=60), references)
    with pytest.raises(InvalidArgument, match=r"`max_width` is 3.0; allowed: a share"):
        verdict(references[0].signature, references, max_width=3.0)
    other = Reference("wide", 0.4, signature(features_under(0.4, d=30), num_draws=60))
    with pytest.raises(BadData, match=r"features of widths \[24, 30\]; allowed: one width"):
        verdict(references[0].signature, [*references, other])
