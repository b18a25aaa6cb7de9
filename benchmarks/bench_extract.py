"""Images per second of the encoder alone and of extraction with decoding; memory against n.

Usage: python benchmarks/bench_extract.py [--data FILE.parquet] [--num-images 512] [--repeats 5]

Without --data the images are JPEGs of 128 px made here. Engines are timed in turn, over and over, so that
another program on the machine disturbs all of them alike; medians and their ratios are printed.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from noiseproof import extract, open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.base import AbstractTorchBackbone
from noiseproof.core.records import Dataset
from noiseproof.features.engines import Engine, largest_difference, onnx_engine, torch_engine

BACKBONE = "bundled:efficientnet-lite0"
NUM_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class SyntheticJpegs(Sequence):
    """Photograph-like noise, encoded once per image and decoded when asked for."""

    def __init__(self, num_images: int) -> None:
        self.num_images = num_images

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, row: Any) -> Image.Image:
        coarse = np.random.default_rng(row % 64).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((128, 128), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        return Image.open(buffer).convert("RGB")


def data_set(path: str | None, num_images: int) -> Dataset:
    """The images to encode."""
    if path:
        return open_dataset(path, label="label", limit=num_images)
    return Dataset(
        name="synthetic JPEGs", kind="image", examples=SyntheticJpegs(num_images), ids=np.arange(num_images),
        given_labels=None, class_names=(), fingerprint=hashlib.sha256(str(num_images).encode()).hexdigest(),
    )  # fmt: skip


def run_all(engine: Engine, batch: np.ndarray) -> np.ndarray:
    """Encode a batch as extraction would: in calls of the engine's size, in parallel if it likes that."""
    starts = range(0, len(batch), engine.rows_per_call)
    with ThreadPoolExecutor(NUM_CORES if engine.is_parallel else 1) as pool:
        parts = pool.map(lambda start: engine.encode(batch[start : start + engine.rows_per_call]), starts)
        return np.concatenate(list(parts))


def plain_eager(backbone: AbstractTorchBackbone) -> Engine:
    """PyTorch as it comes: float images in the default layout, batches of 64."""
    module = backbone.module

    def encode(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            images = torch.from_numpy(batch).permute(0, 3, 1, 2).float().contiguous()
            return module.encoder(images * module.scale + module.shift).numpy()

    return Engine("plain eager", encode, 64, is_parallel=False)


def measure(dataset: Dataset, repeats: int) -> list[dict[str, Any]]:
    """A row per way to run the encoder, and one for decoding."""
    plain, fast, exported = (open_backbone(BACKBONE) for _ in range(3))
    batch = np.stack([plain.prepare(dataset.examples[row]) for row in range(64)])
    engines = {
        "plain eager PyTorch": plain_eager(plain),
        "channels-last eager PyTorch": torch_engine(fast.module),
        "ONNX Runtime": onnx_engine(exported.module, batch[:1]),
    }

    def prepare_all() -> None:
        with ThreadPoolExecutor(NUM_CORES) as pool:
            list(pool.map(lambda row: plain.prepare(dataset.examples[row]), range(64)))

    work: dict[str, Callable[[], Any]] = {
        name: lambda engine=engine: run_all(engine, batch) for name, engine in engines.items()
    }
    work["decode and resize alone"] = prepare_all
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, function in work.items():
            times[name].append(timed(function))
    reference = run_all(engines["plain eager PyTorch"], batch)
    rows = []
    for name in work:
        wall_s, core_s = (statistics.median(column) for column in zip(*times[name], strict=True))
        gap = largest_difference(run_all(engines[name], batch), reference) if name in engines else None
        rows.append({"name": name, "rate": 64 / wall_s, "core_ms": 1e3 * core_s / 64, "gap": gap})
    return rows


def timed(function: Callable[[], Any]) -> tuple[float, float]:
    """Seconds it took, and seconds of all cores."""
    begin, begin_cores = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - begin, time.process_time() - begin_cores


def extraction(path: str | None, num_images: int) -> dict[str, float]:
    """One extraction in this process: images per second and peak memory in MiB."""
    dataset, backbone = data_set(path, num_images), open_backbone(BACKBONE)
    with tempfile.TemporaryDirectory() as store:
        wall_s, core_s = timed(lambda: extract(dataset, backbone, store=store, shard_rows=256, quiet=True))
        again_s, _ = timed(lambda: extract(dataset, backbone, store=store, shard_rows=256, quiet=True))
    n = len(dataset)
    return {
        "n": n,
        "rate": n / wall_s,
        "core_ms": 1e3 * core_s / n,
        "again_s": again_s,
        "peak_mib": peak_mib(),
    }


def peak_mib() -> float:
    """Largest resident memory of this process so far; `getrusage` would count its parent's, too."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def in_new_process(path: str | None, num_images: int) -> dict[str, float]:
    """The same in a process of its own, so that its peak is its own."""
    command = [sys.executable, __file__, "--only-extract", "--num-images", str(num_images)]
    done = subprocess.run(
        command + (["--data", path] if path else []), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="Parquet file with a column `image` and a column `label`")
    parser.add_argument("--num-images", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only-extract", action="store_true")
    options = parser.parse_args()
    if options.only_extract:
        print(json.dumps(extraction(options.data, options.num_images)))
        return
    rows = measure(data_set(options.data, max(options.num_images, 64)), options.repeats)
    base = next(row["rate"] for row in rows if row["name"].startswith("channels-last"))
    print(f"{BACKBONE}, {NUM_CORES} cores, torch {torch.__version__}, {options.data or 'synthetic JPEGs'}\n")
    print("| what | img/s | / channels-last eager | core ms per image | relative difference |")
    print("|---|---|---|---|---|")
    for row in rows:
        gap = "" if row["gap"] is None else f"{row['gap']:.1e}"
        print(
            f"| {row['name']} | {row['rate']:.0f} | {row['rate'] / base:.2f} | {row['core_ms']:.1f} | {gap} |"
        )
    print("\n| extraction, from export to store | img/s | core ms per image | again, s | peak MiB |")
    print("|---|---|---|---|---|")
    for num_images in (options.num_images, 8 * options.num_images):
        done = in_new_process(options.data, num_images)
        print(
            f"| n = {done['n']} | {done['rate']:.0f} | {done['core_ms']:.1f} | {done['again_s']:.2f} "
            f"| {done['peak_mib']:.0f} |"
        )


if __name__ == "__main__":
    main()
