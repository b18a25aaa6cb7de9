"""DeFT's first phase from data to scores: prompts on features, or with the image tower in the loop."""

from __future__ import annotations

import json
import time
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
from noiseproof.pipelines.cards import finished
from noiseproof.pipelines.deft.deft_inputs import SCORES, Selecting, features_of, fresh_tower
from noiseproof.pipelines.deft.tower import DualPrompts, Visits, dual_prompts_loss
from noiseproof.pipelines.inputs import Part
from noiseproof.training.loop import CHECKPOINT, train
from noiseproof.training.networks import outputs
from noiseproof.training.optimizers import make_optimizer

PROMPTS, TUNED, PHASE_ONE = "prompts.safetensors", "tuned.safetensors", "phase1.json"
_PREFIX = "visual"  # of the names of tuned weights, so that open_clip:ARCH/FILE reads them
ROW = "prompts"  # what its results are called


@dataclass(frozen=True, eq=False)
class _Learned:
    scores: PromptScores
    tower: nn.Module | None
    learning: dict[str, Any]
    steps: int


def phase_one(this: Selecting) -> dict[str, Any] | None:
    """Learn, score every example in a final pass, and write all of it; done once.

    Returns:
        What the card says of it; `None` in a process that only helped.
    """
    done = finished(this.out, this.identity, file=PHASE_ONE)
    if done is not None:
        (this.out / CHECKPOINT).unlink(missing_ok=True)
        return done
    begin = time.perf_counter()
    if this.accelerator.is_main_process and this.parts.train.noise is not None:
        keep_noise(this.data, this.parts.train.noise, this.out)
    learned = _on_features(this) if this.tune is None else _in_the_loop(this)
    if learned is None:
        return None
    _write(this, learned)
    scores = learned.scores
    said = {
        "learning": learned.learning,
        "num_steps": learned.steps,
        "num_examples": len(this.data),
        "num_selected": int(scores.is_clean.sum()),
        "loss_by_epoch": list(scores.losses),
        "wall_s": round(time.perf_counter() - begin, 2),
        "identity": this.identity,
    }
    files.write_json(this.out / PHASE_ONE, said)
    (this.out / CHECKPOINT).unlink(missing_ok=True)
    return said


def _on_features(this: Selecting) -> _Learned | None:
    if not this.accelerator.is_main_process:
        return None
    options = this.settings.prompts()
    features = features_of(this, this.parts.train, this.start.backbone)
    steps = num_steps(len(features), options)
    with stage("Learning prompts", total=steps, unit="step", quiet=this.job.quiet) as bar:
        scores = prompt_scores(
            features, this.given_labels, this.text, options=options, seed=this.job.seed,
            on_step=partial(_advance, bar),
        )  # fmt: skip
    size = int(scores.contexts.size)
    return _Learned(scores, None, {"mode": "none", "parameters": size, "of": size}, steps)


def _advance(bar: Any) -> None:
    bar.update()


def _in_the_loop(this: Selecting) -> _Learned | None:
    settings, training = this.settings, this.settings.training()
    text = this.text.to(this.accelerator.device)
    model = _model(this)
    learning, num_all = num_learning(model)
    optimizer = make_optimizer(
        model, "momentum", learning_rate=settings.learning_rate, weight_decay=settings.weight_decay,
        momentum=settings.momentum,
    )  # fmt: skip
    read = training_batches(
        this.data, this.given_labels, this.start, training, seed=this.job.seed, quiet=this.job.quiet
    )
    batches = Visits(read, this.given_labels, len(this.data.class_names), this.job.seed)
    schedule = training_schedule(training, batches.order, seed=this.job.seed)
    train(
        model, batches,
        dual_prompts_loss(text, variant=settings.variant, warmup_epochs=settings.warmup_epochs), optimizer,
        schedule=replace(schedule, eval_steps=None, is_constant=settings.variant == "real"),
        accelerator=this.accelerator, folder=this.out, identity=this.identity, quiet=this.job.quiet,
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
    settings, seed, tower = this.settings, this.job.seed, fresh_tower(this)
    assert this.tune is not None
    tune_encoder(
        tower, this.tune, lora_rank=settings.lora_rank, lora_alpha=settings.lora_alpha, seed=seed
    )  # fmt: skip
    tuned = Tuned(tower.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    contexts = first_contexts(this.text, options=settings.prompts(), seed=seed)
    return DualPrompts(tuned, this.text, contexts)


def _write(this: Selecting, learned: _Learned) -> None:
    scores = learned.scores
    said = {
        "model": this.job.model,
        "class_names": list(this.data.class_names),
        "variant": this.settings.variant,
    }
    metadata = {"noiseproof": json.dumps(said, sort_keys=True)}
    with files.replacing(this.out / PROMPTS) as temporary:
        save_file({"contexts": torch.from_numpy(scores.contexts).contiguous()}, temporary, metadata=metadata)
    if learned.tower is not None:
        assert this.tune is not None
        stays = this.tune.addition if this.tune.has_own_weights else None
        additions = None if stays is None else stays.to_json()
        write_weights(
            this.out / TUNED, nn.ModuleDict({_PREFIX: learned.tower}),
            header=WeightsHeader(model=this.job.model, additions=additions),
        )  # fmt: skip
    frame = _frame(this, scores)
    with files.replacing(this.out / SCORES) as temporary:
        frame.to_parquet(temporary, index=False)


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


def evaluated_prompts(this: Selecting) -> list[ResultRow]:
    """The positive prompts as a classifier, on all test sets."""
    contexts = load_file(this.out / PROMPTS)["contexts"]
    with torch.no_grad():
        positive = this.text.encode(contexts)[0]
    tower = None if this.tune is None else _read_tower(this)
    rows = []
    for part in this.parts.tests:
        raw = features_of(this, part, this.start.backbone) if tower is None else _outputs(this, tower, part)
        features = nn.functional.normalize(torch.from_numpy(np.array(raw, np.float32)), dim=-1)
        probs = torch.softmax((this.text.scale * features @ positive.mT).double(), dim=1).numpy()
        rows.append(
            result_row(
                [outcomes(probs, part.best_labels)], name=ROW, seed=this.job.seed, set_name=part.name,
                domain=part.domain, class_names=this.data.class_names,
            )
        )  # fmt: skip
    return rows


def _read_tower(this: Selecting) -> nn.Module:
    tower = fresh_tower(this)
    assert this.tune is not None
    if this.tune.has_own_weights and this.tune.addition is not None:
        add_to(tower, this.tune.addition, seed=this.job.seed)
    path: Path = this.out / TUNED
    load_exactly(nn.ModuleDict({_PREFIX: tower}), read_checkpoint(path), source=str(path))
    return tower.to(this.accelerator.device)


def _outputs(this: Selecting, tower: nn.Module, part: Part) -> Float[np.ndarray, "n e"]:
    """In evaluation mode, without augmentation, in the order of the examples."""
    images = reader(
        part.dataset, this.start, this.settings.training(), is_read_again=False, quiet=this.job.quiet
    )  # fmt: skip
    total = len(part.dataset)
    with stage(f"Scoring {part.name}", total=total, unit="image", quiet=this.job.quiet) as bar:

        def counted() -> Iterable[torch.Tensor]:
            for block in images():
                yield block
                bar.update(len(block))

        return outputs(tower, tower, counted())
