"""Predictions as a table, a row per example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    import pandas as pd

FIRST_COLUMNS = ("example_id", "prediction")
PROB = "prob_"  # before the name of a class, which may be called "reason"


def prediction_frame(
    ids: np.ndarray,
    probs: Float[np.ndarray, "n k"],
    class_names: Sequence[str],
    *,
    confidence: float,
    reasons: Sequence[str | None],
) -> pd.DataFrame:
    """The table of some examples.

    Args:
        ids: of the examples.
        probs: of the classes; NaN in rows without a usable example.
        class_names: k names.
        confidence: least probability of a prediction that is not called unsure.
        reasons: why an example has no prediction; `None` where it has one.
    """
    import pandas as pd

    has_none = np.isnan(probs).any(axis=1)
    safe = np.where(has_none[:, None], 0.0, probs)
    rows = np.arange(len(probs))
    best = safe.argmax(axis=1)
    highest = safe[rows, best]
    others = safe.copy()
    others[rows, best] = -1.0
    second = others.argmax(axis=1)
    is_unsure = has_none | (highest < confidence)
    names = np.array(class_names, dtype=object)
    columns: dict[str, Any] = {
        "example_id": ids.astype(str).astype(object),
        "prediction": np.where(has_none, None, names[best]),
        "confidence": np.where(has_none, np.nan, highest),
    }
    columns |= {f"{PROB}{name}": probs[:, place] for place, name in enumerate(class_names)}
    columns["is_unsure"] = is_unsure
    doubts = [
        f"may be {names[other]}, too ({safe[row, other]:.2f})" if is_unsure[row] else None
        for row, other in enumerate(second.tolist())
    ]
    columns["reason"] = [given or doubt for given, doubt in zip(reasons, doubts, strict=True)]
    return pd.DataFrame(columns)


def score_frame(
    ids: np.ndarray, scores: Float[np.ndarray, " n"], *, reasons: Sequence[str | None]
) -> pd.DataFrame:
    """The table of predicted scores; an example without one is unsure, with the reason."""
    import pandas as pd

    columns = {
        "example_id": ids.astype(str).astype(object),
        "prediction": scores,
        "is_unsure": np.isnan(scores),
        "reason": np.array(reasons, dtype=object),
    }
    return pd.DataFrame(columns)
