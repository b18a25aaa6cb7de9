"""`corrupt_labels`: wrong labels with the truth kept beside them.

To add a kind of noise: write its builder (`class_kinds.py` has short examples) and add it to `KINDS` below;
`KIND:RATE` then works in every verb and recipe, and the tests in `tests/contracts` cover it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.core.arrays import as_label_array
from noiseproof.core.checks import check_label_range, check_share
from noiseproof.core.errors import invalid
from noiseproof.core.records import NoisyLabels
from noiseproof.core.registry import Registry
from noiseproof.core.rng import stream
from noiseproof.noise.transition import realised_transition

# Each builder: (clean_labels, *, num_classes, rng, its options among those of `corrupt_labels`) -> Draw.
# Labels are class ids in [0, k), `num_classes` is k, `rng` the only source of chance, `rate` in [0, 1].
KINDS = Registry(
    "kind of label noise",
    {
        "symmetric": "noiseproof.noise.class_kinds:symmetric",
        "symmetric_inclusive": "noiseproof.noise.class_kinds:symmetric_inclusive",
        "pair": "noiseproof.noise.class_kinds:pair",
        "asymmetric": "noiseproof.noise.class_kinds:asymmetric",
        "instance": "noiseproof.noise.instance:instance",
        "instance_ptd": "noiseproof.noise.instance:instance_ptd",
        "real": "noiseproof.noise.class_kinds:real",
    },
)


def corrupt_labels(
    labels: Any,
    *,
    kind: str = "symmetric",
    rate: Any = None,
    num_classes: int,
    seed: int,
    class_map: str | Mapping[Any, Any] | None = None,
    transition: Any = None,
    features: Any = None,
    given: Any = None,
    class_names: Sequence[str] = (),
) -> NoisyLabels:
    """Inject noise into labels.

    Args:
        labels: the clean ones, n class ids in [0, k).
        kind: a name of `KINDS`.
        rate: share of labels to change, in [0, 1]; see the kinds for details.
        num_classes: k, at least 1.
        seed: the same seed gives the same labels.
        class_map: of kind "asymmetric": "cifar10", "cifar100", or class -> class by name or id.
        transition: of kind "asymmetric", instead of map and rate: row-stochastic (k, k).
        features: of kinds "instance" and "instance_ptd": n examples as numbers.
        given: of kind "real": n class ids.
        class_names: of the k classes, for maps that name them.

    Returns:
        Labels to train on, with the truth and the transition matrix as realised.

    Raises:
        UnknownName: no such kind of noise; a map names an unknown class.
        InvalidArgument: labels that are no class ids; an option out of range, missing, or one that the kind
            does not take.
        BadData: a label outside the classes; its row is named. A rate that these labels cannot have.
    """
    corrupt = KINDS.load(kind)
    if seed < 0:
        raise invalid("seed", seed, "an integer of at least 0")
    if num_classes < 1:
        raise invalid("num_classes", num_classes, "an integer of at least 1")
    given_options = {
        "rate": rate, "class_map": class_map, "transition": transition, "features": features, "given": given,
    }  # fmt: skip
    options = _options(corrupt, kind, given_options)
    if "class_names" in inspect.signature(corrupt).parameters:
        options["class_names"] = class_names
    clean = _class_ids(labels)
    check_label_range(clean, num_classes, "labels")
    drawn = corrupt(clean, num_classes=num_classes, rng=stream(seed, "noise", kind), **options)
    return NoisyLabels(
        given=drawn.given,
        clean=clean,
        flipped=drawn.given != clean,
        kind=kind,
        asked_rate=float(rate if drawn.asked_rate is None else drawn.asked_rate),
        transition=realised_transition(clean, drawn.given, num_classes),
        seed=seed,
        example_entropy_nats=drawn.example_entropy_nats,
    )


def options_of(kind: str) -> tuple[str, ...]:
    """Options of `corrupt_labels` that a kind takes.

    Raises:
        UnknownName: no such kind of noise.
    """
    return tuple(set(inspect.signature(KINDS.load(kind)).parameters) - {"clean_labels", "num_classes", "rng"})


def _options(corrupt: Callable[..., Any], kind: str, given_options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the kind takes; raise for others, and for missing ones."""
    takes = inspect.signature(corrupt).parameters
    for name, value in given_options.items():
        if value is not None and name not in takes:
            own = ", ".join(option for option in given_options if option in takes)
            raise invalid(
                name, _shown(value), f"nothing for kind {kind!r}, which takes: {own}", f"Leave `{name}` out."
            )
        is_needed = name in takes and takes[name].default is inspect.Parameter.empty
        if name == "rate" and (is_needed or value is not None):
            check_share(value, "rate")
        elif is_needed and value is None:
            raise invalid(name, None, f"an array of n; kind {kind!r} needs it")
    return {name: value for name, value in given_options.items() if name in takes}


def _shown(value: Any) -> Any:
    return f"an array of shape {np.shape(value)}" if np.ndim(value) else value


def _class_ids(labels: Any) -> Int[np.ndarray, " n"]:
    """A copy of the labels; only whole numbers are classes here."""
    clean = np.array(as_label_array(labels, "labels"))
    if clean.ndim != 1 or (len(clean) and clean.dtype.kind not in "iu"):
        raise invalid(
            "labels", f"{clean.dtype} of shape {clean.shape}", "integers of shape (n,), 0 to k - 1",
            "Next: np.unique(labels, return_inverse=True) makes class ids of names.",
        )  # fmt: skip
    return clean if len(clean) else clean.astype(np.int64)
