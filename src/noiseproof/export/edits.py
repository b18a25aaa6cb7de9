"""Changes of the labels of a data set by cleaning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelIssues
from noiseproof.decisions.record import Decision
from noiseproof.export.source import rows_of

Way = Literal["drop", "relabel"]


@dataclass(frozen=True, eq=False)
class Edits:
    """Changes of the n rows of a data set by cleaning.

    Attributes:
        judged: class ids of the judged labels; the labels of the data set for other rows.
        final: class ids after cleaning.
        is_dropped: rows to leave out.
        class_names: of the class ids after cleaning; those that only people use come last.
        decided: row -> the decision of people on it.
        is_judged: rows whose labels were judged; of the others nothing is known.
    """

    judged: Int[np.ndarray, " n"]
    final: Int[np.ndarray, " n"]
    is_dropped: Bool[np.ndarray, " n"]
    class_names: tuple[str, ...]
    decided: Mapping[int, Decision]
    is_judged: Bool[np.ndarray, " n"]

    def column(self, name: str, before: Sequence[str] | None = None) -> np.ndarray:
        """A field of the decision on each row, as texts; empty where there is none.

        Args:
            name: of the field.
            before: texts of an earlier cleaning, which stay where nothing was judged.
        """
        cells = np.full(len(self.final), "", dtype=object)
        if before is not None:
            cells[~self.is_judged] = np.array(before, dtype=object)[~self.is_judged]
        for row, one in self.decided.items():
            cells[row] = getattr(one, name)
        return cells


@dataclass(frozen=True, eq=False)
class Cleaning:
    """How a data set is cleaned: flagged labels by a rule, and decisions of people, which win.

    Attributes:
        issues: the labels that were judged.
        way: what becomes of flagged labels without a decision; they stay with `None`.
        decisions: example id -> the decision that counts.
    """

    issues: LabelIssues
    way: Way | None
    decisions: Mapping[str, Decision] = field(default_factory=dict)


def compute_edits(
    cleaning: Cleaning,
    *,
    ids: Sequence[Any] | np.ndarray,
    labels: Int[np.ndarray, " n"],
    class_names: Sequence[str],
    owner: str,
) -> Edits:
    """Compute the changes of a data set by cleaning.

    Raises:
        BadData: an example or a class of the issues is not in the data set, or nothing is left.
    """
    issues = cleaning.issues
    rows = rows_of(issues, ids, owner)
    judged, final, is_dropped = labels.copy(), labels.copy(), np.zeros(len(labels), bool)
    shown = issues.to_frame()
    judged[rows] = final[rows] = _encoded(shown["given_label"], class_names, owner)
    if cleaning.way == "drop":
        is_dropped[rows] = issues.is_issue
    elif cleaning.way == "relabel":
        flagged = shown[issues.is_issue]
        final[rows[issues.is_issue]] = _encoded(flagged["suggested_label"], class_names, owner)
    place = {str(each): row for each, row in zip(issues.ids.tolist(), rows.tolist(), strict=True)}
    decided = {place[each]: one for each, one in cleaning.decisions.items()}
    new = dict.fromkeys(one.label for one in decided.values() if one.label and one.label not in class_names)
    names = (*class_names, *new)
    number = {name: k for k, name in enumerate(names)}
    for row, one in decided.items():
        is_dropped[row] = one.decision == "exclude"
        final[row] = number.get(one.label, final[row])
    if is_dropped.all():
        raise BadData(f"All examples of {owner!r} would be dropped; dropping them would leave nothing.")
    is_judged = np.zeros(len(labels), bool)
    is_judged[rows] = True
    return Edits(judged, final, is_dropped, names, decided, is_judged)


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
