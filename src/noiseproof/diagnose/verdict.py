r"""Was an encoder pre-trained on noisy labels? Its spectrum against those of encoders of known noise.

The known encoders, on the same examples, give a curve for each statistic of the spectrum (SVE, LSVR, raw and
centred): noise rate -> value. A statistic whose curve is monotone can be read backwards. The answer comes
with an interval, from resampled examples and from how well the known encoders predict one another, and it is
"cannot tell" whenever one of its conditions fails: they are listed at `verdict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float

from noiseproof.diagnose.signature import STATISTICS, Signature
from noiseproof.errors import BadData, invalid
from noiseproof.records import check_share

LEAST_REFERENCES = 4  # distinct rates: a curve, and enough left to test it by leaving one out
_MONOTONE_SHARE = 0.95  # of the bootstrap draws
_SHAPE_FACTOR = 2.0  # how much worse than the known encoders a spectrum may fit the curve
_SHAPE_FLOOR = 1e-3  # of a spectrum: no difference worth a word, whatever the known encoders do


@dataclass(frozen=True, eq=False)
class Reference:
    """An encoder whose noise is known.

    Attributes:
        name: of it.
        rate: of the noise it was pre-trained under, in [0, 1].
        signature: of its features on the data set.
    """

    name: str
    rate: float
    signature: Signature


@dataclass(frozen=True)
class Reading:
    """What one statistic says.

    Attributes:
        statistic: a name of `STATISTICS`.
        value: of the unknown encoder.
        monotone_share: of the bootstrap draws in which the curve of the known encoders is monotone.
        is_monotone: whether it is so for all examples and often enough in the draws.
        rate: read off the curve, not cut to [0, 1]; `None` where the curve cannot be read backwards or the
            value is beyond it.
        bootstrap_error: standard deviation of that over the draws.
        curve_error: root mean square error of known encoders read off the curve of the others.
        num_errors: how many of them that is from.
    """

    statistic: str
    value: float
    monotone_share: float
    is_monotone: bool
    rate: float | None
    bootstrap_error: float
    curve_error: float
    num_errors: int

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval: both errors together, by Student's t since known encoders are few."""
        error = np.hypot(self.bootstrap_error, self.curve_error)
        return float(scipy.stats.t.ppf(0.975, self.num_errors) * error)


@dataclass(frozen=True)
class Verdict:
    """Where an encoder lies among those of known noise.

    Attributes:
        rate: best guess, in [0, 1]; `None` for "cannot tell".
        low: end of the 95 % interval.
        high: other end.
        statistic: which one the guess was read from.
        reason: why it cannot be told, a sentence; empty otherwise.
        nearest: name of the known encoder whose spectrum is most alike.
        readings: what every statistic says.
    """

    rate: float | None
    low: float | None
    high: float | None
    statistic: str | None
    reason: str
    nearest: str
    readings: tuple[Reading, ...]

    @property
    def can_tell(self) -> bool:
        """Whether there is a guess."""
        return self.rate is not None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {
            name: getattr(self, name) for name in ("rate", "low", "high", "statistic", "reason", "nearest")
        }
        return plain | {"readings": [vars(reading) for reading in self.readings]}


def verdict(unknown: Signature, references: Sequence[Reference], *, max_width: float = 0.3) -> Verdict:
    """Place an encoder among encoders of known noise.

    It cannot be told when, in this order:
    - the features are of another width than those of the known encoders;
    - no statistic is monotone in the noise of the known encoders, in 95 % of the bootstrap draws;
    - the spectrum is unlike the family: further from the curve of spectra than twice what the known encoders
      are from the curve of the others;
    - the value is beyond the curve by more than its last segment;
    - statistics that can be read disagree beyond their errors;
    - the interval is wider than `max_width`.

    Args:
        unknown: of the encoder in question.
        references: of known encoders, on the same examples with the same seed; at least four rates.
        max_width: widest interval, in units of the rate, that is still an answer; in [0, 1].

    Returns:
        The guess of the monotone statistic whose curve errs least, with its interval, or why there is none.

    Raises:
        BadData: too few rates, or signatures of other examples or draws.
    """
    check_share(max_width, "max_width")
    _check_comparable(unknown, references)
    known = sorted(references, key=lambda each: each.rate)
    if unknown.dim != known[0].signature.dim:
        reason = (
            f"its features have width {unknown.dim}, those of the known encoders {known[0].signature.dim}, "
            "and the spectrum depends on the width"
        )
        return Verdict(None, None, None, None, reason, known[0].name, ())
    curves = _Curves(known)
    readings = tuple(_read(unknown, curves, i) for i in range(len(STATISTICS)))
    nearest = min(known, key=lambda each: _apart(unknown.shares, each.signature.shares)).name
    chosen, reason = _choose(unknown, curves, readings, max_width)
    if chosen is None or chosen.rate is None:
        return Verdict(None, None, None, None, reason, nearest, readings)
    low, high = _interval(chosen)
    return Verdict(float(np.clip(chosen.rate, 0, 1)), low, high, chosen.statistic, "", nearest, readings)


def leave_one_out(
    references: Sequence[Reference], *, max_width: float = 0.3
) -> list[tuple[Reference, Verdict]]:
    """The verdict on each known encoder by all others, which shows how often it is right.

    Args:
        references: at least five rates, so that four are left.
        max_width: as in `verdict`.
    """
    return [
        (
            one,
            verdict(one.signature, [other for other in references if other is not one], max_width=max_width),
        )
        for one in references
    ]


class _Curves:
    """Statistics and spectra of the known encoders by rate; encoders of the same rate are averaged."""

    def __init__(self, known: Sequence[Reference]) -> None:
        every = np.array([each.rate for each in known])
        self.rates = np.unique(every)
        groups = [[known[i].signature for i in np.flatnonzero(every == rate).tolist()] for rate in self.rates]
        self.values = np.stack([np.mean([each.values for each in group], axis=0) for group in groups])
        self.shares = np.stack([np.mean([each.shares for each in group], axis=0) for group in groups])

    def misfit(self, unknown: Signature) -> float:
        """How far a spectrum is from the nearest that the curve has, one segment beyond its ends included."""
        first, last = 2 * self.rates[0] - self.rates[1], 2 * self.rates[-1] - self.rates[-2]
        curve = (_between(self.rates, self.shares, rate) for rate in np.linspace(first, last, 401))
        return min(_apart(unknown.shares, each) for each in curve)

    def shape_error(self) -> float:
        """How far the spectrum of a known encoder is from what the others have at its rate, at most."""
        found = []
        for j in range(1, len(self.rates) - 1):
            others = np.delete(np.arange(len(self.rates)), j)
            expected = _between(self.rates[others], self.shares[others], self.rates[j])
            found.append(_apart(self.shares[j], expected))
        return max(found)


def _read(unknown: Signature, curves: _Curves, index: int) -> Reading:
    values, own = curves.values[:, :, index], unknown.values[:, index]  # (rate, draw), (draw,)
    steps = np.diff(values, axis=0)
    direction = np.sign(values[-1, 0] - values[0, 0])
    is_monotone = (steps * direction > 0).all(axis=0)
    share = float(is_monotone[1:].mean())
    rate, spread, curve_error = None, 0.0, 0.0
    can_be_read = bool(is_monotone[0]) and share >= _MONOTONE_SHARE
    if can_be_read:
        rate = _inverse(curves.rates, values[:, 0], float(own[0]))
        drawn = [
            _inverse(curves.rates, values[:, r], float(own[r])) for r in np.flatnonzero(is_monotone[1:]) + 1
        ]
        inside = np.array([each for each in drawn if each is not None])
        if len(inside) < _MONOTONE_SHARE * len(drawn):  # beyond the curve as often as not
            rate = None
        spread = float(inside.std(ddof=1)) if len(inside) > 1 else 0.0
        curve_error = _curve_error(curves.rates, values[:, 0])
    return Reading(
        STATISTICS[index], float(own[0]), share, can_be_read, rate, spread, curve_error, len(curves.rates) - 2
    )


def _curve_error(rates: Float[np.ndarray, " j"], values: Float[np.ndarray, " j"]) -> float:
    """Root mean square error of inner points read off the curve of the others."""
    errors = []
    for j in range(1, len(rates) - 1):
        found = _inverse(np.delete(rates, j), np.delete(values, j), float(values[j]))
        errors.append(found - rates[j] if found is not None else rates[j + 1] - rates[j - 1])
    return float(np.sqrt(np.mean(np.square(errors))))


def _inverse(rates: Float[np.ndarray, " j"], values: Float[np.ndarray, " j"], value: float) -> float | None:
    """Linear between the points, and one segment beyond each end."""
    if values[0] > values[-1]:
        values, value = -values, -value
    left = int(np.clip(np.searchsorted(values, value) - 1, 0, len(values) - 2))
    place = (value - values[left]) / (values[left + 1] - values[left])
    if not -1 <= place <= 2:
        return None
    return float(rates[left] + place * (rates[left + 1] - rates[left]))


def _choose(
    unknown: Signature, curves: _Curves, readings: tuple[Reading, ...], max_width: float
) -> tuple[Reading | None, str]:
    """The reading to trust, or why there is none."""
    monotone = [each for each in readings if each.is_monotone]
    if not monotone:
        shares = ", ".join(f"{each.statistic} {100 * each.monotone_share:.0f} %" for each in readings)
        return None, f"no statistic is monotone in the noise of the known encoders often enough ({shares})"
    misfit, allowed = curves.misfit(unknown), _SHAPE_FACTOR * curves.shape_error() + _SHAPE_FLOOR
    if misfit > allowed:
        return None, (
            f"its spectrum is unlike those of the known encoders ({100 * misfit:.1f} % of it elsewhere, "
            f"allowed {100 * allowed:.1f} %)"
        )
    readable = [each for each in monotone if each.rate is not None]
    if not readable:
        return None, "its statistics are beyond those of the known encoders"
    best = min(readable, key=lambda each: each.half_width)
    for other in readable:
        assert best.rate is not None  # by the choice above
        assert other.rate is not None
        if abs(other.rate - best.rate) > np.hypot(other.half_width, best.half_width):
            return None, (
                f"its statistics disagree: {best.statistic} says {best.rate:.2f}, {other.statistic} "
                f"{other.rate:.2f}"
            )
    low, high = _interval(best)
    if high - low > max_width:
        return None, f"the interval, {low:.2f} to {high:.2f}, is wider than {max_width:g}"
    return best, ""


def _interval(reading: Reading) -> tuple[float, float]:
    assert reading.rate is not None  # of a statistic that can be read
    ends = (reading.rate - reading.half_width, reading.rate + reading.half_width)
    low, high = np.clip(ends, 0, 1)
    return float(low), float(high)


def _between(
    rates: Float[np.ndarray, " j"], shares: Float[np.ndarray, "j 2 d"], rate: float
) -> Float[np.ndarray, "2 d"]:
    """The spectrum at a rate, linear between those known and beyond them."""
    right = int(np.clip(np.searchsorted(rates, rate), 1, len(rates) - 1))
    place = (rate - rates[right - 1]) / (rates[right] - rates[right - 1])
    return (1 - place) * shares[right - 1] + place * shares[right]


def _apart(one: Float[np.ndarray, "2 d"], other: Float[np.ndarray, "2 d"]) -> float:
    """Total variation between two spectra, the larger of raw and centred: 0 alike, 1 nothing in common."""
    return float(0.5 * np.abs(one - other).sum(axis=1).max())


def _check_comparable(unknown: Signature, references: Sequence[Reference]) -> None:
    for each in references:
        check_share(each.rate, f"rate of {each.name}")
        mine, theirs = (
            (found.num_examples, found.seed, len(found.values)) for found in (unknown, each.signature)
        )
        if mine != theirs:
            raise BadData(
                f"The signature of {each.name!r} is of {theirs[0]} examples, seed {theirs[1]} and "
                f"{theirs[2]} draws, that in question of {mine[0]}, {mine[1]} and {mine[2]}; allowed: the "
                "same examples and draws. Next: take both with the same arguments."
            )
    widths = {each.signature.dim for each in references}
    if len(widths) > 1:
        raise BadData(f"The known encoders have features of widths {sorted(widths)}; allowed: one width.")
    num_rates = len({each.rate for each in references})
    if num_rates < LEAST_REFERENCES:
        raise invalid(
            "references", f"{num_rates} different rates", f"encoders of {LEAST_REFERENCES} rates or more",
            "A curve of fewer cannot be tested by leaving one out.",
        )  # fmt: skip
