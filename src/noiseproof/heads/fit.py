"""The training loop of heads; heads of equal shape are stacked into one module and share its steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, Real
from torch import Tensor

from noiseproof.core.errors import InvalidArgument
from noiseproof.core.rng import torch_seed
from noiseproof.core.threads import threads_for
from noiseproof.heads.modules import StackedHeads
from noiseproof.heads.recipes import HeadSpec, Regularization
from noiseproof.heads.step_budget import StepBudget, step_budget
from noiseproof.losses.batch import BatchLoss, batch_loss, expected_loss
from noiseproof.losses.regularizers import consistency, spectral_regularizers
from noiseproof.losses.squared_error import SQUARED_ERROR, squared_error
from noiseproof.training.schedule import learning_rate_factor

State = dict[str, Tensor]  # parameters and running statistics of one head, by name
OnStep = Callable[[int], object]
Backward = Callable[[StackedHeads, "StackBatch"], bool]


@runtime_checkable  # for the checks of types in the tests
class FeatureRows(Protocol):
    """A matrix of features: a tensor, or what reads rows from a file when a batch needs them."""

    @property
    def shape(self) -> Sequence[int]:
        """(n, d)."""
        ...

    def __getitem__(self, rows: Any, /) -> Tensor:
        """Rows by slice or by a tensor of whole numbers."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingExamples:
    """Features and labels that heads are trained on.

    Attributes:
        views: one matrix of features per view; row i is example i in every view.
        given_labels: class ids in [0, num_classes), or scores.
        num_classes: k; 1 for scores.
        true_probs: probabilities of the true labels, for noise-tolerant heads.
        weights: factor of the loss of each example, 1 on average; `None` weighs all alike.
    """

    views: tuple[FeatureRows, ...]
    given_labels: Real[Tensor, " n"]
    num_classes: int
    true_probs: Float[Tensor, "n k"] | None = None
    weights: Float[Tensor, " n"] | None = None

    @classmethod
    def from_arrays(
        cls,
        views: Sequence[np.ndarray],
        given_labels: np.ndarray,
        num_classes: int,
        *,
        true_probs: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> TrainingExamples:
        """Examples on the device to train on: a GPU where there is one."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        labels, *matrices = (torch.from_numpy(each).to(device) for each in (given_labels, *views))
        probs, factors = (
            None if each is None else torch.from_numpy(each).to(device) for each in (true_probs, weights)
        )
        return cls(tuple(matrices), labels, num_classes, probs, factors)

    def batch(self, index: Int[Tensor, "m b"]) -> tuple[Float[Tensor, "m vb d"], Real[Tensor, "m vb"]]:
        """The rows of all views, view by view, and their labels."""
        if len(self.views) == 1:  # without a second copy of the rows
            return self.views[0][index], self.given_labels[index]
        features = torch.cat([view[index] for view in self.views], dim=1)
        return features, self.given_labels[index].repeat(1, len(self.views))


@dataclass(frozen=True, eq=False)
class StackBatch:
    """The batches of m heads in one step.

    Attributes:
        features: of all views, view by view.
        given_labels: of these rows.
        index: row numbers of the examples, the same for every view.
        epoch: number of completed passes over the examples.
        factor: learning rate of this step relative to the peak.
    """

    features: Float[Tensor, "m vb d"]
    given_labels: Real[Tensor, "m vb"]
    index: Int[Tensor, "m b"]
    epoch: int
    factor: float


def fit_specs(
    specs: Sequence[HeadSpec], examples: TrainingExamples, *, on_step: OnStep | None = None
) -> list[State]:
    """Train a head for every spec and return their parameters, in order.

    Every head draws initial weights, batches and dropout masks from its own seed, so its result does not
    depend on the other specs, except for rounding.

    Args:
        specs: any mixture; specs that differ only in seed, learning rate, weight decay and regularisation
            weights are trained together.
        examples: features on the device to train on.
        on_step: called after each step with the number of heads in it.
    """
    states: dict[int, State] = {}
    for members in _stacks(specs, examples.given_labels.device):
        fitted = _fit_stack([specs[i] for i in members], examples, on_step)
        states.update(zip(members, fitted, strict=True))
    return [states[i] for i in range(len(specs))]


def num_steps(specs: Sequence[HeadSpec], num_examples: int) -> int:
    """Total number of steps of all heads, the sum of the calls of `on_step`."""
    return sum(budget_of(spec, num_examples).num_steps for spec in specs)


def budget_of(spec: HeadSpec, n: int) -> StepBudget:
    """Epochs and steps of a head on n examples."""
    t = spec.training
    return step_budget(
        n, epochs=t.epochs, batch_size=t.batch_size, min_steps=t.min_steps, max_steps=t.max_steps
    )


def _stacks(specs: Sequence[HeadSpec], device: torch.device) -> list[list[int]]:
    """Groups of indices of specs that are trained together."""
    stacks: dict[object, list[int]] = {}
    for i, spec in enumerate(specs):
        # One MLP uses a CPU fully; stacking more only hurts its cache (benchmarks/bench_heads.py).
        alone = i if device.type == "cpu" and spec.architecture.hidden_layers else None
        shared = replace(
            spec,
            seed=0,
            training=replace(spec.training, learning_rate=1.0, weight_decay=0.0),
            regularization=replace(spec.regularization, weight_mse=0.0, weight_cov=0.0, weight_svd=0.0),
        )
        stacks.setdefault((shared, spec.regularization.is_active, alone), []).append(i)
    return list(stacks.values())


def _fit_stack(specs: Sequence[HeadSpec], examples: TrainingExamples, on_step: OnStep | None) -> list[State]:
    loss = _weighted(_loss(specs, examples), examples)

    def backward(module: StackedHeads, batch: StackBatch) -> bool:
        losses = objective(module, specs, batch.features, batch.given_labels, batch.index, loss=loss)
        losses.sum().backward()
        return True

    return fit_stack(specs, examples, backward, on_step=on_step)


def fit_stack(
    specs: Sequence[HeadSpec],
    examples: TrainingExamples,
    backward: Backward,
    *,
    on_step: OnStep | None = None,
) -> list[State]:
    """Train heads of equal shape as members of one module, with the caller's gradients.

    Args:
        specs: as in `fit_specs`, with the same architecture and schedule.
        examples: features on the device to train on.
        backward: (module, batch) -> whether to take this step; writes the gradients into the module.
        on_step: called after each step with the number of heads in it.
    """
    device = examples.given_labels.device
    generators = [_generator(spec, "weights") for spec in specs]
    dim = examples.views[0].shape[1]
    module = StackedHeads(dim, examples.num_classes, specs[0].architecture, generators=generators)
    module = module.to(device).train()
    with threads_for(_largest_product(module, examples, specs[0])):
        _take_steps(module, specs, examples, backward, on_step)
    return [_state_of_member(module, i, spec) for i, spec in enumerate(specs)]


def _largest_product(module: StackedHeads, examples: TrainingExamples, spec: HeadSpec) -> int:
    """Multiply-adds of the largest layer in one step of all members."""
    n = len(examples.given_labels)
    rows_per_step = math.ceil(n / budget_of(spec, n).steps_per_epoch) * len(examples.views)
    return rows_per_step * max(parameter.numel() for parameter in module.parameters())


def _take_steps(
    module: StackedHeads, specs: Sequence[HeadSpec], examples: TrainingExamples, backward: Backward,
    on_step: OnStep | None,
) -> None:  # fmt: skip
    n, device, training = len(examples.given_labels), examples.given_labels.device, specs[0].training
    schedule = budget_of(specs[0], n)
    members = _member_views(module, len(specs))
    optimizer = _optimizer(members, specs)
    peaks = [group["lr"] for group in optimizer.param_groups]
    for step, index in enumerate(_batches(specs, n, schedule.epochs, schedule.steps_per_epoch)):
        factor = learning_rate_factor(
            step, num_steps=schedule.num_steps, warmup_steps=training.warmup_steps, decay=training.decay
        )
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * factor
        rows = index.to(device)
        batch = StackBatch(*examples.batch(rows), rows, step // schedule.steps_per_epoch, factor)
        if backward(module, batch):
            _take_step(optimizer, members)
        if on_step is not None:
            on_step(len(specs))


def _take_step(optimizer: torch.optim.Optimizer, members: list[tuple[Tensor, list[Tensor]]]) -> None:
    for whole, parts in members:
        gradients = torch.zeros_like(whole) if whole.grad is None else whole.grad
        for part, gradient in zip(parts, gradients, strict=True):
            part.grad = gradient
        whole.grad = None
    optimizer.step()


def objective(
    module: StackedHeads,
    specs: Sequence[HeadSpec],
    features: Float[Tensor, "m vb d"],
    given_labels: Real[Tensor, "m vb"],
    rows: Int[Tensor, "m b"],
    *,
    loss: BatchLoss,
) -> Float[Tensor, " m"]:
    r"""The loss of each member on its batch.

    L = loss + w_mse consistency + w_cov covariance - w_svd dominance; a term is computed only if a member has
    a weight for it.

    Args:
        module: m heads.
        specs: one per member.
        features: of v views, one after the other.
        given_labels: of these features.
        rows: row numbers of the examples, once for all views.
        loss: of the classes or scores, for all members; that of scores takes the outputs as they are.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, Eq. 6.
    """
    reshaped, logits = module(features)
    outputs = logits if specs[0].training.loss == SQUARED_ERROR else torch.log_softmax(logits, -1)
    total = loss(outputs, given_labels, rows).mean(-1)
    if not any(spec.regularization.is_active for spec in specs):
        return total
    terms = [spec.regularization for spec in specs]
    if any(r.weight_mse for r in terms):
        total = total + _weights(terms, "weight_mse", total) * _consistency(
            features, reshaped, terms[0], rows.shape[1]
        )
    if any(r.weight_cov or r.weight_svd for r in terms):
        covariance, dominance = spectral_regularizers(reshaped, num_top=terms[0].num_singular_values)
        total = total + _weights(terms, "weight_cov", total) * covariance
        total = total - _weights(terms, "weight_svd", total) * dominance
    return total


def _consistency(features: Tensor, reshaped: Tensor, terms: Regularization, b: int) -> Tensor:
    if not terms.is_cross_view:
        return consistency(features, reshaped)
    # Mean over examples and features, as released.
    return consistency(features[:, :b], reshaped[:, b : 2 * b]) / features.shape[-1]


def _weights(terms: Sequence[Regularization], name: str, like: Tensor) -> Tensor:
    return torch.tensor([getattr(r, name) for r in terms], dtype=like.dtype, device=like.device)


def _loss(specs: Sequence[HeadSpec], examples: TrainingExamples) -> BatchLoss:
    """The loss of classes or scores, of a noise-tolerant head its expectation over the true labels."""
    training, generators = specs[0].training, [_generator(spec, "loss") for spec in specs]
    if training.loss == SQUARED_ERROR:
        return lambda outputs, scores, rows: squared_error(outputs[..., 0], scores)
    if training.noise_tolerant:
        probs, num_views = examples.true_probs, len(examples.views)
        assert probs is not None  # `fit_heads` computes it
        expected = expected_loss(training.loss, training.loss_options, num_classes=examples.num_classes)
        return lambda log_probs, given_labels, rows: expected(log_probs, probs[rows].repeat(1, num_views, 1))
    return batch_loss(
        training.loss, training.loss_options, num_examples=len(examples.given_labels),
        num_classes=examples.num_classes, generators=generators,
    )  # fmt: skip


def _weighted(loss: BatchLoss, examples: TrainingExamples) -> BatchLoss:
    """The loss times the weight of each example; NMTune's terms are of features and stay as they are."""
    weights, num_views = examples.weights, len(examples.views)
    if weights is None:
        return loss
    return lambda outputs, labels, rows: weights[rows].repeat(1, num_views) * loss(outputs, labels, rows)


def _batches(specs: Sequence[HeadSpec], n: int, epochs: int, steps_per_epoch: int) -> Iterator[Tensor]:
    """Row numbers (m, b) of each step; every member shuffles with its own generator."""
    generators = [_generator(spec, "batches") for spec in specs]
    for _ in range(epochs):
        order = torch.stack([torch.randperm(n, generator=g) for g in generators])
        yield from order.tensor_split(steps_per_epoch, dim=1)


def _member_views(module: StackedHeads, num_members: int) -> list[tuple[Tensor, list[Tensor]]]:
    """Each stacked parameter with one tensor per member that shares its memory.

    The module computes with the stacked parameter and the optimiser updates the members, so every member can
    have its own learning rate and weight decay.
    """
    return [(p, [p.detach()[i] for i in range(num_members)]) for p in module.parameters()]


def _optimizer(members: list[tuple[Tensor, list[Tensor]]], specs: Sequence[HeadSpec]) -> torch.optim.AdamW:
    groups = [
        {
            "params": [parts[i] for _, parts in members],
            "lr": spec.training.learning_rate,
            "weight_decay": spec.training.weight_decay,
        }
        for i, spec in enumerate(specs)
    ]
    return torch.optim.AdamW(groups, fused=True)


def _state_of_member(module: StackedHeads, index: int, spec: HeadSpec) -> State:
    state = {name: value[index].detach().cpu().clone() for name, value in module.state_dict().items()}
    if not all(math.isfinite(float(value.sum())) for value in state.values()):
        raise InvalidArgument(
            f"Training diverged with `learning_rate` {spec.training.learning_rate!r} (seed {spec.seed}): the "
            "weights are no longer finite. Allowed: a rate at which the loss falls. Next: try a tenth of it, "
            "or divide features that are far from 1 by their standard deviation."
        )
    return state


def _generator(spec: HeadSpec, purpose: str) -> torch.Generator:
    return torch.Generator().manual_seed(torch_seed(spec.seed, "head", purpose))
