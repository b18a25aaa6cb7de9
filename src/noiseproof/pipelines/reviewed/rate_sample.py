"""Labels to check: the first ones, and a sample that tells how many are wrong, kept with its probabilities.

The estimate is computed from `rate_sample.json`; `rate_sample.csv` is a form to fill in, a file of decisions
then. Both stay while the data stay, whatever the next version of a detector would draw.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np

from noiseproof.core.errors import invalid
from noiseproof.core.records import LabelIssues, LabelledDataset, rows_by_id
from noiseproof.core.rng import stream
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import Document, read_document
from noiseproof.core.storage.files import write_bytes
from noiseproof.decisions.decision_files import spreadsheet
from noiseproof.decisions.record import COLUMNS, Decision
from noiseproof.detect.known_labels import DecidedLabels, Draws, missing_decisions, rate_of_sample
from noiseproof.detect.reviewed_rate import draw_probabilities
from noiseproof.export.issue_files import ISSUES, load_issues, ranking, read_summary
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.report.rate import known_rate, sample_sentence

RECORD, FORM, CHECK_FIRST = "rate_sample.json", "rate_sample.csv", "check_first.csv"
_DRAW_AGAIN = f"delete {RECORD} and {FORM}, and draw again with --rate-sample"


class RateSample(Document):
    """A drawn sample.

    Attributes:
        data_fingerprint: of the examples.
        decided_before: ids that were decided when it was drawn, which it leaves out.
        drawn: ids, in the order they were drawn; some may come twice.
        q: probability of each draw.
        suspicion: of each draw; later searches do not change the estimate.
        mean_suspicion: of the labels that it was drawn from.
    """

    SCHEMA: ClassVar[int] = 2
    data_fingerprint: str
    decided_before: list[str]
    drawn: list[str]
    q: list[float]
    suspicion: list[float]
    mean_suspicion: float


def read_draws(folder: Path, ids: np.ndarray, *, fingerprint: str | None) -> Draws | None:
    """The sample in a folder; `None` where there is none, or where it is of other data.

    Raises:
        DamagedFile: it was changed.
    """
    if not (folder / RECORD).is_file():
        return None
    sample = read_document(folder / RECORD, RateSample, next_step=_DRAW_AGAIN)
    if sample.data_fingerprint != fingerprint:
        return None
    before, _ = rows_by_id(sample.decided_before, ids)
    rows, _ = rows_by_id(sample.drawn, ids)
    population = np.setdiff1d(np.arange(len(ids)), before)
    q, suspicion = np.array(sample.q), np.array(sample.suspicion)
    return Draws(population, np.unique(before), rows, q, suspicion, sample.mean_suspicion)


def draw_sample(
    folder: Path,
    dataset: LabelledDataset,
    issues: LabelIssues,
    known: DecidedLabels | None,
    *,
    size: int,
    seed: int,
    page: Path,
) -> None:
    """Draw a sample of undecided labels and write its record and its form, unless the folder has it already.

    A page that does not show the sample is deleted.

    Raises:
        InvalidArgument: the folder has a sample of another size.
    """
    before = read_draws(folder, dataset.ids, fingerprint=dataset.fingerprint)
    if before is not None and len(before.rows) == size:
        return
    if before is not None or (folder / FORM).exists():
        has = f"a sample of {len(before.rows)}" if before is not None else f"{FORM!r} of other data"
        raise invalid(
            "rate_sample", size, "the size of before, since an estimate is of one sample",
            f"{str(folder)!r} has {has}. Next: check that one, or {_DRAW_AGAIN}.",
        )  # fmt: skip
    decided = np.array([], np.int64) if known is None else known.rows
    population = np.setdiff1d(np.arange(len(dataset)), decided)
    q = draw_probabilities(issues.suspicion[population])
    places = stream(seed, "rate sample").choice(len(population), size, p=q)
    rows = population[places]
    write_bytes(folder / FORM, check_form(issues, np.array(list(dict.fromkeys(rows.tolist())))))
    sample = RateSample(
        data_fingerprint=dataset.fingerprint,
        decided_before=[str(each) for each in dataset.ids[decided]],
        drawn=[str(each) for each in dataset.ids[rows]],
        q=q[places].tolist(),
        suspicion=issues.suspicion[rows].tolist(),
        mean_suspicion=float(issues.suspicion[population].mean()),
    )
    page.unlink(missing_ok=True)
    write_record(folder / RECORD, sample.to_json())


def open_sample(folder: Path, issues: LabelIssues) -> Draws | None:
    """The sample of a finished search, see `read_draws`."""
    return read_draws(folder, issues.ids, fingerprint=read_summary(folder).data_fingerprint)


def sample_lines(draws: Draws | None, decisions: Iterable[Decision], issues: LabelIssues) -> list[str]:
    """A sentence on how many labels are wrong, by the sample of a folder; none without a sample."""
    if draws is None:
        return []
    row = {str(each): number for number, each in enumerate(issues.ids.tolist())}
    given = [str(each) for each in issues.named(issues.given_labels)]
    by_row = {row[one.example_id]: one for one in decisions}
    sure = sorted(number for number, one in by_row.items() if one.is_sure)
    known = DecidedLabels(
        rows=np.array(sure, np.int64),
        labels=np.array([by_row[number].label != given[number] for number in sure], np.int64),
        given=np.zeros(len(sure), np.int64),
        judged=np.zeros(len(sure), np.int64),
        unsure=np.array(sorted(by_row.keys() - set(sure)), np.int64),
    )
    missing = [str(each) for each in issues.ids[missing_decisions(known, draws)]]
    replaced = known_rate(issues.noise_rate, issues.noise_rate_low, issues.noise_rate_high)
    return [
        sample_sentence(
            *rate_of_sample(known, draws), size=len(draws.rows), missing=missing, replaced=replaced
        )
    ]


def list_first(stages: Stages, key: str, known: DecidedLabels | None, *, num: int) -> None:
    """Write a form of the undecided labels with the highest suspicion.

    No other order found more wrong labels or gave a better head on labels of people
    (`benchmarks/bench_review.py`).
    """

    def make(folder: Path) -> list[str]:
        issues = load_issues(stages.path(ISSUES).parent)
        order = ranking(issues)
        is_open = ~np.isin(order, [] if known is None else known.rows)
        write_bytes(folder / CHECK_FIRST, check_form(issues, order[is_open][:num]))
        return [CHECK_FIRST]

    stages.once("labels to check", depends_on=[key, num], make=make)


def check_form(issues: LabelIssues, rows: np.ndarray) -> bytes:
    """A table of labels to check, with empty columns for the decisions."""
    frame = issues.to_frame().iloc[rows]
    cells = zip(frame["example_id"], frame["given_label"], frame["suggested_label"], strict=True)
    columns = [COLUMNS[0], "given_label", "suggested_label", *COLUMNS[1:]]
    return spreadsheet(columns, ([*map(str, each), *[""] * (len(COLUMNS) - 1)] for each in cells))
