"""Progress of a study and the time it has left: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from noiseproof.core.progress import Counter, stage
from noiseproof.report.headline import duration

_LINE_EVERY_S = 60.0


class Watch:
    """Counts trainings.

    Args:
        total: trainings that are expected.
        bar: shown on a terminal.
        say: receives the lines elsewhere.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        total: int,
        *,
        bar: Counter,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._bar, self._say, self._clock = total, bar, say, clock
        self._done = 0
        self._begin = self._last_line = clock()

    def advance(self, number: int) -> None:
        """Count trainings that are done or that failed."""
        self._done += number
        self._total = max(self._total, self._done)  # data that changed make more work than was expected
        self._bar.update(number)
        now = self._clock()
        if now - self._last_line >= _LINE_EVERY_S:
            self._last_line = now
            left_s = (now - self._begin) / max(self._done, 1) * (self._total - self._done)
            self._say(f"{self._done} of {self._total} trainings, about {duration(left_s)} left")


@contextmanager
def watching(total: int, *, say: Callable[[str], None]) -> Iterator[Watch]:
    """A watch over a study of so many trainings."""
    is_watched = sys.stderr.isatty()
    with stage("Study", total=total, unit="training", quiet=total == 0) as bar:
        yield Watch(total, bar=bar, say=(lambda line: None) if is_watched else say)
