"""Peak memory of `find_label_issues` and of `noiseproof detect`, beside the size of the features.

Usage: python benchmarks/bench_detect_memory.py [--rows 100000] [--dim 256] [--classes 10]
           [--methods auto,leave_one_out,...] [--as array,mapped,command]

Each figure is of a process of its own: the largest anonymous memory (what the system cannot drop, read every
few milliseconds), less what the process had after its imports. "array" holds the features in memory, which
count once; "mapped" reads them from a .npy file by np.load(mmap_mode="r"); "command" is `noiseproof detect`
on an .npz file, with an empty store.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

METHODS = (
    "auto", "leave_one_out", "transition", "confident_learning", "neighbours", "small_loss", "mixture", "aum",
    "forgetting",
)  # fmt: skip


def anonymous_kib() -> int:
    """Memory of this process that is not a file, in KiB."""
    found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


class Watch(threading.Thread):
    """Reads the memory every few milliseconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.peak = anonymous_kib()

    def run(self) -> None:
        """Until the process ends."""
        while True:
            self.peak = max(self.peak, anonymous_kib())
            time.sleep(0.003)


def make(folder: Path, n: int, d: int, k: int) -> None:
    """Features in k clusters and labels of which 20 % are wrong, as .npy and .npz."""
    rng = np.random.default_rng(0)
    clean = rng.integers(k, size=n)
    features = rng.standard_normal((k, d), dtype=np.float32)[clean]
    features += 1.5 * rng.standard_normal((n, d), dtype=np.float32)
    labels = np.where(rng.random(n) < 0.2, rng.integers(k, size=n), clean)
    np.save(folder / "features.npy", features)
    np.save(folder / "labels.npy", labels)
    np.savez(folder / "data.npz", features=features, labels=labels)


def measure(folder: Path, method: str, kind: str, answers: Any) -> None:
    """One call in this process: KiB above the imports, seconds of CPU."""
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    import noiseproof.detect.ridge
    import noiseproof.pipelines.detect  # everything that a command loads
    from noiseproof import find_label_issues

    tiny = np.random.default_rng(0).standard_normal((60, 4), dtype=np.float32)
    find_label_issues(tiny, np.arange(60) % 2, method=method)  # loads what is loaded late
    watch = Watch()
    watch.start()
    if kind == "command":
        from noiseproof.config.detect import DetectConfig

        config = DetectConfig(
            train=str(folder / "data.npz"), out=folder / f"out-{method}", cache=folder / f"store-{method}",
            method=method,
        )  # fmt: skip
        noiseproof.pipelines.detect.detect(config)
    else:
        features = np.load(folder / "features.npy", mmap_mode="r" if kind == "mapped" else None)
        find_label_issues(features, np.load(folder / "labels.npy"), method=method)
    answers.put((watch.peak - watch.before, time.process_time()))


def main() -> None:
    """Print a line per detector and way of holding the features."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--as", dest="kinds", default="array,mapped,command")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), given.rows, given.dim, given.classes)
        file_kib = given.rows * given.dim * 4 / 1024
        print(f"{given.rows} x {given.dim}, {given.classes} classes: {file_kib / 1024:.0f} MiB of features")
        for method in given.methods.split(","):
            for kind in given.kinds.split(","):
                answers = context.Queue()
                process = context.Process(target=measure, args=(Path(name), method, kind, answers))
                process.start()
                kib, cpu_s = answers.get()
                process.join()
                print(
                    f"{method:20} {kind:8} {kib / 1024:6.0f} MiB  {kib / given.rows:6.2f} KiB a row  "
                    f"{kib / file_kib:5.2f} x the file  {cpu_s:5.0f} s of CPU",
                    flush=True,
                )  # fmt: skip


if __name__ == "__main__":
    main()
