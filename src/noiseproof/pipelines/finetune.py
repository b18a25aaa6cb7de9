"""The flow of `noiseproof adapt finetune`: data -> noise -> encoder -> training -> evaluation -> card.

Training and evaluation are stages. A second start with the same configuration resumes where the
first stopped; one with other evaluation sets evaluates again without training again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from noiseproof.adapt.initial_encoder import set_classifier
from noiseproof.adapt.interpolation import StateDict, interpolate_weights, probs_by_state
from noiseproof.adapt.learnable import TunedNetwork, TuneMode, merge_additions, num_learning, tune_network
from noiseproof.adapt.objective import classification_loss, weighted_loss
from noiseproof.adapt.reading import meta_batches, reader, training_batches
from noiseproof.adapt.selection import LOG as VALIDATION_LOG
from noiseproof.adapt.selection import Selection, best
from noiseproof.backbones.adapters.additions import add_to
from noiseproof.backbones.checkpoints.weights import (
    WeightsHeader,
    load_exactly,
    read_checkpoint,
    write_weights,
)
from noiseproof.config.finetune import FinetuneConfig
from noiseproof.config.keywords import takes_keywords
from noiseproof.core.progress import progress
from noiseproof.core.storage.checksums import read_record, write_record
from noiseproof.core.storage.documents import START_AGAIN
from noiseproof.core.storage.files import hash_file
from noiseproof.evaluate.metrics import Outcomes
from noiseproof.evaluate.protocol import result_row
from noiseproof.evaluate.results import read_results, write_results
from noiseproof.heads.estimators import LinearProbe
from noiseproof.noise.applied import keep_noise
from noiseproof.pipelines.finetune_inputs import FinetuneState, open_finetuning
from noiseproof.pipelines.inputs.data_notes import notes
from noiseproof.pipelines.outputs.cards import data_section, results_section
from noiseproof.pipelines.outputs.output_folders import check_is_apart, only_main_process_in
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.pipelines.run_heads.head_choice import FILE as CHOICE
from noiseproof.pipelines.run_heads.head_choice import MOST_HELD_OUT, HeadChoice, calibration_of
from noiseproof.pipelines.training_flow import end_of_log, run_training
from noiseproof.training.checkpoint import Stateful
from noiseproof.training.loop import COLUMNS, LOG, Loss, accelerator_for, train
from noiseproof.training.optimizers import make_optimizer

BEST, LAST, RESULTS, FACTS = "model.safetensors", "last.safetensors", "results.jsonl", "training.json"
RULE = (
    "highest accuracy on held-out training examples with their labels as given, the first of equals; test "
    "sets play no part"
)
_FILES = (BEST, LAST, RESULTS, FACTS, LOG, VALIDATION_LOG, CHOICE)
_BEST, _LAST = "tuned-best", "tuned-last"
_WISE_FT_NOTE = (
    "wise-ft-A has (1 - A) x the weights before + A x those of tuned-best. Before, the classifier is a "
    "linear probe of the frozen features, fitted to the same given labels: a fresh classifier would know "
    "nothing. The line starts where training did with head_init=probe only."
)
_TRANSITION_NOTE = (
    "The loss uses a transition matrix that was estimated from the features before and the given labels "
    "({method}; share of wrong labels {rate:.3f}); it is in the card."
)


@takes_keywords(FinetuneConfig)
def finetune(
    config: FinetuneConfig, *, command: str = "noiseproof.finetune(...)", quiet: bool = False
) -> dict[str, Any]:
    """Train an encoder and its classifier together on labels of which some may be wrong.

    Args:
        config: of data, encoder and training.
        command: how the user started it, for the card.
        quiet: no progress bars.

    Returns:
        The contents of `card.json`, with the accuracies in `results`; empty in processes that only helped.

    Raises:
        InvalidArgument: a setting, or a backbone that cannot be trained.
        CheckpointMismatch: weights that do not fit, or a folder with another training.
        BadData: data or manifest cannot be used.
    """
    check_is_apart(config.out, (config.train, config.test, *config.ood))
    accelerator = accelerator_for(config.precision)
    with only_main_process_in(config.out, accelerator):
        return run_prepared(open_finetuning(config, accelerator, command=command, quiet=quiet))


def run_prepared(state: FinetuneState) -> dict[str, Any]:
    """Fine-tune on opened data; the caller holds the lock of the folder."""
    return run_training(state, "finetune", files=_FILES, train=_train, evaluate=_evaluate, describe=_describe)


def _tuned_network(state: FinetuneState) -> TunedNetwork:
    """The network before the first step."""
    settings, seed = state.settings, state.config.seed
    network = state.initial.network(len(state.class_names), use_zeros=settings.head_init == "zero", seed=seed)
    if settings.head_init == "probe":
        set_classifier(network, *_probe_weights(state.probe))
    model = tune_network(
        network, TuneMode.parse(settings.tune), lora_rank=settings.lora_rank, lora_alpha=settings.lora_alpha,
        seed=seed,
    )  # fmt: skip
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _probe_weights(probe: LinearProbe) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.as_tensor(probe.state_["classify.weight"]), torch.as_tensor(probe.state_["classify.bias"])


def _train(state: FinetuneState, folder: Path) -> list[str]:
    """Train, select, and write the weights of the best and of the last step."""
    settings, seed = state.settings, state.config.seed
    is_main = state.accelerator.is_main_process
    noise, noise_files = state.parts.train.noise, []
    if is_main and noise is not None:
        noise_files = keep_noise(state.parts.train.dataset, noise, folder)
    model = _tuned_network(state)
    learning, num_all = num_learning(model)
    optimizer = make_optimizer(
        model, settings.optimizer, learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay, momentum=settings.momentum,
    )  # fmt: skip
    batches = training_batches(
        state.train, state.train.given_labels, state.initial, settings, seed=seed, quiet=state.quiet,
        per_class=settings.per_class,
    )  # fmt: skip
    images = reader(state.validation, state.initial, settings, is_read_again=True, quiet=state.quiet)
    schedule = settings.schedule(batches.order, seed=seed, eval_epochs=settings.eval_epochs)
    selection = Selection(folder, model, images, state.validation.given_labels, schedule)
    loss, stateful = _loss(state, optimizer)
    train(
        model, batches, loss, optimizer, schedule=schedule,
        accelerator=state.accelerator, folder=folder,
        identity=state.identity, on_eval=selection.validate if is_main else lambda step: None,
        stateful=stateful, quiet=state.quiet,
    )  # fmt: skip
    if not is_main:
        return []
    _write_weights(state, model, selection, folder)
    write_record(
        folder / FACTS,
        _facts(state, selection, folder)
        | {"learning": {"mode": settings.tune, "parameters": learning, "of": num_all}},
    )
    return [BEST, LAST, FACTS, LOG, VALIDATION_LOG, *noise_files]


def _loss(state: FinetuneState, optimizer: torch.optim.Optimizer) -> tuple[Loss, dict[str, Stateful]]:
    settings, num_classes = state.settings, len(state.class_names)
    if state.meta is None or settings.meta is None:
        return classification_loss(
            settings.loss, state.loss_options, num_examples=len(state.train), num_classes=num_classes
        )
    clean = meta_batches(
        state.meta, state.meta.given_labels, state.initial, settings, settings.meta, seed=state.config.seed,
        quiet=state.quiet,
    )  # fmt: skip
    return weighted_loss(
        settings.loss, state.loss_options, settings.meta, clean, optimizer, num_classes=num_classes,
        seed=state.config.seed, device=state.accelerator.device,
    )  # fmt: skip


def _write_weights(state: FinetuneState, model: TunedNetwork, selection: Selection, folder: Path) -> None:
    _, best_weights = selection.best_weights()
    for name, weights in ((LAST, model.state_dict()), (BEST, best_weights)):
        fresh = _tuned_network(state)
        load_exactly(fresh, weights, source=name)
        write_weights(folder / name, merge_additions(fresh.network), header=WeightsHeader(**_origin(state)))


def _origin(state: FinetuneState) -> dict[str, Any]:
    """How the weights were made, for their header and for the card."""
    addition = state.kept_addition
    return {
        "additions": None if addition is None else addition.to_json(),
        "noise": dict(state.noise),
        "preprocessing": state.initial.preprocessing,
        "architecture": state.initial.architecture,
        "prefix": "",
    }


def _facts(state: FinetuneState, selection: Selection, folder: Path) -> dict[str, Any]:
    """Selection, length and losses of the training, for the card."""
    validations = selection.validations
    chosen, last = best(validations), validations[-1]
    log = end_of_log(folder)
    return {
        "selection": {
            "num_examples": len(state.validation),
            "best": vars(chosen),
            "last": vars(last),
            "validations": [vars(each) for each in validations],
            "rule": RULE,
        },
        "num_steps": last.step,
        "final_loss": log.get("loss"),
        "wall_s": log.get("wall_s"),
        "weights": {name: log[name] for name in log if name not in COLUMNS},
        "transition": None
        if state.transition is None
        else state.transition.to_json() | {"doubt": state.transition.doubt},
    }


def _weights_to_evaluate(
    state: FinetuneState, stages: Stages
) -> tuple[torch.nn.Module, dict[str, StateDict]]:
    """The network as it is saved, and name in the results -> weights."""
    network = state.initial.network(len(state.class_names), use_zeros=True, seed=state.config.seed)
    if state.kept_addition is not None:
        add_to(network, state.kept_addition, seed=state.config.seed)
    weights: dict[str, StateDict] = {}
    for title, name in ((_BEST, BEST), (_LAST, LAST)):
        if title == _LAST and _is_last_best(stages):
            continue
        weights[title] = read_checkpoint(stages.path(name))
        load_exactly(network, weights[title], source=str(stages.path(name)))
    if state.config.wise_ft:
        before = state.initial.network(len(state.class_names), use_zeros=True, seed=state.config.seed)
        set_classifier(before, *_probe_weights(state.probe))
        for alpha in state.config.wise_ft:
            weights[f"wise-ft-{alpha:g}"] = interpolate_weights(before.state_dict(), weights[_BEST], alpha)
    device = state.accelerator.device
    moved: dict[str, StateDict] = {
        title: {key: value.to(device) for key, value in values.items()} for title, values in weights.items()
    }
    return network.eval().to(device), moved


def _evaluate(state: FinetuneState, stages: Stages, folder: Path) -> list[str]:
    """All weights on all test sets; each image is read once."""
    network, weights = _weights_to_evaluate(state, stages)
    blocks: dict[tuple[str, str], list[Outcomes]] = {}
    first_probs: list[np.ndarray] = []  # of the best weights on the first test set, for their calibration
    for part in state.parts.tests:
        images = reader(part.dataset, state.initial, state.settings, is_read_again=False, quiet=True)
        first = 0
        with progress(
            f"Testing {part.name}", total=len(part.dataset), unit="image", quiet=state.quiet
        ) as bar:
            for block in images():
                labels = part.best_labels[first : first + len(block)]
                for title, probs in probs_by_state(network, weights, block.to(state.accelerator.device)):
                    blocks.setdefault((title, part.name), []).append(
                        part.outcomes(probs.cpu().numpy(), labels)
                    )
                    if title == _BEST and part is state.parts.tests[0] and first < MOST_HELD_OUT:
                        first_probs.append(probs.cpu().numpy())
                first += len(block)
                bar.update(len(block))
        if _is_last_best(stages):
            blocks[_LAST, part.name] = blocks[_BEST, part.name]
    titles = dict.fromkeys((_BEST, _LAST, *weights))
    rows = [
        result_row(
            blocks[title, part.name], name=title, seed=state.config.seed, set_name=part.name,
            domain=part.domain, class_names=part.class_names,
        )
        for title in titles
        for part in state.parts.tests
    ]  # fmt: skip
    write_results(folder / RESULTS, rows)
    held_out = np.concatenate(first_probs)
    labels = state.parts.tests[0].best_labels[: len(held_out)]
    has_class = labels < held_out.shape[1]  # others are of a class that is gone
    calibration = calibration_of(held_out[has_class], labels[has_class])
    choice = HeadChoice(head=_BEST, reason=RULE, calibrations={_BEST: calibration})
    write_record(folder / CHOICE, choice.to_json())
    return [RESULTS, CHOICE]


def _is_last_best(stages: Stages) -> bool:
    return hash_file(stages.path(BEST)) == hash_file(stages.path(LAST))


def _describe(state: FinetuneState) -> dict[str, Any]:
    facts = read_record(state.out / FACTS, next_step=START_AGAIN)
    lines = [*notes(state.config, state.parts), *state.initial.notes]
    if facts["transition"] is not None:
        lines.append(_TRANSITION_NOTE.format(**facts["transition"]))
        lines += [facts["transition"]["doubt"]] if facts["transition"]["doubt"] is not None else []
    if state.config.wise_ft:
        lines.append(_WISE_FT_NOTE)
    return {
        "notes": lines,
        "training_s": facts.pop("wall_s"),
        "backbone": {
            "name": state.config.backbone,
            "init": state.config.init,
            "weights_hash": state.initial.backbone.weights_hash,
        },
        **_origin(state),
        "train": data_section(state.train),
        "validation": data_section(state.validation),
        "meta": None if state.meta is None else data_section(state.meta),
        "tests": [data_section(part.dataset) | {"role": part.role} for part in state.parts.tests],
        **facts,
        "results": results_section(read_results(state.out / RESULTS)),
        "weights_sha256": hash_file(state.out / BEST),
    }
