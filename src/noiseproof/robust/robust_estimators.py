"""All estimators that can be saved: the heads, and those of one or two heads with a scheme of their own."""

from __future__ import annotations

from noiseproof.core.registry import unknown_name
from noiseproof.heads.abstract import AbstractHead
from noiseproof.heads.estimators import HEADS
from noiseproof.heads.regressors import REGRESSORS
from noiseproof.heads.saved_heads import SavedHead
from noiseproof.robust.abstract_robust import AbstractRobustHead
from noiseproof.robust.co_teaching import CoTeaching
from noiseproof.robust.divide_mix import DivideMix
from noiseproof.robust.meta_weight_net import MetaWeightNet

ROBUST: dict[str, type[AbstractRobustHead]] = {
    one.kind: one for one in (CoTeaching, DivideMix, MetaWeightNet)
}
Estimator = AbstractHead | AbstractRobustHead


def estimator_from(saved: SavedHead, source: str) -> Estimator:
    """A fitted estimator from saved values; `source` is their file, for errors.

    Raises:
        UnknownName: the class of the estimator does not exist in this version.
        CheckpointMismatch: the tensors do not fit it.
    """
    known: dict[str, type[Estimator]] = {head.kind: head for head in (*HEADS.values(), *REGRESSORS.values())}
    known |= ROBUST
    if saved.kind not in known:
        raise unknown_name("head", saved.kind, known)
    return known[saved.kind].from_saved(saved, source)
