"""DeFT's first phase from data to scores: prompts on features, or with the image tower in the loop."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import nn

from noiseproof.adapt.learnable import Tuned, merged, num_learning, tune_encoder
from noiseproof.adapt.reading import reader, training_batches, training_schedule
from noiseproof.backbones.adapters.additions import add_to
from noiseproof.backbones.weights import WeightsHeader, load_exactly, read_checkpoint, write_weights
from noiseproof.core import files
from noiseproof.core.progress import stage
from noiseproof.detect.prompts import PromptScores, first_contexts, num_steps, prompt_scores, score_with
from noiseproof.evaluate.metrics import outcomes
from noiseproof.evaluate.protocol import result_row
from noiseproof.evaluate.results import ResultRow
from noiseproof.noise.applied import keep_noise
from noiseproof.pipelines.deft.deft_inputs import SCORES, Selecting, features_of, fresh_tower
from noiseproof.pipelines.deft.tower import DualPrompts, Visits, dual_prompts_loss
from noiseproof.pipelines.inputs import Part
from noiseproof.pipelines.stages import Stages
from noiseproof.training.loop import LOG, train
from noiseproof.training.networks import outputs
from noiseproof.training.optimizers import make_optimizer

PROMPTS, TUNED, FACTS = "prompts.safetensors", "tuned.safetensors", "phase1.json"
_PREFIX = "visual"  # of the names of tuned weights, so that open_clip:ARCH/FILE reads them
ROW = "prompts"  # what its results are called


@dataclass(frozen=True, eq=False)
class _Learned:
    scores: PromptScores
    tower: nn.Module | None
    learning: dict[str, Any]
    steps: int


def run_phase1(this: Selecting, folder: Path) -> list[str]:
    """Learn the prompts, score every example in a final pass, and write all of it.

    Args:
        this: state of the flow.
        folder: of everything that is written.

    Returns:
        Names of the files; none in a process that only helped.
    """
    noise, noise_files = this.parts.train.noise, []
    if this.accelerator.is_main_process and noise is not None:
        noise_files = keep_noise(this.data, noise, folder)
    learned = _on_features(this) if this.tune is None else _in_the_loop(this, folder)
    if learned is None:
        return []
    written = _write(this, learned, folder)
    scores = learned.scores
    facts = {
        "learning": learned.learning,
        "num_steps": learned.steps,
        "num_examples": len(this.data),
        "num_selected": int(scores.is_clean.sum()),
        "loss_by_epoch": list(scores.losses),
    }
    files.write_json(folder / FACTS, facts)
    return [*written, FACTS, *noise_files]


def _on_features(this: Selecting) -> _Learned | None:
    if not this.accelerator.is_main_process:
        return None
    settings = this.settings
    features = features_of(this, this.parts.train, this.start.backbone)
    steps = num_steps(len(features), settings)
    with stage("Learning prompts", total=steps, unit="step", quiet=this.quiet) as bar:
        scores = prompt_scores(
            features, this.given_labels, this.text, settings=settings, seed=this.config.seed,
            on_step=partial(_advance, bar),
        )  # fmt: skip
    size = int(scores.contexts.size)
    return _Learned(scores, None, {"mode": "none", "parameters": size, "of": size}, steps)


def _advance(bar: Any) -> None:
    bar.update()


def _in_the_loop(this: Selecting, folder: Path) -> _Learned | None:
    settings = this.settings
    text = this.text.to(this.accelerator.device)
    model = _model(this)
    learning, num_all = num_learning(model)
    optimizer = make_optimizer(
        model, "momentum", learning_rate=settings.learning_rate, weight_decay=settings.weight_decay,
        momentum=settings.momentum,
    )  # fmt: skip
    read = training_batches(
        this.data, this.given_labels, this.start, settings, seed=this.config.seed, quiet=this.quiet
    )
    batches = Visits(read, this.given_labels, len(this.data.class_names), this.config.seed)
    schedule = training_schedule(settings, batches.order, seed=this.config.seed)
    train(
        model, batches,
        dual_prompts_loss(text, variant=settings.variant, warmup_epochs=settings.warmup_epochs), optimizer,
        schedule=replace(schedule, is_constant=settings.variant == "real"),
        accelerator=this.accelerator, folder=folder, identity=this.identity, quiet=this.quiet,
    )  # fmt: skip
    if not this.accelerator.is_main_process:
        return None
    features = _outputs(this, model.tower, this.parts.train)
    this.text.cpu()
    contexts = model.contexts.detach().cpu()
    scores = score_with(contexts, features, this.given_labels, this.text, variant=settings.variant)
    said = {"mode": settings.tune, "parameters": learning, "of": num_all}
    tower = merged(model.tower.network.cpu())
    return _Learned(scores, tower, said, schedule.num_steps)


def _model(this: Selecting) -> DualPrompts:
    settings, seed, tower = this.settings, this.config.seed, fresh_tower(this)
    assert this.tune is not None
    tune_encoder(
        tower, this.tune, lora_rank=settings.lora_rank, lora_alpha=settings.lora_alpha, seed=seed
    )  # fmt: skip
    tuned = Tuned(tower.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    contexts = first_contexts(this.text, num_context=settings.num_context, seed=seed)
    return DualPrompts(tuned, this.text, contexts)


def _write(this: Selecting, learned: _Learned, folder: Path) -> list[str]:
    """Write prompts, tower and scores; names of the files."""
    scores = learned.scores
    facts = {
        "model": this.config.model,
        "class_names": list(this.data.class_names),
        "variant": this.settings.variant,
    }
    metadata = {"noiseproof": json.dumps(facts, sort_keys=True)}
    with files.replacing(folder / PROMPTS) as temporary:
        save_file({"contexts": torch.from_numpy(scores.contexts).contiguous()}, temporary, metadata=metadata)
    with files.replacing(folder / SCORES) as temporary:
        _frame(this, scores).to_parquet(temporary, index=False)
    if learned.tower is None or this.tune is None:
        return [PROMPTS, SCORES]
    stays = this.tune.addition if this.tune.has_own_weights else None
    header = WeightsHeader(model=this.config.model, additions=None if stays is None else stays.to_json())
    write_weights(folder / TUNED, nn.ModuleDict({_PREFIX: learned.tower}), header=header)
    return [PROMPTS, SCORES, TUNED, LOG]


def _frame(this: Selecting, scores: PromptScores) -> pd.DataFrame:
    """A row per example, tied to its id."""
    names = np.array(this.data.class_names, dtype=object)
    columns = {
        "example_id": this.data.ids,
        "given_label": names[this.given_labels],
        "suggested_label": names[scores.suggested],
        "p_clean": scores.p_clean,
        "is_clean": scores.is_clean,
    }
    if this.data.clean_labels is not None:
        columns["clean_label"] = names[this.data.clean_labels]
    return pd.DataFrame(columns)


def evaluated_prompts(this: Selecting, stages: Stages) -> list[ResultRow]:
    """The positive prompts as a classifier, on all test sets."""
    contexts = load_file(stages.path(PROMPTS))["contexts"]
    with torch.no_grad():
        positive = this.text.encode(contexts)[0]
    tower = None if this.tune is None else _read_tower(this, stages.path(TUNED))
    rows = []
    for part in this.parts.tests:
        raw = features_of(this, part, this.start.backbone) if tower is None else _outputs(this, tower, part)
        features = nn.functional.normalize(torch.from_numpy(np.array(raw, np.float32)), dim=-1)
        probs = torch.softmax((this.text.scale * features @ positive.mT).double(), dim=1).numpy()
        rows.append(
            result_row(
                [outcomes(probs, part.best_labels)], name=ROW, seed=this.config.seed, set_name=part.name,
                domain=part.domain, class_names=this.data.class_names,
            )
        )  # fmt: skip
    return rows


def _read_tower(this: Selecting, path: Path) -> nn.Module:
    tower = fresh_tower(this)
    assert this.tune is not None
    if this.tune.has_own_weights and this.tune.addition is not None:
        add_to(tower, this.tune.addition, seed=this.config.seed)
    load_exactly(nn.ModuleDict({_PREFIX: tower}), read_checkpoint(path), source=str(path))
    return tower.to(this.accelerator.device)


def _outputs(this: Selecting, tower: nn.Module, part: Part) -> Float[np.ndarray, "n e"]:
    """In evaluation mode, without augmentation, in the order of the examples."""
    images = reader(
        part.dataset, this.start, this.settings, is_read_again=False, quiet=this.quiet
    )  # fmt: skip
    total = len(part.dataset)
    with stage(f"Scoring {part.name}", total=total, unit="image", quiet=this.quiet) as bar:

        def counted() -> Iterable[torch.Tensor]:
            for block in images():
                yield block
                bar.update(len(block))

        return outputs(tower, tower, counted())
