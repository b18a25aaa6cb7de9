"""Kills every program before every one of its file events, or takes its space away; prints what was wrong.

python tests/kill/by_hand.py kills run detect        before every event, a new folder each time
python tests/kill/by_hand.py kills --every 7         before every seventh event, of all programs
python tests/kill/by_hand.py chains --every 60       at random events, up to ten times a folder, 60 in all
python tests/kill/by_hand.py full --every 7          no space from every seventh event on
python tests/kill/by_hand.py quota --every 3         no file as large as every third one
python tests/kill/by_hand.py tmpfs                   small file systems in memory; needs the right to mount
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from harness import Server, different, explained, finished
from programs import PROGRAMS

from noiseproof.core.torchvision_ops import declare_missing_operators

_LEAST_BYTES = 500  # else the message, which goes into a file, would be cut
_SHARES = (0.15, 0.35, 0.6, 0.8, 0.95)  # of the size that the results have in the end


def _size_on_disk(folder: Path) -> int:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in files)


def fates(kind: str, every: int, labels: list[str], whole: Path) -> Iterator[dict[str, int]]:
    """What happens to the program, start after start."""
    if kind == "kills":
        yield from ({"kill_at": number} for number in range(1, len(labels) + 1, every))
    elif kind == "full":
        yield from ({"full_from": number} for number in range(1, len(labels) + 1, every))
    elif kind == "quota":
        folders = (whole, Path(f"{whole}-cache"), Path(f"{whole}-issues"))
        sizes = {path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file()}
        yield from ({"max_bytes": size - 1} for size in sorted(sizes)[::every] if size > _LEAST_BYTES)
    else:
        yield from ({} for _ in _SHARES)


def try_program(server: Server, name: str, kind: str, every: int, folder: Path) -> tuple[int, list[str]]:
    """How often it was stopped, and what was wrong afterwards."""
    inputs, program, stopped, wrong = folder / "inputs", PROGRAMS[name], 0, []
    inputs.mkdir(parents=True)
    (folder / "whole").mkdir()  # cards name the last part of --out, which is the same
    program.prepare(inputs)
    whole = server.start(name, inputs, folder / "whole" / "out")
    assert whole.code == 0, whole.printed
    results = program.found(folder / "whole" / "out")
    for number, fate in enumerate(fates(kind, every, whole.labels, folder / "whole" / "out")):
        out = folder / "try" / "out"
        out.parent.mkdir()
        if kind == "tmpfs":
            out.mkdir()
            size = int(_SHARES[number] * _size_on_disk(folder / "whole" / "out"))
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", out], check=True)
        try:
            start = server.start(name, inputs, out, **fate)
            stopped += start.code != 0
            if kind == "tmpfs":
                subprocess.run(["mount", "-o", "remount,size=64m", out], check=True)
            if kind != "kills" and start.code and not explained(start.printed):
                wrong.append(f"{name} {fate or number}: {start.printed[-300:]}")
            places = different(finished(server, name, inputs, out), results)
            wrong += [f"{name} {fate or number}: {place}" for place in places]
        except AssertionError as error:
            wrong.append(f"{name} {fate or number}: {error!s:.600}")
        if kind == "tmpfs":
            subprocess.run(["umount", out], check=True)
        shutil.rmtree(out.parent)
    return stopped, wrong


def try_chains(server: Server, name: str, count: int, folder: Path) -> tuple[int, list[str]]:
    """As `try_program`, with kills at random events one after the other before the results are compared."""
    inputs, program, stopped, wrong = folder / "inputs", PROGRAMS[name], 0, []
    inputs.mkdir(parents=True)
    (folder / "whole").mkdir()  # cards name the last part of --out, which is the same
    program.prepare(inputs)
    whole = server.start(name, inputs, folder / "whole" / "out")
    results, rng = program.found(folder / "whole" / "out"), np.random.default_rng(0)
    number = 0
    while stopped < count:
        out, number = folder / f"{number}", number + 1
        points = rng.integers(1, max(len(whole.labels) // 4, 2), size=10).tolist()
        try:
            for point in points:
                if not server.start(name, inputs, out, kill_at=point).was_killed:
                    break
                stopped += 1
            places = different(finished(server, name, inputs, out), results)
            wrong += [f"{name} {points}: {place}" for place in places]
        except AssertionError as error:
            wrong.append(f"{name} {points}: {error!s:.600}")
    return stopped, wrong


def main() -> None:
    """Try the programs, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kind", choices=["kills", "chains", "full", "quota", "tmpfs"])
    parser.add_argument("programs", nargs="*")
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    declare_missing_operators()
    total = 0
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        for name in options.programs or PROGRAMS:
            begin = time.perf_counter()
            if options.kind == "chains":
                stopped, wrong = try_chains(server, name, options.every, Path(folder) / name)
            else:
                stopped, wrong = try_program(server, name, options.kind, options.every, Path(folder) / name)
            total += stopped
            took_s = time.perf_counter() - begin
            print(f"{name}: stopped {stopped} times, {len(wrong)} wrong, {took_s:.0f} s", flush=True)
            print(*wrong, sep="\n", flush=True)
    print(f"all: stopped {total} times")


if __name__ == "__main__":
    main()
