"""`open_dataset`: a short string -> a data set.

To add a file format: write `open_x(address, request) -> LabelledDataset` in a file of `data/formats/`
(`image_lists.py` is a short example); add its suffix to `SOURCES`, or its prefix to `SOURCES` and `PREFIXES`;
name it in the docstring of `open_dataset`, in the help of `train` in `config/data.py` and in
`docs/your-own-data.md`; add a maker of a tiny example to `tests/data/tiny_sources.py`, so that
`tests/data/test_source_contract.py` checks it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from noiseproof.core.class_names import name_hints
from noiseproof.core.errors import MissingFile, invalid
from noiseproof.core.records import LabelledDataset
from noiseproof.core.registry import Registry, unknown_name
from noiseproof.core.storage.checksums import read_record
from noiseproof.core.storage.inner_paths import inner_path
from noiseproof.core.storage.regular_files import check_regular
from noiseproof.data.classes import are_scores
from noiseproof.data.readable import without_unreadable
from noiseproof.data.request import COLUMNS, MissingLabel, OnError, Request, Task
from noiseproof.data.splits import stratified_sample, subset

SOURCES = Registry(
    "kind of data source",
    {
        "folder": "noiseproof.data.formats.folders:open_folder",
        "tar": "noiseproof.data.pairs.shard_dataset:open_shards",
        "csv": "noiseproof.data.formats.text_tables:open_text_table",
        "tsv": "noiseproof.data.formats.text_tables:open_text_table",
        "jsonl": "noiseproof.data.formats.text_tables:open_text_table",
        "parquet": "noiseproof.data.formats.parquet_files:open_parquet",
        "npy": "noiseproof.data.formats.npz_files:open_npy",
        "npz": "noiseproof.data.formats.npz_files:open_npz",
        "txt": "noiseproof.data.formats.image_lists:open_list",
        "torchvision": "noiseproof.data.public.torchvision_sets:open_torchvision",
        "hf": "noiseproof.data.public.hub_datasets:open_hub",
        "sklearn": "noiseproof.data.public.torchvision_sets:open_sklearn",
        "idx": "noiseproof.data.formats.idx_files:open_idx",
        "clothing1m": "noiseproof.data.public.clothing1m:open_clothing1m",
        "webvision": "noiseproof.data.public.webvision:open_webvision",
        "food101n": "noiseproof.data.public.food101n:open_food101n",
        "cifarn": "noiseproof.data.public.cifarn:open_cifarn",
        "suite": "noiseproof.data.suites.suites:open_suite",
        "shift": "noiseproof.data.shifts.shifts:open_shift",
    },
)
CLEANED = "applied.json"  # card of a folder that holds a cleaned data set
APPLY_AGAIN = "apply the decisions again"
# Written PREFIX:ADDRESS; other sources are recognised by the path.
PREFIXES = (
    "torchvision", "hf", "sklearn", "idx", "clothing1m", "webvision", "food101n", "cifarn", "suite", "shift",
)  # fmt: skip
_FILES = tuple(name for name in SOURCES.names if name not in (*PREFIXES, "folder"))


def open_dataset(
    name: str,
    *,
    label: str | None = None,
    image: str | None = None,
    text: str | None = None,
    clean_label: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    missing_label: MissingLabel = "raise",
    may_lack_classes: bool = False,
    may_lack_examples: bool = False,
    task: Task = "classification",
) -> LabelledDataset:
    """Open a data set; its examples stay on disk until they are read.

    Args:
        name: a folder of class folders or of `noiseproof apply`, a .csv, .tsv, .jsonl, .parquet, .npz or .npy
            file, a .txt list of images, `torchvision:NAME/split`, `hf:NAME/split`, `sklearn:digits`,
            `idx:FOLDER/train` (files as of MNIST), `clothing1m:FOLDER/train`, `webvision:FOLDER/train`,
            `food101n:FOLDER/train`, `cifarn:FILE/COLUMN`, `suite:NAME/split` (a set of the papers, see
            `noiseproof.data.suites.suites`), or `shift:KIND:` before any of these, which changes its images.
        label: column of the given labels; found by its name where only one fits.
        image: column of images or of their paths; likewise.
        text: column of texts; likewise.
        clean_label: column of the true labels, where they are known.
        limit: keep at most this many examples, drawn at random by class and left in their order; at least 1.
        seed: of that draw, and of a shift.
        on_error: "skip" decodes every example once and leaves out those that cannot be read.
        missing_label: "skip" leaves out examples without a label.
        may_lack_classes: class folders may be empty, as in an evaluation set.
        may_lack_examples: a table may have labels only, where nothing reads the examples.
        task: "classification" for classes, "regression" for scores; "auto" takes numbers with fractions as
            scores and everything else as classes.

    Raises:
        MissingFile: the path does not exist.
        UnknownName: a prefix, file type or column that is not known.
        BadData: the contents cannot be used; the row or file is named.
    """
    if limit is not None and limit < 1:
        raise invalid("limit", limit, "an integer of at least 1, or nothing for all examples")
    for option, value in (("on_error", on_error), ("missing_label", missing_label)):
        if value not in get_args(OnError):
            raise invalid(option, value, ", ".join(get_args(OnError)))
    request = Request(
        name, label, image, text, clean_label, on_error, seed, missing_label, may_lack_classes,
        may_lack_examples, task,
    )  # fmt: skip
    dataset = open_request(request)
    if limit is not None and limit < len(dataset):
        by = np.zeros(len(dataset), np.int64) if dataset.has_scores else dataset.given_labels
        rows = stratified_sample(by, size=limit, seed=seed)
        dataset = subset(dataset, rows, name=name)
    return without_unreadable(dataset) if on_error == "skip" else dataset


def open_request(request: Request) -> LabelledDataset:
    """Open the whole data set, before examples are drawn or left out."""
    source, address = resolve(request.name)
    request = with_own_columns(request)
    dataset = SOURCES.load(source)(address, request)
    if are_scores(dataset, request.task):
        return replace(dataset, has_scores=True)
    known = " ".join(dataset.notes)  # of a data set inside this one, as that of a shift
    hints = [hint for hint in name_hints(dataset.class_names) if hint not in known]
    return replace(dataset, notes=(*dataset.notes, *(f"{request.name}: {hint}" for hint in hints)))


def with_own_columns(request: Request) -> Request:
    """The request, with the columns of a cleaned data set that it does not name itself.

    `noiseproof apply` keeps the names that the data set before was read by.

    Raises:
        DamagedFile: the card of the cleaned data set was changed.
    """
    own = cleaned_card(request.name).get("columns")
    added: dict[str, Any] = {
        name: column
        for name, column in (own.items() if isinstance(own, dict) else ())
        if name in COLUMNS and getattr(request, name) is None and isinstance(column, str)
    }
    if added.get("clean_label") == (request.label or added.get("label")):
        added.pop("clean_label", None)
    return replace(request, **added)


def applied_card(folder: Path) -> dict[str, Any]:
    """The card that `noiseproof apply` wrote into a folder; empty without one.

    Raises:
        DamagedFile: it was changed.
    """
    card = folder / CLEANED
    found = read_record(card, next_step=APPLY_AGAIN) if card.is_file() else {}
    return found if isinstance(found, dict) else {}


def cleaned_card(name: str) -> dict[str, Any]:
    """The card of `noiseproof apply` beside a data set that it wrote; empty for other data sets."""
    path = Path(name)
    is_home = path.is_dir() and (path / CLEANED).is_file()
    if not os.path.exists(path):  # noqa: PTH110 (never raises, whatever the name)
        return {}
    found = applied_card(path if is_home else path.parent)
    return found if is_home or found.get("data") == path.resolve().name else {}


def resolve(name: str) -> tuple[str, str]:
    """A name as the user writes it -> (key of `SOURCES`, address for its opener)."""
    if not name.strip():  # else it would be the folder of the process
        raise invalid("data", name, "the name of a data set", "Next: for the folder you are in, name '.'.")
    path = Path(name)
    if not os.path.exists(path):  # noqa: PTH110 (never raises, whatever the name)
        prefix, colon, address = name.partition(":")
        if colon and prefix in PREFIXES:
            return prefix, address
        if colon and "/" not in prefix:
            raise unknown_name("data source", prefix, PREFIXES, "Or name a folder or file that exists.")
        raise MissingFile(
            f"The data set {name!r} does not exist. Allowed: a folder of class folders, a file that ends in "
            f".{', .'.join(_FILES)}, or {', '.join(f'{p}:...' for p in PREFIXES)}. Next: check the path."
        )
    if path.is_dir():
        if (path / CLEANED).is_file():  # the data set in a folder of `noiseproof apply`
            inside = cleaned_card(name).get("data")
            return resolve(str(inner_path(path, str(inside or ""))))
        return "tar" if any(path.glob("*.tar")) else "folder", name
    check_regular(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in _FILES:
        raise unknown_name("file type", kind, _FILES, f"Convert {name!r} to one of these.")
    return kind, name
