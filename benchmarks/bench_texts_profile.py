"""Where the time of MiniLM on sentences goes: tokens, matrix products and everything else, of one thread.

Usage: python benchmarks/bench_texts_profile.py --data DATA [--texts 1000] [--rounds 3]

The first of DATA/sst2/train.parquet. All times are CPU seconds of one thread, medians of interleaved rounds,
so that other programs disturb them little. "Products alone" are the matrix products of the tokens that the
texts have, at the speed that PyTorch reaches on the largest of them: in float32 hardly anything takes less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from noiseproof import extract, open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.bundled.bundled_files import text_folder
from noiseproof.data.splits import subset
from noiseproof.features.onnx_graph import onnx_graph

ROWS, TOKENS = 21, 24  # of a call whose operators are timed: a usual length


def cpu_s(call: Callable[[], Any]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def flops_of_token(config: Any, length: float) -> float:
    """Multiplications and additions of the matrix products for one token of a text of some length."""
    d, wide = config.hidden_size, config.intermediate_size
    return 2 * config.num_hidden_layers * (4 * d * d + 2 * d * wide + 2 * length * d)


def product_speed(config: Any, repeats: int = 100) -> float:
    """Floating-point operations a second in the largest product of a layer, 512 tokens."""
    d, wide = config.hidden_size, config.intermediate_size
    rows, weight = torch.randn(512, d), torch.randn(wide, d)
    times = [cpu_s(lambda: torch.nn.functional.linear(rows, weight)) for _ in range(repeats)]
    return 2 * 512 * d * wide / statistics.median(times)


def shares_of_operators(backbone: Any) -> Counter[str]:
    """ONNX Runtime's own profile of a call: operator -> share of the time."""
    batch = np.zeros((ROWS, 2, TOKENS), np.int64)
    batch[:, 0] = np.random.default_rng(0).integers(1000, 20000, batch[:, 0].shape)
    free = {"batch": {0: "rows", 2: "tokens"}, "features": {0: "rows"}}
    graph = onnx_graph(
        backbone.module, (torch.from_numpy(batch),), inputs=["batch"], outputs=["features"], free=free
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level, options.enable_profiling = 1, 3, True
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        for _ in range(30):
            session.run(None, {"batch": batch})
        events = json.loads(Path(session.end_profiling()).read_text())
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            times.setdefault((event["args"]["op_name"], event["name"]), []).append(event["dur"])
    sums: Counter[str] = Counter()
    for (operator, _), durations in times.items():
        sums[operator] += min(durations)
    return Counter({operator: value / sums.total() for operator, value in sums.items()})


def main(data: Path, num_texts: int, rounds: int) -> None:
    torch.set_num_threads(1)
    dataset = subset(open_dataset(str(data / "sst2/train.parquet")), np.arange(num_texts))
    # First: it makes torchvision importable beside a CPU torch.
    backbone: Any = open_backbone("bundled:minilm-l6")
    from sentence_transformers import SentenceTransformer

    model, texts = SentenceTransformer(str(text_folder("minilm-l6"))), list(dataset.examples)
    tokens = {"theirs": 0}

    def count(_module: Any, given: tuple[Any, ...]) -> None:
        tokens["theirs"] += given[0]["input_ids"].numel()

    def ours() -> None:
        with tempfile.TemporaryDirectory() as store:
            extract(dataset, backbone, store=store, num_workers=1, quiet=True)

    calls: dict[str, Callable[[], Any]] = {
        "extract": ours,
        "tokenising, which is a part of it": lambda: [backbone.prepare(text) for text in texts * 2],
        "sentence-transformers": lambda: model.encode(texts),
    }
    prepared = [backbone.prepare(text) for text in texts]
    tokens["of the texts"] = sum(int((each[0] >= 0).sum()) for each in prepared)
    tokens["ours"] = sum(each.shape[1] for each in prepared)
    hook = model[0].register_forward_pre_hook(count)
    for call in calls.values():  # exports the graph and warms up
        call()
    hook.remove()
    speeds: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        speeds.append(product_speed(backbone.module.model.config))
        for name, call in calls.items():
            times[name].append(cpu_s(call))
    flops = flops_of_token(backbone.module.model.config, tokens["of the texts"] / num_texts)
    alone_s = tokens["of the texts"] * flops / statistics.median(speeds)
    print(f"{num_texts} texts; tokens: " + ", ".join(f"{name} {number}" for name, number in tokens.items()))
    print(f"a product: {statistics.median(speeds) / 1e9:.0f} GFLOP/s; a token: {flops / 1e6:.1f} MFLOP")
    print(f"products alone: {alone_s:.2f} s")
    for name, each in times.items():
        median_s = statistics.median(each)
        print(f"{name}: {median_s:.2f} s, {median_s / alone_s:.2f} times products alone")
    shares = [f"{name} {share:.1%}" for name, share in shares_of_operators(backbone).most_common(8)]
    print(f"a call of {ROWS} x {TOKENS} tokens: {', '.join(shares)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    main(options.data, options.texts, options.rounds)
