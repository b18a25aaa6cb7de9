"""Base class of estimators that train one or two heads with a scheme of their own."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from noiseproof.backbones.checkpoints.weights import under_prefix
from noiseproof.core.errors import DamagedFile, invalid
from noiseproof.core.rng import torch_seed
from noiseproof.heads.abstract import AbstractClassifier
from noiseproof.heads.estimators import HEADS, LinearProbe
from noiseproof.heads.fit import State, TrainingExamples
from noiseproof.heads.recipes import HeadSpec
from noiseproof.heads.saved_heads import HeadNeeds, Loadable, SavedHead, write_head
from noiseproof.heads.training_data import encode_classes, features_to_predict, training_data, weights_of
from noiseproof.losses.batch import PerExampleLoss, per_example_loss

T = TypeVar("T", bound="AbstractRobustHead")
_HEAD, _MEMBERS, _FITTED = "head", "heads_", "fitted"
_OF_ALL = ("classes_", "n_features_in_", "feature_names_in_", _MEMBERS)  # attributes of any estimator


@dataclass(frozen=True, eq=False)
class FitInputs:
    """Checked inputs of a fit.

    Attributes:
        head: unfitted head with the user's options.
        features: (n, d), float32.
        encoded: given labels as class ids.
        classes: labels in the user's vocabulary, sorted.
        weights: (n,) factors of the loss, 1 on average; `None` weighs all alike.
        is_used: (N,) which of the user's rows these are: those whose weight is not zero.
    """

    head: AbstractClassifier
    features: Float[np.ndarray, "n d"]
    encoded: Int[np.ndarray, " n"]
    classes: np.ndarray
    weights: Float[np.ndarray, " n"] | None
    is_used: Bool[np.ndarray, " N"]

    @property
    def spec(self) -> HeadSpec:
        """The specification of the head."""
        return self.head.spec()

    def specs(self, number: int) -> list[HeadSpec]:
        """Specifications of several heads with different seeds; the first has the user's seed."""
        others = (torch_seed(self.spec.seed, "another head", i) for i in range(1, number))
        return [self.spec, *(replace(self.spec, seed=seed) for seed in others)]

    def loss(self) -> PerExampleLoss:
        """The loss of the head.

        Raises:
            InvalidArgument: the loss needs more than one example at a time, or its transition matrix is
                missing.
        """
        training = self.spec.training
        return per_example_loss(training.loss, training.loss_options, num_classes=len(self.classes))

    def examples(self) -> TrainingExamples:
        """These examples on the training device."""
        return TrainingExamples.from_arrays(
            [self.features], self.encoded, len(self.classes), weights=self.weights
        )  # fmt: skip

    def for_all(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " N"]:
        """Values of these examples among the user's rows, NaN for those that were left out."""
        if self.weights is None:
            return values
        found = np.full(len(self.is_used), np.nan, values.dtype)
        found[self.is_used] = values
        return found


class AbstractRobustHead(Loadable, ClassifierMixin, BaseEstimator, ABC):
    """A classifier that averages one or more heads which were trained together.

    Attributes:
        kind: name in `robust_estimators.ROBUST`.
        classes_: (k,) labels in the user's vocabulary, sorted.
        n_features_in_: d.
        heads_: the fitted heads, each of which can be saved, too; probabilities are their mean.
    """

    kind: ClassVar[str]
    head: AbstractClassifier | None
    classes_: np.ndarray
    heads_: tuple[AbstractClassifier, ...]

    @abstractmethod
    def check_options(self) -> None:
        """Raise `InvalidArgument` if an option is out of range."""

    def save(self, path: str | os.PathLike[str], *, needs: HeadNeeds | None = None) -> Path:
        """Write `path`.safetensors and `path`.json; `load` reads them back, see `AbstractHead.save`."""
        check_is_fitted(self)
        return write_head(_to_saved(self, needs), path)

    @classmethod
    def from_saved(cls: type[T], saved: SavedHead, source: str) -> T:
        """A fitted estimator from saved values; `source` is their file, for errors."""
        try:
            found: T = _from_saved(cls, saved, source)
        except (KeyError, TypeError, AttributeError) as error:
            raise DamagedFile(
                f"The head at {source!r} is damaged: it is no {saved.kind} ({error}). Next: fit and save it "
                "again."
            ) from error
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # These heads skip examples that look wrong, which costs accuracy if labels are correct and classes
        # overlap.
        tags.classifier_tags.poor_score = True
        return tags

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n k"]:
        """Class probabilities, columns in the order of `classes_`."""
        check_is_fitted(self)
        features = features_to_predict(self, X)
        return np.mean([head.predict_proba(features) for head in self.heads_], axis=0)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(1)]

    def _checked_inputs(self, X: Any, y: Any, sample_weight: Any) -> FitInputs:
        if self.head is not None and not isinstance(self.head, AbstractClassifier):
            raise invalid("head", self.head, "a LinearProbe or MLPProbe, or None")
        head = LinearProbe() if self.head is None else clone(self.head)
        self.check_options()
        if head.spec().regularization.is_active:
            raise invalid("head", type(head).__name__, "LinearProbe or MLPProbe, without regularisers")
        if head.spec().training.noise_tolerant:
            raise invalid("head.noise_tolerant", True, "False: this estimator handles wrong labels itself")
        features, labels = training_data([self], X, y)
        weights, is_used = None, np.ones(len(labels), bool)
        if sample_weight is not None:
            weights, rows = weights_of(sample_weight, len(labels))
            is_used = np.isin(np.arange(len(labels)), rows)
            features, labels = features[rows], labels[rows]
        classes, encoded = encode_classes(labels)
        return FitInputs(head, features, encoded, classes, weights, is_used)

    def _with_heads(self: T, inputs: FitInputs, states: Sequence[State]) -> T:
        heads = []
        for spec, state in zip(inputs.specs(len(states)), states, strict=True):
            head = clone(inputs.head).set_params(seed=spec.seed)
            head.classes_, head.n_features_in_, head.state_ = inputs.classes, self.n_features_in_, state
            heads.append(head)
        self.heads_, self.classes_ = tuple(heads), inputs.classes
        return self


def weights_in(examples: TrainingExamples, rows: Tensor) -> Tensor | float:
    """Factors of the loss of these rows of a batch; 1 where all weigh alike."""
    return 1.0 if examples.weights is None else examples.weights[rows]


def _to_saved(estimator: Any, needs: HeadNeeds | None) -> SavedHead:
    """Values of a fitted estimator; the tensors of its head i are called `i.NAME`."""
    options = {name: value for name, value in estimator.get_params(deep=False).items() if name != _HEAD}
    arrays, plain = _fitted(vars(estimator))
    state = {
        f"{i}.{name}": tensor
        for i, head in enumerate(estimator.heads_)
        for name, tensor in head.state_.items()
    }
    state |= {f"{_FITTED}.{name}": torch.as_tensor(value) for name, value in arrays.items()}
    options |= {
        _HEAD: None if estimator.head is None else _described(estimator.head),
        _MEMBERS: [_described(head) for head in estimator.heads_],
        _FITTED: plain,
    }
    return SavedHead(
        estimator.kind, options, estimator.classes_, estimator.n_features_in_, state, needs,
        estimator._feature_names(),
    )  # fmt: skip


def _from_saved(cls: Any, saved: SavedHead, source: str) -> Any:
    options = dict(saved.options)
    members, plain, template = options.pop(_MEMBERS), options.pop(_FITTED), options.pop(_HEAD)
    head = None if template is None else HEADS[template["kind"]](**template["options"])
    found = cls(head, **options)
    found.heads_ = tuple(
        HEADS[one["kind"]].from_saved(
            SavedHead(
                one["kind"], one["options"], saved.classes, saved.num_features,
                under_prefix(saved.state, f"{number}."),
            ),
            source,
        )
        for number, one in enumerate(members)
    )  # fmt: skip
    found.classes_ = saved.classes
    found._set_columns(saved)
    for name, value in under_prefix(saved.state, f"{_FITTED}.").items():
        setattr(found, name, value.numpy() if value.ndim else value.item())
    for name, value in plain.items():
        setattr(found, name, value)
    return found


def _described(head: AbstractClassifier) -> dict[str, Any]:
    return {"kind": head.kind, "options": head.get_params()}


def _fitted(attributes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Further fitted attributes: numbers and arrays, and lists of plain values."""
    found = {name: each for name, each in attributes.items() if name.endswith("_") and name not in _OF_ALL}
    plain = {name: each for name, each in found.items() if isinstance(each, list)}
    return {name: np.asarray(each) for name, each in found.items() if name not in plain}, plain
