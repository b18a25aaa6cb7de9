"""How many labels are wrong, in words."""

from __future__ import annotations

import math

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
    if high - low <= _WIDEST:
        return f"About {100 * rate:.1f} % of the labels are wrong (between {least} and {most})."
    num = math.ceil(high * num_examples)
    return (
        f"Between {least} and {most} of the labels are wrong, perhaps {100 * rate:.1f} %; the features "
        f"cannot tell more exactly. Check the first {num:,} by suspicion."
    )
