"""`noiseproof adapt deft`: find wrong labels with learned prompts, and adapt an encoder to the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from noiseproof.cli.guard import command_line

if TYPE_CHECKING:
    from noiseproof.config.deft import DeftConfig

CONFIG = "noiseproof.config.deft:DeftConfig"
EPILOG = """Examples:

noiseproof adapt deft photos/ --model open_clip:ViT-B-16/openai --tune vpt-deep:20 --out cleaned/

noiseproof adapt deft photos/ --noise symmetric:0.4 --phase2 heads --out cleaned/heads

noiseproof adapt deft photos/ --phase2 full --phase2-backbone zoo:resnet8-noise0
--set phase2_settings.epochs=5 --out cleaned/tuned
"""


def deft(config: DeftConfig) -> dict[str, Any]:
    """Find wrong labels with a positive and a negative learned prompt per class; adapt to the others."""
    from noiseproof.cli.outcome import print_training
    from noiseproof.pipelines.deft.flow import deft as run_deft

    card = run_deft(config, command=command_line())
    if card:  # empty in all processes but the first
        last = f"Scores by example: {config.out / 'scores.parquet'}"
        print_training(card, config.out, _found(card), last)
    return {"folder": config.out, "card": card}


def _found(card: dict[str, Any]) -> Iterator[str]:
    from noiseproof.cli.outcome import percent

    phase1, detection = card["phase1"], card["detection"]
    yield (
        f"Selected {phase1['num_selected']:,} of {phase1['num_examples']:,} labels as right "
        f"(tune: {phase1['learning']['mode']})"
    )
    if detection is not None:
        wrong = detection["num_wrong"] / phase1["num_examples"]
        yield (
            f"Against the truth ({percent(wrong)} wrong), the selection has precision "
            f"{percent(detection['clean_precision'])} and recall {percent(detection['clean_recall'])}"
        )
