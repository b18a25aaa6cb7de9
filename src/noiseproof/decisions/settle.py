"""Which decision about an example counts, where several people decided or one person decided again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from noiseproof.core.errors import BadData
from noiseproof.core.plurals import counted

if TYPE_CHECKING:
    from noiseproof.decisions.record import Decision

_NUM_NAMED = 3


@dataclass(frozen=True)
class Settled:
    """Decisions of which at most one counts for each example.

    Attributes:
        counting: example id -> the decision that counts.
        all: every decision, once, in the order they came.
        notes: sentences on examples about which decisions disagreed.
    """

    counting: dict[str, Decision]
    all: tuple[Decision, ...]
    notes: tuple[str, ...]


def settle(decisions: Sequence[Decision]) -> Settled:
    """Choose the decision that counts for each example.

    Of two by one person the later counts: by time, without times by the place in the file. Of several
    people's, where all have times, the latest counts; else the outcome that most people chose.

    Raises:
        BadData: as many people chose one outcome as another, and not all have times.
    """
    unique = tuple(dict.fromkeys(decisions))
    counting: dict[str, Decision] = {}
    later: list[str] = []
    voted: list[str] = []
    tied: list[str] = []
    by_example = _by_example(unique)
    for example_id, given in by_example.items():
        winner, rule = _winner(given)
        if winner is None:
            tied.append(example_id)
            continue
        counting[example_id] = winner
        if rule is not None:
            (later if rule == "later" else voted).append(example_id)
    _check_no_tie(tied, by_example)
    return Settled(counting, unique, tuple(_notes(later, voted)))


def undisputed(decisions: Iterable[Decision]) -> list[Decision]:
    """The decision that counts for each example; an example on which people are tied has none."""
    winners = (_winner(given)[0] for given in _by_example(decisions).values())
    return [one for one in winners if one is not None]


def with_times(decisions: Iterable[Decision], written: datetime) -> list[Decision]:
    """The decisions; those without a time get that of their file, so that later ones of other people count.

    What counts stays the same: an outvoted decision is put just before the one that counts, and decisions on
    an example on which people are tied stay without a time.
    """
    unique = tuple(dict.fromkeys(decisions))
    times: dict[Decision, datetime] = {}
    for given in _by_example(unique).values():
        winner, _ = _winner(given)
        if winner is None or all(one.time for one in given):
            continue
        last = max(one.time or written for one in given if one.outcome == winner.outcome)
        added = {
            one: written if one.outcome == winner.outcome else last - timedelta(seconds=1)
            for one in given
            if one.time is None
        }
        timed, _ = _winner([_at(one, added[one]) if one in added else one for one in given])
        if timed is not None and timed.outcome == winner.outcome:
            times |= added
    return [_at(one, times[one]) if one in times else one for one in unique]


def _at(one: Decision, time: datetime) -> Decision:
    return replace(one, when=time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))


def _by_example(decisions: Iterable[Decision]) -> dict[str, list[Decision]]:
    found: dict[str, list[Decision]] = defaultdict(list)
    for one in dict.fromkeys(decisions):
        found[one.example_id].append(one)
    return found


def _winner(given: Sequence[Decision]) -> tuple[Decision | None, str | None]:
    """The decision that counts and the rule that was needed, "later" or "voted"; no decision for a tie."""
    people = _last_of_each_person(given)
    if len({one.outcome for one in given}) == 1:
        return people[-1], None
    if len(people) == 1 or all(one.time for one in people):
        return _latest(people), "later"
    return _majority(people), "voted"


def _last_of_each_person(decisions: Sequence[Decision]) -> list[Decision]:
    """Decisions without a name or a time may be of several people, so each of them stays."""
    last: dict[str | int, Decision] = {}
    for number, one in enumerate(decisions):
        key = one.who or ("" if one.time else number)
        before = last.get(key)
        if before is None or not (before.time and one.time) or one.time >= before.time:
            last[key] = one
    return list(last.values())


def _latest(decisions: Sequence[Decision]) -> Decision:
    """The one with the latest time; among equal times the last."""
    latest = decisions[0]
    for one in decisions[1:]:
        if not (latest.time and one.time) or one.time >= latest.time:
            latest = one
    return latest


def _majority(people: Sequence[Decision]) -> Decision | None:
    """A decision with the outcome that most people chose; `None` where two outcomes are level."""
    (outcome, most), *others = Counter(one.outcome for one in people).most_common()
    if others and others[0][1] == most:
        return None
    return next(one for one in people if one.outcome == outcome)


def _check_no_tie(tied: Sequence[str], by_example: dict[str, list[Decision]]) -> None:
    if tied:
        first = by_example[tied[0]]
        views = "; ".join(f"{one.who or 'somebody'}: {one.label or one.decision}" for one in first[:4])
        raise BadData(
            f"People disagree on {counted(len(tied), 'example')}, as many for one label as for "
            f"another, and no times say which decision is later, such as on {tied[0]!r} ({views}). Allowed: "
            "a majority, or a `when` in each decision. Next: delete the ones that should not count."
        )


def _notes(later: Sequence[str], voted: Sequence[str]) -> list[str]:
    rules = (
        (later, "the later one counts"), (voted, "the label that most people chose counts"),
    )  # fmt: skip
    return [
        f"Decisions on {counted(len(ids), 'example')} disagree ({', '.join(ids[:_NUM_NAMED])}"
        f"{', ...' if len(ids) > _NUM_NAMED else ''}); {rule}, and all are in decisions.csv."
        for ids, rule in rules
        if ids
    ]
