"""CPU seconds of checksums beside the work they protect: features, checkpoints, rows.

python benchmarks/bench_checksums.py
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from noiseproof import extract, load_features, open_dataset, spectrum
from noiseproof.backbones.backbones import open_backbone
from noiseproof.core.storage import checksums, sealed_tensors
from noiseproof.features import shards
from noiseproof.training.checkpoint import restore_training, write_checkpoint
from noiseproof.training.optimizers import make_optimizer

ROWS, DIM, REPEATS = 10_000, 768, 3


def cpu_s(work: Callable[[], Any]) -> float:
    """Median of the CPU time of this process."""
    taken = []
    for _ in range(REPEATS):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return median(taken)


def compare(title: str, work: Callable[[], Any], *, without: Any) -> None:
    """Print the time with and without checksums."""
    whole = cpu_s(work)
    with without:
        bare = cpu_s(work)
    print(f"{title:44} {whole:7.3f} s, without {bare:7.3f} s: {whole / bare:.2f}", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(ROWS, DIM)).astype(np.float32)
        np.savez(folder / "data.npz", features=rows, labels=np.arange(ROWS) % 10)
        data = open_dataset(str(folder / "data.npz"))
        path = extract(data, open_backbone("features:"), store=folder / "store", quiet=True).path
        no_file_hash = mock.patch.object(
            shards, "hash_file", lambda path: json.loads((path.parent / "manifest.json").read_text())
            ["shards"][int(path.stem[-5:])]["sha256"],
        )  # fmt: skip
        compare(
            "read 10,000 x 768 features",
            lambda: np.asarray(load_features(path).features),
            without=no_file_hash,
        )
        compare("spectrum of them", lambda: spectrum(load_features(path).features), without=no_file_hash)
        model = nn.Sequential(*(nn.Linear(512, 512) for _ in range(12)))  # 13 MB
        optimizer = make_optimizer(model, "adamw", learning_rate=0.1, weight_decay=0.0)
        model(torch.ones(1, 512)).sum().backward()
        optimizer.step()
        file = folder / "checkpoint.safetensors"
        no_hash = mock.patch.object(sealed_tensors, "hash_tensors", return_value="0" * 64)
        compare(
            "write a checkpoint of 38 MB",
            lambda: write_checkpoint(file, model, optimizer, step=1, identity={}), without=no_hash,
        )  # fmt: skip
        with no_hash:
            write_checkpoint(file, model, optimizer, step=1, identity={})
            bare = cpu_s(lambda: restore_training(file, model, optimizer, identity={}))
        write_checkpoint(file, model, optimizer, step=1, identity={})
        whole = cpu_s(lambda: restore_training(file, model, optimizer, identity={}))
        print(f"{'read it':44} {whole:7.3f} s, without {bare:7.3f} s: {whole / bare:.2f}")
        row = {f"metric {k}": 0.1 * k for k in range(20)}
        compare(
            "10,000 rows of a study to text", lambda: [checksums.to_line(row) for _ in range(10_000)],
            without=mock.patch.object(checksums, "_checksum", return_value="0" * 16),
        )  # fmt: skip


if __name__ == "__main__":
    main()
