"""What a run says when it is done."""

from __future__ import annotations

from typing import Any

import rich

from noiseproof.report.renderers import to_terminal
from noiseproof.report.tables import results_table


def print_outcome(result: Any) -> None:
    """The results, the suspect labels, and where the report is."""
    rich.print(to_terminal(results_table(result.rows)))
    detection = result.card["detection"]
    if detection is not None:
        wrong = "planted wrong labels" if result.card["data"][0]["label_noise"] else "wrong labels"
        print(
            f"Suspect labels: {detection['num_flagged']} flagged; {detection['num_wrong']} {wrong}: "
            f"precision {_percent(detection['precision'])}, recall {_percent(detection['recall'])}, "
            f"average precision {_decimal(detection['average_precision'])}"
        )
    for note in result.card["notes"]:
        print(f"Note: {note}")
    num_suspect = result.card["num_suspect_labels"]
    labels = "1 label looks" if num_suspect == 1 else f"{num_suspect} labels look"
    print(f"{labels} wrong; all are ranked in {result.folder / 'label_issues.parquet'}")
    print(f"Heads: {result.folder / 'heads'}")
    print(f"Report: {result.report}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
