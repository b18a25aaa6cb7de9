"""The whole of a fine-tuning: data -> noise -> encoder -> training with selection -> evaluation -> card.

`finetune` below is that sentence. Training and evaluation are each done once: a second start of the same goes
on where the first stopped, and one with other evaluation sets evaluates anew without training again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from noiseproof.adapt.initial_encoder import put_classifier
from noiseproof.adapt.interpolation import State, interpolated, probs_of_each
from noiseproof.adapt.learnable import Tune, Tuned, merged, num_learning, tuned
from noiseproof.adapt.objective import classification_loss, weighted_loss
from noiseproof.adapt.reading import meta_batches, reader, training_batches, training_schedule
from noiseproof.adapt.selection import LOG as VALIDATION_LOG
from noiseproof.adapt.selection import Selection, best
from noiseproof.backbones.adapters.additions import add_to
from noiseproof.backbones.weights import WeightsHeader, load_exactly, read_checkpoint, write_weights
from noiseproof.config.finetune import FinetuneConfig
from noiseproof.core.files import hash_file, write_bytes, write_json
from noiseproof.core.progress import stage
from noiseproof.evaluate.metrics import Outcomes, outcomes
from noiseproof.evaluate.protocol import result_row
from noiseproof.evaluate.results import ResultRow, read_results
from noiseproof.heads.estimators import LinearProbe
from noiseproof.noise.applied import keep_noise
from noiseproof.pipelines.cards import TRAINING_CARD, data_section, make_card, results_section
from noiseproof.pipelines.finetune_inputs import Tuning, open_tuning
from noiseproof.pipelines.folders import check_is_apart, only_main_process_in
from noiseproof.pipelines.inputs import Part, notes
from noiseproof.pipelines.provenance import differences, made_with
from noiseproof.pipelines.stages import Stages, publish
from noiseproof.training.checkpoint import Stateful
from noiseproof.training.loop import COLUMNS, LOG, Loss, accelerator_for, logged, train
from noiseproof.training.optimizers import make_optimizer

BEST, LAST, RESULTS, FACTS = "model.safetensors", "last.safetensors", "results.jsonl", "training.json"
TRAINING, EVALUATION = "training", "evaluation"  # the stages
RULE = (
    "highest accuracy on held-out training examples with their labels as given, the first of equals; test "
    "sets play no part"
)
_FILES = (BEST, LAST, RESULTS, FACTS, LOG, VALIDATION_LOG)
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


def finetune(
    config: FinetuneConfig, *, command: str = "noiseproof.finetune(...)", quiet: bool = False
) -> dict[str, Any]:
    """Train an encoder and its classifier together on labels of which some may be wrong.

    Args:
        config: which data, which encoder, how.
        command: how the user started it, for the card.
        quiet: no progress bars.

    Returns:
        The card, as `card.json` has it; the accuracies are in `results`, all metrics in `results.jsonl`.

    Raises:
        InvalidArgument: a setting, or a backbone that cannot be trained.
        CheckpointMismatch: weights that do not fit, or a folder with another training.
        BadData: data or manifest cannot be used.
    """
    check_is_apart(config.out, (config.train, config.test, *config.ood))
    accelerator = accelerator_for(config.precision)
    with only_main_process_in(config.out, accelerator):
        return run_prepared(open_tuning(config, accelerator, command=command, quiet=quiet))


def run_prepared(this: Tuning) -> dict[str, Any]:
    """Fine-tune on opened data; the caller holds the lock of the folder."""
    stages = Stages(this.out, made_with=made_with(this.command), is_writer=this.accelerator.is_main_process)
    stages.check_free(_FILES, cards=[TRAINING_CARD])
    key = stages.once(
        TRAINING, depends_on=this.identity, make=lambda folder: _train(this, folder), if_changed="refuse"
    )
    if not this.accelerator.is_main_process:  # a process that only helped
        return {}
    stages.once(
        EVALUATION,
        depends_on=[key, this.evaluated],
        make=lambda folder: _evaluate(this, stages, folder),
    )
    publish(stages, cards=[TRAINING_CARD])
    card = _card(this, stages)
    write_json(this.out / TRAINING_CARD, card)
    return card


def _model(this: Tuning) -> Tuned:
    """The network as it is before the first step."""
    settings, seed = this.settings, this.config.seed
    network = this.start.network(len(this.class_names), use_zeros=settings.head_init == "zero", seed=seed)
    if settings.head_init == "probe":
        put_classifier(network, *_probe_weights(this.probe))
    model = tuned(
        network, Tune.parse(settings.tune), lora_rank=settings.lora_rank, lora_alpha=settings.lora_alpha,
        seed=seed,
    )  # fmt: skip
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _probe_weights(probe: LinearProbe) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.as_tensor(probe.state_["classify.weight"]), torch.as_tensor(probe.state_["classify.bias"])


def _train(this: Tuning, folder: Path) -> list[str]:
    """Train, select, and write the weights of the best and of the last step."""
    settings, seed = this.settings, this.config.seed
    is_main = this.accelerator.is_main_process
    noise, noise_files = this.parts.train.noise, []
    if is_main and noise is not None:
        noise_files = keep_noise(this.parts.train.dataset, noise, folder)
    model = _model(this)
    learning, num_all = num_learning(model)
    optimizer = make_optimizer(
        model, settings.optimizer, learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay, momentum=settings.momentum,
    )  # fmt: skip
    batches = training_batches(
        this.train,
        this.given_labels,
        this.start,
        settings,
        seed=seed,
        quiet=this.quiet,
        per_class=settings.per_class,
    )
    images = reader(this.validation, this.start, settings, is_read_again=True, quiet=this.quiet)
    selection = Selection(folder, model, images, this.held_out_labels)
    loss, stateful = _loss(this, optimizer)
    train(
        model, batches, loss, optimizer,
        schedule=training_schedule(
            settings, batches.order, seed=seed, warmup_share=settings.warmup_share,
            eval_epochs=settings.eval_epochs,
        ), accelerator=this.accelerator, folder=folder,
        identity=this.identity, on_eval=selection.look if is_main else lambda step: None, stateful=stateful,
        quiet=this.quiet,
    )  # fmt: skip
    if not is_main:
        return []
    _write_weights(this, model, selection, folder)
    write_json(
        folder / FACTS,
        _facts(this, selection, folder)
        | {"learning": {"mode": settings.tune, "parameters": learning, "of": num_all}},
    )
    return [BEST, LAST, FACTS, LOG, VALIDATION_LOG, *noise_files]


def _loss(this: Tuning, optimizer: torch.optim.Optimizer) -> tuple[Loss, dict[str, Stateful]]:
    settings, num_classes = this.settings, len(this.class_names)
    if this.meta is None or settings.meta is None:
        return classification_loss(
            settings.loss, this.loss_options, num_examples=len(this.train), num_classes=num_classes
        )
    clean = meta_batches(
        this.meta, this.meta_labels, this.start, settings, settings.meta, seed=this.config.seed,
        quiet=this.quiet,
    )  # fmt: skip
    return weighted_loss(
        settings.loss, this.loss_options, settings.meta, clean, optimizer, num_classes=num_classes,
        seed=this.config.seed, device=this.accelerator.device,
    )  # fmt: skip


def _write_weights(this: Tuning, model: Tuned, selection: Selection, folder: Path) -> None:
    chosen = best(selection.looks)
    for name, state in (
        (LAST, model.state_dict()),
        (BEST, read_checkpoint(selection.weights_of(chosen.step))),
    ):
        fresh = _model(this)
        load_exactly(fresh, state, source=name)
        write_weights(folder / name, merged(fresh.network), header=WeightsHeader(**_origin(this)))


def _origin(this: Tuning) -> dict[str, Any]:
    """What the header of the tuned weights and the card say of how they were made."""
    tune = Tune.parse(this.settings.tune)
    stays = tune.addition if tune.has_own_weights else None
    return {
        "additions": None if stays is None else stays.to_json(),
        "noise": dict(this.noise),
        "preprocessing": this.start.preprocessing,
        "architecture": this.start.architecture,
        "prefix": "",
    }


def _facts(this: Tuning, selection: Selection, folder: Path) -> dict[str, Any]:
    """What the card says of the training itself."""
    looks = selection.looks
    chosen, last = best(looks), looks[-1]
    log = logged(folder / LOG)[-1:] or [{"step": last.step, "loss": None, "wall_s": None}]
    return {
        "selection": {
            "num_examples": len(this.validation),
            "best": vars(chosen),
            "last": vars(last),
            "looks": [vars(each) for each in looks],
            "rule": RULE,
        },
        "num_steps": log[0]["step"],
        "final_loss": log[0]["loss"],
        "wall_s": log[0]["wall_s"],
        "weights": {name: log[0][name] for name in log[0] if name not in COLUMNS},
        "transition": None
        if this.transition is None
        else this.transition.to_json() | {"doubt": this.transition.doubt},
    }


def _states(this: Tuning, stages: Stages) -> tuple[torch.nn.Module, dict[str, State]]:
    """The network as it is saved, and name -> weights of everything that is evaluated."""
    network = this.start.network(len(this.class_names), use_zeros=True, seed=this.config.seed)
    if this.stays is not None:
        add_to(network, this.stays, seed=this.config.seed)
    states: dict[str, State] = {}
    for title, name in ((_BEST, BEST), (_LAST, LAST)):
        if title == _LAST and _is_last_best(stages):
            continue
        state = read_checkpoint(stages.path(name))
        load_exactly(network, state, source=str(stages.path(name)))
        states[title] = state
    if this.config.wise_ft:
        before = this.start.network(len(this.class_names), use_zeros=True, seed=this.config.seed)
        put_classifier(before, *_probe_weights(this.probe))
        for alpha in this.config.wise_ft:
            states[f"wise-ft-{alpha:g}"] = interpolated(before.state_dict(), states[_BEST], alpha)
    device = this.accelerator.device
    moved: dict[str, State] = {
        title: {key: value.to(device) for key, value in state.items()} for title, state in states.items()
    }
    return network.eval().to(device), moved


def _evaluate(this: Tuning, stages: Stages, folder: Path) -> list[str]:
    """All weights on all test sets; each image is read once."""
    network, states = _states(this, stages)
    found: dict[tuple[str, str], list[Outcomes]] = {}
    for part in this.parts.tests:
        images = reader(part.dataset, this.start, this.settings, is_read_again=False, quiet=True)
        first = 0
        with stage(f"Testing {part.name}", total=len(part.dataset), unit="image", quiet=this.quiet) as bar:
            for block in images():
                labels = part.best_labels[first : first + len(block)]
                for title, probs in probs_of_each(network, states, block.to(this.accelerator.device)):
                    found.setdefault((title, part.name), []).append(outcomes(probs.cpu().numpy(), labels))
                first += len(block)
                bar.update(len(block))
        if _is_last_best(stages):
            found[_LAST, part.name] = found[_BEST, part.name]
    titles = dict.fromkeys((_BEST, _LAST, *states))
    rows = [_row(this, title, part, found[title, part.name]) for title in titles for part in this.parts.tests]
    write_bytes(folder / RESULTS, "".join(row.to_line() + "\n" for row in rows).encode())
    return [RESULTS]


def _is_last_best(stages: Stages) -> bool:
    return hash_file(stages.path(BEST)) == hash_file(stages.path(LAST))


def _row(this: Tuning, title: str, part: Part, blocks: list[Outcomes]) -> ResultRow:
    return result_row(
        blocks, name=title, seed=this.config.seed, set_name=part.name, domain=part.domain,
        class_names=this.class_names,
    )  # fmt: skip


def _card(this: Tuning, stages: Stages) -> dict[str, Any]:
    facts = json.loads((this.out / FACTS).read_text())
    said = [*notes(this.config, this.parts), *this.start.notes]
    if facts["transition"] is not None:
        said.append(_TRANSITION_NOTE.format(**facts["transition"]))
        said += [doubt for doubt in [facts["transition"]["doubt"]] if doubt is not None]
    if this.config.wise_ft:
        said.append(_WISE_FT_NOTE)
    logged_s = facts.pop("wall_s")
    return make_card(
        "finetune",
        config=this.config,
        made_with=stages.made_with[TRAINING],
        # The log counts the time before an interruption, too.
        wall_s=stages.wall_s | ({} if logged_s is None else {TRAINING: logged_s}),
        notes=said + differences(stages.made_with, TRAINING),
        backbone={
            "name": this.config.backbone,
            "init": this.config.init,
            "weights_hash": this.start.backbone.weights_hash,
        },
        **_origin(this),
        seed=this.config.seed,
        train=data_section(this.train),
        validation=data_section(this.validation),
        meta=None if this.meta is None else data_section(this.meta),
        tests=[data_section(part.dataset) | {"role": part.role} for part in this.parts.tests],
        **facts,
        results=results_section(read_results(this.out / RESULTS)),
        weights_sha256=hash_file(this.out / BEST),
        identity=this.identity,
    )
