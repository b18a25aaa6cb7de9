"""LinearProbe, MLPProbe and NMTune: scikit-learn classifiers on (n, d) features."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from noiseproof.errors import BadData, invalid
from noiseproof.heads.checks import check_options
from noiseproof.heads.fit import Examples, OnStep, State, fit_specs
from noiseproof.heads.inputs import (
    check_second_view_is_there,
    features_to_predict,
    second_view_of,
    training_data,
)
from noiseproof.heads.modules import Architecture, Head
from noiseproof.heads.recipes import (
    MLP_WEIGHT_DECAY,
    PROBE_WEIGHT_DECAY,
    RECIPES,
    Regularization,
    Spec,
    Training,
)

_BLOCK_ROWS = 8192  # rows predicted at once, so that memory does not grow with n


T = TypeVar("T", bound="AbstractHead")


class AbstractHead(ClassifierMixin, BaseEstimator, ABC):
    """A classifier on the features of a frozen encoder.

    Attributes:
        classes_: (k,) labels as they were given, sorted.
        n_features_in_: d.
        state_: parameters by name.
    """

    classes_: np.ndarray
    n_features_in_: int
    state_: State

    @abstractmethod
    def spec(self) -> Spec:
        """The resolved options, checked."""

    def fit(self: T, X: Any, y: Any, *, second_view: Any = None) -> T:
        """Train on features and given labels.

        Args:
            X: (n, d) features.
            y: (n,) labels of any type; may be wrong.
            second_view: (n, d) features of the same examples under another augmentation; all heads then
                train on both views, and the released consistency term compares them.

        Raises:
            BadData: one class only, NaN, lengths that differ.
        """
        fit_heads([self], X, y, second_view=second_view)
        return self

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `path`.safetensors and `path`.json; `load` reads them back."""
        from noiseproof.heads.files import save_head

        return save_head(self, path)

    @classmethod
    def load(cls: type[T], path: str | os.PathLike[str]) -> T:
        """The head that `save` wrote, if it is of this class."""
        from noiseproof.heads.files import load_head

        head = load_head(path)
        if not isinstance(head, cls):
            raise invalid("path", str(path), f"a saved {cls.__name__}", f"It holds a {type(head).__name__}.")
        return head

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n k"]:
        """Class probabilities, columns in the order of `classes_`."""
        return torch.softmax(self._logits(X).double(), -1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row."""
        check_is_fitted(self)
        return self.classes_[self._logits(X).argmax(-1).numpy()]

    def _logits(self, X: Any) -> torch.Tensor:
        return torch.cat([logits for _, logits in self._forward(X)])

    def _forward(self, X: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Reshaped features and logits, block by block."""
        check_is_fitted(self)
        features = features_to_predict(self, X)
        module = _empty_module(self).eval()
        module.load_state_dict({name: value[None] for name, value in self.state_.items()}, assign=True)
        with torch.inference_mode():
            for i in range(0, len(features), _BLOCK_ROWS):
                reshaped, logits = module(torch.tensor(features[i : i + _BLOCK_ROWS])[None])
                yield reshaped[0], logits[0]


class LinearProbe(AbstractHead):
    """A linear classifier on frozen features, trained like the papers' baselines.

    Args:
        recipe: "default", "paper" or "released", which has a weight decay of 1e-4.
        epochs: passes over the examples.
        batch_size: examples per step.
        learning_rate: highest of the schedule; AdamW.
        weight_decay: decoupled; `None` is the recipe's.
        warmup_steps: steps of linear rise.
        schedule: "cosine" (vision) or "linear" (text), per step, to 0.
        max_steps: bound on the optimiser steps; `None` trains as asked (`heads.schedule.plan`).
        loss: name of a loss.
        seed: of initial weights and batches.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, A.2: 30 epochs, AdamW, cosine, no weight decay.
    """

    def __init__(
        self,
        *,
        recipe: str = "default",
        epochs: int = 30,
        batch_size: int = 64,
        learning_rate: float = 0.01,
        weight_decay: float | None = None,
        warmup_steps: int = 0,
        schedule: str = "cosine",
        max_steps: int | None = None,
        loss: str = "cross_entropy",
        seed: int = 0,
    ) -> None:
        self.recipe = recipe
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.schedule = schedule
        self.max_steps = max_steps
        self.loss = loss
        self.seed = seed

    def spec(self) -> Spec:
        """The resolved options, checked."""
        check_options(self.get_params())
        training = _training(self, weight_decay=PROBE_WEIGHT_DECAY[self.recipe])
        return Spec(Architecture(hidden_layers=0), Regularization(), training, self.seed)


class AbstractReshapingHead(ClassNamePrefixFeaturesOutMixin, TransformerMixin, AbstractHead):
    """A head that first reshapes the features by an MLP."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.n_features_in_

    def transform(self, X: Any) -> Float[np.ndarray, "n d"]:
        """The reshaped features z, in the unit of the features."""
        return torch.cat([reshaped for reshaped, _ in self._forward(X)]).numpy()


class MLPProbe(AbstractReshapingHead):
    """An MLP that reshapes the features, then a linear classifier: NMTune with all weights zero.

    Args:
        recipe: "default", "paper" or "released"; gives the values of what is left at `None`.
        hidden_ratio: hidden width as a multiple of d; by default 4, and at least 128 wide in "default".
        hidden_layers: number of hidden layers, >= 1.
        activation: "relu", "gelu", "silu", "tanh" or "identity".
        batch_norm: batch normalisation before each activation.
        residual: z = scale * MLP(f) + f with a learnable scale.
        residual_scale: initial scale.
        dropout: of hidden units, in [0, 1).
        epochs, batch_size, learning_rate, weight_decay, warmup_steps, schedule, max_steps,
            loss, seed: as in `LinearProbe`.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, 3.1 and B.1 ("MLP tuning").
    """

    def __init__(
        self,
        *,
        recipe: str = "default",
        hidden_ratio: float | None = None,
        hidden_layers: int | None = None,
        activation: str | None = None,
        batch_norm: bool | None = None,
        residual: bool | None = None,
        residual_scale: float | None = None,
        dropout: float | None = None,
        epochs: int = 30,
        batch_size: int = 64,
        learning_rate: float = 0.001,
        weight_decay: float | None = None,
        warmup_steps: int = 0,
        schedule: str = "cosine",
        max_steps: int | None = None,
        loss: str = "cross_entropy",
        seed: int = 0,
    ) -> None:
        self.recipe = recipe
        self.hidden_ratio = hidden_ratio
        self.hidden_layers = hidden_layers
        self.activation = activation
        self.batch_norm = batch_norm
        self.residual = residual
        self.residual_scale = residual_scale
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.schedule = schedule
        self.max_steps = max_steps
        self.loss = loss
        self.seed = seed

    def spec(self) -> Spec:
        """The resolved options, checked."""
        check_options(self.get_params())
        return Spec(
            _architecture(self), Regularization(), _training(self, weight_decay=MLP_WEIGHT_DECAY), self.seed
        )


class NMTune(AbstractReshapingHead):
    """An MLP head whose feature space is kept consistent, spread out and led by one direction.

    The loss is the classification loss + w_mse * consistency + w_cov * covariance - w_svd * dominance
    (`losses.regularizers`), which counters what label noise in pre-training did to the features.

    Args:
        recipe: "default", "paper" or "released"; gives the values of what is left at `None`.
        weight_mse: weight of the consistency of reshaped and encoder features.
        weight_cov: weight of the covariance between reshaped features.
        weight_svd: weight of the dominance of the largest singular values.
        num_singular_values: how many of them count as dominant.
        hidden_ratio, hidden_layers, activation, batch_norm, residual, residual_scale, dropout: as in
            `MLPProbe`.
        epochs, batch_size, learning_rate, weight_decay, warmup_steps, schedule, max_steps,
            loss, seed: as in `LinearProbe`.

    The recipe "released" compares two augmented views, so its `fit` needs `second_view`.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, Section 3.
    """

    def __init__(
        self,
        *,
        recipe: str = "default",
        weight_mse: float | None = None,
        weight_cov: float | None = None,
        weight_svd: float | None = None,
        num_singular_values: int | None = None,
        hidden_ratio: float | None = None,
        hidden_layers: int | None = None,
        activation: str | None = None,
        batch_norm: bool | None = None,
        residual: bool | None = None,
        residual_scale: float | None = None,
        dropout: float | None = None,
        epochs: int = 30,
        batch_size: int = 64,
        learning_rate: float = 0.001,
        weight_decay: float | None = None,
        warmup_steps: int = 0,
        schedule: str = "cosine",
        max_steps: int | None = None,
        loss: str = "cross_entropy",
        seed: int = 0,
    ) -> None:
        self.recipe = recipe
        self.weight_mse = weight_mse
        self.weight_cov = weight_cov
        self.weight_svd = weight_svd
        self.num_singular_values = num_singular_values
        self.hidden_ratio = hidden_ratio
        self.hidden_layers = hidden_layers
        self.activation = activation
        self.batch_norm = batch_norm
        self.residual = residual
        self.residual_scale = residual_scale
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.schedule = schedule
        self.max_steps = max_steps
        self.loss = loss
        self.seed = seed

    def spec(self) -> Spec:
        """The resolved options, checked."""
        check_options(self.get_params())
        names = ("weight_mse", "weight_cov", "weight_svd", "num_singular_values")
        terms = replace(RECIPES[self.recipe].regularization, **_given(self, {name: name for name in names}))
        return Spec(_architecture(self), terms, _training(self, weight_decay=MLP_WEIGHT_DECAY), self.seed)


HEADS: dict[str, type[AbstractHead]] = {"linear": LinearProbe, "mlp": MLPProbe, "nmtune": NMTune}


def fit_heads(
    heads: Sequence[AbstractHead],
    features: Any,
    given_labels: Any,
    *,
    second_view: Any = None,
    on_step: OnStep | None = None,
) -> None:
    """Train many heads on the same features, each as its own `fit` would.

    Args:
        heads: estimators; those of one shape share their steps where that is faster.
        features: (n, d), array-like.
        given_labels: (n,).
        second_view: (n, d) features of a second augmentation, for all heads.
        on_step: called after each optimiser step with the number of heads that took it.
    """
    specs = [head.spec() for head in heads]
    check_second_view_is_there(specs, second_view)
    matrix, labels = training_data(heads, features, given_labels)
    views = [matrix] if second_view is None else [matrix, second_view_of(matrix, second_view)]
    classes, encoded = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise BadData(
            f"The labels hold one class only, {classes.tolist()[0]!r}; allowed: two or more. "
            "Next: check the label column."
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    examples = Examples(
        tuple(torch.from_numpy(view).to(device) for view in views),
        torch.from_numpy(encoded.astype(np.int64)).to(device),
        len(classes),
    )
    for head, state in zip(heads, fit_specs(specs, examples, on_step=on_step), strict=True):
        head.classes_, head.state_ = classes, state


def expected_shapes(head: AbstractHead) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor in `state_`, from the options and sizes of a head."""
    return {name: tuple(value.shape[1:]) for name, value in _empty_module(head).state_dict().items()}


def _empty_module(head: AbstractHead) -> Head:
    with torch.device("meta"):  # shapes only: what a fit learned is loaded into it
        return Head(
            head.n_features_in_, len(head.classes_), head.spec().architecture, generators=[torch.Generator()]
        )


def _training(head: Any, *, weight_decay: float) -> Training:
    return Training(
        epochs=head.epochs,
        batch_size=head.batch_size,
        learning_rate=float(head.learning_rate),
        weight_decay=weight_decay if head.weight_decay is None else float(head.weight_decay),
        warmup_steps=head.warmup_steps,
        decay=head.schedule,
        max_steps=head.max_steps,
        loss=head.loss,
    )


def _architecture(head: Any) -> Architecture:
    names = {
        "hidden_layers": "hidden_layers",
        "hidden_ratio": "hidden_ratio",
        "activation": "activation",
        "batch_norm": "use_batch_norm",
        "residual": "use_residual",
        "residual_scale": "residual_scale",
        "dropout": "dropout",
    }
    given = _given(head, names)
    if "hidden_ratio" in given:
        given["least_hidden"] = 1  # asked for is asked for
    return replace(RECIPES[head.recipe].architecture, **given)


def _given(head: Any, names: dict[str, str]) -> dict[str, Any]:
    """The options the user set, under the names of the spec."""
    values = {field: getattr(head, name) for name, field in names.items()}
    return {field: value for field, value in values.items() if value is not None}
