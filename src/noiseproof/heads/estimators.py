"""LinearProbe, MLPProbe and NMTune: scikit-learn classifiers on (n, d) features."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from noiseproof.core.registry import unknown_name
from noiseproof.heads.abstract import AbstractClassifier, AbstractHead, AbstractReshapingHead
from noiseproof.heads.options import LossOptions, RegularizationOptions, ShapeOptions, TrainingOptions
from noiseproof.heads.regressors import REGRESSORS
from noiseproof.heads.saved_heads import read_head


@dataclass(kw_only=True, eq=False, repr=False)
class LinearProbe(TrainingOptions, LossOptions, AbstractClassifier):
    """A linear classifier on frozen features, trained as in the papers.

    Args:
        recipe: "default", "paper" or "released"; sets the options that are `None`.
        epochs: passes over the examples.
        batch_size: examples per step.
        learning_rate: peak of the schedule; 0.01, or 0.1 in "paper". The optimiser is AdamW.
        weight_decay: decoupled; 0, or 1e-4 in "released".
        warmup_steps: steps of linear rise.
        schedule: "cosine" (vision) or "linear" (text), per step, to 0.
        min_steps: least number of optimiser steps; small data sets get more epochs.
        max_steps: largest number of optimiser steps (`heads.step_budget`); `None` sets no bound.
        loss: a name of `noiseproof ls losses`.
        loss_options: options of the loss, such as {"q": 0.7}; `None` takes their defaults.
        noise_tolerant: learn what the true labels probably are (`posterior.true_labels`), not the given ones.
        seed: of initial weights and batches.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, A.2: 30 epochs, AdamW at 0.1, cosine, no weight decay.
    """

    kind: ClassVar[str] = "linear"


@dataclass(kw_only=True, eq=False, repr=False)
class MLPProbe(ShapeOptions, LossOptions, AbstractReshapingHead, AbstractClassifier):
    """An MLP that reshapes the features, then a linear classifier: NMTune without its regularisers.

    Args:
        recipe: "default", "paper" or "released"; sets the options that are `None`.
        hidden_ratio: hidden width as a multiple of d; by default 4, with at least 128 units in "default".
        hidden_layers: number of hidden layers, >= 1.
        activation: "relu", "gelu", "silu", "tanh" or "identity".
        batch_norm: batch normalisation before each activation.
        residual: z = scale * MLP(f) + f with a learnable scale.
        residual_scale: initial scale.
        dropout: of hidden units, in [0, 1).
        learning_rate: peak of the schedule; 0.001.
        epochs, batch_size, weight_decay, warmup_steps, schedule, min_steps, max_steps, loss, loss_options,
            noise_tolerant, seed: as in `LinearProbe`.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, 3.1 and B.1 ("MLP tuning").
    """

    kind: ClassVar[str] = "mlp"


@dataclass(kw_only=True, eq=False, repr=False)
class NMTune(RegularizationOptions, MLPProbe):
    """NMTune: an MLP head with regularisers against the effects of label noise in pre-training.

    The loss is the classification loss + w_mse * consistency + w_cov * covariance - w_svd * dominance
    (`losses.regularizers`): reshaped features stay close to the encoder's, are decorrelated, and keep a
    dominant direction.

    Args:
        recipe: "default", "paper" or "released"; sets the options that are `None`.
        weight_mse: weight of the consistency of reshaped and encoder features.
        weight_cov: weight of the covariance between reshaped features.
        weight_svd: weight of the dominance of the largest singular values.
        num_singular_values: number of dominant singular values.
        noise_tolerant: learn from probabilities of the true labels, estimated from leave-one-out predictions
            and a transition matrix (`posterior.true_labels`), instead of the given labels.
        hidden_ratio, hidden_layers, activation, batch_norm, residual, residual_scale, dropout: as in
            `MLPProbe`.
        learning_rate: peak of the schedule; 0.001.
        epochs, batch_size, weight_decay, warmup_steps, schedule, min_steps, max_steps, loss, loss_options,
            seed: as in `LinearProbe`.

    The recipe "released" compares two augmented views, so its `fit` needs `second_view`.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, Section 3.
    """

    kind: ClassVar[str] = "nmtune"


HEADS: dict[str, type[AbstractClassifier]] = {head.kind: head for head in (LinearProbe, MLPProbe, NMTune)}


def load_head(path: str | os.PathLike[str]) -> AbstractHead:
    """Load a head of any class that `save` wrote.

    Raises:
        MissingFile: one of the two files does not exist.
        DamagedFile: a file was altered or truncated.
        UnknownName: the class of the head does not exist in this version.
        CheckpointMismatch: the tensors do not fit the head.
    """
    saved = read_head(path)
    known = {head.kind: head for head in (*HEADS.values(), *REGRESSORS.values())}
    if saved.kind not in known:
        raise unknown_name("head", saved.kind, known)
    return known[saved.kind].from_saved(saved, str(path))
