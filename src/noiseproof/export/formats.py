"""Export formats of suspect labels, by name, and `export_issues`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from noiseproof.core.errors import CannotWrite, UnknownName, invalid
from noiseproof.core.records import LabelIssues
from noiseproof.core.registry import unknown_name
from noiseproof.core.storage.files import hash_file, temporary_folder
from noiseproof.export.cleaned import cleaned_suffix, write_by_rule
from noiseproof.export.review import check_reviewable, write_fiftyone, write_label_studio
from noiseproof.export.source import Source, open_source
from noiseproof.export.tabular import write_cleanlab, write_json

Write = Callable[[LabelIssues, Path, Source | None, Path], list[Path]]


@dataclass(frozen=True)
class Format:
    """One export format.

    Attributes:
        write: (issues, path, data set or `None`, folder that the file will be in) -> paths of the files.
        name: of the file or folder in the folder of `noiseproof detect`.
        files: names of its files, if more than one.
    """

    write: Write
    name: str
    files: tuple[str, ...] = ()


FORMATS: dict[str, Format] = {
    "json": Format(write_json, "issues.json"),
    "cleanlab": Format(write_cleanlab, "cleanlab.csv"),
    "fiftyone": Format(write_fiftyone, "fiftyone", ("fiftyone/data.json", "fiftyone/labels.json")),
    "label-studio": Format(
        write_label_studio, "label-studio.json", ("label-studio.json", "label-studio.xml")
    ),
    "cleaned-drop": Format(partial(write_by_rule, way="drop"), "cleaned-drop"),
    "cleaned-relabel": Format(partial(write_by_rule, way="relabel"), "cleaned-relabel"),
}


def check_format(name: str) -> Format:
    """The format of a name.

    Raises:
        UnknownName: no such format.
    """
    if name == "csv":  # a format of version 0.1
        raise UnknownName(
            "The export format 'csv' is gone: `noiseproof detect` and `run` always write label_issues.csv. "
            "Next: leave it out; in Python, issues.to_frame().to_csv(path)."
        )
    if name not in FORMATS:
        raise unknown_name("export format", name, FORMATS)
    return FORMATS[name]


def export_target(name: str, source: Source) -> tuple[str, tuple[str, ...]]:
    """File or folder name of an export by `noiseproof detect`, and the names of its files.

    Raises:
        UnknownName: no such format.
        InvalidArgument: the data set cannot be exported in this format.
    """
    entry = check_format(name)
    if name in ("fiftyone", "label-studio"):
        check_reviewable(source, name)
    file = entry.name + (cleaned_suffix(source, name) if name.startswith("cleaned") else "")
    return file, entry.files or (file,)


def export_issues(
    issues: LabelIssues,
    path: str | Path,
    *,
    format: str,
    data: str | None = None,
    label: str | None = None,
    image: str | None = None,
    text: str | None = None,
    clean_label: str | None = None,
) -> list[Path]:
    """Write suspect labels in a format of another program, or a cleaned copy of the data set.

    Args:
        issues: of any detector, or of `load_issues`.
        path: the new file; for "fiftyone" a folder. "label-studio" also writes the configuration beside it.
        format: "json", "cleanlab" (.csv or .parquet), "fiftyone", "label-studio", "cleaned-drop" or
            "cleaned-relabel".
        data: name of the data set as in `open_dataset`, for all but the first two; the issues have its ids.
        label, image, text, clean_label: columns of the data set.

    Returns:
        The files written.

    Raises:
        UnknownName: no such format or column.
        InvalidArgument: `data` is missing or does not fit the format, or another file exists at `path`.
        BadData: the issues are not of this data set.
    """
    entry, final = check_format(format), Path(path)
    columns = {"label": label, "image": image, "text": text, "clean_label": clean_label}
    source = None if data is None else open_source(data, **columns)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(final.parent) as folder:
            written = entry.write(issues, folder / final.name, source, final.parent)
            return _put([(each, final.parent / each.relative_to(folder)) for each in written])
    except (NotADirectoryError, FileExistsError, PermissionError) as error:
        raise CannotWrite(
            f"`path` is {str(path)!r}, which cannot be written ({error.strerror}). Next: name another."
        ) from error


def _put(moves: Sequence[tuple[Path, Path]]) -> list[Path]:
    """Move finished files to their places, unless other files exist there."""
    for new, final in moves:
        is_same = final.is_file() and hash_file(final) == hash_file(new)
        if final.exists() and not is_same:
            raise invalid(
                "path", str(final), "a path without a file, or with the same export",
                "The file there may be somebody's. Next: move it away, or name another path.",
            )  # fmt: skip
    for new, final in moves:
        final.parent.mkdir(exist_ok=True)
        shutil.move(new, final)
    return [final for _, final in moves]
