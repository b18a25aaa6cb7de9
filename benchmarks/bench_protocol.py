"""One whole run against the published protocol, which encodes every image anew in every epoch.

Usage: python benchmarks/bench_protocol.py --run runs/pacs --data photo.parquet [--images 96]

Ours is measured: the stages of a finished run with three heads x three seeds, started with an empty feature
store. The published protocol would take hours, so its parts are measured here (eager PyTorch on the CPU,
channels-last, which is kinder than the default; one training step of each head) and multiplied by how often
it does them: 30 epochs, two augmented views per training image for MLP and NMTune, one for the linear probe,
every evaluation image in every epoch, for three heads and three seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from noiseproof import open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.features.engines import torch_engine
from published import PublishedHead, published_step

EPOCHS, BATCH, SEEDS = 30, 64, 3


def encoder_s_per_image(data: str, num_images: int, repeats: int = 3) -> float:
    """Eager channels-last seconds per image, decoding not counted."""
    backbone = open_backbone("bundled:efficientnet-lite0")
    dataset = open_dataset(data, limit=num_images)
    batch = np.stack([backbone.prepare(dataset.examples[i]) for i in range(len(dataset))])
    encode = torch_engine(backbone.module, batch_size=32).encode
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        for start in range(0, len(batch), 32):
            encode(batch[start : start + 32])
        times.append(time.perf_counter() - begin)
    return statistics.median(times) / len(batch)


def step_s(dim: int, num_classes: int, *, weight: float, views: int) -> float:
    """Seconds of one published step of an MLP head."""
    head = PublishedHead(dim, num_classes)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    features, labels = torch.rand(views * BATCH, dim), torch.randint(num_classes, (views * BATCH,))
    times = []
    for _ in range(6):
        begin = time.perf_counter()
        published_step(head, optimizer, features, labels, weight=weight)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, default=96)
    args = parser.parse_args()
    card = json.loads((args.run / "run.json").read_text())
    ours_s = sum(card["wall_s"].values())
    num_train = sum(entry["num_examples"] for entry in card["data"] if entry["role"] == "train")
    num_tests = sum(entry["num_examples"] for entry in card["data"] if entry["role"] != "train")
    image_s = encoder_s_per_image(args.data, args.images)
    dim, num_classes = card["backbone"]["dim"], card["data"][0]["num_classes"]
    steps = EPOCHS * math.ceil(num_train / BATCH)
    images = EPOCHS * (num_train + num_tests) + 2 * EPOCHS * (2 * num_train + num_tests)
    heads_s = steps * sum(step_s(dim, num_classes, weight=weight, views=2) for weight in (0.0, 0.01))
    published_s = SEEDS * (images * image_s + heads_s)
    print(
        f"eager encoder: {1 / image_s:.1f} images/s, {SEEDS * images:,} times; heads: {SEEDS * heads_s:.0f} s"
    )
    ratio = published_s / ours_s
    print(f"published protocol: {published_s / 3600:.1f} h, ours: {ours_s:.0f} s, ratio {ratio:.0f}")


if __name__ == "__main__":
    main()
