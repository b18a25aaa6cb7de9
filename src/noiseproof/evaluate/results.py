"""`results.jsonl`: a row per head x seed x evaluation set, kept through any interruption."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noiseproof.atomic import append_lines, whole_lines
from noiseproof.errors import DamagedFile, MissingFile, invalid
from noiseproof.evaluate.metrics import METRICS, ClassMetrics

DOMAINS = ("id", "ood")
Key = tuple[str, int, str]


@dataclass(frozen=True)
class ResultRow:
    """One head, trained with one seed, on one evaluation set.

    Attributes:
        head: its name.
        seed: it was trained with.
        set_name: the evaluation set.
        domain: "id" where the set is from the domain of the training set, else "ood".
        num_examples: n of the set.
        metrics: name in `METRICS` -> value; accuracies in [0, 1].
        per_class: class name -> metrics of that class.
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
            raise invalid("domain", self.domain, "'id' or 'ood'")
        missing = [name for name in METRICS if name not in self.metrics]
        if missing:
            raise invalid("metrics", sorted(self.metrics), f"all of {', '.join(METRICS)}; missing {missing}")

    @property
    def key(self) -> Key:
        """What a row is about; no two rows of a file share it."""
        return (self.head, self.seed, self.set_name)

    def to_line(self) -> str:
        """One line of JSON, without its end."""
        row = {
            "head": self.head,
            "seed": self.seed,
            "set": self.set_name,
            "domain": self.domain,
            "num_examples": self.num_examples,
            **{name: self.metrics[name] for name in METRICS},
            "per_class": [{"class": name, **vars(values)} for name, values in self.per_class.items()],
        }
        return json.dumps(row, allow_nan=False)

    @classmethod
    def from_line(cls, line: str) -> ResultRow:
        """The row that `to_line` wrote.

        Raises:
            ValueError, KeyError, TypeError: the line is not such a row.
        """
        row: dict[str, Any] = json.loads(line)
        per_class = {}
        for entry in row["per_class"]:
            name = entry.pop("class")
            per_class[name] = ClassMetrics(**entry)
        return cls(
            head=str(row["head"]),
            seed=int(row["seed"]),
            set_name=str(row["set"]),
            domain=row["domain"],
            num_examples=int(row["num_examples"]),
            metrics={name: float(row[name]) for name in METRICS},
            per_class=per_class,
        )


def read_results(path: str | os.PathLike[str]) -> list[ResultRow]:
    """All whole rows of a file; a last line that was cut off by a kill does not count.

    Raises:
        MissingFile: there is no such file.
        DamagedFile: a line is not a row, or two rows share a key; the line is named.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFile(
            f"No results at {str(file)!r}. Next: start `noiseproof run` with this folder as --out."
        )
    rows: dict[Key, ResultRow] = {}
    for number, line in enumerate(whole_lines(file).decode(errors="replace").splitlines(), start=1):
        try:
            row = ResultRow.from_line(line)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedFile(
                f"Line {number} of {str(file)!r} is not a result: {error!r}. Next: delete that line "
                "and start the run again; only what it held is evaluated anew."
            ) from error
        if row.key in rows:
            raise DamagedFile(
                f"Line {number} of {str(file)!r} repeats {row.key}; allowed: each once. Next: delete it."
            )
        rows[row.key] = row
    return list(rows.values())


class ResultLog:
    """Append rows to `results.jsonl`; started again, it knows what is there.

    A row is one write followed by fsync, so a kill loses at most the row being written, and the cut-off
    line it leaves is removed when the log is opened again.

    Args:
        path: the file; made with its folder if need be.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists():
            self._path.touch()
        self._rows = {row.key: row for row in read_results(self._path)}
        os.truncate(self._path, len(whole_lines(self._path)))

    @property
    def rows(self) -> list[ResultRow]:
        """In the order they were appended."""
        return list(self._rows.values())

    def __contains__(self, key: Key) -> bool:
        return key in self._rows

    def append(self, row: ResultRow) -> None:
        """Write a row to disk.

        Raises:
            InvalidArgument: the log has a row with this key.
        """
        if row.key in self._rows:
            raise invalid("row", row.key, "a head, seed and set that is not in the log yet")
        append_lines(self._path, [row.to_line()])
        self._rows[row.key] = row
