"""The data sets of the papers by name, with the sizes and classes they must have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from noiseproof.core.errors import BadData, MissingFile, invalid
from noiseproof.core.records import Dataset, LabelledDataset
from noiseproof.core.registry import unknown_name
from noiseproof.data.public.imagenet_variants import (
    Groups,
    VideoFrames,
    groups_by_number,
    groups_by_wnid,
    objectnet_groups,
    open_objectnet,
    open_video_frames,
    video_groups,
)
from noiseproof.data.public.torchvision_sets import data_root
from noiseproof.data.request import Request
from noiseproof.data.sources import open_request
from noiseproof.data.splits import per_class_split, stratified_split, subset
from noiseproof.data.suites.suite_tables import SUITES, SuitePart, SuiteSet

_PARTIAL = ":partial"
_TABLES = (".parquet", ".csv", ".tsv", ".jsonl")
_HIDDEN_LABEL = -1  # of texts without one on the hub: 785 pairs of SNLI, the test sets of GLUE


def suite_set(name: str) -> SuiteSet:
    """The row of a data set in the tables.

    Raises:
        UnknownName: with the nearest known name.
    """
    known = {key: row for suite in SUITES.values() for key, row in suite.items()}
    if name not in known:
        raise unknown_name("data set of a suite", name, known, "See 'noiseproof ls datasets'.")
    return known[name]


def open_suite_set(
    name: str, split: str, *, source: str | None = None, allow_partial: bool = False
) -> LabelledDataset:
    """Open a split of a data set of the papers, and check that it is the one they used.

    Args:
        name: a key of one of `SUITES`, such as "flowers102".
        split: "train" or "test"; for some sets "val".
        source: your copy, as for `open_dataset`; by default the source in the table.
        allow_partial: take a copy of another size or with fewer classes, on purpose.

    Raises:
        UnknownName: no such set or split.
        BadData: number of examples or classes differ from the table; expected and found are named.
        MissingFile: the data are not there.
    """
    request = Request(f"suite:{name}/{split}")
    return _open_split(name, split, request, source=source, allow_partial=allow_partial)


def open_suite(address: str, request: Request) -> LabelledDataset:
    """`suite:NAME/split`; `suite:NAME/split:partial` also takes an incomplete copy."""
    request.refuse_columns(because="is a set of a suite")
    is_partial = address.endswith(_PARTIAL)
    name, _, split = address.removesuffix(_PARTIAL).partition("/")
    if not split:
        raise invalid("data set", request.name, "suite:NAME/split, e.g. suite:cifar10/test")
    return _open_split(name, split, request, source=None, allow_partial=is_partial)


def class_groups(name: str, dataset: Dataset, *, source: str | None = None) -> Groups:
    """Map the classes of an ImageNet variant to ImageNet's 1,000 classes.

    For `noiseproof.evaluate.class_groups.merged_probs`, so that a head for ImageNet can be evaluated.

    Returns:
        A tuple of class ids per class of `dataset`, in its order.
    """
    row = suite_set(name)
    place = Path(source or _place(name, row.splits["test"].source))
    if row.imagenet == "wnid":
        return groups_by_wnid(dataset.class_names, dataset.name)
    if row.imagenet == "number":
        return groups_by_number(dataset.class_names, dataset.name)
    if row.imagenet == "objectnet":
        groups = objectnet_groups(place)
        return tuple(groups[folder] for folder in dataset.class_names)
    if row.imagenet == "vid":
        return video_groups(place)[1]
    variants = [key for key, each in SUITES["vision-out-of-domain"].items() if each.imagenet]
    raise invalid("name", name, f"a variant of ImageNet: {', '.join(variants)}")


def open_videos(name: str = "imagenet_vid", *, source: str | None = None) -> VideoFrames:
    """The frames of a video set with their anchors, for `anchor_accuracy` of `noiseproof.evaluate`."""
    place = source or _place(name, suite_set(name).splits["test"].source)
    return open_video_frames(_folder(place), Request(name))


def suite_lines() -> list[str]:
    """The tables as aligned text, a line per data set."""
    head = ("name", "classes", "train", "test", "metric", "source")
    rows: list[tuple[str, ...]] = [head]
    for suite, sets in SUITES.items():
        rows.append((f"[{suite}]", "", "", "", "", ""))
        rows += [_row(name, each) for name, each in sets.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in (1, 2, 3) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _row(name: str, each: SuiteSet) -> tuple[str, ...]:
    sizes = {split: "?" if part.size is None else f"{part.size:,}" for split, part in each.splits.items()}
    source = (each.splits["test"].source or "-").replace("{data}", "$NOISEPROOF_DATA")
    classes = "-" if each.metric == "pearson" else f"{each.num_classes:,}"
    metrics = ", ".join((each.metric, *each.also))
    return name, classes, sizes.get("train", "-"), sizes["test"], metrics, source


def _place(name: str, source: str | None) -> str:
    if source is None:
        row = suite_set(name)
        own = f", or save it as {_own_folder(name) / 'test.parquet'}" if row.text else ""
        raise MissingFile(
            f"{name!r} has no public source ({row.note}). Next: name your copy with `source`{own}."
        )
    return source.replace("{data}", str(data_root()))


def _own_file(name: str, split: str) -> str | None:
    """The user's table of a split of texts, which wins over the hub."""
    if not suite_set(name).text:
        return None
    files = [_own_folder(name) / f"{split}{suffix}" for suffix in _TABLES]
    return next((str(file) for file in files if file.is_file()), None)


def _own_folder(name: str) -> Path:
    """Where the user may put the tables of a set of texts."""
    return data_root() / next(suite for suite, sets in SUITES.items() if name in sets) / name


def _folder(place: str) -> Path:
    if not Path(place).is_dir():
        raise MissingFile(f"There is no folder {place!r}. Next: unpack the data set there or name `source`.")
    return Path(place)


def _open_split(
    name: str, split: str, request: Request, *, source: str | None, allow_partial: bool
) -> LabelledDataset:
    row = suite_set(name)
    if split not in row.splits:
        raise unknown_name(f"split of {name}:", split, row.splits)
    place = source or _own_file(name, split) or _place(name, row.splits[split].source)
    if row.num_classes == 1 and request.task == "auto":
        request = replace(request, task="regression")
    whole = _open_whole(row, place, request)
    if not allow_partial:
        _check(whole, row, split, request.name)
    part = whole if row.part is None else _draw_split(whole, row.part, split)
    return replace(part, name=request.name)


def _open_whole(row: SuiteSet, place: str, request: Request) -> LabelledDataset:
    if row.imagenet == "objectnet":
        return open_objectnet(_folder(place), request)
    if row.imagenet == "vid":
        return open_video_frames(_folder(place), request).dataset
    hidden = _HIDDEN_LABEL if row.text and row.num_classes > 1 else None
    return open_request(replace(request, name=place, text=",".join(row.text) or None, hidden_label=hidden))


def _check(whole: Dataset, row: SuiteSet, split: str, owner: str) -> None:
    # What is drawn from a set in one piece can only be checked on the whole.
    sizes = [part.size for part in row.splits.values()] if row.part else [row.splits[split].size]
    expected = None if None in sizes else sum(size for size in sizes if size is not None)
    wrong = []
    found = len(whole) + whole.num_skipped
    if expected is not None and found != expected:
        wrong.append(f"{found:,} examples, expected {expected:,}")
    if not whole.has_scores and len(whole.class_names) != row.num_classes:
        wrong.append(f"{len(whole.class_names)} classes, expected {row.num_classes}")
    if wrong:
        raise BadData(
            f"{owner!r} has {' and '.join(wrong)}, so it is not the data set of the paper. Next: fetch it "
            f"again, or take an incomplete copy on purpose with allow_partial=True ({owner}{_PARTIAL})."
        )


def _draw_split(whole: LabelledDataset, part: SuitePart, split: str) -> LabelledDataset:
    """One split of a set that is published in one piece; the draw is the same for everybody."""
    if part.test_share is not None:
        train, test = stratified_split(
            whole.given_labels, test_fraction=part.test_share, seed=0, class_names=whole.class_names
        )
    else:
        assert part.train_per_class is not None
        train, test = per_class_split(
            whole.given_labels, per_class=part.train_per_class, seed=0, class_names=whole.class_names
        )
    return subset(whole, np.asarray(train if split == "train" else test))
