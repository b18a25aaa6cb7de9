"""`results.jsonl`: one row per head, seed and evaluation set."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from noiseproof.core.errors import DamagedFile, MissingFile, invalid
from noiseproof.core.storage.checksums import to_line, unsealed
from noiseproof.core.storage.documents import check_schema, describe_problem
from noiseproof.core.storage.files import write_bytes
from noiseproof.core.storage.json_text import parse_json
from noiseproof.evaluate.metrics import METRICS, SCORE_METRICS, ClassMetrics

DOMAINS = ("id", "ood", "relabelled")
RELABELLED, DECIDED = ", relabelled", ", as people decided"  # after the name of a set in that domain
Key = tuple[str, int, str]
_SCHEMA = 1  # of a line
_RUN_AGAIN = "delete the file and start the run again; it is evaluated anew"


@dataclass(frozen=True)
class ResultRow:
    """Metrics of one head, trained with one seed, on one evaluation set.

    Attributes:
        head: name of the head.
        seed: of its training.
        set_name: name of the evaluation set.
        domain: "id" if the set is from the domain of the training set, else "ood"; "relabelled" with labels
            that a detector suggested, which no mean counts.
        num_examples: n of the set.
        metrics: name in `METRICS`, or in `SCORE_METRICS` of a regressor, -> value; accuracies in [0, 1].
        per_class: class name -> metrics of that class; empty for a regressor.
    """

    head: str
    seed: int
    set_name: str
    domain: str
    num_examples: int
    metrics: dict[str, float]
    per_class: dict[str, ClassMetrics]

    def __post_init__(self) -> None:
        if self.domain not in DOMAINS:
            raise invalid("domain", self.domain, "'id', 'ood' or 'relabelled'")
        names = metric_names(self.metrics)
        missing = [name for name in names if name not in self.metrics]
        if missing:
            raise invalid("metrics", sorted(self.metrics), f"all of {', '.join(names)}; missing {missing}")

    @property
    def key(self) -> Key:
        """Head, seed and set; unique in a file."""
        return (self.head, self.seed, self.set_name)

    def to_line(self) -> str:
        """The row as one line of JSON, without a line break."""
        row = {
            "schema": _SCHEMA,
            "head": self.head,
            "seed": self.seed,
            "set": self.set_name,
            "domain": self.domain,
            "num_examples": self.num_examples,
            **{name: self.metrics[name] for name in metric_names(self.metrics)},
            "per_class": [{"class": name, **vars(values)} for name, values in self.per_class.items()],
        }
        return to_line(row)

    @classmethod
    def from_line(cls, line: str, *, source: str = "row") -> ResultRow:
        """The row that `to_line` wrote.

        Args:
            line: of a file.
            source: name of the line, for messages.

        Raises:
            OtherSchema: another version of noiseproof wrote it.
            DamagedFile: its checksum is of other contents.
            ValueError, KeyError, TypeError: the line is not a valid row.
        """
        row: dict[str, Any] = unsealed(parse_json(line), source=source, next_step=_RUN_AGAIN)
        check_schema(row, _SCHEMA, source=source, next_step=_RUN_AGAIN)
        values = {name: row[name] for name in ("head", "seed", "domain", "num_examples")}
        return _ROW.validate_python(
            values
            | {
                "set_name": row["set"],
                "metrics": {name: row[name] for name in metric_names(row)},
                "per_class": {entry.pop("class"): entry for entry in row["per_class"]},
            }
        )


_ROW = TypeAdapter(ResultRow)


def metric_names(values: Collection[str]) -> tuple[str, ...]:
    """Names of all metrics of a row: those of classes or those of scores, whichever it has."""
    return SCORE_METRICS if SCORE_METRICS[0] in values else METRICS


def main_metric(rows: Iterable[ResultRow]) -> str:
    """The metric that heads are compared by: accuracy, or Pearson's correlation where they predict scores."""
    return next(("pearson" for row in rows if "pearson" in row.metrics), "accuracy")


def write_results(path: Path, rows: Iterable[ResultRow]) -> None:
    """Write `results.jsonl`, a line per row."""
    write_bytes(path, "".join(row.to_line() + "\n" for row in rows).encode())


def read_results(path: str | os.PathLike[str]) -> list[ResultRow]:
    """All rows of a file.

    Raises:
        MissingFile: the file does not exist.
        DamagedFile: a line is not a complete row or of another version, or two rows have the same key (the
            line is named).
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFile(
            f"No results at {str(file)!r}. Next: start `noiseproof run` with this folder as --out."
        )
    rows: dict[Key, ResultRow] = {}
    lines = file.read_bytes().decode(errors="replace").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            if not line.endswith("\n"):
                raise ValueError("it has no line break")
            row = ResultRow.from_line(line, source=f"line {number} of {file}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedFile(
                f"Line {number} of {str(file)!r} is not a result: {describe_problem(error)}. "
                f"Next: {_RUN_AGAIN}."
            ) from error
        if row.key in rows:
            raise DamagedFile(
                f"Line {number} of {str(file)!r} repeats {row.key}; allowed: each once. Next: delete it."
            )
        rows[row.key] = row
    return list(rows.values())
