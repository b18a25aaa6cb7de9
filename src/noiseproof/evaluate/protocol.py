"""The protocol: a head on an evaluation set, and the means and intervals over seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int
from scipy import stats

from noiseproof.core.checks import check_label_range
from noiseproof.core.errors import BadData, invalid
from noiseproof.evaluate.metrics import METRICS, Outcomes, joined, outcomes, overall, per_class
from noiseproof.evaluate.results import ResultRow

_CONFIDENCE = 0.95


@runtime_checkable
class Classifier(Protocol):
    """What is evaluated: any fitted scikit-learn classifier with probabilities."""

    classes_: Any

    def predict_proba(self, features: Any, /) -> np.ndarray:
        """(b, d) features -> (b, c) probabilities, a column per entry of `classes_`."""


@dataclass(frozen=True)
class Interval:
    """A mean over seeds.

    Attributes:
        mean: of the values.
        half_width: of the 95 % interval of Student's t; `None` with one seed.
        values: one per seed, in the order of the seeds.
    """

    mean: float
    half_width: float | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class HeadSummary:
    """One head over all seeds: metric name -> interval, for each set and for the averages.

    Attributes:
        head: its name.
        per_set: set name -> metrics, in the order of the rows.
        id_mean: mean over the in-domain sets, taken within each seed first; empty where there is no set.
        ood_mean: the same over the out-of-domain sets.
        gap: `id_mean` minus `ood_mean`, paired by seed.
    """

    head: str
    per_set: dict[str, dict[str, Interval]]
    id_mean: dict[str, Interval]
    ood_mean: dict[str, Interval]
    gap: dict[str, Interval]


@dataclass(frozen=True)
class Leader:
    """The head in front.

    Attributes:
        head: the one with the highest mean.
        runner_up: the one with the next; `None` where there is one head.
        is_clear: whether the lead over every other head holds over seeds (true of a head without rivals).
    """

    head: str
    runner_up: str | None
    is_clear: bool


def evaluate_head(
    head: Classifier, features: Any, labels: Int[np.ndarray, " n"], *, name: str, seed: int, set_name: str,
    domain: str, class_names: Sequence[str], block_size: int = 8192,
) -> ResultRow:  # fmt: skip
    """Every metric of a fitted head on one set; memory O(block_size x (d + k) + n).

    Args:
        head: its `classes_` are class ids; a class it never saw has probability 0.
        features: (n, d), sliced in blocks, so it may be memory-mapped.
        labels: class ids in [0, k), taken as the truth.
        name: of the head.
        seed: it was trained with.
        set_name: of the evaluation set.
        domain: "id" or "ood".
        class_names: k names.
        block_size: rows per call of `predict_proba`.

    Raises:
        BadData: features and labels differ in length, or a probability cannot be used.
    """
    if len(features) != len(labels):
        raise BadData(
            f"{set_name!r}: `features` has {len(features)} rows, `labels` {len(labels)}; allowed: one row "
            "per label. Next: extract the features of this set again."
        )
    if len(labels) == 0:
        raise BadData(f"{set_name!r} has no examples; allowed: one or more. Next: check the evaluation set.")
    blocks: list[Outcomes] = []
    for start in range(0, len(labels), block_size):
        rows = slice(start, start + block_size)
        probs = _over_all_classes(head, np.asarray(head.predict_proba(features[rows])), len(class_names))
        blocks.append(outcomes(probs, labels[rows]))
    return result_row(
        blocks, name=name, seed=seed, set_name=set_name, domain=domain, class_names=class_names
    )  # fmt: skip


def result_row(
    blocks: Sequence[Outcomes], *, name: str, seed: int, set_name: str, domain: str,
    class_names: Sequence[str],
) -> ResultRow:  # fmt: skip
    """Every metric of whatever gave these outcomes, on one set.

    Args:
        blocks: consecutive parts of the set.
        name: of the head or network, as the others of `evaluate_head`.
    """
    found = joined(blocks)
    return ResultRow(
        head=name,
        seed=seed,
        set_name=set_name,
        domain=domain,
        num_examples=len(found.labels),
        metrics=overall(found),
        per_class=dict(zip(class_names, per_class(found), strict=True)),
    )


def interval(values: Iterable[float]) -> Interval:
    """Mean and 95 % interval of Student's t over independent values.

    Half width = t_{0.975, m-1} s / sqrt(m), s with m - 1 in the denominator.
    """
    numbers = np.fromiter(values, np.float64)
    m = len(numbers)
    if m == 0:
        raise invalid("values", (), "one number or more")
    half_width = None
    if m > 1:
        quantile = stats.t.ppf(0.5 + _CONFIDENCE / 2, m - 1)
        half_width = float(quantile * numbers.std(ddof=1) / np.sqrt(m))
    return Interval(float(numbers.mean()), half_width, tuple(numbers.tolist()))


def seed_means(rows: Iterable[ResultRow], *, head: str, sets: Sequence[str], metric: str) -> dict[int, float]:
    """Mean of a metric over the sets, for each seed of a head.

    A seed that lacks one of the sets (a run that was interrupted) is left out, not filled in.
    """
    found: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row.head == head and row.set_name in sets:
            found[row.seed].append(row.metrics[metric])
    return {
        seed: float(np.mean(values)) for seed, values in sorted(found.items()) if len(values) == len(sets)
    }


def sets_of(rows: Iterable[ResultRow], domain: str) -> list[str]:
    """The evaluation sets of one domain, in the order of the rows."""
    return list(dict.fromkeys(row.set_name for row in rows if row.domain == domain))


def heads_of(rows: Iterable[ResultRow]) -> list[str]:
    """The heads, in the order of the rows."""
    return list(dict.fromkeys(row.head for row in rows))


def summarise(rows: Sequence[ResultRow]) -> list[HeadSummary]:
    """Means and intervals over seeds, a summary per head in the order of the rows.

    Averages over sets are taken within a seed first and then over seeds, because the sets of one seed share
    its head and are not independent.
    """
    return [_summary(rows, head) for head in heads_of(rows)]


def leader(rows: Sequence[ResultRow], *, sets: Sequence[str], metric: str = "accuracy") -> Leader | None:
    """The head with the highest mean over these sets, and whether that is more than the luck of the seeds.

    The lead is clear where, against every other head, the 95 % interval of the difference paired by seed lies
    above zero. Without a second seed nothing is clear. It says nothing about other examples of the same kind.

    Args:
        rows: of all heads.
        sets: evaluation sets to average over; none gives `None`.
        metric: one where higher is better.
    """
    by_head = {head: seed_means(rows, head=head, sets=sets, metric=metric) for head in heads_of(rows)}
    means = {head: interval(values.values()).mean for head, values in by_head.items() if values}
    if not sets or not means:
        return None
    first, *others = sorted(means, key=lambda head: -means[head])
    return Leader(
        head=first,
        runner_up=others[0] if others else None,
        is_clear=all(is_above(by_head[first], by_head[other]) for other in others),
    )


def _summary(rows: Sequence[ResultRow], head: str) -> HeadSummary:
    own = [row for row in rows if row.head == head]

    def over(*sets: str) -> dict[str, dict[int, float]]:
        return {
            metric: seed_means(own, head=head, sets=sets, metric=metric) if sets else {} for metric in METRICS
        }

    def intervals(by_metric: dict[str, dict[int, float]]) -> dict[str, Interval]:
        return {metric: interval(values.values()) for metric, values in by_metric.items() if values}

    inside, outside = over(*sets_of(rows, "id")), over(*sets_of(rows, "ood"))
    names = dict.fromkeys(row.set_name for row in own)
    return HeadSummary(
        head=head,
        per_set={name: intervals(over(name)) for name in names},
        id_mean=intervals(inside),
        ood_mean=intervals(outside),
        gap=intervals({metric: _paired(inside[metric], outside[metric]) for metric in METRICS}),
    )


def _paired(first: dict[int, float], second: dict[int, float]) -> dict[int, float]:
    return {seed: first[seed] - second[seed] for seed in first if seed in second}


def is_above(first: dict[int, float], second: dict[int, float]) -> bool:
    """Whether the 95 % interval of the difference paired by seed lies above zero; never with one seed."""
    return is_positive(_paired(first, second).values())


def is_positive(differences: Collection[float]) -> bool:
    """Whether the 95 % interval of a mean lies above zero; never with one value."""
    if len(differences) < 2:
        return False
    lead = interval(differences)
    assert lead.half_width is not None
    return lead.mean - lead.half_width > 0


def _over_all_classes(head: Classifier, probs: np.ndarray, num_classes: int) -> np.ndarray:
    classes = np.asarray(head.classes_)
    if probs.shape[1] == num_classes and np.array_equal(classes, np.arange(num_classes)):
        return probs
    check_label_range(classes, num_classes, "head.classes_")
    wide = np.zeros((len(probs), num_classes), probs.dtype)
    wide[:, classes] = probs
    return wide
