"""What a run found, in plain sentences; nothing is said to be better that the seeds do not show to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from noiseproof.evaluate.protocol import HeadSummary, Interval, leader, sets_of, summarise
from noiseproof.evaluate.results import ResultRow
from noiseproof.report.run_folder import RunFolder
from noiseproof.report.tables import percent


@dataclass(frozen=True)
class Fact:
    """One number worth a tile: what it is called, the number, and what it stands on."""

    title: str
    value: str
    detail: str


def best_head(rows: Sequence[ResultRow]) -> str:
    """The head to show where one must be chosen: first out of domain, else in domain."""
    ahead = leader(rows, sets=sets_of(rows, "ood")) or leader(rows, sets=sets_of(rows, "id"))
    return ahead.head if ahead else rows[0].head


def headlines(run: RunFolder) -> list[str]:
    """The result in a few sentences."""
    return [_about_heads(run.results), *_about_gap(run.results), _about_labels(run), *_about_detection(run)]


def facts(run: RunFolder) -> list[Fact]:
    """The tiles at the top of the page."""
    head = best_head(run.results)
    summary = _summary(run.results, head)
    inside, outside = sets_of(run.results, "id"), sets_of(run.results, "ood")
    found = []
    if outside:
        detail = f"{head}, {_counted(len(outside), 'set')}"
        found.append(Fact("Accuracy out of domain", _percent(summary.ood_mean["accuracy"]), detail))
    if inside:
        found.append(
            Fact("Accuracy in domain", _percent(summary.id_mean["accuracy"]), f"{head}, {', '.join(inside)}")
        )
    num_flagged, n = int(run.issues["is_issue"].sum()), len(run.issues)
    found.append(Fact("Suspect labels", f"{num_flagged:,}", f"of {n:,}, {100 * num_flagged / n:.1f} %"))
    wall_s = sum(run.card.wall_s.values())
    detail = (
        f"{run.card.encoder_passes:,} images encoded" if run.card.encoder_passes else "features were on disk"
    )
    found.append(Fact("Time", duration(wall_s), detail))
    return found


def duration(wall_s: float) -> str:
    """Seconds as a person says them."""
    if wall_s < 99.5:
        return f"{wall_s:.1f} s" if wall_s < 9.95 else f"{wall_s:.0f} s"
    minutes = wall_s / 60
    return f"{minutes:.1f} min" if minutes < 99.5 else f"{minutes / 60:.1f} h"


def _about_heads(rows: Sequence[ResultRow]) -> str:
    outside = sets_of(rows, "ood")
    sets, where = (outside, "out of domain") if outside else (sets_of(rows, "id"), "in domain")
    ahead = leader(rows, sets=sets)
    if ahead is None:
        return "No head has a result on every evaluation set yet."
    first = _mean_over(_summary(rows, ahead.head), has_ood=bool(outside))
    score = f"{_percent(first)} %" + (f", mean of {len(sets)} sets" if len(sets) > 1 else "")
    if ahead.runner_up is None:
        return f"{ahead.head} reaches {score} accuracy {where}."
    second = _mean_over(_summary(rows, ahead.runner_up), has_ood=bool(outside))
    rival = f"{ahead.runner_up} follows with {_percent(second)} %"
    if ahead.is_clear:
        return f"{ahead.head} is the best head {where}: {score}. {rival}."
    why = (
        "one seed cannot tell them apart" if first.half_width is None else "the seeds do not tell them apart"
    )
    return f"No head is clearly the best {where}: {ahead.head} has {score}, {rival}, and {why}."


def _about_gap(rows: Sequence[ResultRow]) -> list[str]:
    head = best_head(rows)
    gap = _summary(rows, head).gap.get("accuracy")
    if gap is None:
        return []
    verb = "loses" if gap.mean >= 0 else "gains"
    points = percent(abs(gap.mean), gap.half_width)
    return [
        f"From in domain to out of domain {head} {verb} {points.text} {points.spread}".rstrip() + " points."
    ]


def _about_labels(run: RunFolder) -> str:
    num_flagged, n = int(run.issues["is_issue"].sum()), len(run.issues)
    if num_flagged == 0:
        return f"None of the {n:,} training labels looks wrong."
    verb = "looks" if num_flagged == 1 else "look"
    return f"{num_flagged:,} of {n:,} training labels ({100 * num_flagged / n:.1f} %) {verb} wrong."


def _about_detection(run: RunFolder) -> list[str]:
    found = run.card.detection
    if found is None:
        return []
    if found.num_wrong == 0:
        return ["The truth is known here: no label is wrong."]
    noise = run.card.train.label_noise if run.card.train else None
    kind = f"{found.num_wrong:,} wrong labels" + (
        f" ({noise.kind} noise, put in on purpose)" if noise else ""
    )
    text = f"The truth is known here: of {kind}, {percent(found.recall).text} % were found"
    if found.precision is not None:
        text += f"; {percent(found.precision).text} % of the flagged ones are wrong"
    return [text + "."]


def _summary(rows: Sequence[ResultRow], head: str) -> HeadSummary:
    return next(summary for summary in summarise(rows) if summary.head == head)


def _mean_over(summary: HeadSummary, *, has_ood: bool) -> Interval:
    return (summary.ood_mean if has_ood else summary.id_mean)["accuracy"]


def _percent(found: Interval) -> str:
    cell = percent(found.mean, found.half_width)
    return f"{cell.text} {cell.spread}".rstrip()


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"mean of {number} {noun}s"
