"""Inject the noise that a configuration asks for into the labels of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from noiseproof.core.errors import BadData, invalid
from noiseproof.core.records import LabelledDataset, NoisyLabels
from noiseproof.data.examples import as_array
from noiseproof.noise.class_maps import read_class_map
from noiseproof.noise.kinds import corrupt_labels, options_of
from noiseproof.noise.spec import CAPTIONS, Noise
from noiseproof.noise.transition import read_transition


def corrupt_dataset(
    dataset: LabelledDataset, noise: Noise, *, seed: int, features: Any = None
) -> NoisyLabels:
    """Make labels of a data set wrong, starting from the true ones where they are known.

    Args:
        dataset: with labels.
        noise: of labels; "real" takes the given labels beside the true ones.
        seed: of the draw.
        features: for the instance kinds, in the order of the examples; by default the examples as numbers.

    Raises:
        InvalidArgument: noise of captions, or options that do not fit the kind.
        BadData: kind "real" without true labels.
    """
    if noise.kind == CAPTIONS:
        raise invalid("noise", str(noise), "noise of labels here", "Captions: 'noiseproof corrupt'.")
    if noise.kind == "real" and dataset.clean_labels is None:
        raise BadData(
            f"Noise 'real' compares two columns of labels, and {dataset.name!r} has one; allowed: a column "
            "of the true labels too. Next: name it with `label`."
        )
    if features is None and "features" in options_of(noise.kind):
        features = as_array(dataset)
    return corrupt_labels(
        dataset.best_labels,
        kind=noise.kind, rate=noise.rate, num_classes=len(dataset.class_names), seed=seed,
        features=features, given=dataset.given_labels if noise.kind == "real" else None,
        class_names=dataset.class_names,
        **_class_map_or_matrix(noise),
    )  # fmt: skip


def _class_map_or_matrix(noise: Noise) -> dict[str, Any]:
    """Arguments of `corrupt_labels` for kind "asymmetric", read from files where they are files."""
    if noise.class_map is None:
        return {}
    if noise.class_map.endswith(".npy"):
        return {"transition": read_transition(Path(noise.class_map))}
    return {"class_map": read_class_map(noise.class_map)}
