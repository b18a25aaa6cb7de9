"""Time and memory of the detectors on arrays, side by side with cleanlab where it has the same.

Usage: python benchmarks/bench_arrays.py [--rows 20000] [--dim 768] [--classes 100] [--probs 200000x1000]
           [--rounds 3]

Features are clustered: neighbours of random ones are no harder to find, but the approximate search would
find fewer of them. Times are medians over rounds in which all take turns; memory is the growth of the peak
of a process of its own, beside its input.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof import find_label_issues
from noiseproof.detect.neighbours import nearest


def clustered(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Features in k clusters, and labels of which 20 % are wrong."""
    rng = np.random.default_rng(0)
    clean = rng.integers(k, size=n)
    centres = rng.standard_normal((k, d), dtype=np.float32)
    features = centres[clean] + 0.7 * rng.standard_normal((n, d), dtype=np.float32)
    is_wrong = rng.random(n) < 0.2
    return features, np.where(is_wrong, rng.integers(k, size=n), clean)


def drawn_probs(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (float32) with one likely class each, and labels of which 20 % are wrong."""
    rng = np.random.default_rng(0)
    probs = rng.random((n, k), dtype=np.float32) ** 8
    clean = rng.integers(k, size=n)
    probs[np.arange(n), clean] += rng.random(n, dtype=np.float32) * k / 4
    probs /= probs.sum(1, keepdims=True)
    return probs, np.where(rng.random(n) < 0.2, rng.integers(k, size=n), clean)


def cleanlab_flags(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """cleanlab's flags of the same rule."""
    from cleanlab.filter import find_label_issues as theirs

    return theirs(given, probs, filter_by="confident_learning", n_jobs=1)


def cleanlab_batched(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """cleanlab's fastest path for many probabilities; it flags by another rule."""
    from cleanlab.experimental.label_issues_batched import find_label_issues_batched

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return find_label_issues_batched(labels=given, pred_probs=probs, verbose=False, n_jobs=1)


def ours(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """noiseproof's flags, with suspicion, suggestion and transition matrix."""
    names = tuple(map(str, range(probs.shape[1])))
    found = find_label_issues(None, given, method="confident_learning", probs=probs, class_names=names)
    return found.is_issue


def in_turns(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}


def extra_mib(function: Callable[[np.ndarray, np.ndarray], Any], n: int, k: int) -> float:
    """Growth of the peak memory of a process that has the input already."""
    queue: Any = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(target=_grow, args=(queue, function, n, k))
    process.start()
    grown = queue.get()
    process.join()
    return grown


def _grow(queue: Any, function: Callable[[np.ndarray, np.ndarray], Any], n: int, k: int) -> None:
    function(*drawn_probs(300, 10))  # imports
    probs, given = drawn_probs(n, k)
    probs = np.ascontiguousarray(probs)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far was that of making the input
    before = _peak_kib()
    function(probs, given)
    queue.put((_peak_kib() - before) / 1024)


def _peak_kib() -> int:
    """Of this process, as Linux counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--probs", default="200000x1000")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    features, given = clustered(args.rows, args.dim, args.classes)
    methods = {
        name: functools.partial(find_label_issues, features, given, method=name)
        for name in ("auto", "leave_one_out", "neighbours", "aum")
    }
    methods["10 neighbours, exact"] = functools.partial(nearest, features, num=10, search="exact")
    methods["10 neighbours, graph"] = functools.partial(nearest, features, num=10, search="graph")
    print(f"{args.rows:,} x {args.dim}, {args.classes} classes\n\n| what | s |\n|---|---|")
    for name, median in in_turns(methods, args.rounds).items():
        print(f"| {name} | {median:.2f} |")
    exact, graph = (nearest(features, num=10, search=how)[0] for how in ("exact", "graph"))
    shared = np.mean([len(set(a) & set(b)) for a, b in zip(exact.tolist(), graph.tolist(), strict=True)])
    print(f"\nThe graph finds {shared / 10:.1%} of the ten nearest.\n")

    n, k = map(int, args.probs.split("x"))
    probs, labels = drawn_probs(n, k)
    functions = {
        "noiseproof": ours,
        "cleanlab, same rule": cleanlab_flags,
        "cleanlab, batched": cleanlab_batched,
    }
    timed = in_turns(
        {name: functools.partial(f, probs, labels) for name, f in functions.items()}, args.rounds
    )
    is_same = bool((ours(probs, labels) == cleanlab_flags(probs, labels)).all())
    del probs
    print(f"Confident learning, {n:,} x {k:,} (float32), the same flags as cleanlab's rule: {is_same}\n")
    print("| what | s | / noiseproof | more memory, MiB |\n|---|---|---|---|")
    for name, function in functions.items():
        ratio = timed[name] / timed["noiseproof"]
        print(f"| {name} | {timed[name]:.2f} | {ratio:.2f} | {extra_mib(function, n, k):.0f} |")


if __name__ == "__main__":
    main()
