"""A progress bar with rate and remaining time; without a terminal, a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from tqdm import tqdm

_SHOW_AFTER_S = 2.0
_LINE_EVERY_S = 60.0


@runtime_checkable
class Counter(Protocol):
    """What counts the units of a stage."""

    def update(self, num: int = 1) -> Any:
        """Count further units."""


class _Announced:
    """A count that writes the expected time after two seconds at its pace, then once a minute."""

    def __init__(self, title: str, *, total: int, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._count, self._next_s = 0, 0.0
        self._first: tuple[float, int] | None = None  # what came before it was preparation

    def update(self, num: int = 1) -> None:
        """Count further units."""
        self._count += num
        now = time.perf_counter()
        if self._first is None:
            self._first, self._next_s = (now, self._count), now + _SHOW_AFTER_S
        passed_s, counted = now - self._first[0], self._count - self._first[1]
        if now < self._next_s or not counted:
            return
        self._next_s = now + _LINE_EVERY_S
        rest_s = passed_s * (self._total - self._count) / counted
        if rest_s >= _SHOW_AFTER_S:
            rest = f"{rest_s:.0f} s" if rest_s < 100 else f"{rest_s / 60:.0f} min"
            write_line(f"{self._title}: {self._count} of {self._total} {self._unit}s; about {rest} more")


def write_line(line: str) -> None:
    """A line for the user on standard error, above a bar where there is one."""
    tqdm.write(line, file=sys.stderr)
    sys.stderr.flush()


@contextmanager
def progress(title: str, *, total: int, unit: str, quiet: bool = False) -> Iterator[Counter]:
    """Count through one stage: call `.update(m)` on what this yields.

    On a terminal a bar appears once the stage has lasted two seconds. Elsewhere standard error gets a line
    with the expected time then and once a minute, where the stage has longer to go than two seconds, and a
    line when it ends.

    Args:
        title: name of the stage, for the user.
        total: how many units there are.
        unit: singular noun.
        quiet: neither bar nor line.
    """
    is_watched = sys.stderr.isatty()
    begin = time.perf_counter()
    with tqdm(
        total=total, desc=title, unit=f" {unit}", delay=_SHOW_AFTER_S, disable=quiet or not is_watched,
        dynamic_ncols=True, leave=False,
    ) as bar:  # fmt: skip
        yield bar if quiet or is_watched else _Announced(title, total=total, unit=unit)
    wall_s = time.perf_counter() - begin
    if not quiet and wall_s >= _SHOW_AFTER_S:
        rate = total / wall_s
        write_line(f"{title}: {total} {unit}s in {wall_s:.1f} s ({rate:.0f}/s)")
