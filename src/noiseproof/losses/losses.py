"""The table of losses: where each function is, its options, and who published it.

To add a loss:
1. Write a function `name(log_probs, given_labels, **options) -> loss per example` in a module of this room,
   with its equation and source in the docstring (`robust.py` has short examples).
2. Add an entry to `TABLE` below, under the function's name. `noiseproof ls losses`, every head's `loss=` and
   `loss_options=`, and fine-tuning read the table.
3. If it needs more than the labels of the batch (random pairs, a memory of every example), bind these in
   `batch.py`, as "peer" and "elr" do.
The tests in `tests/contracts` then cover it; add a hand-solved case and a slow loop in `tests/losses`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from noiseproof.core.checks import Range, check_entries, check_transition
from noiseproof.core.errors import invalid
from noiseproof.core.registry import Registry, unknown_name

# Every option with its value, in the order of the table; hashable, so that heads with one loss can be
# stacked.
Options = tuple[tuple[str, Any], ...]

_WEIGHT = Range(0.0)
_SHARE = Range(0.0, 1.0)
_CLAMP = Range(-math.inf, 0.0, excludes_high=True)
_LEAST_COLUMN_SUM = 1e-6  # a much smaller sum is 0 in float32, and its logarithm would end the training
_MOST_CONDITION = 1e6  # of a matrix that is inverted; beyond it float32 gradients are rounding errors


@dataclass(frozen=True)
class Option:
    """One option of a loss.

    Attributes:
        default: `None` where the user has to give a value before training.
        allowed: range of numbers, or a description of a transition matrix.
    """

    default: float | int | None
    allowed: Range | str

    def __str__(self) -> str:
        return str(self.allowed) if self.default is None else f"{self.default:g} ({self.allowed})"


@dataclass(frozen=True)
class LossEntry:
    """One row of the table.

    Attributes:
        home: "module:function".
        summary: what the loss does, a phrase.
        source: authors and year.
        options: name -> option.
    """

    home: str
    summary: str
    source: str
    options: dict[str, Option] = field(default_factory=dict)


_HERE = "noiseproof.losses"
_TRANSITION = {"transition": Option(None, "a matrix (k, k), rows sum to 1")}
TABLE: dict[str, LossEntry] = {
    "cross_entropy": LossEntry(
        f"{_HERE}.robust:cross_entropy",
        "-ln p of the given label; not robust to wrong labels",
        "label smoothing: Szegedy et al. 2016, arXiv:1512.00567",
        {"label_smoothing": Option(0.0, Range(0.0, 1.0, excludes_high=True))},
    ),
    "gce": LossEntry(
        f"{_HERE}.robust:gce",
        "generalised cross-entropy, between cross-entropy (q -> 0) and MAE (q = 1)",
        "Zhang & Sabuncu 2018, arXiv:1805.07836",
        {
            "q": Option(0.7, Range(0.0, 1.0, excludes_low=True)),
            "threshold": Option(0.0, Range(0.0, 1.0, excludes_high=True)),
        },
    ),
    "mae": LossEntry(
        f"{_HERE}.robust:mae", "mean absolute error", "Ghosh, Kumar & Sastry 2017, arXiv:1712.09482"
    ),
    "sce": LossEntry(
        f"{_HERE}.robust:sce",
        "symmetric: cross-entropy and its reverse",
        "Wang et al. 2019, arXiv:1908.06112",
        {"alpha": Option(0.1, _WEIGHT), "beta": Option(1.0, _WEIGHT), "clamp": Option(-4.0, _CLAMP)},
    ),
    "nce_rce": LossEntry(
        f"{_HERE}.robust:nce_rce",
        "active-passive: normalised and reverse cross-entropy",
        "Ma et al. 2020, arXiv:2006.13554",
        {"alpha": Option(1.0, _WEIGHT), "beta": Option(1.0, _WEIGHT), "clamp": Option(-4.0, _CLAMP)},
    ),
    "nce_mae": LossEntry(
        f"{_HERE}.robust:nce_mae",
        "active-passive: normalised cross-entropy and MAE",
        "Ma et al. 2020, arXiv:2006.13554",
        {"alpha": Option(1.0, _WEIGHT), "beta": Option(1.0, _WEIGHT)},
    ),
    "forward": LossEntry(
        f"{_HERE}.robust:forward",
        "cross-entropy of predictions multiplied by the transition matrix",
        "Patrini et al. 2017, arXiv:1609.03683",
        _TRANSITION,
    ),
    "backward": LossEntry(
        f"{_HERE}.robust:backward",
        "unbiased cross-entropy by the inverse of the transition matrix",
        "Patrini et al. 2017, arXiv:1609.03683",
        _TRANSITION,
    ),
    "bootstrap_soft": LossEntry(
        f"{_HERE}.robust:bootstrap_soft",
        "given label mixed with the head's probabilities",
        "Reed et al. 2015, arXiv:1412.6596",
        {"beta": Option(0.95, _SHARE)},
    ),
    "bootstrap_hard": LossEntry(
        f"{_HERE}.robust:bootstrap_hard",
        "given label mixed with the class the head predicts",
        "Reed et al. 2015, arXiv:1412.6596",
        {"beta": Option(0.8, _SHARE)},
    ),
    "peer": LossEntry(
        f"{_HERE}.robust:peer",
        "cross-entropy minus its value with labels of other examples",
        "Liu & Guo 2020, arXiv:1910.03231",
        {"alpha": Option(1.0, _WEIGHT)},
    ),
    "taylor": LossEntry(
        f"{_HERE}.robust:taylor",
        "truncated Taylor series of cross-entropy",
        "Feng et al. 2020, IJCAI",
        {"order": Option(2, Range(1.0, 100.0, is_whole=True))},
    ),
    "bi_tempered": LossEntry(
        f"{_HERE}.bi_tempered:bi_tempered",
        "bounded logarithm, heavy-tailed softmax",
        "Amid et al. 2019, arXiv:1906.03361",
        {"t1": Option(0.8, _SHARE), "t2": Option(1.2, Range(1.0, 4.0))},
    ),
    "elr": LossEntry(
        f"{_HERE}.early_learning:elr",
        "cross-entropy that pulls predictions towards those made early in training",
        "Liu et al. 2020, arXiv:2007.00151",
        {
            "strength": Option(3.0, _WEIGHT),
            "momentum": Option(0.7, Range(0.0, 1.0, excludes_high=True)),
        },
    ),
}
LOSSES = Registry("loss", {name: loss.home for name, loss in TABLE.items()})


def resolve_options(name: str, options: Any) -> Options:
    """Check the options of a loss and fill in the defaults.

    Args:
        name: of the loss.
        options: a mapping of the options that were given, or `None`. `transition` may be missing here;
            `check_transition_given` reports it.

    Raises:
        UnknownName: the loss or an option does not exist.
        InvalidArgument: a value out of range; a matrix whose rows do not sum to 1, with an empty column for
            "forward" or without an inverse for "backward".
    """
    if name not in TABLE:
        raise unknown_name("loss", name, TABLE)
    known = TABLE[name].options
    if options is not None and not isinstance(options, Mapping):
        raise invalid("loss_options", options, "a mapping of options to values, such as {'q': 0.7}")
    given = {
        option: value for option, value in (options or {}).items() if value is not None or option not in known
    }
    allowed = {option: each.allowed for option, each in known.items()}
    check_entries("loss_options", given, allowed, owner=f"the loss {name!r}")
    return tuple((option, _value(name, option, given.get(option))) for option in known)


def check_transition_given(name: str, options: Options, num_classes: int) -> None:
    """Raise `InvalidArgument` if a loss needs a transition matrix of k classes and has none.

    Args:
        name: of the loss.
        options: result of `resolve_options`.
        num_classes: k.
    """
    if not needs_transition(name):
        return
    matrix = dict(options)["transition"]
    if matrix is None:
        raise invalid(
            "loss_options['transition']", None,
            f"a ({num_classes}, {num_classes}) matrix for the loss {name!r}",
            "Next: give the noise's own, or noiseproof.estimate_transition(features, given_labels).matrix.",
        )  # fmt: skip
    if len(matrix) != num_classes:
        raise invalid(
            "loss_options['transition']", f"of shape {(len(matrix), len(matrix))}",
            f"({num_classes}, {num_classes}): a row and a column per class of the labels",
        )  # fmt: skip


def needs_transition(name: str) -> bool:
    """Whether a loss needs the transition matrix of the noise."""
    return name in TABLE and "transition" in TABLE[name].options


def _value(loss: str, name: str, value: Any) -> Any:
    option = TABLE[loss].options[name]
    if value is None:
        return option.default
    if isinstance(option.allowed, str):
        return _checked_transition(loss, value)
    return int(value) if option.allowed.is_whole else float(value)


def _checked_transition(loss: str, value: Any) -> tuple[tuple[float, ...], ...]:
    matrix = check_transition(value, np.shape(value)[0] if np.ndim(value) else 1)
    never = np.flatnonzero(matrix.sum(0) < _LEAST_COLUMN_SUM)
    if loss == "forward" and len(never):
        raise invalid(
            "transition", f"a matrix whose column {never[0]} sums to {matrix[:, never[0]].sum():.2g}",
            f"a matrix that can produce every given label: a sum of {_LEAST_COLUMN_SUM:g} or more",
            "Next: add a small number to it, or leave the class out.",
        )  # fmt: skip
    condition = float(np.linalg.cond(matrix)) if loss == "backward" else 1.0
    if condition > _MOST_CONDITION:
        raise invalid(
            "transition",
            f"a matrix with the condition number {condition:.2g}, which has no usable inverse",
            f"a condition number up to {_MOST_CONDITION:g} for the loss 'backward'",
            "Next: take the loss 'forward', which needs no inverse.",
        )  # fmt: skip
    return tuple(tuple(row) for row in matrix.tolist())
