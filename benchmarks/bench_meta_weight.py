"""A step of Meta-Weight-Net against a plain step of the same network, and against the second-order form.

Usage: python benchmarks/bench_meta_weight.py [--networks linear,mlp,resnet8] [--batch 100]
           [--meta-batches 100,32] [--update-every 1,2] [--rounds 7] [--threads 1]

The formulations take turns within a round, so that another program on the machine disturbs all alike; a
ratio is the median over rounds of the ratio within a round. The second-order form is the published procedure:
a graph through the virtual step, and a second forward of the training batch.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.heads.modules import Architecture, StackedHeads
from noiseproof.robust.meta_gradient import DenseStep, NetworkStep, is_dense
from noiseproof.robust.weight_net import ExampleWeighter, WeightNetOptions
from published import published_meta_step

CLASSES, DIM, INNER_RATE = 10, 320, 0.1
Step = Callable[[], object]


def head(hidden_layers: int) -> nn.Module:
    generators = [torch.Generator().manual_seed(0)]
    return StackedHeads(DIM, CLASSES, Architecture(hidden_layers=hidden_layers), generators=generators)


def resnet8() -> nn.Module:
    timm = import_timm("The benchmark")
    return timm.create_model("resnet8_32px", num_classes=CLASSES).to(memory_format=torch.channels_last)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: head(0),
    "mlp": lambda: head(1),
    "resnet8": resnet8,
}


def batch_of(name: str, rows: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    shape = (rows, 3, 32, 32) if name == "resnet8" else (rows, DIM)
    inputs = torch.randn(shape, generator=generator)
    if name == "resnet8":
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    return {"inputs": inputs, "given_labels": torch.randint(CLASSES, (rows,), generator=generator)}


def losses(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    is_head = isinstance(model, StackedHeads)
    logits = model(batch["inputs"][None])[1][0] if is_head else model(batch["inputs"])
    return F.cross_entropy(logits, batch["given_labels"], reduction="none")


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    if isinstance(model, StackedHeads):
        return torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)


def plain(name: str, batch: dict[str, Tensor]) -> Step:
    model = NETWORKS[name]().train()
    optimizer = optimizer_of(model)

    def step() -> None:
        losses(model, batch).mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def ours(name: str, batch: dict[str, Tensor], meta: dict[str, Tensor], *, update_every: int) -> Step:
    model = NETWORKS[name]().train()
    optimizer, weigher = optimizer_of(model), ExampleWeighter(WeightNetOptions(update_every=update_every))
    make = DenseStep if isinstance(model, StackedHeads) and is_dense(model) else NetworkStep

    def one() -> None:
        step = make(model, batch, losses)
        seen = step.losses.detach()
        if weigher.is_turn:
            weigher.learn(seen, lambda shares: step.slopes(shares, meta, losses, rate=INNER_RATE))
        step.backward(weigher.shares(seen))
        optimizer.step()
        optimizer.zero_grad()

    def step() -> None:
        for _ in range(update_every):
            one()

    return step


def second_order(name: str, batch: dict[str, Tensor], meta: dict[str, Tensor]) -> Step:
    model = NETWORKS[name]().train()
    optimizer, weigher = optimizer_of(model), ExampleWeighter(WeightNetOptions())
    return lambda: published_meta_step(
        model, optimizer, weigher.net, weigher.optimizer, losses, batch, meta, rate=INNER_RATE
    )


def times(steps: dict[str, Step], *, rounds: int, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of processor time per call in each round."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for each in range(rounds + 1):
        for name, step in steps.items():
            begin = time.process_time()
            for _ in range(repeats):
                step()
            if each:  # the first round warms up
                found[name].append((time.process_time() - begin) / repeats * 1e3)
    return found


def row(name: str, args: argparse.Namespace, meta_rows: int) -> str:
    batch, meta = batch_of(name, args.batch), batch_of(name, meta_rows)
    periods = [int(each) for each in args.update_every.split(",")]
    steps = {"plain": plain(name, batch), "second order": second_order(name, batch, meta)}
    steps |= {f"ours {k}": ours(name, batch, meta, update_every=k) for k in periods}
    found = times(steps, rounds=args.rounds, repeats=1 if name == "resnet8" else 30)
    for k in periods:
        found[f"ours {k}"] = [each / k for each in found[f"ours {k}"]]

    def ratio(one: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(found[one], found[other], strict=True))

    first = f"ours {periods[0]}"
    numbers = [statistics.median(found["plain"]), statistics.median(found[first])]
    numbers += [ratio(f"ours {k}", "plain") for k in periods] + [ratio("second order", first)]
    return f"| {name} | {meta_rows} | " + " | ".join(f"{each:.2f}" for each in numbers) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", default="linear,mlp,resnet8")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--meta-batches", default="100,32")
    parser.add_argument("--update-every", default="1,2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"batch {args.batch}, torch {torch.__version__}, {args.threads} threads\n")
    periods = args.update_every.split(",")
    titles = ["network", "meta batch", "plain, ms", "ours, ms"]
    titles += ["ours / plain"] + [f"V every {k}th / plain" for k in periods[1:]] + ["second order / ours"]
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    for name, rows in itertools.product(args.networks.split(","), args.meta_batches.split(",")):
        print(row(name, args, int(rows)), flush=True)


if __name__ == "__main__":
    main()
