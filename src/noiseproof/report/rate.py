"""How many labels are wrong, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from noiseproof.core.plurals import counted
from noiseproof.detect.reviewed_rate import LEAST_DRAWS, Estimate

# Wider ranges do not tell the rate. An estimate in their middle may be off by half of this.
_WIDEST = 0.08
_LEAST = 0.0005  # a range that would be shown as 0.0 to 0.0 %
_NUM_NAMED = 3


def rate_sentence(rate: float, low: float | None, high: float | None, num_examples: int) -> str | None:
    """A sentence on the estimated share of wrong labels; `None` if its range is not known.

    Args:
        rate: estimated share.
        low: lowest plausible share.
        high: highest plausible share.
        num_examples: n.
    """
    if low is None or high is None:
        return None
    least, most = f"{100 * low:.1f}", f"{100 * high:.1f} %"
    if high >= 1:
        return "These features cannot tell how many labels are wrong."
    if high < _LEAST:
        return "Less than 0.1 % of the labels are wrong, as far as these features can tell."
    if high - low <= _WIDEST:
        return f"About {100 * rate:.1f} % of the labels are wrong (between {least} and {most})."
    num = math.ceil(high * num_examples)
    return (
        f"Between {least} and {most} of the labels are wrong, perhaps {100 * rate:.1f} %; the features "
        f"cannot tell more exactly. Check the first {num:,} by suspicion."
    )


def rate_sentences(estimate: Mapping[str, Any] | None, reviewed: Mapping[str, Any] | None) -> list[str]:
    """Sentences on how many labels are wrong, the best founded one first, and on what decided labels tell.

    Args:
        estimate: the fields of `NoiseRateCard`; `None` without any.
        reviewed: the fields of `detect.known_labels.ReviewSummary`; `None` where nobody decided.
    """
    sentences = review_sentences(reviewed)
    if reviewed is not None and reviewed["rate"]:
        if reviewed["basis"] != "sample":
            return sentences
        replaced = known_rate(**(estimate or {}).get("replaces") or {})
        return [_by_sample(reviewed["rate"], reviewed["num_draws"], replaced), *sentences]
    if estimate is None:
        return sentences
    names = ("rate", "low", "high", "num_examples")
    first = rate_sentence(**{name: estimate[name] for name in names})
    return [*([first] if first else []), *sentences]


def known_rate(
    rate: float | None = None, low: float | None = None, high: float | None = None
) -> float | None:
    """The estimate of a detector; `None` where it only flags, or its features cannot tell."""
    return None if low is None or high is None or high >= 1 else rate


def review_sentences(reviewed: Mapping[str, Any] | None) -> list[str]:
    """Sentences on what decided labels tell of the others; `rate_sentences` has that of a drawn sample.

    Args:
        reviewed: the fields of `detect.known_labels.ReviewSummary`; `None` where nobody decided.
    """
    if reviewed is None:
        return []
    precision, rate, next_wrong = reviewed["precision"], reviewed["rate"], reviewed["next_wrong"]
    lines = [_checked(reviewed["num_checked"], reviewed["num_wrong"], reviewed.get("num_corrected", 0))]
    if precision is not None:
        lines.append(
            f"Of the {counted(reviewed['num_flagged'], 'checked label')} that looked wrong, "
            f"{reviewed['num_flagged_wrong']:,} really {_were(reviewed['num_flagged_wrong'])} "
            f"({_percent(precision['value'])}, between {_ends(precision)})."
        )
    if next_wrong is not None and reviewed["next_num"]:
        low, high = math.floor(next_wrong["low"]), math.ceil(next_wrong["high"])
        lines.append(
            f"Of the next {counted(reviewed['next_num'], 'label')} by suspicion about "
            f"{next_wrong['value']:.0f} {'is' if round(next_wrong['value']) == 1 else 'are'} wrong "
            f"(between {low} and {high})."
        )
    if rate is not None and reviewed["basis"] != "sample":
        lines.append(_about_all(rate, "are" if reviewed.get("num_corrected") else "were"))
    return lines


def _about_all(rate: Mapping[str, float], verb: str) -> str:
    return (
        f"Perhaps {_all_wrong(rate, verb)}, if suspicion is right or wrong for unchecked labels as for the "
        "checked ones, which were not drawn at random. To be sure, check a sample: 'noiseproof detect ... "
        "--rate-sample 100'."
    )


def sample_sentence(
    rate: Estimate | None,
    num_draws: int,
    *,
    size: int,
    missing: Sequence[str] = (),
    replaced: float | None = None,
) -> str:
    """A sentence on what the checked part of a drawn sample tells.

    Args:
        rate: share of wrong labels among all, `None` where too little is checked.
        num_draws: checked draws up to the first unchecked one.
        size: of the sample.
        missing: ids of the examples that were decided when it was drawn and are not now.
        replaced: what the detector estimates.
    """
    if rate is not None:
        left, verb = size - num_draws, "is" if size - num_draws == 1 else "are"
        return _by_sample(asdict(rate), num_draws, replaced) + (
            f" {left:,} of its draws {verb} left." if left else ""
        )
    if missing:
        more = f" and {len(missing) - _NUM_NAMED:,} more" if len(missing) > _NUM_NAMED else ""
        have, them = ("has", "it") if len(missing) == 1 else ("have", "them")
        return (
            "The sample does not tell how many of all labels are wrong: decisions from before it was drawn "
            f"count, too, and {', '.join(map(repr, missing[:_NUM_NAMED]))}{more} {have} none any more. Next: "
            f"decide on {them} again."
        )
    verb = "is" if num_draws == 1 else "are"
    return (
        f"{num_draws:,} of the {size:,} draws of the sample {verb} checked, counted up to the first one "
        f"that is not; {LEAST_DRAWS} tell how many of all labels are wrong."
    )


def _by_sample(rate: Mapping[str, float], num_draws: int, replaced: float | None) -> str:
    instead = "" if replaced is None else f"; this replaces the detector's estimate of {_percent(replaced)}"
    return f"{_all_wrong(rate)}, by a sample of {counted(num_draws, 'drawn label')}{instead}."


def _all_wrong(rate: Mapping[str, float], verb: str = "were") -> str:
    return f"{_percent(rate['value'])} of all labels {verb} wrong (between {_ends(rate)})"


def _checked(num: int, num_wrong: int, num_corrected: int) -> str:
    verb = "is" if num == 1 else "are"
    corrected = f", {num_corrected:,} of them {_were(num_corrected)} corrected since" if num_corrected else ""
    return f"{counted(num, 'label')} {verb} checked: {num_wrong:,} {_were(num_wrong)} wrong{corrected}."


def _were(num: int) -> str:
    return "was" if num == 1 else "were"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _ends(interval: Mapping[str, float]) -> str:
    return f"{100 * interval['low']:.1f} and {_percent(interval['high'])}"
