"""Meta-Weight-Net on the features of a frozen encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from noiseproof.adapt.meta_gradient import DenseStep, NetworkStep, is_dense
from noiseproof.adapt.meta_set import check_meta_set
from noiseproof.adapt.meta_weight import meta_loss_of
from noiseproof.adapt.weight_net import Weigher, WeightOptions
from noiseproof.errors import BadData, invalid
from noiseproof.heads.abstract import AbstractHead
from noiseproof.heads.estimators import LinearProbe
from noiseproof.heads.fit import Examples, StackBatch, fit_stack
from noiseproof.heads.inputs import features_to_predict, training_data
from noiseproof.heads.modules import Head
from noiseproof.heads.recipes import Spec
from noiseproof.losses.batch import PlainLoss, plain_loss
from noiseproof.training.batches import Batch
from noiseproof.training.order import Order


class MetaWeightNet(ClassifierMixin, BaseEstimator):
    """A head whose examples count as a small network says, which learns from a few clean examples.

    Args:
        head: what is trained, with its options: a `LinearProbe` (the default) or an `MLPProbe`.
        meta_batch_size: clean examples per step, at most all there are.
        meta_optimizer: "adam" (the authors' code) or "sgd" (paper 2's).
        meta_learning_rate: of the weight net.
        meta_weight_decay: of the weight net.
        meta_loss: "cross_entropy" or "mae", of the clean examples.
        normalise_weights: divide the weights of a batch by their sum.
        inner_rate: of the virtual step; `None` follows the head's own learning rate.
        update_every: the weight net learns in one of so many steps.
        least_per_class: clean examples that each class needs.
        log_steps: steps between entries of `history_`.

    Attributes:
        head_: the fitted head, which can be saved.
        classes_: (k,) labels as they were given, sorted.
        example_weights_: (n,) weight in [0, 1] of every training example, at the end.
        history_: per logged step, the mean and histogram of the weights, the length of the weight net's
            gradient, and how many steps were skipped.

    Source: Shu et al. 2019, arXiv:1902.07379; on frozen features it is ours.
    """

    classes_: np.ndarray
    n_features_in_: int
    head_: AbstractHead
    example_weights_: Float[np.ndarray, " n"]
    history_: list[dict[str, Any]]

    def __init__(
        self,
        head: AbstractHead | None = None,
        *,
        meta_batch_size: int = 100,
        meta_optimizer: str = "adam",
        meta_learning_rate: float = 1e-3,
        meta_weight_decay: float = 1e-4,
        meta_loss: str = "cross_entropy",
        normalise_weights: bool = False,
        inner_rate: float | None = 0.1,
        update_every: int = 1,
        least_per_class: int = 1,
        log_steps: int = 50,
    ) -> None:
        self.head = head
        self.meta_batch_size = meta_batch_size
        self.meta_optimizer = meta_optimizer
        self.meta_learning_rate = meta_learning_rate
        self.meta_weight_decay = meta_weight_decay
        self.meta_loss = meta_loss
        self.normalise_weights = normalise_weights
        self.inner_rate = inner_rate
        self.update_every = update_every
        self.least_per_class = least_per_class
        self.log_steps = log_steps

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        meta_features: Any = None,
        meta_labels: Any = None,
        ids: Any = None,
        meta_ids: Any = None,
    ) -> MetaWeightNet:
        """Train on features and given labels, guided by clean ones.

        Args:
            X: (n, d) features.
            y: (n,) labels of any type; may be wrong.
            meta_features: (l, d) features of other examples.
            meta_labels: (l,) their clean labels.
            ids: (n,) ids of the training examples; without ids, equal rows of features count as one example.
            meta_ids: (l,) ids of the clean examples.

        Raises:
            BadData: there is no meta set, it shares an example with the training set, a class has too few
                clean examples or none in training; NaN, lengths that differ.
            InvalidArgument: an option, or a loss that needs more than one example.
        """
        head = LinearProbe() if self.head is None else clone(self.head)
        spec, options = _checked(head.spec()), self._options(head)
        matrix, labels = training_data([self], X, y)
        classes, encoded = np.unique(labels, return_inverse=True)
        meta, meta_encoded = self._meta_set(matrix, classes, meta_features, meta_labels, ids, meta_ids)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        examples = _on(device, matrix, encoded, len(classes))
        clean = _on(device, meta, meta_encoded, len(classes))
        loss = plain_loss(spec.training.loss, spec.training.loss_options, num_classes=len(classes))
        run = _Run(self, spec, loss, Weigher(options, device=device), clean)
        (state,) = fit_stack([spec], examples, run.backward)
        head.classes_, head.n_features_in_, head.state_ = classes, matrix.shape[1], state
        self.head_, self.classes_, self.history_ = head, classes, run.history
        self.example_weights_ = self._weights(matrix, encoded, run)
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n k"]:
        """Class probabilities, columns in the order of `classes_`."""
        check_is_fitted(self)
        return self.head_.predict_proba(features_to_predict(self, X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row."""
        check_is_fitted(self)
        return self.head_.predict(features_to_predict(self, X))

    def _options(self, head: AbstractHead) -> WeightOptions:
        if self.inner_rate is not None and not self.inner_rate > 0:
            raise invalid("inner_rate", self.inner_rate, "a number > 0, or None")
        for name in ("meta_batch_size", "log_steps"):
            if getattr(self, name) < 1:
                raise invalid(name, getattr(self, name), "a whole number from 1")
        meta_loss_of(self.meta_loss)
        return WeightOptions(
            optimizer=self.meta_optimizer, learning_rate=self.meta_learning_rate,
            weight_decay=self.meta_weight_decay, normalise=self.normalise_weights,
            update_every=self.update_every, seed=head.spec().seed,
        )  # fmt: skip

    def _meta_set(
        self,
        matrix: Float[np.ndarray, "n d"],
        classes: np.ndarray,
        meta_features: Any,
        meta_labels: Any,
        ids: Any,
        meta_ids: Any,
    ) -> tuple[Float[np.ndarray, "l d"], Int[np.ndarray, " l"]]:
        if meta_features is None or meta_labels is None:
            raise BadData(
                "`meta_features` and `meta_labels` are needed: a few examples beside the training set whose "
                "labels are certainly right. Next: check some labels by hand, or fit the head alone."
            )
        if (ids is None) != (meta_ids is None):
            raise BadData("`ids` and `meta_ids` belong together; allowed: both or neither.")
        probe = LinearProbe()
        probe.n_features_in_ = matrix.shape[1]
        meta = features_to_predict(probe, meta_features)
        given = np.asarray(meta_labels)
        if len(given) != len(meta):
            raise BadData(
                f"`meta_labels` has {len(given)} rows, `meta_features` {len(meta)}; they must agree."
            )
        place = np.minimum(np.searchsorted(classes, given), len(classes) - 1)
        if (classes[place] != given).any():
            unknown = given[classes[place] != given][0]
            raise BadData(
                f"`meta_labels` has the class {unknown!r}, which no training example has. Next: leave it out."
            )
        check_meta_set(
            _row_ids(meta) if meta_ids is None else np.asarray(meta_ids), place,
            num_classes=len(classes),
            others={"training set": _row_ids(matrix) if ids is None else np.asarray(ids)},
            least_per_class=self.least_per_class,
            advice="" if ids is not None else "If they are different examples, pass `ids` and `meta_ids`.",
        )  # fmt: skip
        return meta, place

    def _weights(
        self, matrix: Float[np.ndarray, "n d"], encoded: Int[np.ndarray, " n"], run: _Run
    ) -> Float[np.ndarray, " n"]:
        with np.errstate(divide="ignore"):
            log_probs = torch.from_numpy(np.log(self.head_.predict_proba(matrix)))
        largest = torch.finfo(torch.float32).max
        losses = run.loss(log_probs, torch.from_numpy(encoded)).nan_to_num(nan=largest).clamp(max=largest)
        return run.weigher.weights(losses.float().to(run.meta.given_labels.device)).cpu().numpy()


@final
@dataclass(eq=False)
class _Run:
    """The steps of one fit."""

    options: MetaWeightNet
    spec: Spec
    loss: PlainLoss
    weigher: Weigher
    meta: Examples
    history: list[dict[str, Any]] = field(default_factory=list)

    def backward(self, head: Head, batch: StackBatch) -> bool:
        """Gradients of the weighted loss; `False` where all weights are zero."""
        weigher = self.weigher
        make = DenseStep if is_dense(head) else NetworkStep
        examples = {"features": batch.features, "given_labels": batch.given_labels}
        step = make(head, examples, _losses(self.loss))
        losses = step.losses.detach()
        if weigher.is_turn:
            rate = self.options.inner_rate or self.spec.training.learning_rate * batch.factor
            meta_losses = _losses(meta_loss_of(self.options.meta_loss))
            meta_batch = self._meta_batch()
            weigher.learn(losses, lambda shares: step.slopes(shares, meta_batch, meta_losses, rate=rate))
        shares = weigher.shares(losses)
        if shares is not None:
            step.backward(shares)
        if weigher.num_steps % self.options.log_steps == 0:
            self.history.append({"step": weigher.num_steps, **weigher.facts()})
        return shares is not None

    def _meta_batch(self) -> Batch:
        num_clean = len(self.meta.given_labels)
        order = Order(num_clean, min(self.options.meta_batch_size, num_clean), self.spec.seed)
        rows = torch.from_numpy(order.rows(self.weigher.num_steps))[None]
        features, labels = self.meta.batch(rows.to(self.meta.given_labels.device))
        return {"features": features, "given_labels": labels}


def _losses(loss: PlainLoss) -> Any:
    def losses(head: nn.Module, batch: Batch) -> Tensor:
        _, logits = head(batch["features"])
        return loss(torch.log_softmax(logits, -1), batch["given_labels"])[0]

    return losses


def _on(device: torch.device, matrix: np.ndarray, labels: np.ndarray, num_classes: int) -> Examples:
    given = torch.from_numpy(labels.astype(np.int64)).to(device)
    return Examples((torch.from_numpy(matrix).to(device),), given, num_classes)


def _checked(spec: Spec) -> Spec:
    """A head whose loss is a mean over examples, and whose second forward can see the first one's masks."""
    if spec.regularization.is_active:
        raise invalid("head", "a head with regularisers", "LinearProbe or MLPProbe")
    shape = spec.architecture
    if shape.dropout and (shape.use_batch_norm or shape.use_residual):
        raise invalid("dropout", shape.dropout, "0 with batch_norm or residual, in Meta-Weight-Net")
    return spec


def _row_ids(matrix: Float[np.ndarray, "n d"]) -> np.ndarray:
    """Rows as ids: equal where the features are."""
    return np.array([row.tobytes().hex() for row in np.ascontiguousarray(matrix)])
