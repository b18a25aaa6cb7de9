"""How many labels are wrong, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# Wider ranges do not tell the rate. An estimate in their middle may be off by half of this.
_WIDEST = 0.08


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
    if high - low <= _WIDEST:
        return f"About {100 * rate:.1f} % of the labels are wrong (between {least} and {most})."
    num = math.ceil(high * num_examples)
    return (
        f"Between {least} and {most} of the labels are wrong, perhaps {100 * rate:.1f} %; the features "
        f"cannot tell more exactly. Check the first {num:,} by suspicion."
    )


def review_sentences(reviewed: Mapping[str, Any] | None) -> list[str]:
    """Sentences on what decided labels tell of the others.

    Args:
        reviewed: the fields of `detect.known_labels.ReviewSummary`; `None` where nobody decided.
    """
    if reviewed is None:
        return []
    precision, rate, next_wrong = reviewed["precision"], reviewed["rate"], reviewed["next_wrong"]
    lines = [f"{reviewed['num_checked']:,} labels are checked: {reviewed['num_wrong']:,} were wrong."]
    if precision is not None:
        lines.append(
            f"Of {reviewed['num_flagged']:,} checked ones that looked wrong, "
            f"{reviewed['num_flagged_wrong']:,} were ({_percent(precision['value'])}, between "
            f"{_ends(precision)})."
        )
    if next_wrong is not None and reviewed["next_num"]:
        low, high = math.floor(next_wrong["low"]), math.ceil(next_wrong["high"])
        lines.append(
            f"Of the next {reviewed['next_num']:,} by suspicion about {next_wrong['value']:.0f} are wrong "
            f"(between {low} and {high})."
        )
    if rate is not None:
        lines.append(_about_all(rate, reviewed))
    return lines


def _about_all(rate: Mapping[str, float], reviewed: Mapping[str, Any]) -> str:
    start = f"{_percent(rate['value'])} of all labels were wrong (between {_ends(rate)})"
    if reviewed["basis"] == "sample":
        return f"{start}, by a sample of {reviewed['num_draws']:,} drawn labels."
    return (
        f"Perhaps {start}, if suspicion is right or wrong for unchecked labels as for the checked ones, "
        "which were not drawn at random. To be sure, check a sample: 'noiseproof detect ... --rate-sample "
        "100'."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _ends(interval: Mapping[str, float]) -> str:
    return f"{100 * interval['low']:.1f} and {_percent(interval['high'])}"
