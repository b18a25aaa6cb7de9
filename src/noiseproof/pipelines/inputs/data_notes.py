"""Notes on the data of a flow, for readers of its results."""

from __future__ import annotations

import itertools

from noiseproof.config.data import DataConfig
from noiseproof.core.plurals import counted
from noiseproof.core.records import Dataset
from noiseproof.data.examples import listed
from noiseproof.pipelines.inputs.cleaned_copies import cleaning_notes
from noiseproof.pipelines.inputs.data_parts import DataPart, DataParts

_NUM_NAMED = 3


def notes(config: DataConfig, parts: DataParts) -> list[str]:
    """Notes on the data for readers of the results."""
    lines = [] if parts.note_on_scores is None else [parts.note_on_scores]
    classed = [] if parts.has_scores else parts.tests
    unknown = [part.name for part in classed if not part.has_true_labels and part.to_prefer is None]
    sets = "the evaluation sets" if len(unknown) == len(parts.tests) else ", ".join(unknown)
    if parts.train.noise is not None and unknown:
        lines.append(
            "Your own labels count as right: in training, the ones before noise was injected; in "
            f"{sets}, the ones that accuracy is measured against. Whether they are right is not known."
        )
    elif parts.train.noise is not None:
        lines.append("Labels as they were before noise was put in count as right.")
    elif unknown:
        lines.append(f"The true labels of {sets} are not known: accuracy is against labels as given.")
    cleaned = [
        (part.name, part.given_labels, part.to_prefer) for part in parts.tests if part.to_prefer is not None
    ]
    lines += cleaning_notes(cleaned)
    lines += [_note_on_gone(part) for part in parts.tests if part.gone]
    for part in parts.tests:
        if part.rows is None and part.dataset.fingerprint == parts.train.whole.fingerprint:
            lines.append(f"{part.name} has the same examples as the training set: it tests nothing new.")
    for earlier, part in itertools.combinations(parts.tests, 2):
        if earlier.rows is None and part.dataset.fingerprint == earlier.dataset.fingerprint:
            lines.append(f"{part.name} has the same examples as {earlier.name}: means count it twice.")
    if config.limit is not None:
        by_class = "" if parts.has_scores else ", drawn by class"
        lines.append(f"At most {config.limit} examples of each data set were used{by_class}.")
    return list(dict.fromkeys([*lines, *(note for part in parts.all for note in left_out(part.whole))]))


def left_out(dataset: Dataset) -> list[str]:
    """Notes on what is not in a data set: examples that were skipped, and files that were passed over."""
    if not dataset.skipped:
        return list(dataset.notes)
    num = counted(dataset.num_skipped, "example")
    return [*dataset.notes, f"Left out of {dataset.name}: {num}: {listed(dataset.skipped)}."]


def _note_on_gone(part: DataPart) -> str:
    num = int((part.best_labels >= len(part.dataset.class_names)).sum())
    names = ", ".join(map(repr, part.gone[:_NUM_NAMED])) + (", ..." if len(part.gone) > _NUM_NAMED else "")
    verbs = ("is", "counts") if num == 1 else ("are", "count")
    return (
        f"{part.name}: {counted(num, 'label')} from before, of {names}, {verbs[0]} no class any more and "
        f"{verbs[1]} as wrong."
    )
