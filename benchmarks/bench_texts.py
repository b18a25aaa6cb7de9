"""Time of MiniLM on sentences: our extraction beside sentence-transformers' `encode` with its defaults.

Usage: python benchmarks/bench_texts.py --data DATA [--texts 2000] [--repeats 3]

The first of DATA/sst2/train.parquet; each repeat runs both, in turn. CPU seconds are of all threads. Where
other programs use the cores, threads of sentence-transformers wait for one another and use CPU time for it;
bench_texts_profile.py compares one thread each and says where the time goes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from noiseproof import extract, open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.bundled.bundled_files import text_folder
from noiseproof.data.splits import subset


def timed(call: Callable[[], np.ndarray]) -> tuple[float, float, np.ndarray]:
    begin = time.perf_counter(), time.process_time()
    features = call()
    return time.perf_counter() - begin[0], time.process_time() - begin[1], features


def main(data: Path, num_texts: int, repeats: int) -> None:
    dataset = open_dataset(str(data / "sst2/train.parquet"))
    dataset = subset(dataset, np.arange(num_texts))
    backbone = open_backbone("bundled:minilm-l6")  # first: it makes torchvision importable beside a CPU torch
    from sentence_transformers import SentenceTransformer

    model, texts = SentenceTransformer(str(text_folder("minilm-l6"))), list(dataset.examples)

    def ours() -> np.ndarray:
        with tempfile.TemporaryDirectory() as store:
            return np.array(extract(dataset, backbone, store=store, quiet=True).features)

    ratios = []
    for repeat in range(repeats + 1):
        wall_s, cpu_s, features = timed(ours)
        their_wall_s, their_cpu_s, reference = timed(lambda: model.encode(texts))
        if repeat:  # the first one exports the graph and warms up
            ratios.append((their_wall_s / wall_s, their_cpu_s / cpu_s))
            print(f"{wall_s:.1f} s ({cpu_s:.1f} CPU) against {their_wall_s:.1f} s ({their_cpu_s:.1f} CPU)")
    wall, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(
        f"theirs / ours: {wall:.2f} in time, {cpu:.2f} in CPU time; largest difference of a feature "
        f"{np.abs(features - reference).max():.1e}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    main(options.data, options.texts, options.repeats)
