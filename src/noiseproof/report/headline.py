"""Headlines and tiles of a report; a head is called better only where the seeds show it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from noiseproof.core.plurals import counted
from noiseproof.evaluate.protocol import HeadSummary, Interval, leader, sets_of, summarise
from noiseproof.evaluate.results import ResultRow, main_metric
from noiseproof.report.caveats import labels_caveat
from noiseproof.report.rate import rate_sentences
from noiseproof.report.run_folder import RunFolder
from noiseproof.report.tables import METRIC_TITLES, percent


@dataclass(frozen=True)
class Fact:
    """One tile of the report: title, number, basis and unit."""

    title: str
    value: str
    detail: str
    unit: str = ""


def best_head(rows: Sequence[ResultRow]) -> str:
    """The head to show where one must be chosen: first out of domain, else in domain."""
    ahead = leader(rows, sets=sets_of(rows, "ood")) or leader(rows, sets=sets_of(rows, "id"))
    return ahead.head if ahead else rows[0].head


def headlines(run: RunFolder, decided: Collection[str] = ()) -> list[str]:
    """The result, labels first: a short headline, then sentences.

    Args:
        run: the folder.
        decided: ids of the examples whose labels people decided.
    """
    if run.issues.empty:
        return about_heads(run)
    return [_about_labels(run) + _about_decisions(run, decided), *_about_rate(run), *_about_detection(run)]


def about_heads(run: RunFolder) -> list[str]:
    """Which head is ahead, and what it loses out of domain: a short headline, then sentences."""
    return [*_about_heads(run), *_about_gap(run.results)]


def facts(run: RunFolder) -> list[Fact]:
    """The tiles at the top of the page."""
    head = best_head(run.results)
    summary = _summary(run.results, head)
    heads = len({row.head for row in run.results})
    which = head if heads == 1 else f"{head}, best of {heads} heads on these sets"
    inside, outside = sets_of(run.results, "id"), sets_of(run.results, "ood")
    metric, tiles = main_metric(run.results), []
    num_flagged, n = int(run.issues["is_issue"].sum()), len(run.issues)
    if n:
        tiles.append(Fact("Suspect labels", f"{num_flagged:,}", f"of {n:,}, {100 * num_flagged / n:.1f} %"))
    title = METRIC_TITLES[metric]
    if summary.ood_mean:
        detail = _joined(which, _counted(len(outside), "set"), labels_caveat(run.card.data, "ood"))
        tiles.append(Fact(f"{title} out of domain", _percent(summary.ood_mean[metric]), detail, "%"))
    if summary.id_mean:
        detail = _joined(head, *inside, labels_caveat(run.card.data, "test"))
        tiles.append(Fact(f"{title} in domain", _percent(summary.id_mean[metric]), detail, "%"))
    wall_s = sum(run.card.wall_s.values())
    detail = "features were on disk"
    if run.card.encoder_passes and run.card.backbone.name != "features:":  # those were made elsewhere
        detail = f"{run.card.encoder_passes:,} examples encoded"
    tiles.append(Fact("Time", duration(wall_s), detail))
    return tiles


def duration(wall_s: float) -> str:
    """A time span for people, such as 3.5 min."""
    if wall_s < 99.5:
        return f"{wall_s:.1f} s" if wall_s < 9.95 else f"{wall_s:.0f} s"
    minutes = wall_s / 60
    return f"{minutes:.1f} min" if minutes < 99.5 else f"{minutes / 60:.1f} h"


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _about_heads(run: RunFolder) -> list[str]:
    rows = run.results
    outside = sets_of(rows, "ood")
    caveat, metric = labels_caveat(run.card.data, "ood" if outside else "test"), main_metric(rows)
    sets, where = (outside, "out of domain") if outside else (sets_of(rows, "id"), "in domain")
    ahead = leader(rows, sets=sets)
    if ahead is None:
        return ["No head has a result on every evaluation set yet"]
    scores = {summary.head: (summary.ood_mean if outside else summary.id_mean) for summary in summarise(rows)}
    ranked = sorted((head for head in scores if scores[head]), key=lambda head: -scores[head][metric].mean)
    listed = ", ".join(f"{head} {_percent(scores[head][metric])}\u00a0%" for head in ranked[:4])
    mean = f"mean of {len(sets)} sets" if len(sets) > 1 else ""
    detail = f"{_joined(f'{METRIC_TITLES[metric]} {where}', mean, caveat)}: {listed}"
    if ahead.runner_up is None:
        return [
            _joined(f"{ahead.head} reaches {_percent(scores[ahead.head][metric])}\u00a0% {where}", caveat),
            f"{detail}.",
        ]
    if ahead.is_clear:
        return [
            f"{ahead.head} is the best head {where}",
            f"{detail}. The lead is larger than the luck of the seeds.",
        ]
    has_seeds = scores[ahead.head][metric].half_width is not None
    why = (
        "The seeds do not tell the first two apart" if has_seeds else "One seed cannot tell luck from a lead"
    )
    return [f"No head is clearly the best {where}", f"{detail}. {why}."]


def _about_gap(rows: Sequence[ResultRow]) -> list[str]:
    head = best_head(rows)
    gap = _summary(rows, head).gap.get(main_metric(rows))
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
        text = f"None of your {n:,} labels is more likely wrong than right"
        num_others = int((run.issues["given_label"] != run.issues["suggested_label"]).sum())
        return f"{text}; for {num_others:,} the detector prefers another class" if num_others else text
    is_one = num_flagged == 1
    text = f"{num_flagged:,} of your {n:,} labels {'looks' if is_one else 'look'} wrong"
    if run.card.noise_rate is None:  # no probabilities to add up
        return text
    expected = _num_expected(run)
    if expected == num_flagged:
        return f"{text}, and probably {'is' if is_one else 'are'}"
    return f"{text}, about {expected:,} of them {'is' if expected == 1 else 'are'}"


def _about_decisions(run: RunFolder, decided: Collection[str]) -> str:
    """How many labels are decided, and how many of those that look wrong are left."""
    flagged = {str(each) for each in run.issues.loc[run.issues["is_issue"].astype(bool), "example_id"]}
    num_done, num_others = len(flagged.intersection(decided)), len(set(decided) - flagged)
    parts = []
    if num_done:
        left = len(flagged) - num_done
        parts.append(f"{num_done:,} of them {_is(num_done)} decided, {left:,} {_is(left)} left")
    if num_others:
        parts.append(f"{counted(num_others, 'other' if flagged else 'label')} {_is(num_others)} decided")
    return "".join(f"; {part}" for part in parts)


def _is(num: int) -> str:
    return "is" if num == 1 else "are"


def _num_expected(run: RunFolder) -> int:
    """How many of the flagged labels are wrong: the suspicion is a probability where a rate is estimated."""
    return round(float(run.issues.loc[run.issues["is_issue"].astype(bool), "suspicion"].sum()))


def _about_rate(run: RunFolder) -> list[str]:
    estimate = run.card.noise_rate
    return rate_sentences(None if estimate is None else estimate.model_dump(), run.card.reviewed)


def _about_detection(run: RunFolder) -> list[str]:
    detection = run.card.detection
    if detection is None:
        return []
    noise = run.card.train.label_noise if run.card.train else None
    if noise:
        text = f"Of {detection.num_wrong:,} labels made wrong on purpose ({noise.kind} noise)"
    elif detection.num_wrong == 0:
        return ["The truth is known here: no label is wrong."]
    else:
        text = f"The truth is known here: of {detection.num_wrong:,} wrong labels"
    text += "" if detection.recall is None else f", {percent(detection.recall).text} % were found"
    if detection.precision is not None:
        text += f"; {percent(detection.precision).text} % of the flagged ones are " + (
            "these" if noise else "wrong"
        )
    return [text + "."]


def _summary(rows: Sequence[ResultRow], head: str) -> HeadSummary:
    return next(summary for summary in summarise(rows) if summary.head == head)


def _percent(interval: Interval) -> str:
    cell = percent(interval.mean, interval.half_width)
    return f"{cell.text} {cell.spread}".rstrip().replace(" ", "\u00a0")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"mean of {number} {noun}s"
