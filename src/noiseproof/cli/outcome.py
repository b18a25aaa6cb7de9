"""Results of a command in the terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import rich

from noiseproof.core.records import LabelIssues
from noiseproof.detect.detectors import TABLE
from noiseproof.evaluate.results import read_results
from noiseproof.export.thumbnails import read_texts
from noiseproof.features.service_extraction import RequestPlan
from noiseproof.report.cleaning import cleaning_sentences
from noiseproof.report.issue_tables import NUM_SUSPECTS, class_table, suspects_table
from noiseproof.report.rate import rate_sentences
from noiseproof.report.renderers import to_terminal
from noiseproof.report.tables import results_table


def print_run(result: Any) -> None:
    """Print results, suspect labels and the path of the report."""
    from noiseproof.report.caveats import labels_caveat
    from noiseproof.report.run_folder import DataCard

    data = [DataCard.model_validate(card) for card in result.card["data"]]
    caveat = labels_caveat(data, "test", "ood")
    rich.print(to_terminal(results_table(result.rows, caveat=caveat)))
    _print_lines(cleaning_sentences(result.card["cleaning_effect"]))
    detection = result.card["detection"]
    if detection is not None:
        is_planted = result.card["data"][0]["label_noise"] is not None
        print(f"Suspect labels: {_against_truth(detection, is_planted=is_planted)}")
    for note in (*result.card["detection_notes"], *result.card["choices"], *result.card["notes"]):
        print(f"Note: {note}")
    if result.card["task"] == "classification":
        ranked = result.folder / "label_issues.csv"
        print(f"{_look_wrong(result.card['num_suspect_labels'])}; all are ranked in {ranked}")
        _print_lines(rate_sentences(result.card["noise_rate"], result.card["reviewed"]))
    print(f"Heads: {result.folder / 'heads'}")
    print(f"Report: {result.report}")
    if (result.folder / "review.html").is_file():  # scores have none
        print(f"Look and decide: {result.folder / 'review.html'}")


def print_suspects(issues: LabelIssues, rest_s: float, folder: Path) -> None:
    """Print the most suspicious labels while the heads are still to be trained."""
    from noiseproof.report.headline import duration

    num_issues = int(issues.is_issue.sum())
    if num_issues:
        rich.print(to_terminal(suspects_table(issues, min(num_issues, NUM_SUSPECTS), read_texts(folder))))
    rest = f"; the heads take about {duration(rest_s)} more" if rest_s >= 1 else ""
    print(f"{_look_wrong(num_issues)} of {len(issues.suspicion)}{rest}")


def print_training(card: dict[str, Any], out: Path, found: Iterable[str], last: str) -> None:
    """Print the accuracies of a training, sentences on what it found, its notes, and what to do with it."""
    rich.print(to_terminal(results_table(read_results(out / "results.jsonl"))))
    _print_lines([*found, *(f"Note: {note}" for note in card["notes"]), last])


def print_detection(result: Any) -> None:
    """Print method, suspect labels by class, the most suspicious ones, and the paths of the files."""
    summary, issues = result.summary, result.issues
    estimates_rate = TABLE[summary.method].estimates_rate
    rich.print(to_terminal(class_table(summary.classes, estimates_rate=estimates_rate)))
    rich.print(to_terminal(suspects_table(issues, texts=read_texts(result.folder))))
    print(f"Method: {summary.method}")
    for note in (*summary.notes, *result.card["notes"]):
        print(f"Note: {note}")
    rate = percent(summary.noise_rate)
    rate_text = f"; estimated noise rate {rate}" if estimates_rate else f"; flagged {rate}"
    is_known = summary.noise_rate_high is None or summary.noise_rate_high < 1
    is_known = is_known and not (summary.reviewed and summary.reviewed["rate"])  # which says it better
    print(f"{_look_wrong(summary.num_issues)} of {summary.num_examples}{rate_text if is_known else ''}")
    _print_lines(rate_sentences(result.card["noise_rate"], result.card["reviewed"]))
    if summary.against_truth is not None:
        is_planted = result.card["data"]["label_noise"] is not None
        print(f"Against the truth: {_against_truth(summary.against_truth, is_planted=is_planted)}")
    print(f"All labels, ranked: {result.folder / 'label_issues.csv'}")
    print(f"Look and decide: {result.review}")
    for name, path in result.exports.items():
        print(f"Export {name}: {path}")
    for form in result.forms:
        print(f"Labels to check, a form to fill in: {form}")


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _look_wrong(num_issues: int) -> str:
    return "1 label looks wrong" if num_issues == 1 else f"{num_issues} labels look wrong"


def _against_truth(detection: dict[str, Any], *, is_planted: bool) -> str:
    wrong = "planted wrong labels" if is_planted else "wrong labels"
    return (
        f"{detection['num_flagged']} flagged; {detection['num_wrong']} {wrong}: "
        f"precision {percent(detection['precision'])}, recall {percent(detection['recall'])}, "
        f"average precision {_decimal(detection['average_precision'])}"
    )


def percent(value: float | None) -> str:
    """A share for people; a dash where it is undefined."""
    return "-" if value is None else f"{100 * value:.1f} %"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def print_plan(plan: RequestPlan, price: float | None) -> dict[str, Any]:
    """Print what an embedding service would be asked for, and return it."""
    lines = [
        f"texts     {plan.num_texts:,} to embed, {plan.num_stored:,} in the store already",
        f"requests  {plan.num_requests:,}, and one that checks whether the service is what it was",
        f"tokens    about {plan.num_tokens:,} (estimated at four characters a token)",
    ]
    if price is not None:
        cost = plan.num_tokens * price / 1e6
        lines.append(f"cost      about {cost:,.{2 if cost >= 1 else 6}f} at {price:g} a million tokens")
    print("\n".join(lines))
    return dataclasses.asdict(plan)
