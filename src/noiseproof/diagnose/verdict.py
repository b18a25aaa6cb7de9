r"""Estimate the label noise of pre-training by comparing spectra with encoders of known noise.

The shares p_i = s_i / sum s of a spectrum are a distribution, and Hellinger's distance between two of them is
|sqrt p - sqrt q| / sqrt 2. The known encoders, on the same examples, are points by noise rate; straight lines
between neighbours form a curve, and the nearest point on the curve is the estimate. Its interval comes from
resampled examples and from the errors of the known encoders when each is predicted from the others. The
verdict is "cannot tell" if one of the conditions listed at `verdict` fails. The whole spectrum is used,
because no single number of it has to be monotone in the noise (`dev/LOG.md`, 2026-11-21).
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

LEAST_REFERENCES = 4  # distinct rates: enough for a curve with one of them left out
_MISFIT_FACTOR = 2.0  # allowed distance from the curve, relative to that of the known encoders
_MISFIT_FLOOR = 1e-3  # distances below are always allowed


@dataclass(frozen=True, eq=False)
class Reference:
    """An encoder with known pre-training noise.

    Attributes:
        name: of the encoder.
        rate: noise rate of its pre-training, in [0, 1].
        signature: of its features on the data set.
    """

    name: str
    rate: float
    signature: Signature


@dataclass(frozen=True)
class Verdict:
    """The estimated noise rate of an encoder, or the reason why there is none.

    Attributes:
        rate: estimate, in [0, 1]; `None` for "cannot tell".
        low: lower end of the 95 % interval.
        high: upper end.
        reason: why there is no estimate, a sentence; empty otherwise.
        nearest: name of the known encoder with the most similar spectrum.
        example_error: standard deviation of the estimate over the bootstrap draws.
        curve_error: largest error of an inner known encoder that is predicted from the curve of the others.
            The largest, because they share neighbours: with the root mean square, 75 to 91 % of simulated
            intervals contained the truth (`dev/LOG.md`).
        misfit: Hellinger's distance from the spectrum to the curve, in [0, 1].
        allowed_misfit: largest distance at which the spectrum counts as one of this family.
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

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def verdict(unknown: Signature, references: Sequence[Reference], *, max_width: float = 0.3) -> Verdict:
    """Estimate the noise rate of an encoder from encoders with known noise.

    The verdict is "cannot tell" if, in this order:
    - the features have another width than those of the known encoders;
    - the spectrum does not belong to the family: its distance from the curve is more than twice the largest
      distance of a known encoder from the curve of the others;
    - the interval is wider than `max_width`. At an end of the curve it extends to 0 or to 1, because nothing
      is known beyond.

    Args:
        unknown: signature of the encoder in question.
        references: known encoders, with the same examples and seed; at least four rates.
        max_width: widest accepted interval, in units of the rate; in [0, 1].

    Raises:
        BadData: too few rates, or signatures of different examples or draws.
    """
    check_share(max_width, "max_width")
    _check_comparable(unknown, references)
    known = sorted(references, key=lambda each: each.rate)
    if unknown.dim != known[0].signature.dim:
        return verdict_on_other_width(unknown.dim, known[0].signature.dim, nearest=known[0].name)
    nearest = min(known, key=lambda each: hellinger(unknown, each.signature)).name
    rates, curve = _curve(known)
    estimates, misfits = _nearest_on_curve(np.sqrt(unknown.shares), rates, curve)
    left_out_errors, left_out_misfits = _left_out(rates, curve[:, :1])
    rate, misfit = float(estimates[0]), float(misfits[0])
    example_error = float(estimates[1:].std(ddof=1))
    curve_error = float(np.abs(left_out_errors).max())
    allowed = _MISFIT_FACTOR * float(left_out_misfits.max()) + _MISFIT_FLOOR
    # Student's t, because there are few known encoders.
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
    """The verdict for features of another width, which needs no spectrum."""
    reason = (
        f"its features have width {dim}, those of the known encoders {known_dim}, and the spectrum depends "
        "on the width"
    )
    return Verdict(None, None, None, reason, nearest)


def hellinger(one: Signature, other: Signature) -> float:
    """Hellinger's distance between the spectra of all examples: 0 for equal, 1 for disjoint."""
    return float(np.linalg.norm(np.sqrt(one.shares[0]) - np.sqrt(other.shares[0])) / np.sqrt(2))


def _curve(known: Sequence[Reference]) -> tuple[Float[np.ndarray, " j"], Float[np.ndarray, "j r d"]]:
    """Rates and, for each, the square roots of the shares in every draw; equal rates are averaged."""
    rates = np.unique([each.rate for each in known])
    roots = [
        np.mean([np.sqrt(each.signature.shares) for each in known if each.rate == rate], axis=0)
        for rate in rates
    ]
    return rates, np.stack(roots)


def _nearest_on_curve(
    roots: Float[np.ndarray, "r d"], rates: Float[np.ndarray, " j"], curve: Float[np.ndarray, "j r d"]
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " r"]]:
    """Rate at the nearest point of the curve in each draw, and Hellinger's distance to it."""
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
    """Each inner point predicted from the curve of the others: error of its rate, distance to the curve."""
    errors, distances = [], []
    for j in range(1, len(rates) - 1):
        estimate, distance = _nearest_on_curve(curve[j], np.delete(rates, j), np.delete(curve, j, axis=0))
        errors.append(estimate[0] - rates[j])
        distances.append(distance[0])
    return np.array(errors), np.array(distances)


def _check_comparable(unknown: Signature, references: Sequence[Reference]) -> None:
    for each in references:
        check_share(each.rate, f"rate of {each.name}")
        wanted, got = ((one.num_examples, one.seed, len(one.shares) - 1) for one in (unknown, each.signature))
        if wanted != got:
            raise BadData(
                f"The signature of {each.name!r} has {got[0]} examples, seed {got[1]} and {got[2]} draws, "
                f"the unknown one {wanted[0]}, {wanted[1]} and {wanted[2]}; allowed: the same examples and "
                "draws. Next: compute both with the same arguments."
            )
    widths = {each.signature.dim for each in references}
    if len(widths) > 1:
        raise BadData(f"The known encoders have features of widths {sorted(widths)}; allowed: one width.")
    num_rates = len({each.rate for each in references})
    if num_rates < LEAST_REFERENCES:
        raise invalid(
            "references", f"{num_rates} different rates", f"encoders of {LEAST_REFERENCES} or more rates",
            "With fewer, the curve cannot be tested by leaving one out.",
        )  # fmt: skip
