"""Features of several encoders side by side, each row of each encoder at unit length.

Two encoders that see the same images differently find more wrong labels together than the better one alone
(`docs/find-wrong-labels.md`). Each keeps its own features in the store; nothing is stored twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from noiseproof.backbones.base import EncoderIdentity
from noiseproof.core.records import Dataset
from noiseproof.core.storage.files import digest
from noiseproof.core.unit_length import unit_length
from noiseproof.features.matrix import Rows, ShardedMatrix
from noiseproof.features.store import FeatureManifest, StoredFeatures

_JOINT = " + "


class EncodersSideBySide:
    """Two or more encoders as one.

    Args:
        encoders: each a `LazyEncoder`, in the order of their columns.
    """

    def __init__(self, encoders: Sequence[Any]) -> None:
        self._encoders = tuple(encoders)

    @property
    def identity(self) -> EncoderIdentity:
        """Identity of all of them together."""
        parts = [encoder.identity for encoder in self._encoders]
        return EncoderIdentity(
            name=_JOINT.join(part.name for part in parts),
            kind=parts[0].kind,
            layer=_JOINT.join(part.layer for part in parts),
            weights_hash=digest([part.weights_hash for part in parts]),
            transform=_JOINT.join(part.transform for part in parts),
        )

    @property
    def identities(self) -> tuple[EncoderIdentity, ...]:
        """Identity of each of them."""
        return tuple(encoder.identity for encoder in self._encoders)

    def features(self, dataset: Dataset, **options: Any) -> StoredFeatures:
        """Features of every example by each encoder; arguments as in `LazyEncoder.features`."""
        return side_by_side([encoder.features(dataset, **options) for encoder in self._encoders])


def side_by_side(stored: Sequence[StoredFeatures]) -> StoredFeatures:
    """Features of the same examples by several encoders as one matrix, still on disk.

    Args:
        stored: by each encoder; ids in the same order.
    """
    features = ShardedMatrix([_UnitRows([one.features for one in stored])])
    return replace(
        stored[0],
        features=features,
        manifest=_joined([one.manifest for one in stored], dim=features.shape[1]),
        num_encoded=sum(one.num_encoded for one in stored),
        parts=tuple(stored),
    )


def _joined(manifests: Sequence[FeatureManifest], *, dim: int) -> FeatureManifest:
    names = manifests[0].components.keys()
    components = {name: _same_or_joined([one.components[name] for one in manifests]) for name in names}
    agreements = [one.features_agree_within for one in manifests if one.features_agree_within is not None]
    return manifests[0].model_copy(
        update={
            "key": digest(["side by side", [one.key for one in manifests]]),
            "components": components,
            "dim": dim,
            "engine": "+".join(dict.fromkeys(one.engine for one in manifests)),
            "features_agree_within": max(agreements, default=None),
            "shards": (),
        }
    )


def _same_or_joined(values: Sequence[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else _JOINT.join(map(str, values))


class _UnitRows:
    """(n, d1 + d2 + ...) rows of several matrices, each scaled to unit length; read when they are touched."""

    def __init__(self, parts: Sequence[ShardedMatrix]) -> None:
        self._parts = tuple(parts)
        self.shape = (len(parts[0]), sum(part.shape[1] for part in parts))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Rows:
        """Rows by a slice or an integer array."""
        return np.concatenate(
            [unit_length(np.asarray(part[rows], np.float32)) for part in self._parts], axis=1
        )
