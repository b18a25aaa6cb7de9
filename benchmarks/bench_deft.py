"""A step of DeFT's first phase with the image tower in the loop against one on features that are kept.

Usage: python benchmarks/bench_deft.py [--arch ViT-B-32] [--tune vpt-deep:20] [--classes 10,100] [--batch 64]
           [--rounds 3] [--threads 2]

Weights are random and images are noise, which changes no cost. An epoch has as many steps in both,
so the ratio of steps is that of epochs; the one pass over the images that fills the store is told beside it,
as a share of an epoch in the loop. The formulations take turns within a round; a ratio is the median over
rounds of the ratio within a round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from noiseproof.adapt.learnable import TunedNetwork, TuneMode, num_learning, tune_encoder
from noiseproof.backbones.image_text.text_towers import PromptTower
from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.detect.prompts import first_contexts
from noiseproof.pipelines.deft.tower import DualPrompts, dual_prompts_loss

Step = Callable[[], object]


class Kept(nn.Module):
    """Stands for the store: what it is given are features already."""

    def forward(self, features: Tensor) -> Tensor:
        return features


def step_of(tower: nn.Module, text: PromptTower, rows: Tensor, num_classes: int) -> Step:
    model = DualPrompts(tower, text, first_contexts(text, num_context=16, seed=0)).train()
    optimizer = torch.optim.SGD(
        [each for each in model.parameters() if each.requires_grad], lr=0.03, momentum=0.9
    )
    loss = dual_prompts_loss(text, variant="synthetic", warmup_epochs=1)
    labels = torch.arange(len(rows)) % num_classes
    batch = {
        "images": rows,
        "given_labels": labels,
        "complementary": (labels + 1) % num_classes,
        "epoch": torch.ones_like(labels),
    }

    def step() -> None:
        optimizer.zero_grad()
        loss(model, batch).backward()
        optimizer.step()

    return step


def seconds(step: Step) -> float:
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def measure(arguments: argparse.Namespace, num_classes: int) -> None:
    import open_clip

    model = open_clip.create_model(arguments.arch, pretrained=None)
    names = [f"class number {number}" for number in range(num_classes)]
    text = PromptTower(model, open_clip.get_tokenizer(arguments.arch), names, name=arguments.arch)
    tower = model.visual
    tune_encoder(tower, TuneMode.parse(arguments.tune), lora_rank=8, lora_alpha=16, seed=0)
    size = tower.image_size[0] if isinstance(tower.image_size, tuple) else tower.image_size
    images = torch.randn(arguments.batch, 3, size, size)
    with torch.inference_mode():
        features = tower(images[:1]).expand(arguments.batch, -1).clone()
    tuned = TunedNetwork(tower)
    in_loop = step_of(tuned, text, images, num_classes)
    kept = step_of(Kept(), text, features, num_classes)

    def once() -> None:
        with torch.inference_mode():
            tuned.eval()(images)
        tuned.train()

    for step in (in_loop, kept, once):
        step()
    rounds = [[seconds(step) for step in (in_loop, kept, once)] for _ in range(arguments.rounds)]
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    ratio = statistics.median(one / other for one, other, _ in rounds)
    learning, _ = num_learning(tuned)
    print(
        f"{arguments.arch} {arguments.tune} ({learning:,} numbers), {num_classes} classes, batch "
        f"{arguments.batch}: in the loop {medians[0]:.2f} s, kept {medians[1]:.2f} s, ratio {ratio:.1f}; "
        f"filling the store {medians[2] / medians[0]:.2f} of an epoch in the loop"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="ViT-B-32")
    parser.add_argument("--tune", default="vpt-deep:20")
    parser.add_argument("--classes", default="10,100")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    import_timm("The benchmark")
    for number in arguments.classes.split(","):
        measure(arguments, int(number))


if __name__ == "__main__":
    main()
