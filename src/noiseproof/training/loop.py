"""The training loop for whole networks: steps, schedule, accumulation, mixed precision, exact resume."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict
from torch import Tensor, nn

from noiseproof.core.errors import BadData, invalid, missing_extra
from noiseproof.core.progress import progress
from noiseproof.core.rng import isolated
from noiseproof.core.storage import files
from noiseproof.core.storage.checksums import read_lines, to_line
from noiseproof.core.storage.documents import Document, validate_document
from noiseproof.training.batches import AbstractBatches, Batch
from noiseproof.training.checkpoint import Stateful, restore_training, write_checkpoint
from noiseproof.training.order import Share
from noiseproof.training.schedule import learning_rate_factor

CHECKPOINT, LOG = "checkpoint.safetensors", "log.jsonl"
_DELETE_LINE = "delete that line and start the same command again; it is a line of the log only"
COLUMNS = ("step", "loss", "learning_rate", "wall_s")  # of the log; facts of stateful losses come on top
PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
Loss = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class TrainingSchedule:
    """Number of steps, learning rate, precision, and how often something is written.

    Attributes:
        num_steps: optimiser steps.
        warmup_steps: steps of linear rise; a cosine falls to 0 afterwards.
        is_constant: the learning rate stays instead.
        precision: a key of `PRECISIONS`; other than float32 it is automatic mixed precision.
        accumulation: parts that a batch is computed in, one after the other.
        max_grad_norm: gradients longer than this are scaled down; `None` leaves them.
        seed: of everything a step draws from global generators.
        checkpoint_steps: steps between checkpoints, which is what an interruption can cost.
        log_steps: steps between lines of the log.
        eval_steps: steps between evaluations (see `train`); `None` evaluates at the end only.
    """

    num_steps: int
    warmup_steps: int = 0
    precision: str = "float32"
    accumulation: int = 1
    max_grad_norm: float | None = None
    seed: int = 0
    checkpoint_steps: int = 500
    log_steps: int = 50
    eval_steps: int | None = None
    is_constant: bool = False

    def is_end_of(self, steps: int | None, done: int) -> bool:
        """Whether something that happens every `steps` steps and at the end is due after `done` steps."""
        return done == self.num_steps or (steps is not None and done % steps == 0)


def accelerator_for(precision: str) -> Any:
    """Process group and mixed precision, as `accelerate` finds them.

    Raises:
        MissingExtra: accelerate is not installed.
        InvalidArgument: float16 on a CPU.
    """
    has_device = torch.accelerator.is_available()
    if precision == "float16" and not has_device:
        raise invalid("precision", precision, "float32 or bfloat16 on a CPU")
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "accelerate", "pretrain", "Training a whole network") from error
    AcceleratorState._reset_state()  # one process may train twice, with another precision the second time
    # By default accelerate does not group the processes of a machine without accelerators.
    return Accelerator(mixed_precision=PRECISIONS[precision], cpu=not has_device)


def train(
    model: nn.Module,
    batches: AbstractBatches,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    *,
    schedule: TrainingSchedule,
    accelerator: Any,
    folder: Path,
    identity: Mapping[str, Any],
    on_eval: Callable[[int], None] | None = None,
    stateful: Mapping[str, Stateful] | None = None,
    quiet: bool = False,
) -> None:
    """Train `model` in place.

    Killed at any step, the same call resumes from the last checkpoint in `folder` and ends, on a CPU, with
    the same bytes. Under `accelerate launch` or `torchrun` every process takes its share of each batch.

    Args:
        model: on any device; moved to the accelerator's, where it computes in float32 afterwards.
        batches: by step number.
        loss: (model, batch) -> mean loss of the batch. It calls the model it is given: in parallel training
            that is the wrapper which averages gradients. A value that needs no gradient skips the step.
        optimizer: of the model's parameters; each group's learning rate is the highest of the schedule.
        schedule: of the steps.
        accelerator: of `accelerator_for`.
        folder: of checkpoint and log.
        identity: JSON values that identify this training; a checkpoint of another is refused.
        on_eval: called with the number of steps done, e.g. to validate. A checkpoint follows each call, so
            that after a kill it is either repeated or its step is never reached again. It must leave the
            model, its mode and the global generators as they were.
        stateful: objects that learn beside the model, such as a loss; every checkpoint has their state, the
            log their facts.
        quiet: no progress bar.

    Raises:
        InvalidArgument: a batch cannot be divided among processes and parts.
        CheckpointMismatch: the folder has a checkpoint of other settings.
        BadData: the loss or a weight became NaN or infinite, in whichever process; all of them raise.
    """
    share = Share(accelerator.process_index, accelerator.num_processes)
    _check_division(batches.order.batch_size, share.world, schedule.accumulation)
    peaks = [float(group["lr"]) for group in optimizer.param_groups]
    begin, scaling = restore_training(
        folder / CHECKPOINT, model, optimizer, identity=identity, stateful=stateful
    )  # fmt: skip
    bare, bare_optimizer = model, optimizer
    model, optimizer = accelerator.prepare(model, optimizer)
    if scaling:
        accelerator.scaler.load_state_dict(scaling)
    log = _Log(folder / LOG, begin, schedule, is_writer=accelerator.is_main_process)
    with progress(
        "Training", total=schedule.num_steps - begin, unit="step", quiet=quiet or share.rank > 0
    ) as bar:
        for step, batch in enumerate(batches.iterate(range(begin, schedule.num_steps), share), start=begin):
            factor = _rate_factor(schedule, step)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            with isolated(schedule.seed, "step", step, share.rank):
                value = _step(accelerator, model, optimizer, loss, batch, schedule)
            done = step + 1
            if schedule.is_end_of(schedule.log_steps, done):
                facts = {
                    key: fact for each in (stateful or {}).values() for key, fact in each.facts().items()
                }
                log.write(done, _checked(accelerator.reduce(value, "mean"), step), peaks[0] * factor, facts)
            is_eval = on_eval is not None and schedule.is_end_of(schedule.eval_steps, done)
            if is_eval or schedule.is_end_of(schedule.checkpoint_steps, done):
                _checked(accelerator.reduce(value, "mean"), step)
                _check_weights(accelerator, bare, step)
                if on_eval is not None and is_eval:
                    on_eval(done)
                if accelerator.is_main_process:
                    scaler = None if accelerator.scaler is None else accelerator.scaler.state_dict()
                    write_checkpoint(
                        folder / CHECKPOINT, bare, bare_optimizer, step=done, identity=identity,
                        scaler=scaler, stateful=stateful,
                    )  # fmt: skip
            bar.update()
    accelerator.wait_for_everyone()
    accelerator.unwrap_model(bare, keep_fp32_wrapper=False)  # else it would go on in mixed precision


def _rate_factor(schedule: TrainingSchedule, step: int) -> float:
    if schedule.is_constant:
        return 1.0
    return learning_rate_factor(step, num_steps=schedule.num_steps, warmup_steps=schedule.warmup_steps)


def _step(
    accelerator: Any, model: nn.Module, optimizer: Any, loss: Loss, batch: Batch, schedule: TrainingSchedule
) -> Tensor:
    """One optimiser step; the mean loss of this process's share, detached."""
    total = torch.zeros((), device=accelerator.device)
    is_learned = False
    for part, chunk in enumerate(_parts(batch, schedule.accumulation)):
        is_last = part == schedule.accumulation - 1
        waiting: AbstractContextManager[Any] = nullcontext() if is_last else accelerator.no_sync(model)
        on_device = {name: value.to(accelerator.device) for name, value in chunk.items()}
        with waiting:
            value = loss(model, on_device) / schedule.accumulation  # in float32: the model's outputs are cast
            if value.requires_grad:
                accelerator.backward(value)
                is_learned = True
        total += value.detach()
    if not is_learned:
        return total
    if schedule.max_grad_norm is not None:
        accelerator.clip_grad_norm_(model.parameters(), schedule.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return total


def _parts(batch: Batch, number: int) -> Iterator[Batch]:
    cut = {name: value.chunk(number) for name, value in batch.items()}
    for part in range(number):
        yield {name: chunks[part] for name, chunks in cut.items()}


def _check_division(batch_size: int, world: int, accumulation: int) -> None:
    if batch_size % (world * accumulation):
        raise invalid(
            "batch_size", batch_size,
            f"a multiple of {world} processes x {accumulation} parts (accumulation)",
            f"Next: {math.ceil(batch_size / (world * accumulation)) * world * accumulation}.",
        )  # fmt: skip


_WHAT_HELPS = (
    "Next: lower learning_rate, lengthen the warm-up, or set precision=float32, with another --out: this one "
    "has checkpoints of these settings."
)


def _checked(value: Tensor, step: int) -> float:
    """Mean loss of all processes; all of them raise when it is not finite."""
    number = float(value)
    if not math.isfinite(number):
        raise BadData(
            f"The loss is {number} at step {step}; allowed: finite numbers. Nothing of this step was kept. "
            f"{_WHAT_HELPS}"
        )
    return number


def _check_weights(accelerator: Any, model: nn.Module, step: int) -> None:
    """Raise before broken weights replace a good checkpoint: a finite loss may have an infinite gradient."""
    broken = [name for name, value in model.state_dict().items() if not torch.isfinite(value).all()]
    number = torch.tensor(float(len(broken)), device=accelerator.device)
    if float(accelerator.reduce(number, "sum")):
        named = f" ({', '.join(broken[:3])})" if broken else ""
        raise BadData(
            f"Weights{named} are NaN or infinite after step {step}, the loss is not; allowed: finite "
            f"numbers. The checkpoint before it was kept. {_WHAT_HELPS}"
        )


class _Log:
    """A JSON line per logged step; lines after the checkpoint are dropped when a training resumes."""

    def __init__(self, path: Path, begin: int, schedule: TrainingSchedule, *, is_writer: bool) -> None:
        self._path, self._is_writer = path, is_writer
        self._start_s = time.perf_counter()
        if is_writer:
            kept = [row for row in logged(path) if row["step"] <= begin] if begin else []
            self._start_s -= kept[-1]["wall_s"] if kept else 0.0
            due = [step for step in range(1, begin + 1) if schedule.is_end_of(schedule.log_steps, step)]
            if num_lost := len(due) - len(kept):  # a line is on disk before the checkpoint after it
                warnings.warn(
                    f"{str(path)!r} has lost {num_lost} of its lines; the training goes on from its "
                    "checkpoint, the log without them.",
                    stacklevel=3,
                )
            files.write_bytes(path, "".join(f"{to_line(row)}\n" for row in kept).encode())

    def write(self, step: int, loss: float, learning_rate: float, facts: Mapping[str, Any]) -> None:
        if self._is_writer:
            row = {"step": step, "loss": round(loss, 6), "learning_rate": learning_rate, **facts}
            row["wall_s"] = round(time.perf_counter() - self._start_s, 2)
            files.append_lines(self._path, [to_line(row)])


def logged(path: Path) -> list[dict[str, Any]]:
    """Lines of a log, without one that a kill cut short; empty without a log.

    Raises:
        DamagedFile: a line is not what was written; its number is given.
    """
    lines = read_lines(path, next_step=_DELETE_LINE) if path.exists() else []
    return [
        validate_document(
            line, _LogRow, source=f"line {number} of {path}", next_step=_DELETE_LINE
        ).model_dump()
        for number, line in enumerate(lines, start=1)
    ]


class _LogRow(Document):
    """The values of a line that are read again; others are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")
    step: int
    wall_s: float
