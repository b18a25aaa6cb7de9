"""The whole of a fine-tuning: data -> noise -> encoder -> training with selection -> evaluation -> card.

`finetune` below is that sentence. Training and evaluation are each done once: a second start of the same goes
on where the first stopped, and one with other evaluation sets evaluates anew without training again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from noiseproof.adapt.initial_encoder import put_classifier
from noiseproof.adapt.interpolation import State, interpolated, probs_of_each
from noiseproof.adapt.learnable import Tune, Tuned, merged, num_learning, tuned
from noiseproof.adapt.objective import classification_loss, weighted_loss
from noiseproof.adapt.reading import meta_batches, reader, training_batches, training_schedule
from noiseproof.adapt.selection import LOOKS, Selection, best
from noiseproof.backbones.adapters.additions import add_to
from noiseproof.backbones.weights import load_exactly, read_checkpoint, write_weights
from noiseproof.config.adapt import FinetuneJob
from noiseproof.core.files import hash_file, write_bytes, write_json
from noiseproof.core.progress import stage
from noiseproof.evaluate.metrics import Outcomes, outcomes
from noiseproof.evaluate.protocol import result_row
from noiseproof.evaluate.results import ResultRow
from noiseproof.heads.estimators import LinearProbe
from noiseproof.noise.applied import keep_noise
from noiseproof.pipelines.cards import (
    CARD,
    data_card,
    finetune_card,
    finished,
    tuned_metadata,
    weights_header,
)
from noiseproof.pipelines.finetune_inputs import Tuning, open_tuning
from noiseproof.pipelines.folders import check_is_apart, only_process_in
from noiseproof.pipelines.inputs import Part, notes
from noiseproof.training.checkpoint import Stateful
from noiseproof.training.loop import CHECKPOINT, COLUMNS, LOG, Loss, accelerator_for, logged, train
from noiseproof.training.optimizers import make_optimizer

BEST, LAST, RESULTS, TRAINED = "model.safetensors", "last.safetensors", "results.jsonl", "training.json"
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


def finetune(job: FinetuneJob) -> dict[str, Any]:
    """An encoder and its classifier, trained together on labels of which some may be wrong.

    Returns:
        The card, as `card.json` has it; the accuracies are in `results`, all metrics in `results.jsonl`.

    Raises:
        InvalidArgument: a setting, or a backbone that cannot be trained.
        CheckpointMismatch: weights that do not fit, or a folder with another training.
        BadData: data or manifest cannot be used.
    """
    check_is_apart(Path(job.out), (job.train, job.test, *job.ood))
    accelerator = accelerator_for(job.settings.precision)
    with _alone(job, accelerator):
        return carried_out(open_tuning(job, accelerator))


def carried_out(this: Tuning) -> dict[str, Any]:
    """The same of data that is open already; nobody else may use the folder."""
    done = finished(this.out, this.identity)
    if done is not None and done["evaluated"] == this.evaluated:
        return done
    trained = _trained(this)
    if trained is None:  # a process that only helped
        return {}
    begin = time.perf_counter()
    rows = _evaluated(this)
    write_bytes(this.out / RESULTS, "".join(row.to_line() + "\n" for row in rows).encode())
    card = _card(this, trained, rows, time.perf_counter() - begin)
    write_json(this.out / CARD, card)
    return card


def _alone(job: FinetuneJob, accelerator: Any) -> AbstractContextManager[Any]:
    return only_process_in(Path(job.out), mark=CARD) if accelerator.num_processes == 1 else nullcontext()


def _model(this: Tuning) -> Tuned:
    """The network as it is before the first step."""
    settings, seed = this.job.settings, this.job.seed
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


def _trained(this: Tuning) -> dict[str, Any] | None:
    """Train, select, and write the weights of the best and of the last step; done once."""
    done = finished(this.out, this.identity, file=TRAINED)
    if done is not None:
        _tidied(this)
        return done
    job, settings = this.job, this.job.settings
    is_main = this.accelerator.is_main_process
    if is_main and this.parts.train.noise is not None:
        keep_noise(this.parts.train.dataset, this.parts.train.noise, this.out)
    model = _model(this)
    learning, num_all = num_learning(model)
    optimizer = make_optimizer(
        model, settings.optimizer, learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay, momentum=settings.momentum,
    )  # fmt: skip
    batches = training_batches(
        this.train, this.given_labels, this.start, settings, seed=job.seed, quiet=job.quiet
    )
    images = reader(this.validation, this.start, settings, is_read_again=True, quiet=job.quiet)
    selection = Selection(this.out, model, images, this.held_out_labels)
    loss, stateful = _loss(this, optimizer)
    train(
        model, batches, loss, optimizer,
        schedule=training_schedule(settings, batches.order, seed=job.seed), accelerator=this.accelerator,
        folder=this.out, identity=this.identity, on_eval=selection.look if is_main else lambda step: None,
        stateful=stateful, quiet=job.quiet,
    )  # fmt: skip
    if not is_main:
        return None
    return _kept(this, model, selection, {"mode": settings.tune, "parameters": learning, "of": num_all})


def _loss(this: Tuning, optimizer: torch.optim.Optimizer) -> tuple[Loss, dict[str, Stateful]]:
    settings, num_classes = this.job.settings, len(this.class_names)
    if this.meta is None or settings.meta is None:
        return classification_loss(
            settings.loss, this.loss_options, num_examples=len(this.train), num_classes=num_classes
        )
    clean = meta_batches(
        this.meta, this.meta_labels, this.start, settings, settings.meta, seed=this.job.seed,
        quiet=this.job.quiet,
    )  # fmt: skip
    return weighted_loss(
        settings.loss, this.loss_options, settings.meta, clean, optimizer, num_classes=num_classes,
        seed=this.job.seed, device=this.accelerator.device,
    )  # fmt: skip


def _kept(this: Tuning, model: Tuned, selection: Selection, learning: dict[str, Any]) -> dict[str, Any]:
    """Write what the training left."""
    looks = selection.looks
    chosen, last = best(looks), looks[-1]
    for name, state in (
        (LAST, model.state_dict()),
        (BEST, read_checkpoint(selection.weights_of(chosen.step))),
    ):
        fresh = _model(this)
        load_exactly(fresh, state, source=name)
        header = weights_header(tuned_metadata(this.start, this.job.settings, this.noise))
        write_weights(this.out / name, merged(fresh.network), header=header)
    log = logged(this.out / LOG)[-1:] or [{"step": last.step, "loss": None, "wall_s": None}]
    trained = {
        "learning": learning,
        "selection": {
            "num_examples": len(this.validation),
            "best": vars(chosen),
            "last": vars(last),
            "looks": [vars(each) for each in looks],
        },
        "num_steps": log[0]["step"],
        "final_loss": log[0]["loss"],
        "wall_s": log[0]["wall_s"],
        "weights": {name: log[0][name] for name in log[0] if name not in COLUMNS},
        "transition": None
        if this.transition is None
        else this.transition.to_json() | {"doubt": this.transition.doubt},
        "identity": this.identity,
    }
    write_json(this.out / TRAINED, trained)
    _tidied(this)
    return trained


def _tidied(this: Tuning) -> None:
    """Delete what only served to go on."""
    (this.out / CHECKPOINT).unlink(missing_ok=True)
    for path in this.out.glob(LOOKS):
        path.unlink()


def _states(this: Tuning) -> tuple[torch.nn.Module, dict[str, State]]:
    """The network as it is saved, and name -> weights of everything that is evaluated."""
    network = this.start.network(len(this.class_names), use_zeros=True, seed=this.job.seed)
    if this.stays is not None:
        add_to(network, this.stays, seed=this.job.seed)
    states: dict[str, State] = {}
    for title, name in ((_BEST, BEST), (_LAST, LAST)):
        if title == _LAST and _is_last_best(this):
            continue
        state = read_checkpoint(this.out / name)
        load_exactly(network, state, source=str(this.out / name))
        states[title] = state
    if this.job.wise_ft:
        before = this.start.network(len(this.class_names), use_zeros=True, seed=this.job.seed)
        put_classifier(before, *_probe_weights(this.probe))
        for alpha in this.job.wise_ft:
            states[f"wise-ft-{alpha:g}"] = interpolated(before.state_dict(), states[_BEST], alpha)
    device = this.accelerator.device
    moved: dict[str, State] = {
        title: {key: value.to(device) for key, value in state.items()} for title, state in states.items()
    }
    return network.eval().to(device), moved


def _evaluated(this: Tuning) -> list[ResultRow]:
    """All weights on all test sets; each image is read once."""
    network, states = _states(this)
    found: dict[tuple[str, str], list[Outcomes]] = {}
    for part in this.parts.tests:
        images = reader(part.dataset, this.start, this.job.settings, is_read_again=False, quiet=True)
        first = 0
        with stage(
            f"Testing {part.name}", total=len(part.dataset), unit="image", quiet=this.job.quiet
        ) as bar:
            for block in images():
                labels = part.best_labels[first : first + len(block)]
                for title, probs in probs_of_each(network, states, block.to(this.accelerator.device)):
                    found.setdefault((title, part.name), []).append(outcomes(probs.cpu().numpy(), labels))
                first += len(block)
                bar.update(len(block))
        if _is_last_best(this):
            found[_LAST, part.name] = found[_BEST, part.name]
    titles = dict.fromkeys((_BEST, _LAST, *states))
    return [_row(this, title, part, found[title, part.name]) for title in titles for part in this.parts.tests]


def _is_last_best(this: Tuning) -> bool:
    return hash_file(this.out / BEST) == hash_file(this.out / LAST)


def _row(this: Tuning, title: str, part: Part, blocks: list[Outcomes]) -> ResultRow:
    return result_row(
        blocks, name=title, seed=this.job.seed, set_name=part.name, domain=part.domain,
        class_names=this.class_names,
    )  # fmt: skip


def _card(
    this: Tuning, trained: Mapping[str, Any], rows: list[ResultRow], evaluation_wall_s: float
) -> dict[str, Any]:
    said = [*notes(this.config, this.parts), *this.start.notes]
    if trained["transition"] is not None:
        said.append(_TRANSITION_NOTE.format(**trained["transition"]))
        said += [doubt for doubt in [trained["transition"]["doubt"]] if doubt is not None]
    data = {
        "train": data_card(this.train),
        "validation": data_card(this.validation),
        "meta": None if this.meta is None else data_card(this.meta),
        "tests": [data_card(part.dataset) | {"role": part.role} for part in this.parts.tests],
    }
    return finetune_card(
        backbone=this.job.backbone, start=this.start, settings=this.job.settings, seed=this.job.seed,
        command=this.job.command, weights=this.out / BEST, data=data, noise=this.noise, trained=trained,
        rows=rows, notes=[*said, _WISE_FT_NOTE] if this.job.wise_ft else said, evaluated=this.evaluated,
        evaluation_wall_s=evaluation_wall_s,
    )  # fmt: skip
