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
        noise = result.card["data"][0]["label_noise"]
        wrong = _wrong_labels(detection["num_wrong"], noise["num_flipped"] if noise else 0)
        print(
            f"Suspect labels: {detection['num_flagged']} flagged; {wrong}: "
            f"precision {_percent(detection['precision'])}, recall {_percent(detection['recall'])}, "
            f"average precision {_decimal(detection['average_precision'])}"
        )
    for note in result.card["notes"]:
        print(f"Note: {note}")
    print(
        f"Suspect labels are in {result.folder / 'label_issues.parquet'}, heads in {result.folder / 'heads'}"
    )
    print(f"Report: {result.report}")


def _wrong_labels(num_wrong: int, num_planted: int) -> str:
    """Some may have been wrong before others were made so."""
    if num_planted == num_wrong > 0:
        return f"{num_wrong} planted wrong labels"
    return f"{num_wrong} wrong labels" + (f", {num_planted} of them planted" if num_planted else "")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
