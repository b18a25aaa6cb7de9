"""Seconds of a map by UMAP, with what compiling costs at first use.

Usage: python benchmarks/bench_umap.py [--examples 1000 50000]

Coordinates in 100 clusters, of the 50 columns that the map uses. The first map compiles.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from noiseproof.review.umap_plane import umap_plane


def main(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(100, 50)) * 3
    for num_examples in [100, *sizes]:
        coordinates = centres[rng.integers(0, 100, num_examples)] + rng.normal(size=(num_examples, 50))
        begin = time.perf_counter(), time.process_time()
        umap_plane(coordinates)
        wall_s, cpu_s = time.perf_counter() - begin[0], time.process_time() - begin[1]
        print(f"{num_examples} examples: {wall_s:.1f} s ({cpu_s:.1f} CPU)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, nargs="+", default=[1000, 50_000])
    main(parser.parse_args().examples)
