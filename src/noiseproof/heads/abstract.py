"""Base class of all heads: the interface of scikit-learn around the training loop."""

from __future__ import annotations

import os
from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from noiseproof.core.errors import CheckpointMismatch
from noiseproof.core.registry import unknown_name
from noiseproof.core.row_blocks import row_blocks
from noiseproof.heads.fit import OnStep, State, TrainingExamples, fit_specs
from noiseproof.heads.modules import StackedHeads
from noiseproof.heads.options import check_options, spec_of
from noiseproof.heads.recipes import HeadSpec
from noiseproof.heads.saved_heads import HeadNeeds, Loadable, SavedHead, write_head
from noiseproof.heads.training_data import (
    check_second_view_given,
    encode_classes,
    features_to_predict,
    second_view_of,
    training_data,
    unit_of,
    weights_of,
)
from noiseproof.losses.losses import check_transition_given
from noiseproof.posterior.true_labels import true_label_probs

_BLOCK_ROWS = 8192  # rows predicted at once, so that memory does not grow with n

T = TypeVar("T", bound="AbstractHead")
TrueProbs = Callable[[np.ndarray, np.ndarray], np.ndarray]


class AbstractHead(Loadable, BaseEstimator, ABC):
    """An estimator on the features of a frozen encoder.

    Attributes:
        kind: name in a saved head.
        has_classes: whether it is a classifier; others predict scores.
        classes_: (k,) labels in the user's vocabulary, sorted; empty without classes.
        n_features_in_: d.
        state_: parameters by name.
    """

    kind: ClassVar[str]
    has_classes: ClassVar[bool]
    state_: State

    def spec(self) -> HeadSpec:
        """The options, resolved and checked."""
        check_options(self.get_params())
        return spec_of(self)

    def fit(self: T, X: Any, y: Any, sample_weight: Any = None, *, second_view: Any = None) -> T:
        """Train on features and given labels.

        Args:
            X: (n, d) features.
            y: (n,) labels of any type, which may be wrong; scores for a regressor.
            sample_weight: (n,) factors of the loss of each example, >= 0; only their ratios count, and 0
                leaves an example out. A weight of 2 is not quite an example that is there twice, since
                batches differ.
            second_view: (n, d) features of the same examples under another augmentation; the head then
                trains on both views, and the released consistency term compares them.

        Raises:
            BadData: one class only, NaN, different lengths, negative weights.
        """
        fit_heads([self], X, y, second_view=second_view, sample_weight=sample_weight)
        return self

    def save(self, path: str | os.PathLike[str], *, needs: HeadNeeds | None = None) -> Path:
        """Write `path`.safetensors and `path`.json; `load` reads them back.

        Args:
            path: with or without the suffix .safetensors.
            needs: encoders and class names, so that `noiseproof.load` can classify images and texts.

        Returns:
            Path of the safetensors file.
        """
        check_is_fitted(self)
        classes = self.classes_ if self.has_classes else np.empty(0)
        saved = SavedHead(
            self.kind, self.get_params(), classes, self.n_features_in_, self.state_, needs,
            self._feature_names(),
        )  # fmt: skip
        return write_head(saved, path)

    @classmethod
    def from_saved(cls: type[T], saved: SavedHead, source: str) -> T:
        """A fitted head from saved values; `source` is their file, for errors."""
        head = cls().set_params(**_known_options(cls, saved.options, source))
        if cls.has_classes:
            head.classes_ = saved.classes
        head.state_ = dict(saved.state)
        head._set_columns(saved)
        _check_shapes(head, source)
        return head

    def _logits(self, X: Any) -> torch.Tensor:
        return torch.cat([logits for _, logits in self._forward(X)])

    def _forward(self, X: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Reshaped features and logits in blocks of rows."""
        check_is_fitted(self)
        features = features_to_predict(self, X)
        module = empty_module(self).eval()
        module.load_state_dict({name: value[None] for name, value in self.state_.items()}, assign=True)
        with torch.inference_mode():
            for rows in row_blocks(len(features), _BLOCK_ROWS):
                reshaped, logits = module(torch.tensor(features[rows])[None])
                yield reshaped[0], logits[0]


class AbstractClassifier(ClassifierMixin, AbstractHead):
    """A head that predicts classes."""

    has_classes: ClassVar[bool] = True
    classes_: np.ndarray

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n k"]:
        """Class probabilities, columns in the order of `classes_`."""
        return torch.softmax(self._logits(X).double(), -1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row."""
        check_is_fitted(self)
        return self.classes_[self._logits(X).argmax(-1).numpy()]


class AbstractRegressor(RegressorMixin, AbstractHead):
    """A head that predicts a score."""

    has_classes: ClassVar[bool] = False

    def predict(self, X: Any) -> Float[np.ndarray, " n"]:
        """The score of each row, in the unit of those it learned from."""
        return self._logits(X)[:, 0].double().numpy()


class AbstractReshapingHead(ClassNamePrefixFeaturesOutMixin, TransformerMixin, AbstractHead):
    """A head that reshapes the features with an MLP before it predicts."""

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


def fit_heads(
    heads: Sequence[AbstractHead],
    features: Any,
    given_labels: Any,
    *,
    second_view: Any = None,
    sample_weight: Any = None,
    on_step: OnStep | None = None,
    true_probs: TrueProbs | None = None,
) -> None:
    """Train several heads on the same features; each result is that of the head's own `fit`.

    Args:
        heads: estimators, all classifiers or all regressors; heads of equal shape are trained together if
            that is faster.
        features: (n, d), array-like.
        given_labels: (n,), scores for regressors.
        second_view: (n, d) features of a second augmentation, for all heads.
        sample_weight: (n,) factors of the loss of each example, for all heads.
        on_step: called after each optimiser step with the number of heads in it.
        true_probs: (features, labels) -> probabilities of the true labels, for noise-tolerant heads;
            `true_label_probs` by default. Several calls with the same examples may share one that remembers.
    """
    specs = [head.spec() for head in heads]
    check_second_view_given(specs, second_view)
    matrix, labels = training_data(heads, features, given_labels)
    views = [matrix]
    if second_view is not None:
        columns = list(getattr(features, "columns", ()))
        views.append(second_view_of(matrix, second_view, columns=columns))
    weights = None
    if sample_weight is not None:
        weights, rows = weights_of(sample_weight, len(labels))
        views, labels = [view[rows] for view in views], labels[rows]
    if heads[0].has_classes:
        find = true_probs or true_label_probs
        _fit_classifiers(heads, specs, views, labels, weights, on_step=on_step, find=find)
    else:
        _fit_regressors(heads, specs, views, labels, weights, on_step=on_step)


def _fit_classifiers(
    heads: Sequence[AbstractHead], specs: Sequence[HeadSpec], views: Sequence[np.ndarray],
    labels: np.ndarray, weights: np.ndarray | None, *, on_step: OnStep | None, find: TrueProbs,
) -> None:  # fmt: skip
    classes, encoded = encode_classes(labels)
    for spec in specs:
        check_transition_given(spec.training.loss, spec.training.loss_options, len(classes))
    is_tolerant = any(spec.training.noise_tolerant for spec in specs)
    probs = find(views[0], encoded).astype(np.float32) if is_tolerant else None
    examples = TrainingExamples.from_arrays(
        views, encoded, len(classes), true_probs=probs, weights=weights
    )  # fmt: skip
    for head, state in zip(heads, fit_specs(specs, examples, on_step=on_step), strict=True):
        head.classes_, head.state_ = classes, state


def _fit_regressors(
    heads: Sequence[AbstractHead], specs: Sequence[HeadSpec], views: Sequence[np.ndarray],
    scores: np.ndarray, weights: np.ndarray | None, *, on_step: OnStep | None,
) -> None:  # fmt: skip
    """Train on scores of mean 0 and variance 1, so that the learning rate suits any unit.

    The last layer is then scaled back, so that a fitted head predicts in the unit of the scores.
    """
    mean, scale = unit_of(scores, weights)
    standardised = ((scores - mean) / scale).astype(np.float32)
    examples = TrainingExamples.from_arrays(views, standardised, num_classes=1, weights=weights)
    for head, state in zip(heads, fit_specs(specs, examples, on_step=on_step), strict=True):
        weight, bias = state["classify.weight"] * scale, state["classify.bias"] * scale + mean
        head.state_ = state | {"classify.weight": weight, "classify.bias": bias}


def _known_options(cls: type[AbstractHead], options: Mapping[str, Any], source: str) -> dict[str, Any]:
    known = signature(cls).parameters
    unknown = [name for name in options if name not in known]
    if unknown:
        raise unknown_name(f"option of {cls.__name__} in {source!r}:", unknown[0], known)
    return dict(options)


def _check_shapes(head: AbstractHead, source: str) -> None:
    expected = {name: tuple(value.shape[1:]) for name, value in empty_module(head).state_dict().items()}
    found = {name: tuple(value.shape) for name, value in head.state_.items()}
    missing, unexpected = sorted(expected.keys() - found), sorted(found.keys() - expected)
    reshaped = [
        f"{name} {found[name]} for {shape}"
        for name, shape in expected.items()
        if found.get(name, shape) != shape
    ]
    if missing or unexpected or reshaped:
        raise CheckpointMismatch(
            f"{source!r} does not fit {type(head).__name__}: missing {missing}, unexpected {unexpected}, "
            f"other shapes {reshaped}. Next: load it with the version and options that saved it."
        )


def empty_module(head: AbstractHead) -> StackedHeads:
    """A module of the head's shape on the meta device."""
    num_outputs = len(head.classes_) if head.has_classes else 1
    with torch.device("meta"):  # without memory: fitted parameters are loaded later
        return StackedHeads(
            head.n_features_in_, num_outputs, head.spec().architecture, generators=[torch.Generator()]
        )
