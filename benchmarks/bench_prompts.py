"""What truncated prompts and cached features save in DeFT's first phase.

Usage: python benchmarks/bench_prompts.py [--text clip|minilm] [--arch ViT-B-16] [--classes 10]
           [--batch 64] [--large 1024] [--rounds 5] [--skip-visual]

Two comparisons, each interleaved: a ratio is the median over rounds of the ratio within a round.

1. Directions of all classes for two contexts, forward and backward: prompts that end after their last end
   token against 77 tokens, as published; and the largest difference between the two.
2. An epoch of phase 1, per image: features that are kept against an image tower in the loop, through which
   the gradient flows back to its input, as it does for visual prompts.

Weights are random and images are noise, which changes nothing of the time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from noiseproof.backbones.image_text.image_text_models import build_pair
from noiseproof.backbones.image_text.text_towers import PromptTower
from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.losses.dual_prompts import dual_prompt_loss, epoch_rules, prompt_logits

NUM_CONTEXT, PUBLISHED_TOKENS = 16, 77
Call = Callable[[], Any]


def seconds(call: Call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def compared(slow: Call, fast: Call, rounds: int) -> tuple[float, float, float]:
    """Median seconds of both and the median ratio; the two take turns."""
    slow(), fast()
    pairs = [(seconds(slow), seconds(fast)) for _ in range(rounds)]
    slows, fasts = zip(*pairs, strict=True)
    return (
        statistics.median(slows), statistics.median(fasts),
        statistics.median(s / f for s, f in pairs),
    )  # fmt: skip


def prompts(tower: PromptTower, contexts: Tensor, rounds: int) -> None:
    def encode(pad_to: int | None) -> None:
        tower.encode(contexts, pad_to=pad_to).sum().backward()

    with torch.no_grad():
        difference = (tower.encode(contexts) - tower.encode(contexts, pad_to=PUBLISHED_TOKENS)).abs().max()
    long, short, ratio = compared(lambda: encode(PUBLISHED_TOKENS), lambda: encode(None), rounds)
    num_tokens = tower.num_tokens + NUM_CONTEXT
    print(
        f"prompts: {PUBLISHED_TOKENS} tokens {long:.3f} s, {num_tokens} tokens {short:.3f} s: x {ratio:.2f}; "
        f"largest difference {float(difference):.1e}"
    )


def step(features: Tensor, tower: PromptTower, contexts: Tensor, *, pad_to: int | None = None) -> None:
    unit = nn.functional.normalize(features, dim=-1)
    positive, negative = tower.encode(contexts, pad_to=pad_to)
    labels = torch.arange(len(unit)) % len(positive)
    logits = prompt_logits(unit, positive, negative, scale=tower.scale)
    stage = epoch_rules("synthetic", 1, warmup_epochs=1)
    others = (labels + 1) % len(positive)
    dual_prompt_loss(logits, labels, others, stage=stage, variant="synthetic").total.backward()


def epochs(model: Any, tower: PromptTower, contexts: Tensor, batch: int, large: int, rounds: int) -> None:
    size = model.visual.image_size
    images = torch.rand(batch, 3, *(size if isinstance(size, tuple) else (size, size)), requires_grad=True)
    with torch.no_grad():
        dim = model.encode_image(images[:1]).shape[1]

    def in_the_loop(pad_to: int | None) -> None:
        step(model.encode_image(images), tower, contexts, pad_to=pad_to)

    for size_of_step in (batch, large):
        kept = torch.randn(size_of_step, dim)
        for title, pad_to in (("truncated", None), ("77 tokens", PUBLISHED_TOKENS)):
            slow, fast, ratio = compared(
                lambda pad_to=pad_to: in_the_loop(pad_to),
                lambda kept=kept: step(kept, tower, contexts),
                rounds,
            )
            print(
                f"epoch, image tower in the loop ({title}, batch {batch}) {1000 * slow / batch:.1f} ms an "
                f"image, kept features (batch {size_of_step}) {1000 * fast / size_of_step:.2f} ms: "
                f"x {ratio * size_of_step / batch:.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", choices=["clip", "minilm"], default="clip")
    parser.add_argument("--arch", default="ViT-B-16")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--large", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skip-visual", action="store_true")
    given = parser.parse_args()
    import_timm("The benchmark")
    is_clip = given.text == "clip"
    name = given.arch if is_clip else "lite0-minilm"
    model, tokenizer = build_pair(name, image_size=None, lock_text=not is_clip, seed=0)
    model.eval().requires_grad_(False)
    names = [f"kind of thing {number}" for number in range(given.classes)]
    tower = PromptTower(model, tokenizer, names, name=name)
    contexts = (0.02 * torch.randn(2, NUM_CONTEXT, tower.context_dim)).requires_grad_()
    print(f"{name}, {given.classes} classes, {torch.get_num_threads()} threads")
    prompts(tower, contexts, given.rounds)
    if not given.skip_visual:
        epochs(model, tower, contexts, given.batch, given.large, given.rounds)


if __name__ == "__main__":
    main()
