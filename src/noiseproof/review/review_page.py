"""`review.html`: examples, the most suspicious first, and what people decide about their labels.

```
review.html              script, style, and of every example: labels, suspicion, neighbours, place on the map
review/part-00000.js     pictures or texts of 200 examples each; where they are few, they are in the page
```

A page that was opened from a disk may load scripts and nothing else, so parts are scripts with one call. A
browser enforces the integrity of scripts from a server only, so the page compares their SHA-256 itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from noiseproof.core.records import Dataset, LabelIssues
from noiseproof.core.storage.checksums import damaged
from noiseproof.core.storage.files import delete_folder, write_bytes
from noiseproof.core.storage.json_text import BadJson, parse_json
from noiseproof.decisions import record
from noiseproof.decisions.record import Decision
from noiseproof.export.issue_files import ranking
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.report.page_policy import page_policy, page_template
from noiseproof.review.contents import PART_ROWS, contents_of

if TYPE_CHECKING:
    from noiseproof.review.surroundings import Map

PARTS = "review"
MOST_EXAMPLES = 50_000
_MOST_INSIDE = 24 * 2**20  # characters of contents in the page itself
_LARGE_FIRST, _MOST_LARGE = 1000, 3000
_SCRIPTS = ("decisions.js", "saved.js", "files.js", "contents.js", "list.js", "map.js", "page.js")


def write_review(
    page: Path,
    issues: LabelIssues,
    dataset: Dataset,
    features: ShardedMatrix | None,
    *,
    decisions: Sequence[Decision] = (),
    drawn: Sequence[int] = (),
    contents: Sequence[str] = (),
    kind_of_map: Map = "pca",
) -> Path:
    """Write the page and its parts; the page last, so its existence means that they are complete.

    Args:
        page: in the folder of `detect` or `run`.
        issues: of the examples of `dataset`, in its order.
        dataset: where pictures and texts come from.
        features: of the examples, for neighbours, copies and the map; `None` if there are none.
        decisions: those that are made already.
        drawn: rows of a sample, in the order in which they are to be checked.
        contents: hash of each example, where ids are row numbers.
        kind_of_map: see `find_surroundings`.
    """
    rows = ranking(issues)
    rows = rows[(np.arange(len(rows)) < MOST_EXAMPLES) | np.isin(rows, drawn)]
    columns = _columns(issues, rows, features, kind_of_map)
    page.unlink(missing_ok=True)
    if (page.parent / PARTS).is_dir():
        delete_folder(page.parent / PARTS)
    rank = {row: number for number, row in enumerate(rows.tolist())}
    is_large = np.arange(len(rows)) < max(_LARGE_FIRST, min(int(issues.is_issue.sum()), _MOST_LARGE))
    inside, hashes = _place(contents_of(dataset, rows, is_large), page.parent)
    data = columns | {
        "identity": identity_of(issues, dataset), "name": Path(dataset.name).name or dataset.name,
        "kind": dataset.kind, "method": issues.method, "total": len(issues.ids), "partRows": PART_ROWS,
        "hashes": hashes, "numParts": max(len(inside), len(hashes)),
        "contents": [contents[row] for row in rows.tolist()] if contents else [],
        "decisions": [asdict(one) for one in decisions], "drawn": [rank[row] for row in drawn],
        "map": kind_of_map,
    }  # fmt: skip
    write_bytes(page, _render(data, inside).encode())
    return page


@dataclass(frozen=True)
class PageData:
    """What a page is about.

    Attributes:
        identity: of its data and labels.
        ids: of its examples.
        kind_of_map: "pca" or "umap"; pages of earlier versions have the first.
        contents: hash of each example by its id, where ids are row numbers.
    """

    identity: str
    ids: tuple[str, ...]
    kind_of_map: str
    contents: dict[str, str]


def read_page(page: Path) -> PageData:
    """What a page that `write_review` wrote is about.

    Raises:
        DamagedFile: it is another file.
    """
    _, data = _split(page)
    contents = dict(zip(data["ids"], data.get("contents") or (), strict=False))
    return PageData(data["identity"], tuple(data["ids"]), data.get("map", "pca"), contents)


def put_decisions(page: Path, decisions: Sequence[Decision]) -> None:
    """Replace the decisions in a page that is there already."""
    (before, after), data = _split(page)
    rows = [asdict(one) for one in decisions]
    write_bytes(page, (before + _json(data | {"decisions": rows}) + after).encode())


def _split(page: Path) -> tuple[tuple[str, str], dict[str, Any]]:
    """What stands before and after the data of a page, and the data."""
    before, begin, rest = page.read_text("utf-8").partition('<script type="application/json" id="data">')
    text, end, after = rest.partition("</script>")
    try:
        data = parse_json(text)
        if not isinstance(data["ids"], list) or not isinstance(data["identity"], str):
            raise TypeError("ids or identity are of another type")
    except (BadJson, KeyError, TypeError) as error:
        next_step = "delete it, and noiseproof review writes it anew"
        raise damaged(str(page), "it is no review page", next_step) from error
    return (before + begin, end + after), data


def identity_of(issues: LabelIssues, dataset: Dataset) -> str:
    """SHA-256 of what decisions are about: examples, given labels and classes; not of the detector."""
    labels = [str(name) for name in issues.named(issues.given_labels)]
    return record.identity_of(dataset.fingerprint, issues.ids, labels, issues.class_names)


def _columns(
    issues: LabelIssues, rows: np.ndarray, features: ShardedMatrix | None, kind_of_map: Map
) -> dict[str, Any]:
    """What the page knows of every example, in its order."""
    from noiseproof.review.surroundings import find_surroundings  # loads SciPy and scikit-learn

    number = {label: k for k, label in enumerate(issues.classes.tolist())}
    columns: dict[str, Any] = {
        "ids": [str(each) for each in issues.ids[rows]],
        "classes": [str(name) for name in issues.named(issues.classes)],
        "given": [number[label] for label in issues.given_labels[rows].tolist()],
        "suggested": [number[label] for label in issues.suggested_labels[rows].tolist()],
        "suspicion": issues.suspicion[rows].round(4).tolist(),
        "isIssue": issues.is_issue[rows].astype(int).tolist(),
    }  # fmt: skip
    if features is None:
        return columns | {"near": None, "copies": {}, "places": None}
    seen = features if len(rows) == len(features) else features.rows(np.sort(rows))
    order = np.argsort(np.argsort(rows)) if len(rows) < len(features) else rows  # row of `seen` of each rank
    labels = issues.given_labels[np.sort(rows)]
    found = find_surroundings(seen, labels, order, kind_of_map=kind_of_map)
    rank = np.append(np.argsort(order), -1)  # of each row of `seen`; -1 stays -1
    return columns | {
        "near": rank[found.neighbours[order]].tolist(),
        "copies": {int(rank[row]): rank[others].tolist() for row, others in found.copies.items()},
        "places": found.places[order].tolist(),
    }


def _place(parts: Iterable[list[str | None]], folder: Path) -> tuple[list[Markup], list[str]]:
    """Keep small contents for the page; write larger ones as scripts.

    Returns:
        The parts as JSON for the page, and the SHA-256 of each script; one of the two is empty.
    """
    inside: list[str] = []
    hashes: list[str] = []
    size = 0
    for part in parts:
        text = _json(part)
        size += len(text)
        inside.append(text)
        if size > _MOST_INSIDE:
            hashes += [_write_part(folder, len(hashes) + k, each) for k, each in enumerate(inside)]
            inside = []
    if hashes:
        hashes += [_write_part(folder, len(hashes) + k, each) for k, each in enumerate(inside)]
        inside = []
    return [Markup(text) for text in inside], hashes  # `_json` leaves no tag in a text


def _write_part(folder: Path, number: int, text: str) -> str:
    content = f"reviewPart({number}, {json.dumps(text)});\n".encode()
    write_bytes(folder / PARTS / f"part-{number:05d}.js", content)
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def _json(value: Any) -> str:
    """JSON that ends no script element, in ASCII."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _render(data: dict[str, Any], inside: list[Markup]) -> str:
    style = _read("review.css")
    script = '"use strict";\n' + "".join(_read(name) for name in _SCRIPTS)
    policy = page_policy(style, script, may_load_scripts=True)
    return page_template("review.html", "noiseproof.review").render(
        style=Markup(style), script=Markup(script), policy=Markup(policy), data=Markup(_json(data)),
        inside=inside, name=data["name"], kind=data["kind"], map=data["map"],
    )  # fmt: skip


@cache
def _read(name: str) -> str:
    return (resources.files("noiseproof.review") / "templates" / name).read_text("utf-8")
