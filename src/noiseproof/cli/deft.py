"""`noiseproof adapt deft`: find wrong labels with learned prompts, and adapt an encoder to the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from noiseproof.cli import options
from noiseproof.cli.guard import command_line, guarded

EXAMPLES = """Examples:

noiseproof adapt deft --train photos/ --model open_clip:ViT-B-16/openai --tune vpt-deep:20 --out cleaned/

noiseproof adapt deft --train photos/ --label-noise symmetric --rate 0.4 --phase2 heads --out cleaned/heads

noiseproof adapt deft --train photos/ --phase2 full --phase2-backbone zoo:resnet8-noise0
--phase2-set epochs=5 --out cleaned/tuned
"""
_PHASE_1, _PHASE_2 = "Phase 1", "Phase 2"

Train = Annotated[
    str,
    typer.Option(help="Images whose labels may be wrong, as in 'noiseproof run'; classes named in words."),
]
Out = Annotated[
    Path, typer.Option(help="Folder of scores, prompts, card and results; the same again goes on.")
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Image-text model: open_clip:ARCH/TAG or a bundled one (default).", rich_help_panel=_PHASE_1
    ),
]
Tune = Annotated[
    str | None,
    typer.Option(
        help="What of the image tower learns: none (prompts only, features once), full, last-blocks:N, bias, "
        "lora, vpt-deep[:N], vpt-shallow[:N], adapter[:N] or ssf; by default vpt-deep:20 for transformers.",
        rich_help_panel=_PHASE_1,
    ),
]
Variant = Annotated[
    str | None,
    typer.Option(help="synthetic (the paper) or real (labels of people, the web).", rich_help_panel=_PHASE_1),
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the images.", rich_help_panel=_PHASE_1)]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Any setting of phase 1, e.g. warmup_epochs=5; repeatable.", rich_help_panel=_PHASE_1
    ),
]
Phase2 = Annotated[
    str, typer.Option(help="none, heads (on features) or full (fine-tuning).", rich_help_panel=_PHASE_2)
]
Phase2Backbone = Annotated[
    str | None,
    typer.Option(help="Encoder of phase 2; heads take the image tower of --model.", rich_help_panel=_PHASE_2),
]
Phase2Set = Annotated[
    list[str] | None,
    typer.Option(
        "--phase2-set",
        help="Setting of 'adapt finetune', e.g. epochs=5; repeatable.",
        rich_help_panel=_PHASE_2,
    ),
]
Seed = Annotated[int, typer.Option(help="Of splits, noise, first vectors, order and augmentation.", min=0)]


@guarded
def deft(
    train: Train,
    out: Out,
    model: Model = None,
    test: options.Test = None,
    ood: options.Ood = None,
    tune: Tune = None,
    variant: Variant = None,
    epochs: Epochs = None,
    phase2: Phase2 = "none",
    phase2_backbone: Phase2Backbone = None,
    phase2_set: Phase2Set = None,
    label_noise: options.LabelNoise = None,
    rate: options.Rate = None,
    noise_manifest: options.MadeNoise = None,
    set_: Set = None,
    seed: Seed = 0,
    label: options.Label = None,
    image: options.Image = None,
    clean_label: options.CleanLabel = None,
    test_label: options.TestLabel = None,
    limit: options.Limit = None,
    on_error: options.OnError = None,
    shifts: options.Shifts = None,
) -> None:
    """Find wrong labels with a positive and a negative learned prompt per class; adapt to the others."""
    given: dict[str, Any] = locals()
    from noiseproof.backbones.text_towers import USUAL_MODEL
    from noiseproof.config.adapt import DeftJob, resolve_deft_settings, resolve_settings
    from noiseproof.pipelines.deft.flow import deft as run_deft

    own = {name: given.pop(name) for name in ("tune", "variant", "epochs")}
    given |= {
        "settings": resolve_deft_settings(given.pop("set_") or (), own),
        "phase2_settings": resolve_settings(given.pop("phase2_set") or ()),
        "model": model or USUAL_MODEL,
        "ood": tuple(ood or ()),
        "shifts": tuple(part.strip() for part in (shifts or "").split(",") if part.strip()),
    }
    card = run_deft(DeftJob(command=command_line(), **given))
    if card:  # empty in all processes but the first
        _tell(card, out)


def _tell(card: dict[str, Any], out: Path) -> None:
    from noiseproof.cli.outcome import print_results

    print_results(out / "results.jsonl")
    phase, found = card["phase1"], card["detection"]
    print(
        f"Selected {phase['num_selected']:,} of {phase['num_examples']:,} labels as right "
        f"(tune: {phase['learning']['mode']})"
    )
    if found is not None:
        wrong = found["num_wrong"] / phase["num_examples"]
        print(
            f"Against the truth ({_percent(wrong)} wrong), the selection has precision "
            f"{_percent(found['clean_precision'])} and recall {_percent(found['clean_recall'])}"
        )
    for note in card["notes"]:
        print(f"Note: {note}")
    print(f"Scores by example: {out / 'scores.parquet'}")


def _percent(share: float | None) -> str:
    return "undefined" if share is None else f"{100 * share:.1f} %"
