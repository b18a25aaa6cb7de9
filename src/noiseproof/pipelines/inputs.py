"""The data of a run: what heads learn from, what they are tested on, in domain and out of it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from noiseproof.config.corrupt import CorruptConfig
from noiseproof.config.data import DataConfig, EvaluationConfig, NoisyDataConfig
from noiseproof.core.errors import BadData, InvalidArgument, UnknownName, invalid
from noiseproof.core.records import Dataset, LabelledDataset, NoisyLabels
from noiseproof.data.classes import align_labels, check_trainable
from noiseproof.data.shifts.shifts import augmented, shifted
from noiseproof.data.sources import PREFIXES, open_dataset
from noiseproof.data.splits import stratified_split, subset
from noiseproof.noise.applied import labels_of_manifest
from noiseproof.noise.inject import corrupt_dataset

Role = Literal["train", "test", "ood"]


@dataclass(frozen=True, eq=False)
class Part:
    """One data set of a run.

    Attributes:
        role: what it is for.
        dataset: its examples and labels, with the class ids of the training set.
        whole: the data set whose features are extracted; larger than `dataset` where that was split off.
        rows: of `whole` that `dataset` has; `None` for all.
        noise: what was injected into the labels.
        has_true_labels: its labels, or the clean ones beside them, are known to be right.
    """

    role: Role
    dataset: LabelledDataset
    whole: LabelledDataset
    rows: Int[np.ndarray, " n"] | None = None
    noise: NoisyLabels | None = None
    has_true_labels: bool = False

    @property
    def name(self) -> str:
        """Name of the data set, unique in the run."""
        return self.dataset.name

    @property
    def domain(self) -> str:
        """Out of the training set's domain ("ood") or in it ("id"), as results name it."""
        return "ood" if self.role == "ood" else "id"

    @property
    def given_labels(self) -> np.ndarray:
        """Class ids, may be wrong."""
        return self.dataset.given_labels

    @property
    def best_labels(self) -> np.ndarray:
        """The truth where it is known, else the given labels."""
        return self.dataset.best_labels

    @property
    def with_held_out(self) -> LabelledDataset:
        """All of `whole` with the labels that `dataset` has, which may be corrupted; others as given."""
        if self.rows is None:
            return self.dataset
        given, clean = self.whole.given_labels.copy(), self.whole.clean_labels
        given[self.rows] = self.given_labels
        if self.noise is not None and clean is None:
            clean = self.whole.given_labels  # what the noise was injected into
        return dataclasses.replace(self.whole, name=self.name, given_labels=given, clean_labels=clean)

    def to_json(self) -> dict[str, Any]:
        """Its entry in `run.json`."""
        noise = self.noise and {
            "kind": self.noise.kind,
            "asked_rate": self.noise.asked_rate,
            "realised_rate": self.noise.realised_rate,
            "seed": self.noise.seed,
        }
        return {
            "set": self.name,
            "role": self.role,
            "num_examples": len(self.dataset),
            "num_classes": len(self.dataset.class_names),
            "num_skipped": self.whole.num_skipped,
            "fingerprint": self.dataset.fingerprint,
            "class_names": list(self.dataset.class_names),
            "label_noise": noise,
        }


@dataclass(frozen=True, eq=False)
class Parts:
    """All data of a run.

    Attributes:
        train: what heads learn from.
        tests: the in-domain test set first, then those of other domains.
        views: the examples of `train`, augmented in two ways, in the same order; none unless asked for.
    """

    train: Part
    tests: tuple[Part, ...]
    views: tuple[Dataset, ...]

    @property
    def all(self) -> tuple[Part, ...]:
        """The training part, then the others."""
        return (self.train, *self.tests)

    @property
    def to_extract(self) -> list[Dataset]:
        """Every data set once, whatever it is used for."""
        wholes = [*(part.whole for part in self.all), *self.views]
        return list({dataset.fingerprint: dataset for dataset in wholes}.values())


def open_parts(config: EvaluationConfig, *, views: int = 1) -> Parts:
    """Open, split, corrupt and shift what the configuration names; nothing is encoded yet.

    Args:
        config: which data, noise and evaluation sets.
        views: with 2, the training examples in two augmented views as well.
    """
    whole = open_one(config, config.train, **label_columns(config))
    check_trainable(whole)
    if config.test is None:
        train, test = _split(whole, config)
    else:
        train = Part("train", whole, whole)
        test = _evaluation_set(config, config.test, "test", whole.class_names)
    augmented_views = views_of(train.dataset, views, seed=config.seed)
    tests = [test, *(_shifted(test, kind, config) for kind in config.shifts)]
    tests += [_evaluation_set(config, name, "ood", whole.class_names) for name in config.ood]
    _check_same_width(train, tests)
    first, *others = _named([corrupted(train, config), *tests])
    return Parts(first, tuple(others), augmented_views)


def views_of(dataset: Dataset, views: int, *, seed: int) -> tuple[Dataset, ...]:
    """The examples in two augmented views; nothing for one view, which is the images as they are."""
    return tuple(augmented(dataset, view=number, seed=seed) for number in range(views if views > 1 else 0))


def label_columns(config: DataConfig) -> dict[str, str | None]:
    """Columns of the given and of the true labels; noise "real" names the given ones itself."""
    noise = config.noise if isinstance(config, NoisyDataConfig | CorruptConfig) else None
    if noise is None or noise.kind != "real":
        return {"label": config.label, "clean_label": config.clean_label}
    truth = config.clean_label or config.label
    if truth is None:
        raise invalid("label", None, f"the column of the true labels beside noise {noise}", "Next: --label.")
    return {"label": noise.column, "clean_label": truth}


def notes(config: DataConfig, parts: Parts) -> list[str]:
    """What a reader of the results has to know about the data."""
    said = []
    unknown = [part.name for part in parts.tests if not part.has_true_labels]
    sets = "the evaluation sets" if len(unknown) == len(parts.tests) else ", ".join(unknown)
    if parts.train.noise is not None and unknown:
        said.append(
            "Labels as your data has them count as right: of what heads learn from those before noise was "
            f"put in, of {sets} those that accuracy is against. Whether they are right is not known."
        )
    elif parts.train.noise is not None:
        said.append("Labels as they were before noise was put in count as right.")
    elif unknown:
        said.append(f"The true labels of {sets} are not known: accuracy is against labels as given.")
    for part in parts.tests:
        if part.rows is None and part.dataset.fingerprint == parts.train.whole.fingerprint:
            said.append(f"{part.name} has the same examples as the training set: it tests nothing new.")
    for earlier, part in itertools.combinations(parts.tests, 2):
        if earlier.rows is None and part.dataset.fingerprint == earlier.dataset.fingerprint:
            said.append(f"{part.name} has the same examples as {earlier.name}: means count it twice.")
    if config.limit is not None:
        said.append(f"At most {config.limit} random examples of each data set were used.")
    for dataset in parts.to_extract:
        if dataset.num_skipped:
            said.append(f"{dataset.num_skipped} unreadable examples of {dataset.name} were left out.")
    return said


def open_one(config: DataConfig, name: str, *, label: str | None, clean_label: str | None) -> LabelledDataset:
    """One data set as the configuration says, with labels and examples that can be encoded."""
    dataset = open_labelled(config, name, label=label, clean_label=clean_label)
    if dataset.kind == "text":
        raise BadData(
            f"{name!r} holds texts, and no text encoder is here yet; allowed: images, or features as an NPZ "
            "file. Next: encode the texts elsewhere and pass features, or name a column with `image`."
        )
    return dataset


def open_labelled(
    config: DataConfig, name: str, *, label: str | None, clean_label: str | None
) -> LabelledDataset:
    """One data set as the configuration says, with labels."""
    return open_dataset(
        name,
        label=label,
        image=config.image,
        text=config.text,
        clean_label=clean_label,
        limit=config.limit,
        seed=config.seed,
        on_error=config.on_error,
    )


def _split(whole: LabelledDataset, config: EvaluationConfig) -> tuple[Part, Part]:
    train_rows, test_rows = stratified_split(
        whole.given_labels,
        test_fraction=config.test_fraction,
        seed=config.seed,
        class_names=whole.class_names,
    )
    train = subset(whole, train_rows)
    test = subset(whole, test_rows, name=f"{short_name(whole.name)} (held out)")
    is_known = whole.clean_labels is not None
    return (
        Part("train", train, whole, train_rows),
        Part("test", test, whole, test_rows, has_true_labels=is_known),
    )


def _evaluation_set(config: EvaluationConfig, name: str, role: Role, class_names: tuple[str, ...]) -> Part:
    # A label column named for it wins; the true labels of the training set are that of a test set.
    label = config.test_label or config.clean_label or config.label
    label = None if label == "auto" else label
    try:
        opened = open_one(config, name, label=label, clean_label=None)
    except (UnknownName, InvalidArgument) as error:
        if label is None or "`label`" not in str(error):
            raise
        raise type(error)(
            f"{error} For `test` and `ood` that is `test_label`. Next: --test-label with the name of their "
            "label column, or --test-label auto to find it."
        ) from error
    dataset = align_labels(opened, class_names)
    is_true = label is not None and label == config.clean_label
    return Part(role, dataset, dataset, has_true_labels=is_true)


def _check_same_width(train: Part, tests: Sequence[Part]) -> None:
    """Features that are given have to be of one encoder, which nobody else can check."""
    for part in tests:
        if train.dataset.kind == part.dataset.kind == "features":
            ours, theirs = (len(each.dataset.examples[0]) for each in (train, part))
            if ours != theirs:
                raise BadData(
                    f"{part.name!r} has features of width {theirs}, the training set {train.name!r} of width "
                    f"{ours}; allowed: one width. Next: make both with the same encoder and layer."
                )


def _shifted(test: Part, kind: str, config: EvaluationConfig) -> Part:
    dataset = shifted(test.dataset, kind, seed=config.seed)
    dataset = dataclasses.replace(dataset, name=f"{short_name(config.test or config.train)} + {kind}")
    return Part("ood", dataset, dataset, has_true_labels=test.has_true_labels)


def corrupted(train: Part, config: NoisyDataConfig) -> Part:
    """The same examples with the noise that the configuration injects."""
    if config.noise_manifest is not None:
        is_whole = config.limit is None and train.whole.num_skipped == 0
        made = labels_of_manifest(
            config.noise_manifest, train.dataset, whole=train.whole if is_whole else None
        )
        noise = made.as_labels()
    elif config.noise is not None:
        noise = corrupt_dataset(train.dataset, config.noise, seed=config.seed)
    else:
        return train
    dataset = dataclasses.replace(train.dataset, given_labels=noise.given, clean_labels=noise.clean)
    return dataclasses.replace(train, dataset=dataset, noise=noise)


def _named(parts: list[Part]) -> list[Part]:
    """With names that fit a table: paths without their folders, where that tells the sets apart."""
    short = [short_name(part.name) for part in parts]
    names = short if len(set(short)) == len(short) else [part.name for part in parts]
    seen: set[str] = set()
    named = []
    for part, name in zip(parts, names, strict=True):
        unique, count = name, 1
        while unique in seen:  # the same data set may be named twice, a row of the results not
            count += 1
            unique = f"{name} #{count}"
        seen.add(unique)
        named.append(dataclasses.replace(part, dataset=dataclasses.replace(part.dataset, name=unique)))
    return named


def short_name(name: str) -> str:
    """A path without its folders, a public data set without its source; a shift keeps its kind."""
    prefix, _, address = name.partition(":")
    if prefix == "shift":
        kind, _, inner = address.partition(":")
        return f"{short_name(inner)} + {kind}"
    if prefix in ("idx", "clothing1m", "webvision", "food101n", "cifarn"):
        return "/".join(Path(address).parts[-2:])
    return address if prefix in PREFIXES else Path(name).name or name
