"""A cleaned data set as a folder for the Hugging Face hub, with a card that says what was changed."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

from noiseproof.config.export import ExportConfig
from noiseproof.core.errors import NoiseproofError, invalid
from noiseproof.core.records import LabelledDataset
from noiseproof.core.version import __version__
from noiseproof.data.examples import files_of
from noiseproof.data.sources import CLEANED, open_dataset, resolve
from noiseproof.export.decision_columns import DECIDED_BY, ORIGINAL
from noiseproof.export.issue_files import SUMMARY, read_summary
from noiseproof.models.hub_folder import TASKS, card_text, markdown_table, write_dataset_folder
from noiseproof.pipelines.apply import COUNTS
from noiseproof.pipelines.outputs.cards import read_card

_TABLES = ("csv", "tsv", "jsonl", "parquet", "npz")
_NUM_CLASSES, _NUM_PAIRS = 100, 20  # rows of the tables of a card


def is_dataset(path: Path) -> bool:
    """Whether a path is a table, or a folder of images, rather than a model."""
    if path.is_file():
        return path.suffix.lower().removeprefix(".") in _TABLES
    has_weights = path.is_dir() and any(path.glob("*.safetensors"))
    has_card = any(
        (path / name).is_file() for name in ("run.json", "card.json", "detection.json", "study.json")
    )
    return path.is_dir() and not has_weights and not has_card and path.name != "heads"


def export_dataset(path: Path, hub: Path, config: ExportConfig) -> tuple[str, ...]:
    """Copy a data set into a folder for the hub, and write its card.

    Returns:
        Notes.

    Raises:
        BadData: it cannot be read as a data set with labels.
        InvalidArgument: one of the two folders is in the other.
    """
    applied = path / CLEANED
    path = Path(resolve(str(path))[1])
    _check_apart(path, hub)
    dataset = open_dataset(str(path), image=config.image, text=config.text)
    before = _labels_before(path, config)
    files = _files(path, dataset, before)
    decided = _decided(applied) if applied.is_file() else ""
    write_dataset_folder(files, hub, card=_card(dataset, before, path, hub.resolve().name, decided))
    if decided and path in files.values():  # the table as it is
        return (f"The column {DECIDED_BY} has the names of the people who decided; others will see them.",)
    if before is not None or decided:
        return ()
    return (f"{path} has no column {ORIGINAL}, so the card does not say which labels were changed.",)


def _check_apart(path: Path, hub: Path) -> None:
    inner, outer = path.resolve(), hub.resolve()
    if inner.is_relative_to(outer) or (path.is_dir() and outer.is_relative_to(inner)):
        allowed = f"a folder outside of the data set {str(path)!r}"
        raise invalid("hub", str(hub), allowed, "Next: name another.")


def _decided(card: Path) -> str:
    """What people decided, by the card of `noiseproof apply`."""
    counts: dict[str, Any] = read_card(card, "apply")
    shown = ", ".join(f"{counts[f'num_{name}']:,} {name}" for name in COUNTS)
    return f"People decided on {counts['num_decided']:,} of {counts['num_examples']:,} labels: {shown}."


def _labels_before(path: Path, config: ExportConfig) -> LabelledDataset | None:
    """The same examples with the labels from before cleaning; `None` where no column has them."""
    if not path.is_file():
        return None
    try:
        return open_dataset(str(path), label=ORIGINAL, image=config.image, text=config.text)
    except NoiseproofError:
        return None


def _files(path: Path, dataset: LabelledDataset, before: LabelledDataset | None) -> dict[str, Path | bytes]:
    """Name in the folder -> file or contents: a table, or images in class folders or beside a table."""
    if path.is_dir():
        return {str(name): path / str(name) for name in dataset.ids}
    images = files_of(dataset.examples) if dataset.kind == "image" else None
    if images is None:
        return {path.name: path}
    found: dict[str, Path | bytes] = {
        f"images/{row:06d}{file.suffix}": file for row, file in enumerate(images)
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    labels = [each.given_names for each in (dataset, before) if each is not None]
    writer.writerow(["file_name", "label", ORIGINAL][: 1 + len(labels)])
    writer.writerows(zip(found, *labels, strict=True))
    return found | {"metadata.csv": text.getvalue().encode()}


def _card(
    dataset: LabelledDataset, before: LabelledDataset | None, path: Path, name: str, decided: str
) -> str:
    header: dict[str, Any] = {
        "task_categories": [TASKS[dataset.kind]], "tags": ["noiseproof", "label-noise"],
        "size_categories": [_size(len(dataset))],
    }  # fmt: skip
    names = dataset.class_names
    counts = Counter(dataset.given_labels.tolist())
    classes = [(names[number], f"{count:,}") for number, count in sorted(counts.items())][:_NUM_CLASSES]
    return card_text(
        header,
        [
            (name, f"{len(dataset):,} examples of {len(names)} classes, after a search for wrong labels."),
            ("What was changed", "\n\n".join(filter(None, [decided, _changes(dataset, before)]))),
            ("Label noise", _noise(path)),
            ("Classes", markdown_table(("class", "examples"), classes)),
            (
                "Limits",
                "Labels that a detector suggested may be wrong themselves, and so may labels that it did not "
                "suspect. Accuracy against suggested labels flatters models that see the same features.",
            ),
            (
                "Made with",
                f"noiseproof {__version__}, from `{path.name}`; fingerprint `{dataset.fingerprint}`.",
            ),
        ],
    )


def _changes(dataset: LabelledDataset, before: LabelledDataset | None) -> str:
    if before is None:
        return "The labels from before are not in the data."
    pairs: Counter[tuple[str, str]] = Counter()
    for old, new in zip(before.given_names, dataset.given_names, strict=True):
        if old != new:
            pairs[old, new] += 1
    changed = sum(pairs.values())
    lead = (
        f"{changed:,} of {len(dataset):,} labels were replaced; the column `{ORIGINAL}` has those from "
        "before."
    )
    if not pairs:
        return lead
    rows = [(old, new, count) for (old, new), count in pairs.most_common(_NUM_PAIRS)]
    return f"{lead}\n\n{markdown_table(('before', 'now', 'labels'), rows)}"


def _noise(path: Path) -> str:
    """The estimated rate, where the folder of the search is around the file."""
    if not (path.parent / SUMMARY).is_file():
        return ""
    summary = read_summary(path.parent)
    is_known = summary.noise_rate_high is None or summary.noise_rate_high < 1
    rate = f"; the estimated share of wrong labels was {100 * summary.noise_rate:.1f} %" if is_known else ""
    return (
        f"Of {summary.num_examples:,} labels {summary.num_issues:,} looked wrong (method "
        f"`{summary.method}`){rate}."
    )


def _size(number: int) -> str:
    """Category of sizes as the hub names them."""
    limits = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for most, name in limits if number < most), "1M<n<10M")
