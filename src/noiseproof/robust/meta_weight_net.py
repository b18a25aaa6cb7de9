"""Meta-Weight-Net on the features of a frozen encoder."""

from __future__ import annotations

import hashlib
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from noiseproof.core.checks import Allowed, Range, check_arguments, check_unique_ids
from noiseproof.core.errors import BadData, invalid
from noiseproof.heads.abstract import AbstractClassifier
from noiseproof.heads.fit import StackBatch, TrainingExamples, fit_stack
from noiseproof.heads.modules import StackedHeads
from noiseproof.heads.recipes import HeadSpec
from noiseproof.heads.training_data import features_to_predict
from noiseproof.losses.batch import PerExampleLoss
from noiseproof.robust.abstract_robust import AbstractRobustHead, FitInputs, weights_in
from noiseproof.robust.meta_gradient import DenseStep, LossPerExample, NetworkStep, is_dense
from noiseproof.robust.meta_loss import meta_loss_of
from noiseproof.robust.meta_set import check_meta_set
from noiseproof.robust.weight_net import ExampleWeighter, WeightNetOptions
from noiseproof.training.batches import Batch
from noiseproof.training.order import Order

_ALLOWED: dict[str, Allowed] = {
    "meta_batch_size": Range(1.0, is_whole=True),
    "meta_learning_rate": Range(0.0, excludes_low=True),
    "meta_weight_decay": Range(0.0),
    "inner_rate": Range(0.0, excludes_low=True),
    "update_every": Range(1.0, is_whole=True),
    "least_per_class": Range(1.0, is_whole=True),
    "log_steps": Range(1.0, is_whole=True),
    "normalise_weights": bool,
}


@final
@dataclass(eq=False, repr=False)
class MetaWeightNet(AbstractRobustHead):
    """A head whose examples are weighted by a small network, which learns from a few clean examples.

    Args:
        head: head to train, with its options: a `LinearProbe` (the default) or an `MLPProbe`.
        meta_batch_size: clean examples per step, at most all there are.
        meta_optimizer: "adam" (the authors' code) or "sgd" (paper 2's).
        meta_learning_rate: of the weight net.
        meta_weight_decay: of the weight net.
        meta_loss: "cross_entropy" or "mae", of the clean examples.
        normalise_weights: divide the weights of a batch by their sum.
        inner_rate: learning rate of the virtual step; `None` takes the head's current learning rate.
        update_every: number of steps per update of the weight net.
        least_per_class: least number of clean examples per class.
        log_steps: steps between entries of `history_`.

    Attributes:
        heads_: the one fitted head, which can be saved.
        example_weights_: (n,) final learned weight of every training example, in [0, 1]; NaN for examples
            whose `sample_weight` is 0.
        history_: for each logged step the mean and histogram of the weights, the norm of the weight net's
            gradient, and the number of skipped steps.

    Source: Shu et al. 2019, arXiv:1902.07379; the application to frozen features is ours.
    Differs: the paper trains the network with SGD, so one learning rate serves both steps. A head is trained
    with AdamW, but the virtual step is still one of SGD, for which a rate of AdamW (0.001 to 0.01) is small,
    so `inner_rate=None` is not equivalent to the authors' option. AdamW also divides by the size of the
    gradient, so the mean weight hardly matters, only the relative weights of the examples. `sample_weight`,
    which the paper does not have, multiplies the learned weight; the network sees losses without it.
    """

    kind: ClassVar[str] = "meta_weight_net"
    head: AbstractClassifier | None = None
    _: KW_ONLY
    meta_batch_size: int = 100
    meta_optimizer: str = "adam"
    meta_learning_rate: float = 1e-3
    meta_weight_decay: float = 1e-4
    meta_loss: str = "cross_entropy"
    normalise_weights: bool = False
    inner_rate: float | None = 0.1
    update_every: int = 1
    least_per_class: int = 1
    log_steps: int = 50
    example_weights_: Float[np.ndarray, " n"] = field(init=False)
    history_: list[dict[str, Any]] = field(init=False)

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        meta_features: Any = None,
        meta_labels: Any = None,
        ids: Any = None,
        meta_ids: Any = None,
    ) -> MetaWeightNet:
        """Train on features and given labels, with weights learned from clean examples.

        Args:
            X: (n, d) features.
            y: (n,) labels of any type; may be wrong.
            sample_weight: (n,) factors of the loss of each example, >= 0; only their ratios count, and 0
                leaves an example out.
            meta_features: (l, d) features of other examples.
            meta_labels: (l,) their clean labels.
            ids: (n,) ids of the training examples; without ids, equal rows of features count as the same
                example.
            meta_ids: (l,) ids of the clean examples.

        Raises:
            BadData: the meta set is missing or overlaps with the training set, a class has too few clean
                examples or no training example; NaN, different lengths, a repeated id.
            InvalidArgument: an option is out of range, or the loss needs more than one example at a time.
        """
        inputs = self._checked_inputs(X, y, sample_weight)
        spec = _check_dropout(inputs.spec)
        meta, labels = self._meta_set(inputs, meta_features, meta_labels, ids, meta_ids)
        clean = TrainingExamples.from_arrays([meta], labels, len(inputs.classes))
        examples = inputs.examples()
        weighter = ExampleWeighter(self._options(spec.seed), device=examples.given_labels.device)
        run = _MetaWeightRun(self, spec, inputs.loss(), weighter, clean, examples)
        self._with_heads(inputs, fit_stack([spec], examples, run.backward))
        self.history_ = run.history
        self.example_weights_ = inputs.for_all(self._weights(inputs, run))
        return self

    def check_options(self) -> None:
        """Raise `InvalidArgument` if an option is out of range."""
        check_arguments(self.get_params(deep=False), _ALLOWED, may_be_none=("inner_rate",))
        meta_loss_of(self.meta_loss)
        self._options(0)

    def _options(self, seed: int) -> WeightNetOptions:
        return WeightNetOptions(
            optimizer=self.meta_optimizer, learning_rate=self.meta_learning_rate,
            weight_decay=self.meta_weight_decay, normalise=self.normalise_weights,
            update_every=self.update_every, seed=seed,
        )  # fmt: skip

    def _meta_set(
        self,
        inputs: FitInputs,
        meta_features: Any,
        meta_labels: Any,
        ids: Any,
        meta_ids: Any,
    ) -> tuple[Float[np.ndarray, "l d"], Int[np.ndarray, " l"]]:
        if meta_features is None or meta_labels is None:
            raise BadData(
                "`meta_features` and `meta_labels` are required: a few examples outside the training set "
                "with correct labels. Next: check some labels by hand, or fit the head alone."
            )
        if (ids is None) != (meta_ids is None):
            raise BadData("`ids` requires `meta_ids` and the reverse; allowed: both or neither.")
        classes, given = inputs.classes, np.asarray(meta_labels)
        meta = features_to_predict(self, meta_features)
        if given.ndim != 1:
            raise BadData(f"`meta_labels` has the shape {given.shape}; allowed: (l,), a label per row.")
        if len(given) != len(meta):
            raise BadData(
                f"`meta_labels` has {len(given)} rows, `meta_features` {len(meta)}; they must agree."
            )
        has_ids = ids is not None
        if not has_ids:
            ids, meta_ids = _rows_as_ids(inputs.features, meta)
        else:
            ids = _checked_ids(ids, len(inputs.is_used), "ids")[inputs.is_used]
            meta_ids = _checked_ids(meta_ids, len(meta), "meta_ids")
        place = _class_ids(given, classes)
        check_meta_set(
            meta_ids, place,
            num_classes=len(classes),
            others={"training set": ids},
            least_per_class=self.least_per_class,
            advice="" if has_ids else "If they are different examples, pass `ids` and `meta_ids`.",
        )  # fmt: skip
        return meta, place

    def _weights(self, inputs: FitInputs, run: _MetaWeightRun) -> Float[np.ndarray, " n"]:
        with np.errstate(divide="ignore"):
            log_probs = torch.from_numpy(np.log(self.heads_[0].predict_proba(inputs.features)))
        largest = torch.finfo(torch.float32).max
        losses = run.loss(log_probs, torch.from_numpy(inputs.encoded.astype(np.int64)))
        finite = losses.nan_to_num(nan=largest).clamp(max=largest).float()
        return run.weighter.weights(finite.to(run.meta.given_labels.device)).cpu().numpy()


@final
@dataclass(eq=False)
class _MetaWeightRun:
    """The steps of one fit."""

    options: MetaWeightNet
    spec: HeadSpec
    loss: PerExampleLoss
    weighter: ExampleWeighter
    meta: TrainingExamples
    examples: TrainingExamples
    history: list[dict[str, Any]] = field(default_factory=list)

    def backward(self, head: StackedHeads, batch: StackBatch) -> bool:
        """Gradients of the weighted loss; `False` if all weights are zero."""
        weighter = self.weighter
        make = DenseStep if is_dense(head) else NetworkStep
        factors = weights_in(self.examples, batch.index[0])
        examples = {"features": batch.features, "given_labels": batch.given_labels}
        step = make(head, examples, _losses(self.loss))
        losses = step.losses.detach()
        if weighter.is_turn:
            rate = self.options.inner_rate or self.spec.training.learning_rate * batch.factor
            meta_losses = _losses(meta_loss_of(self.options.meta_loss))
            meta_batch = self._meta_batch()
            # By the chain rule: the loss of the batch is the sum of share times factor times loss.
            weighter.learn(
                losses,
                lambda shares: factors * step.slopes(factors * shares, meta_batch, meta_losses, rate=rate),
            )
        shares = weighter.shares(losses)
        if shares is not None:
            step.backward(factors * shares)
        if weighter.num_steps % self.options.log_steps == 0:
            self.history.append({"step": weighter.num_steps, **weighter.facts()})
        return shares is not None

    def _meta_batch(self) -> Batch:
        num_clean = len(self.meta.given_labels)
        order = Order(num_clean, min(self.options.meta_batch_size, num_clean), self.spec.seed)
        rows = torch.from_numpy(order.rows(self.weighter.num_steps))[None]
        features, labels = self.meta.batch(rows.to(self.meta.given_labels.device))
        return {"features": features, "given_labels": labels}


def _losses(loss: PerExampleLoss) -> LossPerExample:
    def losses(head: nn.Module, batch: Batch) -> Tensor:
        _, logits = head(batch["features"])
        return loss(torch.log_softmax(logits, -1), batch["given_labels"])[0]

    return losses


def _check_dropout(spec: HeadSpec) -> HeadSpec:
    """Check that a second forward pass of the head can use the same dropout masks."""
    shape = spec.architecture
    if shape.dropout and (shape.use_batch_norm or shape.use_residual):
        raise invalid("dropout", shape.dropout, "0 with batch_norm or residual, in Meta-Weight-Net")
    return spec


def _class_ids(given: np.ndarray, classes: np.ndarray) -> Int[np.ndarray, " l"]:
    ids = {label: number for number, label in enumerate(classes.tolist())}
    unknown = [label for label in given.tolist() if label not in ids]
    if unknown:
        advice = "leave it out."
        if (given.dtype.kind in "biuf") != (classes.dtype.kind in "biuf"):
            advice = f"give both as one type; these are {given.dtype}, those of training {classes.dtype}."
        raise BadData(
            f"`meta_labels` has the class {unknown[0]!r}, which no training example has. Next: {advice}"
        )
    return np.array([ids[label] for label in given.tolist()], np.int64)


def _checked_ids(ids: Any, num_rows: int, name: str) -> np.ndarray:
    """Check that every row has its own id."""
    given = np.asarray(ids)
    if given.shape != (num_rows,):
        raise BadData(
            f"`{name}` has the shape {given.shape}, its features have {num_rows} rows; allowed: one id "
            "per row. Next: pass the ids of exactly these examples."
        )
    check_unique_ids(given, name)
    return given


def _rows_as_ids(
    features: Float[np.ndarray, "n d"], meta: Float[np.ndarray, "l d"]
) -> tuple[np.ndarray, np.ndarray]:
    """Ids of both sets from the features: equal rows get equal ids."""
    names: dict[bytes, str] = {}
    found = [
        [
            names.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), f"{kind} {number}")
            for number, row in enumerate(np.ascontiguousarray(matrix) + 0.0)  # -0 becomes 0
        ]
        for kind, matrix in (("row", features), ("clean row", meta))
    ]
    return np.array(found[0]), np.array(found[1])
