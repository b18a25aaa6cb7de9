"""The streaming spectrum against numpy's singular value decomposition.

Usage: python benchmarks/bench_spectrum.py [--rows 100000] [--dim 768] [--repeats 3]

Features have a spectrum that falls by a factor of 60, as those of real encoders do.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc

import numpy as np

from noiseproof import spectrum


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    falling = np.geomspace(1, 1 / 60, args.dim, dtype=np.float32)
    features = rng.standard_normal((args.rows, args.dim), dtype=np.float32) * falling
    peers = ("numpy, float32", "numpy, float64", "numpy, float32, with vectors (its default)")
    times: dict[str, list[float]] = {name: [] for name in ("noiseproof", *peers)}
    for _ in range(args.repeats):
        begin = time.perf_counter()
        mine = spectrum(features).singular_values
        times["noiseproof"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        single = np.linalg.svd(features, compute_uv=False)
        times[peers[0]].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        double = np.linalg.svd(features.astype(np.float64), compute_uv=False)
        times[peers[1]].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        vectors = np.linalg.svd(features, full_matrices=False)[1]
        times[peers[2]].append(time.perf_counter() - begin)
    exact = np.sqrt(np.linalg.eigvalsh(features.astype(np.float64).T @ features.astype(np.float64)))[::-1]
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"n = {args.rows}, d = {args.dim}\n")
    print("| what | seconds | largest relative error of a singular value |\n|---|---|---|")
    for name, values in zip(times, (mine, single, double, vectors), strict=True):
        print(f"| {name} | {medians[name]:.2f} | {np.max(np.abs(values - exact) / exact):.1e} |")
    for name in peers:
        print(f"\n{name} / noiseproof: {medians[name] / medians['noiseproof']:.1f}")
    print()
    print("| rows | peak of memory on top of the features, MiB |\n|---|---|")
    for n in (args.rows // 10, args.rows):
        tracemalloc.start()
        spectrum(features[:n])
        print(f"| {n} | {tracemalloc.get_traced_memory()[1] / 2**20:.0f} |")
        tracemalloc.stop()


if __name__ == "__main__":
    main()
