"""Damaged inputs of every format, each read by the command line in this process: one sentence, or a result.

    python tests/hostile/fuzz.py --count 10000 --seed 7

Every input is made from the seed and its number alone, so that a failure is repeated with --only NUMBER. It
fails with a traceback, a message of more than 1,000 characters, or where it takes longer than 20 s of this
process (300 s by the clock, for what waits); memory is bound to 4 GiB above that of the start.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from formats import FORMATS, Files, Format
from in_process import Refused, noiseproof

MAX_MESSAGE = 1000
_CPU_S, _CLOCK_S = 20, 300
_MEMORY_BYTES = 4 << 30


class Hang(BaseException):
    """An input took too long."""


class Failure(AssertionError):
    """An input that ended in something else than a result or one sentence."""


@dataclass(frozen=True)
class Outcome:
    """How an input ended: its message, empty where it was read without one."""

    format: str
    message: str


@cache
def example(name: str) -> Files:
    """The valid files of a format, made once."""
    return FORMATS[name].files()


def order() -> list[str]:
    """Names of the formats, each as often as its weight."""
    return [name for name, one in FORMATS.items() for _ in range(one.weight)]


def run_input(number: int, seed: int, folder: Path) -> Outcome:
    """Make one input from its number and the seed, and read it.

    Raises:
        Failure: it ended badly.
    """
    names = order()
    name = names[number % len(names)]
    rng = random.Random(f"{seed}/{number}")
    what = FORMATS[name]
    shutil.rmtree(folder, ignore_errors=True)
    _write(damaged(what, dict(example(name)), rng), folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        with _bounded(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Outcome(name, _message(what, folder))
    except Failure as error:
        raise Failure(f"input {number} of seed {seed} ({name}): {error}") from error
    finally:
        os.chdir(before)


def read_undamaged(name: str, folder: Path) -> str:
    """The message of the valid example of a format; empty where it is read without one."""
    _write(example(name), folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _message(FORMATS[name], folder)
    finally:
        os.chdir(before)


def damaged(what: Format, files: Files, rng: random.Random) -> Files:
    """The files with one of the targets damaged."""
    targets = [name for name in sorted(files) for pattern in what.targets if Path(name).match(pattern)]
    target = rng.choice(targets)
    return files | {target: what.damage(files[target], rng)}


def _message(what: Format, folder: Path) -> str:
    from noiseproof.core.errors import NoiseproofError

    try:
        if callable(what.command):
            what.command(folder)
        else:
            noiseproof(what.command)
    except (NoiseproofError, Refused) as error:
        message = str(error)
        if len(message) > MAX_MESSAGE:
            raise Failure(f"a message of {len(message)} characters: {message[:300]}") from None
        return message
    except Hang as error:
        raise Failure(f"a hang: {error}") from error
    except BaseException as error:
        place = "".join(traceback.format_exception(error)[-6:])
        raise Failure(f"a traceback: {type(error).__name__}: {str(error)[:300]}\n{place}") from error
    return ""


def _write(files: Files, folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """An alarm in seconds of this process and by the clock."""

    def stop(number: int, frame: object) -> None:
        del frame
        raise Hang(signal.Signals(number).name)

    timers = {signal.ITIMER_PROF: (signal.SIGPROF, _CPU_S), signal.ITIMER_REAL: (signal.SIGALRM, _CLOCK_S)}
    before = {number: signal.signal(number, stop) for number, _ in timers.values()}
    for timer, (_, seconds) in timers.items():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def bound_memory() -> Iterator[None]:
    """At most so much address space more than now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _MEMORY_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def without_drawing() -> Iterator[None]:
    """Figures are made and not drawn, which takes half a second each."""
    from matplotlib.figure import Figure

    def blank(figure: object, out: object, *, format: str, **options: object) -> None:
        del figure, options
        svg = '<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt" viewBox="0 0 1 1"></svg>'
        out.write(svg if format == "svg" else b"\x89PNG\r\n\x1a\n")

    usual, Figure.savefig = Figure.savefig, blank
    try:
        yield
    finally:
        Figure.savefig = usual


def fuzz(
    numbers: Sequence[int], seed: int, *, say: Callable[[object], object] = str
) -> tuple[list[Outcome], list[Failure]]:
    """Read these inputs one after the other; each failure is said at once."""
    outcomes: list[Outcome] = []
    failures: list[Failure] = []
    for name in FORMATS:
        example(name)
    with tempfile.TemporaryDirectory() as scratch, without_drawing(), bound_memory():
        for number in numbers:
            try:
                outcomes.append(run_input(number, seed, Path(scratch) / "input"))
            except Failure as error:
                failures.append(error)
                say(error)
    return outcomes, failures


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, help="number of inputs")
    parser.add_argument("--seed", type=int, default=7, help="of all damage")
    parser.add_argument("--only", type=int, help="the input of this number alone")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--times", action="store_true", help="seconds of each format")
    options = parser.parse_args()
    numbers = (
        [options.only] if options.only is not None else range(options.first, options.first + options.count)
    )
    begin, wall = time.process_time(), time.perf_counter()
    if options.times:
        _print_times(options.seed)
        return 0
    outcomes, failures = fuzz(numbers, options.seed, say=lambda failure: print(failure, "\n", flush=True))
    refused = Counter(one.format for one in outcomes if one.message)
    read = Counter(one.format for one in outcomes if not one.message)
    print(f"{len(outcomes) + len(failures)} inputs, {sum(refused.values())} refused with a sentence, "
          f"{sum(read.values())} read, {len(failures)} failures; longest message "
          f"{max((len(one.message) for one in outcomes), default=0)} characters; "
          f"{time.process_time() - begin:.0f} s of CPU, {time.perf_counter() - wall:.0f} s")  # fmt: skip
    if options.only is not None:
        print(*(one.message for one in outcomes))
    return bool(failures)


def _print_times(seed: int) -> None:
    names = order()
    for name in FORMATS:
        numbers = [n for n in range(len(names) * 10) if names[n % len(names)] == name][:10]
        fuzz(numbers[:1], seed)
        begin = time.process_time()
        outcomes, failures = fuzz(numbers, seed)
        seconds = (time.process_time() - begin) / len(numbers)
        print(f"{name:24} {1000 * seconds:8.0f} ms  {sum(not one.message for one in outcomes)} read  "
              f"{len(failures)} failures", flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
