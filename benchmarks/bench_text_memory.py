"""Peak memory of extraction from texts by the bundled MiniLM, for more and more sentences.

Usage: python benchmarks/bench_text_memory.py [--num-texts 10000 30000 100000]

Each size is a process of its own: a CSV file of sentences of 4 to 8 words, `noiseproof extract` on one
thread, and the largest resident set of that process.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_WORDS = ("film", "plot", "good", "bad", "long", "scene", "never", "actor", "music", "it", "the", "of")
_EXTRACT = """
import resource, sys
from noiseproof.cli.main import app
app(["extract", sys.argv[1], "--out", sys.argv[2]], standalone_mode=False)
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def write_sentences(path: Path, num_texts: int) -> None:
    """A table of different sentences."""
    draw = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for row in range(num_texts):
            writer.writerow((" ".join(draw.choices(_WORDS, k=draw.randint(4, 8))) + f" {row}", row % 2))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-texts", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    print("| texts | peak, MiB | wall, s |\n|---:|---:|---:|", flush=True)
    for num_texts in parser.parse_args().num_texts:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "texts.csv"
            write_sentences(table, num_texts)
            begin = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", _EXTRACT, str(table), str(Path(folder) / "features")],
                env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            peak_kib = int(done.stdout.split()[-1])
            wall_s = time.perf_counter() - begin
        print(f"| {num_texts:,} | {peak_kib / 1024:.0f} | {wall_s:.0f} |", flush=True)


if __name__ == "__main__":
    main()
