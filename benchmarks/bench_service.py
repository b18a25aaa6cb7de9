"""Extraction through an embedding service of which 30 % of the requests fail: overhead, and texts sent twice.

Usage: python benchmarks/bench_service.py [--minilm] [--num-texts 10000] [--failing 0.3] [--at-once 4]

The service runs on this machine, in this process, and answers one request at a time: with --minilm the
bundled encoder, otherwise a wait of one millisecond a text. Overhead is the time beyond that which the
service spent on answers: (wall - busy) / busy.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests" / "backbones"))
from loopback_service import cheap_embeddings, encoder_of_texts, loopback_service

from noiseproof import extract
from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.services.settings import ServiceSettings
from noiseproof.core.records import Dataset
from noiseproof.features.drift import PROBE_TEXTS


def waiting(texts: Sequence[str]) -> np.ndarray:
    """A millisecond a text."""
    time.sleep(1e-3 * len(texts))
    return cheap_embeddings(texts)


def sentences(num_texts: int) -> list[str]:
    """Sentences of 5 to 24 words, all different."""
    draw = random.Random(0)
    words = ("film", "plot", "good", "bad", "long", "scene", "never", "actor", "music", "it", "the", "of")
    return [" ".join(draw.choices(words, k=draw.randint(5, 24))) + f" {row}" for row in range(num_texts)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minilm", action="store_true")
    parser.add_argument("--num-texts", type=int, default=10_000)
    parser.add_argument("--failing", type=float, default=0.3)
    parser.add_argument("--at-once", type=int, default=4)
    options = parser.parse_args()
    texts = sentences(options.num_texts)
    data = Dataset(
        name="sentences", kind="text", examples=texts, ids=np.arange(len(texts)), given_labels=None,
        class_names=(), fingerprint="sentences",
    )  # fmt: skip
    draw = random.Random(1)
    with (
        loopback_service(encoder_of_texts("bundled:minilm-l6") if options.minilm else waiting) as service,
        tempfile.TemporaryDirectory() as store,
    ):
        failures = ("429", "500", "half")
        service.choose_fault = lambda: draw.choice(failures) if draw.random() < options.failing else None
        settings = ServiceSettings(requests_at_once=options.at_once)
        begin = time.perf_counter()
        stored = extract(data, open_backbone(service.name, service=settings), store=store, quiet=True)
        wall_s = time.perf_counter() - begin
    twice = sum(count > 1 for text, count in service.answered.items() if text not in PROBE_TEXTS)
    print("| service | texts | requests | answered twice | wall, s | service, s | overhead |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {'MiniLM' if options.minilm else '1 ms a text'} | {len(stored)} | {len(service.asked)} | {twice} "
        f"| {wall_s:.1f} | {service.busy_s:.1f} | {wall_s / service.busy_s - 1:.1%} |"
    )


if __name__ == "__main__":
    main()
