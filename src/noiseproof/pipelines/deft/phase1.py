"""DeFT's first phase from data to scores: prompts on features, or with the image tower in the loop."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import nn

from noiseproof.adapt.learnable import TunedNetwork, merge_additions, num_learning, tune_encoder
from noiseproof.adapt.reading import reader, training_batches
from noiseproof.backbones.adapters.additions import add_to
from noiseproof.backbones.checkpoints.weights import (
    WeightsHeader,
    load_exactly,
    read_checkpoint,
    write_weights,
)
from noiseproof.core.progress import progress
from noiseproof.core.storage import files
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import START_AGAIN
from noiseproof.core.storage.sealed_tensors import read_sealed_tensors, write_sealed_tensors
from noiseproof.detect.prompts import PromptScores, first_contexts, num_steps, prompt_scores, score_with
from noiseproof.evaluate.protocol import result_row
from noiseproof.evaluate.results import ResultRow
from noiseproof.noise.applied import keep_noise
from noiseproof.pipelines.deft.deft_inputs import SCORES, DeftState, part_features
from noiseproof.pipelines.deft.tower import ComplementaryBatches, DualPrompts, tower_loss
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.training.loop import LOG, train
from noiseproof.training.networks import outputs
from noiseproof.training.optimizers import make_optimizer

PROMPTS, TUNED, FACTS = "prompts.safetensors", "tuned.safetensors", "phase1.json"
_PREFIX = "visual"  # of the names of tuned weights, so that open_clip:ARCH/FILE reads them
ROW = "prompts"  # name in the results


@dataclass(frozen=True, eq=False)
class _Learned:
    scores: PromptScores
    tower: nn.Module | None
    learning: dict[str, Any]
    steps: int


def run_phase1(state: DeftState, folder: Path) -> list[str]:
    """Learn the prompts, score every example in a final pass, and write all of it.

    Returns:
        Names of the files; none in a process that only helped.
    """
    noise, noise_files = state.parts.train.noise, []
    if state.accelerator.is_main_process and noise is not None:
        noise_files = keep_noise(state.data, noise, folder)
    learned = _learn_on_features(state) if state.tune_mode is None else _learn_with_tower(state, folder)
    if learned is None:
        return []
    written = _write(state, learned, folder)
    scores = learned.scores
    facts = {
        "learning": learned.learning,
        "num_steps": learned.steps,
        "num_examples": len(state.data),
        "num_selected": int(scores.is_clean.sum()),
        "loss_by_epoch": list(scores.losses),
    }
    write_record(folder / FACTS, facts)
    return [*written, FACTS, *noise_files]


def _learn_on_features(state: DeftState) -> _Learned | None:
    if not state.accelerator.is_main_process:
        return None
    settings = state.settings
    features = part_features(state, state.parts.train, state.initial.backbone)
    steps = num_steps(len(features), settings)
    with progress("Learning prompts", total=steps, unit="step", quiet=state.quiet) as bar:
        scores = prompt_scores(
            features, state.given_labels, state.text, settings=settings, seed=state.config.seed,
            on_step=bar.update,
        )  # fmt: skip
    size = int(scores.contexts.size)
    return _Learned(scores, None, {"mode": "none", "parameters": size, "of": size}, steps)


def _learn_with_tower(state: DeftState, folder: Path) -> _Learned | None:
    settings = state.settings
    text = state.text.to(state.accelerator.device)
    model = _dual_prompts(state)
    learning, num_all = num_learning(model)
    optimizer = make_optimizer(
        model, "momentum", learning_rate=settings.learning_rate, weight_decay=settings.weight_decay,
        momentum=settings.momentum,
    )  # fmt: skip
    labelled = training_batches(
        state.data, state.given_labels, state.initial, settings, seed=state.config.seed, quiet=state.quiet
    )
    batches = ComplementaryBatches(
        labelled, state.given_labels, len(state.data.class_names), state.config.seed
    )
    schedule = settings.schedule(batches.order, seed=state.config.seed)
    train(
        model, batches,
        tower_loss(text, variant=settings.variant, warmup_epochs=settings.warmup_epochs), optimizer,
        schedule=replace(schedule, is_constant=settings.variant == "real"),
        accelerator=state.accelerator, folder=folder, identity=state.identity, quiet=state.quiet,
    )  # fmt: skip
    if not state.accelerator.is_main_process:
        return None
    features = _tower_features(state, model.tower, state.parts.train)
    state.text.cpu()
    contexts = model.contexts.detach().cpu()
    scores = score_with(contexts, features, state.given_labels, state.text, variant=settings.variant)
    learning_section = {"mode": settings.tune, "parameters": learning, "of": num_all}
    tower = merge_additions(model.tower.network.cpu())
    return _Learned(scores, tower, learning_section, schedule.num_steps)


def _dual_prompts(state: DeftState) -> DualPrompts:
    settings, seed = state.settings, state.config.seed
    tower: nn.Module = copy.deepcopy(state.initial.encoder)
    assert state.tune_mode is not None
    tune_encoder(
        tower, state.tune_mode, lora_rank=settings.lora_rank, lora_alpha=settings.lora_alpha, seed=seed
    )  # fmt: skip
    network = TunedNetwork(tower.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    contexts = first_contexts(state.text, num_context=settings.num_context, seed=seed)
    return DualPrompts(network, state.text, contexts)


def _write(state: DeftState, learned: _Learned, folder: Path) -> list[str]:
    scores = learned.scores
    facts = {
        "model": state.config.model,
        "class_names": list(state.data.class_names),
        "variant": state.settings.variant,
    }
    write_sealed_tensors(folder / PROMPTS, {"contexts": torch.from_numpy(scores.contexts)}, facts)
    with files.replacing(folder / SCORES) as temporary:
        _scores_table(state, scores).to_parquet(temporary, index=False)
    if learned.tower is None or state.tune_mode is None:
        return [PROMPTS, SCORES]
    addition = state.tune_mode.kept_addition
    header = WeightsHeader(
        model=state.config.model, additions=None if addition is None else addition.to_json()
    )
    write_weights(folder / TUNED, nn.ModuleDict({_PREFIX: learned.tower}), header=header)
    return [PROMPTS, SCORES, TUNED, LOG]


def _scores_table(state: DeftState, scores: PromptScores) -> pd.DataFrame:
    names = np.array(state.data.class_names, dtype=object)
    columns = {
        "example_id": state.data.ids,
        "given_label": names[state.given_labels],
        "suggested_label": names[scores.suggested],
        "p_clean": scores.p_clean,
        "is_clean": scores.is_clean,
    }
    if state.data.clean_labels is not None:
        columns["clean_label"] = names[state.data.clean_labels]
    return pd.DataFrame(columns)


def evaluate_prompts(state: DeftState, stages: Stages) -> list[ResultRow]:
    """Evaluate the positive prompts as a classifier on all test sets."""
    _, tensors = read_sealed_tensors(stages.path(PROMPTS), next_step=START_AGAIN)
    contexts = tensors["contexts"]
    with torch.no_grad():
        positive = state.text.encode(contexts)[0]
    tower = None if state.tune_mode is None else _read_tower(state, stages.path(TUNED))
    rows = []
    for part in state.parts.tests:
        raw = (
            part_features(state, part, state.initial.backbone)
            if tower is None
            else _tower_features(state, tower, part)
        )
        features = nn.functional.normalize(torch.from_numpy(np.array(raw, np.float32)), dim=-1)
        probs = torch.softmax((state.text.scale * features @ positive.mT).double(), dim=1).numpy()
        rows.append(
            result_row(
                [part.outcomes(probs, part.best_labels)], name=ROW, seed=state.config.seed,
                set_name=part.name, domain=part.domain, class_names=part.class_names,
            )
        )  # fmt: skip
    return rows


def _read_tower(state: DeftState, path: Path) -> nn.Module:
    tower: nn.Module = copy.deepcopy(state.initial.encoder)
    assert state.tune_mode is not None
    if state.tune_mode.kept_addition is not None:
        add_to(tower, state.tune_mode.kept_addition, seed=state.config.seed)
    load_exactly(nn.ModuleDict({_PREFIX: tower}), read_checkpoint(path), source=str(path))
    return tower.to(state.accelerator.device)


def _tower_features(state: DeftState, tower: nn.Module, part: DataPart) -> Float[np.ndarray, "n e"]:
    """Outputs of the tower for a part, in evaluation mode and without augmentation."""
    images = reader(part.dataset, state.initial, state.settings, is_read_again=False, quiet=state.quiet)
    total = len(part.dataset)
    with progress(f"Scoring {part.name}", total=total, unit="image", quiet=state.quiet) as bar:

        def counted() -> Iterable[torch.Tensor]:
            for block in images():
                yield block
                bar.update(len(block))

        return outputs(tower, tower, counted())
