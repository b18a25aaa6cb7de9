"""Evaluation examples that are copies of training examples: accuracy on them is too high."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import Document, read_document
from noiseproof.pipelines.inputs.encoded import EncodedParts
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.posterior.copies import shared_copies

COPIES = "copies.json"


class StraddlingCopies(Document):
    """Numbers of evaluation examples with a copy in the training set, as in `copies.json`.

    Attributes:
        sets: name of an evaluation set -> number of its examples with a copy, and of all its examples.
    """

    sets: dict[str, tuple[int, int]]

    def notes(self) -> list[str]:
        """Sentences for readers of the results, one for each set that has such examples."""
        return [
            f"{num_copies:,} of the {num_examples:,} examples of {name} are copies or near duplicates of "
            "training examples, so accuracy there is too high. Next: evaluate on a --test set without them."
            for name, (num_copies, num_examples) in self.sets.items()
            if num_copies
        ]


def write_straddling_copies(folder: Path, train: Any, tests: Iterable[tuple[str, Any]]) -> list[str]:
    """Count copies by their features, (n, d) of each set, and write `copies.json`.

    Returns:
        Names of the files.
    """
    sets = {name: (int(shared_copies(train, features).sum()), len(features)) for name, features in tests}
    write_record(folder / COPIES, StraddlingCopies(sets=sets).to_json())
    return [COPIES]


def count_copies(stages: Stages, encoded: EncodedParts) -> None:
    """The stage of a run that counts them; whole equal sets have a note of their own."""
    train, *others = encoded.parts.all
    tests = [part for part in others if part.dataset.fingerprint != train.whole.fingerprint]

    def make(folder: Path) -> list[str]:
        sets = ((part.name, encoded.features(part)) for part in tests)
        return write_straddling_copies(folder, encoded.features(train), sets)

    depends_on = [[part.name, encoded.key(part)] for part in (train, *tests)]
    stages.once("copies", depends_on=depends_on, make=make)


def read_straddling_copies(folder: Path) -> StraddlingCopies:
    """The counts in a run folder."""
    return read_document(folder / COPIES, StraddlingCopies, next_step="run the same command again")
