"""Changes of the labels of a data set by cleaning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelIssues
from noiseproof.export.source import rows_of

Way = Literal["drop", "relabel"]


@dataclass(frozen=True, eq=False)
class Edits:
    """Changes of the n rows of a data set by cleaning.

    Attributes:
        judged: class ids of the judged labels; the labels of the data set for other rows.
        final: class ids after cleaning.
        is_dropped: rows to leave out.
    """

    judged: Int[np.ndarray, " n"]
    final: Int[np.ndarray, " n"]
    is_dropped: Bool[np.ndarray, " n"]


def compute_edits(
    issues: LabelIssues,
    way: Way,
    *,
    ids: Sequence[Any] | np.ndarray,
    labels: Int[np.ndarray, " n"],
    class_names: Sequence[str],
    owner: str,
) -> Edits:
    """Compute the changes of a data set by cleaning.

    Args:
        issues: the labels that were judged.
        way: of cleaning.
        ids: n ids of the data set.
        labels: class ids of it.
        class_names: k names of it.
        owner: name of it, for messages.

    Raises:
        BadData: an example or a class of the issues is not in the data set.
    """
    rows = rows_of(issues, ids, owner)
    judged, final, is_dropped = labels.copy(), labels.copy(), np.zeros(len(labels), bool)
    shown = issues.to_frame()
    given = _encoded(shown["given_label"], class_names, owner)
    judged[rows] = given
    if way == "drop":
        is_dropped[rows] = issues.is_issue
        final[rows] = given
        if is_dropped.all():
            raise BadData(f"All labels of {owner!r} look wrong; dropping them would leave nothing.")
    else:
        final[rows] = np.where(issues.is_issue, _encoded(shown["suggested_label"], class_names, owner), given)
    return Edits(judged, final, is_dropped)


def _encoded(names: Iterable[Any], class_names: Sequence[str], owner: str) -> Int[np.ndarray, " n"]:
    number = {name: k for k, name in enumerate(class_names)}
    texts = [str(name) for name in names]
    unknown = next((text for text in texts if text not in number), None)
    if unknown is not None:
        raise BadData(
            f"{owner!r} has no class {unknown!r}; allowed: issues in the labels of this data set. Next: name "
            "the label column they are from with `label`."
        )
    return np.array([number[text] for text in texts], np.int64)
