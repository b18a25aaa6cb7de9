"""A progress bar with rate and remaining time; without a terminal, a log line per stage."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

_SHOW_AFTER_S = 2.0


@contextmanager
def stage(title: str, *, total: int, unit: str, quiet: bool = False) -> Iterator[tqdm]:
    """Count through one stage: call `.update(m)` on what this yields.

    On a terminal a bar appears once the stage has lasted two seconds. Elsewhere one line is written to
    standard error when such a stage ends.

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
        yield bar
    wall_s = time.perf_counter() - begin
    if not quiet and wall_s >= _SHOW_AFTER_S:
        rate = total / wall_s
        print(f"{title}: {total} {unit}s in {wall_s:.1f} s ({rate:.0f}/s)", file=sys.stderr, flush=True)  # noqa: T201
