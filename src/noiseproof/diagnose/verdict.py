r"""Was an encoder pre-trained on noisy labels? Its spectrum against those of encoders of known noise.

The shares p_i = s_i / sum s of a spectrum are a distribution, and Hellinger's distance between two of them is
|sqrt p - sqrt q| / sqrt 2. The known encoders, on the same examples, are points by noise rate; straight lines
between neighbours make a curve through them, and the nearest point of the curve is the guess. It comes with
an interval, from resampled examples and from how well the known encoders predict one another, and it is
"cannot tell" whenever one of the conditions listed at `verdict` fails. The whole spectrum is read, since no
single number of it need be monotone in the noise (`dev/LOG.md`, 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float

from noiseproof.core.checks import check_share
from noiseproof.core.errors import BadData, invalid
from noiseproof.diagnose.signature import Signature

LEAST_REFERENCES = 4  # distinct rates: a curve, and enough left to test it by leaving one out
_MISFIT_FACTOR = 2.0  # how much further from the curve than a known encoder from that of the others
_MISFIT_FLOOR = 1e-3  # no distance worth a word, whatever the known encoders do


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
class Verdict:
    """Where an encoder lies among those of known noise.

    Attributes:
        rate: best guess, in [0, 1]; `None` for "cannot tell".
        low: end of the 95 % interval.
        high: other end.
        reason: why it cannot be told, a sentence; empty otherwise.
        nearest: name of the known encoder whose spectrum is most alike.
        example_error: standard deviation of the guess over the bootstrap draws.
        curve_error: largest error of an inner known encoder that is read off the curve of the others. The
            largest, since they share neighbours: with the root mean square, 75 to 91 % of simulated intervals
            held the truth (`dev/LOG.md`).
        misfit: Hellinger's distance from the spectrum to the curve, in [0, 1].
        allowed_misfit: from what on the spectrum counts as of another family.
    """

    rate: float | None
    low: float | None
    high: float | None
    reason: str
    nearest: str
    example_error: float | None = None
    curve_error: float | None = None
    misfit: float | None = None
    allowed_misfit: float | None = None

    @property
    def can_tell(self) -> bool:
        """Whether there is a guess."""
        return self.rate is not None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def verdict(unknown: Signature, references: Sequence[Reference], *, max_width: float = 0.3) -> Verdict:
    """Place an encoder among encoders of known noise.

    It cannot be told when, in this order:
    - the features are of another width than those of the known encoders;
    - the spectrum is unlike the family: more than twice as far from the curve as the known encoders are, at
      most, from that of the others;
    - the interval is wider than `max_width`. At an end of the curve it reaches to 0, or to 1, since nothing
      is known of what lies beyond.

    Args:
        unknown: of the encoder in question.
        references: of known encoders, on the same examples with the same seed; at least four rates.
        max_width: widest interval, in units of the rate, that is still an answer; in [0, 1].

    Raises:
        BadData: too few rates, or signatures of other examples or draws.
    """
    check_share(max_width, "max_width")
    _check_comparable(unknown, references)
    known = sorted(references, key=lambda each: each.rate)
    if unknown.dim != known[0].signature.dim:
        return verdict_on_other_width(unknown.dim, known[0].signature.dim, nearest=known[0].name)
    nearest = min(known, key=lambda each: hellinger(unknown, each.signature)).name
    rates, curve = _curve(known)
    guesses, misfits = _nearest_on_curve(np.sqrt(unknown.shares), rates, curve)
    left_out_errors, left_out_misfits = _left_out(rates, curve[:, :1])
    rate, misfit = float(guesses[0]), float(misfits[0])
    example_error = float(guesses[1:].std(ddof=1))
    curve_error = float(np.abs(left_out_errors).max())
    allowed = _MISFIT_FACTOR * float(left_out_misfits.max()) + _MISFIT_FLOOR
    # Student's t, since known encoders are few.
    half_width = float(scipy.stats.t.ppf(0.975, len(left_out_errors)) * np.hypot(example_error, curve_error))
    low = 0.0 if rate == rates[0] else max(rate - half_width, 0.0)
    high = 1.0 if rate == rates[-1] else min(rate + half_width, 1.0)
    reason = ""
    if misfit > allowed:
        reason = (
            f"its spectrum is unlike those of the known encoders (distance {misfit:.3f} from their curve, "
            f"allowed {allowed:.3f})"
        )
    elif high - low > max_width:
        reason = f"the interval, {100 * low:.0f} to {100 * high:.0f} %, is wider than {100 * max_width:g} %"
    errors = (example_error, curve_error, misfit, allowed)
    if reason:
        return Verdict(None, None, None, reason, nearest, *errors)
    return Verdict(rate, low, high, "", nearest, *errors)


def verdict_on_other_width(dim: int, known_dim: int, *, nearest: str) -> Verdict:
    """The verdict where the widths of the features differ, which can be said before any spectrum is there."""
    reason = (
        f"its features have width {dim}, those of the known encoders {known_dim}, and the spectrum depends "
        "on the width"
    )
    return Verdict(None, None, None, reason, nearest)


def leave_one_out_verdicts(
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


def hellinger(one: Signature, other: Signature) -> float:
    """Distance between the spectra of all examples: 0 alike, 1 nothing in common."""
    return float(np.linalg.norm(np.sqrt(one.shares[0]) - np.sqrt(other.shares[0])) / np.sqrt(2))


def _curve(known: Sequence[Reference]) -> tuple[Float[np.ndarray, " j"], Float[np.ndarray, "j r d"]]:
    """Rates and square roots of the shares there, in every draw; encoders of the same rate are averaged."""
    rates = np.unique([each.rate for each in known])
    roots = [
        np.mean([np.sqrt(each.signature.shares) for each in known if each.rate == rate], axis=0)
        for rate in rates
    ]
    return rates, np.stack(roots)


def _nearest_on_curve(
    roots: Float[np.ndarray, "r d"], rates: Float[np.ndarray, " j"], curve: Float[np.ndarray, "j r d"]
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " r"]]:
    """Rate of the nearest point of the curve in each draw, and Hellinger's distance to it."""
    steps = np.diff(curve, axis=0)  # (segment, draw, d)
    squares = np.maximum((steps**2).sum(axis=2), np.finfo(np.float64).tiny)
    places = (((roots - curve[:-1]) * steps).sum(axis=2) / squares).clip(0, 1)
    distances = np.linalg.norm(roots - curve[:-1] - places[:, :, None] * steps, axis=2) / np.sqrt(2)
    segment, draw = distances.argmin(axis=0), np.arange(len(roots))
    place = places[segment, draw]
    return (1 - place) * rates[segment] + place * rates[segment + 1], distances[segment, draw]


def _left_out(
    rates: Float[np.ndarray, " j"], curve: Float[np.ndarray, "j 1 d"]
) -> tuple[Float[np.ndarray, " j-2"], Float[np.ndarray, " j-2"]]:
    """Each inner point read off the curve of the others: error of its rate, how far off the curve it is."""
    errors, distances = [], []
    for j in range(1, len(rates) - 1):
        guess, distance = _nearest_on_curve(curve[j], np.delete(rates, j), np.delete(curve, j, axis=0))
        errors.append(guess[0] - rates[j])
        distances.append(distance[0])
    return np.array(errors), np.array(distances)


def _check_comparable(unknown: Signature, references: Sequence[Reference]) -> None:
    for each in references:
        check_share(each.rate, f"rate of {each.name}")
        mine, theirs = (
            (found.num_examples, found.seed, len(found.shares) - 1) for found in (unknown, each.signature)
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
