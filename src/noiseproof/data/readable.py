"""Examples that cannot be used: found all at once, named with their reasons, or left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from noiseproof.core.errors import BadData, MissingFile, NoiseproofError
from noiseproof.core.progress import progress
from noiseproof.core.records import AnyDataset, Dataset, LabelledDataset
from noiseproof.data.examples import bare_reason, unreadable_error
from noiseproof.data.splits import subset


def unreadable_reasons(dataset: Dataset) -> dict[int, str]:
    """Row -> reason, of every example that cannot be decoded; decodes each example once."""
    reasons: dict[int, str] = {}
    with progress(f"Checking {dataset.name}", total=len(dataset), unit="example") as bar:
        for row in range(len(dataset)):
            try:
                dataset.examples[row]
            except (BadData, MissingFile, OSError, ValueError) as error:  # the latter of readers of others
                reasons[row] = bare_reason(error)
            bar.update()
    return reasons


def with_all_unreadable(error: NoiseproofError, dataset: Dataset) -> NoiseproofError:
    """The error of one example, or one that names every unreadable example of the data set.

    Args:
        error: raised while the examples were read.
        dataset: whose examples they are; all of them are decoded once.
    """
    if dataset.kind == "features":
        return error
    reasons = {str(dataset.ids[row]): reason for row, reason in unreadable_reasons(dataset).items()}
    return unreadable_error(reasons, dataset.name, type(error)) if len(reasons) > 1 else error


def without_unreadable(dataset: LabelledDataset) -> LabelledDataset:
    """Leave out the examples that cannot be decoded, with their reasons.

    Raises:
        BadData: none can be read.
    """
    reasons = unreadable_reasons(dataset)
    if len(reasons) == len(dataset):
        last = list(reasons.values())[-1]
        raise BadData(f"No example of {dataset.name!r} can be read; the last: {dataset.ids[-1]!s}: {last}")
    return leave_out(dataset, reasons)


def missing_label_reasons(labels: Mapping[str, Int[np.ndarray, " n"]]) -> dict[int, str]:
    """Row -> reason, of every example without a label: its class id is -1."""
    reasons: dict[int, str] = {}
    for column, class_ids in labels.items():
        reasons |= dict.fromkeys(np.flatnonzero(class_ids < 0).tolist(), f"no label in {column!r}")
    return reasons


def leave_out(dataset: AnyDataset, reasons: Mapping[int, str]) -> AnyDataset:
    """The data set without some rows, which it lists among its skipped examples.

    Args:
        reasons: row -> why it is left out.

    Raises:
        BadData: nothing would be left.
    """
    if not reasons:
        return dataset  # with its own fingerprint, so that its features are found again
    kept = np.setdiff1d(np.arange(len(dataset)), list(reasons))
    skipped = {str(dataset.ids[row]): reason for row, reason in reasons.items()}
    return replace(subset(dataset, kept, name=dataset.name), skipped={**dataset.skipped, **skipped})
