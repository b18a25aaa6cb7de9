"""`noiseproof adapt finetune`: train an encoder and its classifier, some of the labels being wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from noiseproof.cli.guard import command_line
from noiseproof.core.plurals import counted

if TYPE_CHECKING:
    from noiseproof.config.finetune import FinetuneConfig

CONFIG = "noiseproof.config.finetune:FinetuneConfig"
EPILOG = """Examples:

noiseproof adapt finetune photos/ --test phone/ --backbone zoo:resnet8-simclr --out tuned/

noiseproof adapt finetune torchvision:CIFAR10/train --test torchvision:CIFAR10/test
--backbone timm:resnet50_32px@encoders/simclr/model.safetensors --noise symmetric:0.5 --out tuned/c10

noiseproof adapt finetune photos/ --backbone timm:vit_small_patch16_224 --tune lora --wise-ft 0,0.5,1
--out tuned/lora
"""


def finetune(config: FinetuneConfig) -> dict[str, Any]:
    """Train encoder and classifier; keep the best step by held-out given labels, and the last."""
    from noiseproof.cli.outcome import print_training
    from noiseproof.pipelines.finetune import finetune as run_finetuning

    card = run_finetuning(config, command=command_line())
    if card:  # empty in all processes but the first
        last = f"As a backbone: timm:{card['architecture']}@{config.out / 'model.safetensors'}"
        print_training(card, config.out, _found(card), last)
    return {"folder": config.out, "card": card}


def _found(card: dict[str, Any]) -> Iterator[str]:
    selection, learning = card["selection"], card["learning"]
    yield (
        f"Trained {learning['parameters']:,} of {learning['of']:,} parameters ({learning['mode']}), "
        f"{counted(card['num_steps'], 'step')}"
    )
    if card["meta"] is not None:
        yield (
            f"Weighed by {counted(card['meta']['num_examples'], 'example')} with checked labels "
            f"(Meta-Weight-Net); mean weight of the last batch {card['weights']['mean_weight']}"
        )
    for name in ("best", "last"):
        step = selection[name]
        yield (
            f"{name.capitalize()}: step {step['step']}, {100 * step['accuracy']:.1f} % of the given labels "
            f"of {selection['num_examples']} held-out examples"
        )
