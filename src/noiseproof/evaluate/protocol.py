"""Evaluation protocol: a classifier on an evaluation set, and means and intervals over seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
import scipy  # its parts are loaded when they are first used
from jaxtyping import Float, Int

from noiseproof.core.checks import check_label_range
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.row_blocks import row_blocks
from noiseproof.evaluate.metrics import (
    Outcomes,
    all_metrics,
    join_outcomes,
    outcomes,
    per_class_metrics,
    score_metrics,
)
from noiseproof.evaluate.results import ResultRow, main_metric, metric_names

_CONFIDENCE = 0.95


@runtime_checkable
class Classifier(Protocol):
    """Any fitted scikit-learn classifier with probabilities."""

    classes_: Any

    def predict_proba(self, features: Any, /) -> np.ndarray:
        """Probabilities (b, c) from features (b, d), one column per entry of `classes_`."""


@runtime_checkable
class Regressor(Protocol):
    """Any fitted scikit-learn regressor."""

    def predict(self, features: Any, /) -> np.ndarray:
        """Scores (b,) from features (b, d)."""


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95 % interval.

    Attributes:
        mean: of the values.
        half_width: of the interval, by Student's t; `None` with one seed.
        values: one per seed, in the order of the seeds.
    """

    mean: float
    half_width: float | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class HeadSummary:
    """Intervals of one head over all seeds, by metric name, for each set and for averages over sets.

    Attributes:
        head: name of the head.
        per_set: set name -> metrics, in the order of the rows.
        id_mean: mean over the in-domain sets within each seed; empty without such sets.
        ood_mean: mean over the out-of-domain sets within each seed.
        gap: `id_mean` minus `ood_mean`, paired by seed.
    """

    head: str
    per_set: dict[str, dict[str, Interval]]
    id_mean: dict[str, Interval]
    ood_mean: dict[str, Interval]
    gap: dict[str, Interval]


@dataclass(frozen=True)
class Leader:
    """The best head.

    Attributes:
        head: the head with the highest mean.
        runner_up: the head with the second highest mean; `None` if there is only one head.
        is_clear: whether it beats every other head clearly over seeds; true if there is no other head.
    """

    head: str
    runner_up: str | None
    is_clear: bool


def evaluate_head(
    head: Classifier, features: Any, labels: Int[np.ndarray, " n"], *, name: str, seed: int, set_name: str,
    domain: str, class_names: Sequence[str], block_size: int = 8192,
) -> ResultRow:  # fmt: skip
    """Evaluate a fitted head on one set; memory O(block_size x (d + k) + n).

    Args:
        head: with class ids as `classes_`; a class that it was not trained on has probability 0.
        features: (n, d), sliced in blocks; may be memory-mapped.
        labels: class ids in [0, k), taken as the truth.
        name: of the head.
        seed: of its training.
        set_name: of the evaluation set.
        domain: "id", "ood" or "relabelled".
        class_names: k names.
        block_size: rows per call of `predict_proba`.

    Raises:
        BadData: features and labels differ in length, or a probability is invalid.
    """
    if len(features) != len(labels):
        raise BadData(
            f"{set_name!r}: `features` has {len(features)} rows, `labels` {len(labels)}; allowed: one row "
            "per label. Next: extract the features of this set again."
        )
    if len(labels) == 0:
        raise BadData(f"{set_name!r} has no examples; allowed: one or more. Next: check the evaluation set.")
    blocks: list[Outcomes] = []
    for rows in row_blocks(len(labels), block_size):
        probs = _over_all_classes(head, np.asarray(head.predict_proba(features[rows])), len(class_names))
        blocks.append(outcomes(probs, labels[rows]))
    return result_row(
        blocks, name=name, seed=seed, set_name=set_name, domain=domain, class_names=class_names
    )  # fmt: skip


def evaluate_regressor(
    head: Regressor, features: Any, scores: Float[np.ndarray, " n"], *, name: str, seed: int, set_name: str,
    domain: str, block_size: int = 8192,
) -> ResultRow:  # fmt: skip
    """Evaluate a fitted regressor on one set; arguments as in `evaluate_head`.

    Args:
        scores: taken as the truth.
    """
    blocks = [np.asarray(head.predict(features[rows])) for rows in row_blocks(len(scores), block_size)]
    metrics = score_metrics(np.concatenate(blocks).astype(np.float64), scores)
    return ResultRow(name, seed, set_name, domain, len(scores), metrics, {})


def result_row(
    blocks: Sequence[Outcomes], *, name: str, seed: int, set_name: str, domain: str,
    class_names: Sequence[str],
) -> ResultRow:  # fmt: skip
    """Every metric of outcomes on one set; arguments as in `evaluate_head`.

    Args:
        blocks: outcomes of consecutive parts of the set.
        name: of the head or network.
    """
    found = join_outcomes(blocks)
    return ResultRow(
        head=name,
        seed=seed,
        set_name=set_name,
        domain=domain,
        num_examples=len(found.labels),
        metrics=all_metrics(found),
        per_class=dict(zip(class_names, per_class_metrics(found), strict=True)),
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
        half_width = float(_quantile(m - 1) * numbers.std(ddof=1) / np.sqrt(m))
    return Interval(float(numbers.mean()), half_width, tuple(numbers.tolist()))


@cache
def _quantile(degrees: int) -> float:
    return float(scipy.stats.t.ppf(0.5 + _CONFIDENCE / 2, degrees))


def seed_means(rows: Iterable[ResultRow], *, head: str, sets: Sequence[str], metric: str) -> dict[int, float]:
    """Mean of a metric over the sets, for each seed of a head.

    A seed without results on one of the sets (an interrupted run) is left out.
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
    """Summarise every head over seeds, in the order of the rows.

    Sets are averaged within a seed before seeds are averaged, because all sets of a seed are evaluated with
    the same trained head and are not independent.
    """
    return [_summary(rows, head) for head in heads_of(rows)]


def leader(rows: Sequence[ResultRow], *, sets: Sequence[str]) -> Leader | None:
    """The head with the highest mean over these sets, and whether its lead is clear.

    The lead is clear if, against every other head, the 95 % interval of the difference paired by seed lies
    above zero; it never is with one seed. The interval covers seeds, not other samples of the data.

    Args:
        rows: of all heads.
        sets: evaluation sets to average over; without sets the result is `None`.
    """
    metric = main_metric(rows)
    by_head = {head: seed_means(rows, head=head, sets=sets, metric=metric) for head in heads_of(rows)}
    means = {head: interval(values.values()).mean for head, values in by_head.items() if values}
    if not sets or not means:
        return None
    first, *others = sorted(means, key=lambda head: -means[head])
    return Leader(
        head=first,
        runner_up=others[0] if others else None,
        is_clear=all(is_positive(_paired(by_head[first], by_head[other]).values()) for other in others),
    )


def _summary(rows: Sequence[ResultRow], head: str) -> HeadSummary:
    own = [row for row in rows if row.head == head]

    metrics = metric_names(own[0].metrics)

    def over(*sets: str) -> dict[str, dict[int, float]]:
        return {
            metric: seed_means(own, head=head, sets=sets, metric=metric) if sets else {} for metric in metrics
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
        gap=intervals({metric: _paired(inside[metric], outside[metric]) for metric in metrics}),
    )


def _paired(first: dict[int, float], second: dict[int, float]) -> dict[int, float]:
    return {seed: first[seed] - second[seed] for seed in first if seed in second}


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
