"""The data that suspect labels are of, for exports that need more than the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.core.errors import BadData, invalid
from noiseproof.core.records import LabelIssues, LabelledDataset, rows_by_id
from noiseproof.data.examples import LazyExamples, Selected, files_of
from noiseproof.data.request import Request
from noiseproof.data.sources import open_request, resolve

TABLES = ("csv", "tsv", "jsonl", "parquet")


@dataclass(frozen=True, eq=False)
class Source:
    """A data set and how it was asked for.

    Attributes:
        dataset: its examples; the labels are not looked at, but for the true ones.
        request: name and columns.
        is_whole: it has all examples there are, none being left out by `limit` or because it is unreadable.
    """

    dataset: LabelledDataset
    request: Request
    is_whole: bool = True

    @cached_property
    def whole(self) -> LabelledDataset:
        """All examples; their labels are those on disk where `is_whole` is false."""
        return self.dataset if self.is_whole else open_request(self.request)

    @property
    def has_files(self) -> bool:
        """Whether its examples are images in files."""
        examples = self.dataset.examples
        if self.dataset.kind != "image" or not isinstance(examples, LazyExamples | Selected):
            return False
        return examples.path(0) is not None

    @property
    def kind(self) -> str:
        """A key of `data.sources.SOURCES`."""
        return resolve(self.request.name)[0]

    @property
    def path(self) -> Path:
        """Of the file or folder."""
        return Path(resolve(self.request.name)[1])

    def rows_of(self, issues: LabelIssues) -> Int[np.ndarray, " n"]:
        """Where the examples that were judged are in the data set.

        Raises:
            BadData: the data set lacks some of them.
        """
        return rows_of(issues, self.dataset.ids, self.request.name)

    def files(self, issues: LabelIssues) -> list[Path] | None:
        """The image file of each example that was judged; `None` where images are no files of their own."""
        found = files_of(self.dataset.examples) if self.dataset.kind == "image" else None
        return None if found is None else [found[row] for row in self.rows_of(issues)]

    def clean_labels(self, issues: LabelIssues) -> Int[np.ndarray, " n"] | None:
        """The truth for the examples that were judged, where it is known in the same class ids."""
        clean = self.dataset.clean_labels
        if clean is None or issues.class_names != self.dataset.class_names:
            return None
        return clean[self.rows_of(issues)]


def open_source(name: str, **columns: Any) -> Source:
    """The data set of this name; columns as in `open_dataset`."""
    request = Request(name, **columns)
    return Source(open_request(request), request)


def rows_of(issues: LabelIssues, ids: Sequence[Any] | np.ndarray, owner: str) -> Int[np.ndarray, " n"]:
    """Row of each example that was judged.

    Raises:
        BadData: an example is not there; it is named.
    """
    rows, absent = rows_by_id(issues.ids, ids)
    if absent:
        raise BadData(
            f"{owner!r} has no example {absent[0]!r} ({len(absent)} of {len(issues.ids)} that were judged "
            "are not there); allowed: the data set that the labels were judged in. Next: name that one, and "
            "give `find_label_issues` its ids (`ids=dataset.ids`)."
        )
    return rows


def needed(source: Source | None, export: str) -> Source:
    """What an export cannot do without.

    Raises:
        InvalidArgument: it was not given.
    """
    if source is None:
        raise invalid("data", None, f"the name of the data set for the format {export!r}", "Next: pass it.")
    return source
