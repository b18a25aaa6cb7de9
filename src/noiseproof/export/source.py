"""The data set behind suspect labels, for exports that need more than the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.core.errors import BadData, invalid
from noiseproof.core.records import LabelIssues, LabelledDataset, rows_by_id
from noiseproof.core.storage.array_files import open_archive
from noiseproof.data.examples import LazyExamples, Selected, files_of
from noiseproof.data.formats.columns import choose_columns
from noiseproof.data.formats.npz_files import label_array
from noiseproof.data.formats.parquet_files import parquet_table
from noiseproof.data.formats.table_access import LabelledTable
from noiseproof.data.formats.text_tables import text_table
from noiseproof.data.request import Request
from noiseproof.data.sources import open_request, resolve, with_own_columns
from noiseproof.decisions.record import Decision

TABLES = ("csv", "tsv", "jsonl", "parquet")


@dataclass(frozen=True, eq=False)
class Source:
    """A data set and its name and columns.

    Attributes:
        dataset: examples and true labels; the given labels are not used.
        request: name and columns.
        is_whole: whether no example is left out by `limit` or because it is unreadable.
        decisions: of people, by the ids of the examples.
    """

    dataset: LabelledDataset
    request: Request
    is_whole: bool = True
    decisions: Mapping[str, Decision] = field(default_factory=dict)

    @cached_property
    def whole(self) -> LabelledDataset:
        """The data set with all labelled examples; read again, labels as on disk, unless `is_whole`."""
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
        """Name of its source, a key of `data.sources.SOURCES`."""
        return resolve(self.request.name)[0]

    @property
    def path(self) -> Path:
        """Its file or folder."""
        return Path(resolve(self.request.name)[1])

    @property
    def columns(self) -> dict[str, str | None]:
        """The columns that it is read by, where it is a table or an archive; label column by its name."""
        if self.kind == "npz":
            with open_archive(self.path, self.request.name) as arrays:
                label = label_array(arrays, self.request)
        elif self.kind in TABLES:
            label = choose_columns(open_table(self.path, self.request.name).schema, self.request).label
        else:
            return {}
        own = {name: getattr(self.request, name) for name in ("image", "text", "clean_label")}
        return {"label": label} | own

    def rows_of(self, issues: LabelIssues) -> Int[np.ndarray, " n"]:
        """Row of each judged example.

        Raises:
            BadData: an example is not in the data set.
        """
        return rows_of(issues, self.dataset.ids, self.request.name)

    def files(self, issues: LabelIssues) -> list[Path] | None:
        """The image file of each judged example; `None` where images are not in files of their own."""
        files = files_of(self.dataset.examples) if self.dataset.kind == "image" else None
        return None if files is None else [files[row] for row in self.rows_of(issues)]

    def clean_labels(self, issues: LabelIssues) -> Int[np.ndarray, " n"] | None:
        """True labels of the judged examples, where they are known by the same class ids."""
        clean = self.dataset.clean_labels
        if clean is None or issues.class_names != self.dataset.class_names:
            return None
        return clean[self.rows_of(issues)]


def open_table(path: Path, owner: str) -> LabelledTable:
    """The table in a file of one of the formats in `TABLES`."""
    return parquet_table(path) if path.suffix.lower() == ".parquet" else text_table(path, owner)


def open_source(name: str, **columns: Any) -> Source:
    """Open a data set by name; columns as in `open_dataset`. Examples without a label were not judged."""
    own = Request(name, **columns, missing_label="skip", may_lack_examples=True)
    request = with_own_columns(own)
    return Source(open_request(request), request)


def rows_of(issues: LabelIssues, ids: Sequence[Any] | np.ndarray, owner: str) -> Int[np.ndarray, " n"]:
    """Row of each judged example among the ids of a data set.

    Raises:
        BadData: an example is not in the data set.
    """
    rows, absent = rows_by_id(issues.ids, ids)
    if absent:
        raise BadData(
            f"{owner!r} has no example {absent[0]!r} ({len(absent)} of {len(issues.ids)} that were judged "
            "are not there); allowed: the data set that the labels were judged in. Next: name that one, and "
            "give `find_label_issues` its ids (`ids=dataset.ids`)."
        )
    return rows


def require_source(source: Source | None, export: str) -> Source:
    """The data set of an export that needs one.

    Raises:
        InvalidArgument: no data set is given.
    """
    if source is None:
        raise invalid("data", None, f"the name of the data set for the format {export!r}", "Next: pass it.")
    return source
