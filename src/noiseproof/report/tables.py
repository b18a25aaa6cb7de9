"""The tables of a report: what is in them, not how they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from noiseproof.evaluate.metrics import SCORE_METRICS, ClassMetrics
from noiseproof.evaluate.protocol import HeadSummary, Interval, heads_of, leader, sets_of, summarise
from noiseproof.evaluate.results import DECIDED, RELABELLED, ResultRow, main_metric, metric_names
from noiseproof.report.run_folder import DetectionCard, SetSpectra

RULE_FOR_BOLD = (
    "Bold: the head is ahead of every other one, and the 95 % interval of the difference, paired by seed, "
    "excludes zero. No bold in a column: the seeds do not tell the heads apart."
)
INTERVAL_MEANING = (
    "± is the half width of the 95 % interval over seeds (Student's t). It tells the luck of training, not "
    "how other test examples would come out."
)
ONE_SEED = "One seed: there are no intervals, so nothing says whether a difference is luck."
METRIC_TITLES = {"accuracy": "Accuracy", "pearson": "Pearson correlation"}
# With the mean and the gap these fit on a terminal of 80 columns.
MAX_COLUMNS_OF_SETS = 4
NONE = "–"


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: as a person reads it.
        spread: "± 0.4", where there is an interval.
        value: what to sort by; `None` sorts last.
        is_best: whether it is the clear best of its kind.
    """

    text: str
    spread: str = ""
    value: int | float | str | None = None
    is_best: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells.

    Attributes:
        title: what the table shows.
        columns: their names.
        rows: a cell per column.
        notes: how to read it, a sentence each.
        num_text_columns: how many columns from the left hold names and not numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    num_text_columns: int = 1


def results_table(rows: Sequence[ResultRow], *, caveat: str = "") -> Table:
    """The main metric in percent: heads against evaluation sets, the out-of-domain mean and the gap.

    Sets become the rows where there are too many to stand side by side.

    Args:
        rows: all results.
        caveat: about the labels that it is measured against, a clause.
    """
    inside, outside, heads = sets_of(rows, "id"), sets_of(rows, "ood"), heads_of(rows)
    summaries = {summary.head: summary for summary in summarise(rows)}
    columns = [(name, _set_cells(rows, summaries, (name,))) for name in (*inside, *outside)]
    if len(outside) > 1:
        columns.append(("OOD mean", _set_cells(rows, summaries, tuple(outside))))
    if inside and outside:
        gaps = [percent_cell(summaries[head].gap.get(main_metric(rows))) for head in heads]
        columns.append(("gap", gaps))
    circular = sets_of(rows, "relabelled")
    columns += [(name, _set_cells(rows, summaries, (name,), may_win=False)) for name in circular]
    table_columns, cells = ("head", *(name for name, _ in columns)), [column for _, column in columns]
    body = [(name_cell(head), *(column[i] for column in cells)) for i, head in enumerate(heads)]
    if len(inside) + len(outside) + len(circular) > MAX_COLUMNS_OF_SETS:
        table_columns = ("set", *heads)
        body = [(name_cell(name), *column) for name, column in columns]
    title = ", ".join(filter(None, (f"{METRIC_TITLES[main_metric(rows)]} in %", caveat)))
    return Table(title, table_columns, tuple(body), _result_notes(rows))


def metrics_table(rows: Sequence[ResultRow]) -> Table:
    """Every metric for each head and domain, mean over its sets; accuracies and F1 in percent."""
    body = []
    metrics = metric_names(rows[0].metrics)
    in_percent = ("accuracy", "mean_per_class_accuracy", "macro_f1")
    for summary in summarise(rows):
        for domain, means in (("in domain", summary.id_mean), ("out of domain", summary.ood_mean)):
            if means:
                cells = [(percent_cell if m in in_percent else decimal_cell)(means[m]) for m in metrics]
                body.append((name_cell(summary.head), name_cell(domain), *cells))
    if metrics == SCORE_METRICS:
        note = "RMSE: root of the mean squared error, in the unit of the scores; lower is better."
        names = ("head", "domain", "Pearson", "Spearman", "RMSE")
        return Table("All metrics", names, tuple(body), (note,), num_text_columns=2)
    columns = ("head", "domain", "accuracy", "mean per class", "macro F1", "Matthews", "ECE", "NLL (nats)")
    notes = (
        "Mean per class: accuracy with every class weighing the same.",
        "Matthews: correlation of label and prediction, 0 = chance.",
        "ECE: expected calibration error, how far confidence is from accuracy; lower is better. "
        "NLL: negative log likelihood; lower is better.",
    )
    return Table("All metrics", columns, tuple(body), notes, num_text_columns=2)


def detection_table(card: DetectionCard) -> Table:
    """Precision and recall of the suspect labels, where the truth is known."""
    entries = [
        ("labels that are wrong", Cell(f"{card.num_wrong:,}", value=card.num_wrong)),
        ("labels flagged", Cell(f"{card.num_flagged:,}", value=card.num_flagged)),
        ("precision: flagged labels that are wrong", _with_sign(card.precision)),
        ("recall: wrong labels that are flagged", _with_sign(card.recall)),
        ("F1", _with_sign(card.f1)),
        ("average precision of the suspicion", decimal(card.average_precision)),
        ("AUROC of the suspicion", decimal(card.auroc)),
    ]
    return Table(
        "Found against the truth", ("", "value"), tuple((name_cell(name), cell) for name, cell in entries)
    )


def class_table(rows: Sequence[ResultRow], *, head: str) -> Table:
    """Each class for one head, mean over seeds: in domain, and accuracy over the out-of-domain sets."""
    own = [row for row in rows if row.head == head]
    inside, outside = sets_of(rows, "id"), sets_of(rows, "ood")
    shown = inside or outside
    body = []
    for name in dict.fromkeys(name for row in own for name in row.per_class):
        entries = [row.per_class[name] for row in own if row.set_name in shown and name in row.per_class]
        num_examples = max((entry.num_examples for entry in entries), default=0)
        cells = [name_cell(name), Cell(f"{num_examples:,}", value=num_examples)]
        cells += [
            _mean_cell([getattr(entry, field) for entry in entries])
            for field in ("accuracy", "precision", "f1")
        ]
        if inside and outside:
            cells.append(_mean_cell(_accuracies(own, outside, name)))
        body.append(tuple(cells))
    columns: tuple[str, ...] = ("class", "examples", "accuracy", "precision", "F1")
    if inside and outside:
        columns = (*columns, "accuracy OOD")
    return Table(f"Per class, {head}, {', '.join(shown)}", columns, tuple(body))


def spectrum_table(spectra: Sequence[SetSpectra]) -> Table:
    """Entropy, largest-singular-value ratio and effective rank of every set, raw and centred."""
    columns = (
        "set",
        "role",
        "examples",
        "SVE",
        "LSVR",
        "rank",
        *(f"{n} centred" for n in ("SVE", "LSVR", "rank")),
    )
    body = []
    for spectra_of_set in spectra:
        cells = [name_cell(spectra_of_set.set_name), name_cell(spectra_of_set.role)]
        cells.append(Cell(f"{spectra_of_set.raw.num_examples:,}", value=spectra_of_set.raw.num_examples))
        for card in (spectra_of_set.raw, spectra_of_set.centred):
            cells += [decimal(card.entropy_nats), decimal(card.largest_ratio)]
            cells.append(Cell(f"{card.effective_rank:.1f}", value=card.effective_rank))
        body.append(tuple(cells))
    return Table("Spectrum of the features", columns, tuple(body), num_text_columns=2)


def percent(value: float | None, half_width: float | None = None) -> Cell:
    """A number in [0, 1] as percent with one decimal."""
    return _number(value, half_width, factor=100, digits=1)


def decimal(value: float | None, half_width: float | None = None) -> Cell:
    """A number with three decimals."""
    return _number(value, half_width, factor=1, digits=3)


def _number(value: float | None, half_width: float | None, *, factor: int, digits: int) -> Cell:
    if value is None:
        return Cell(NONE)
    spread = "" if half_width is None else f"± {factor * half_width:.{digits}f}"
    return Cell(f"{factor * value:.{digits}f}", spread, value)


def _set_cells(
    rows: Sequence[ResultRow], summaries: dict[str, HeadSummary], sets: tuple[str, ...],
    *, may_win: bool = True,
) -> list[Cell]:  # fmt: skip
    ahead = leader(rows, sets=sets) if may_win else None
    cells = []
    for head, summary in summaries.items():
        means = summary.per_set.get(sets[0], {}) if len(sets) == 1 else summary.ood_mean
        is_best = ahead is not None and ahead.runner_up is not None and ahead.is_clear and ahead.head == head
        cells.append(replace(percent_cell(means.get(main_metric(rows))), is_best=is_best))
    return cells


def percent_cell(interval: Interval | None) -> Cell:
    """A mean in [0, 1] as percent, with its spread."""
    return Cell(NONE) if interval is None else percent(interval.mean, interval.half_width)


def decimal_cell(interval: Interval | None) -> Cell:
    """A mean with three decimals, with its spread."""
    return Cell(NONE) if interval is None else decimal(interval.mean, interval.half_width)


def _result_notes(rows: Sequence[ResultRow]) -> tuple[str, ...]:
    notes = [INTERVAL_MEANING, RULE_FOR_BOLD] if len({row.seed for row in rows}) > 1 else [ONE_SEED]
    if len(heads_of(rows)) == 1 and RULE_FOR_BOLD in notes:
        notes.remove(RULE_FOR_BOLD)
    if sets_of(rows, "ood") and sets_of(rows, "id"):
        notes.append("Gap: in domain minus the mean out of domain (OOD), in points, paired by seed.")
    circular = sets_of(rows, "relabelled")
    if any(name.endswith(DECIDED) for name in circular):
        notes.append(
            "As people decided: their labels are the truth here, but they chose which to check, mostly those "
            "that the same features make look wrong, so it tends to be better than on new data; no mean "
            "counts it."
        )
    if any(name.endswith(RELABELLED) for name in circular):
        notes.append(
            "Relabelled: circular, since a detector suggested these labels from the same features; no mean "
            "counts it."
        )
    return tuple(notes)


def _accuracies(rows: Sequence[ResultRow], sets: Sequence[str], name: str) -> list[float | None]:
    entries: list[ClassMetrics] = [
        row.per_class[name] for row in rows if row.set_name in sets and name in row.per_class
    ]
    return [entry.accuracy for entry in entries]


def _mean_cell(values: Sequence[float | None]) -> Cell:
    known = [value for value in values if value is not None]
    return percent(fmean(known)) if known else Cell(NONE)


def _with_sign(value: float | None) -> Cell:
    cell = percent(value)
    return cell if value is None else Cell(f"{cell.text} %", value=value)


def name_cell(text: str) -> Cell:
    """A text."""
    return Cell(text, value=text)
