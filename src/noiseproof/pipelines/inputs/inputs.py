"""The data of a run: what heads learn from, what they are tested on, in domain and out of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import numpy as np

from noiseproof.config.corrupt import CorruptConfig
from noiseproof.config.data import DataConfig, EvaluationConfig, NoisyDataConfig
from noiseproof.core.errors import BadData, InvalidArgument, UnknownName, invalid
from noiseproof.core.records import Dataset, LabelledDataset
from noiseproof.data.classes import align_labels, check_scores, check_trainable
from noiseproof.data.request import Task
from noiseproof.data.shifts.shifts import augmented, shifted
from noiseproof.data.sources import PREFIXES, open_dataset
from noiseproof.data.splits import stratified_split, subset
from noiseproof.noise.applied import labels_of_manifest
from noiseproof.noise.inject import corrupt_dataset
from noiseproof.pipelines.inputs.cleaned_copies import labels_before_cleaning
from noiseproof.pipelines.inputs.data_parts import DataPart, DataParts, Role


class LabelColumns(TypedDict):
    """Columns of the given and of the true labels."""

    label: str | None
    clean_label: str | None


def open_parts(config: EvaluationConfig, *, views: int = 1, task: Task = "classification") -> DataParts:
    """Open, split, corrupt and shift the data that a configuration names, without encoding it.

    Args:
        config: of data, noise and evaluation sets.
        views: with 2, also two augmented views of the training examples.
        task: what the labels are; evaluation sets have labels of the kind of the training set.
    """
    return with_evaluation_sets(config, *open_training(config, task=task), views=views)


def open_training(config: EvaluationConfig, *, task: Task) -> tuple[DataPart, DataPart | None]:
    """The training part, with noise in its labels, and the part that is held out where there is no `test`."""
    whole = open_one(config, config.train, task=task, **label_columns(config))
    if whole.has_scores:
        check_scores(whole)
        _refuse_noise(whole, config)
    else:
        check_trainable(whole)
    if config.test is not None:
        return corrupt_part(DataPart("train", whole, whole), config), None
    train, held_out = _split(whole, config)
    return corrupt_part(train, config), _with_labels_before(held_out, config.train, config)


def with_evaluation_sets(
    config: EvaluationConfig, train: DataPart, held_out: DataPart | None, *, views: int = 1
) -> DataParts:
    """The data of a run.

    Args:
        config: of the evaluation sets.
        train: of `open_training`; its classes are those of all sets.
        held_out: likewise.
        views: see `open_parts`.
    """
    classes = train.dataset
    if held_out is None:
        assert config.test is not None
        held_out = _evaluation_set(config, config.test, "test", classes)
    augmented_views = views_of(classes, views, seed=config.seed)
    tests = [held_out, *(_shifted(held_out, kind, config) for kind in config.shifts)]
    tests += [_evaluation_set(config, name, "ood", classes) for name in config.ood]
    _check_alike(train, tests)
    first, *others = _named([train, *tests])
    return DataParts(first, tuple(others), augmented_views)


def views_of(dataset: Dataset, views: int, *, seed: int) -> tuple[Dataset, ...]:
    """Two augmented views of a data set; none with `views=1`, which are the images as they are."""
    return tuple(augmented(dataset, view=number, seed=seed) for number in range(views if views > 1 else 0))


def label_columns(config: DataConfig) -> LabelColumns:
    """Columns of the given and of the true labels; noise real:COLUMN has the column of the given ones."""
    noise = config.noise if isinstance(config, NoisyDataConfig | CorruptConfig) else None
    if noise is None or noise.kind != "real":
        return {"label": config.label, "clean_label": config.clean_label}
    truth = config.clean_label or config.label
    if truth is None:
        raise invalid("label", None, f"the column of the true labels beside noise {noise}", "Next: --label.")
    return {"label": noise.column, "clean_label": truth}


def open_one(
    config: DataConfig,
    name: str,
    *,
    label: str | None,
    clean_label: str | None,
    may_lack_classes: bool = False,
    may_lack_examples: bool = False,
    task: Task = "classification",
) -> LabelledDataset:
    """Open a data set with labels, as the configuration names it."""
    return open_dataset(
        name, label=label, image=config.image, text=config.text, clean_label=clean_label,
        limit=config.limit, seed=config.seed, on_error=config.on_error, missing_label=config.missing_label,
        may_lack_classes=may_lack_classes, may_lack_examples=may_lack_examples,
        task=task,
    )  # fmt: skip


def is_whole(config: DataConfig, dataset: Dataset) -> bool:
    """Whether a data set that a configuration names has all of its examples."""
    return config.limit is None and dataset.num_skipped == 0


def _split(whole: LabelledDataset, config: EvaluationConfig) -> tuple[DataPart, DataPart]:
    by = np.zeros(len(whole), np.int64) if whole.has_scores else whole.given_labels
    train_rows, test_rows = stratified_split(
        by, test_fraction=config.test_fraction, seed=config.seed,
        class_names=whole.class_names,
    )  # fmt: skip
    train = subset(whole, train_rows)
    test = subset(whole, test_rows, name=f"{short_name(whole.name)} (held out)")
    if whole.has_scores:
        check_scores(train)
        check_scores(test)
    is_known = whole.clean_labels is not None
    return (
        DataPart("train", train, whole, train_rows),
        DataPart("test", test, whole, test_rows, has_true_labels=is_known),
    )


def _evaluation_set(config: EvaluationConfig, name: str, role: Role, train: LabelledDataset) -> DataPart:
    # A label column named for it wins; the true labels of the training set are that of a test set.
    label = config.test_label or config.clean_label or config.label
    label = None if label == "auto" else label
    try:
        opened = open_one(
            config, name, label=label, clean_label=None, may_lack_classes=True,
            task="regression" if train.has_scores else "classification",
        )  # fmt: skip
    except (UnknownName, InvalidArgument) as error:
        if label is None or "`label`" not in str(error):
            raise
        raise type(error)(
            f"{error} For `test` and `ood` that is `test_label`. Next: --test-label with the name of their "
            "label column, or --test-label auto to find it."
        ) from error
    if train.has_scores:
        check_scores(opened)
        return DataPart(role, opened, opened)
    dataset = align_labels(opened, train.class_names)
    is_true = label is not None and label == config.clean_label
    part = DataPart(role, dataset, dataset, has_true_labels=is_true)
    return _with_labels_before(part, name, config)


def _refuse_noise(train: LabelledDataset, config: EvaluationConfig) -> None:
    """Refuse what changes or compares classes, where labels are scores."""
    for name in ("noise", "noise_manifest", "clean_label"):
        value = getattr(config, name)
        if value is not None:
            raise invalid(
                name, str(value), f"nothing, since the labels of {train.name!r} are scores (regression)",
                "Label noise and its truth are for classes only. Next: leave it out.",
            )  # fmt: skip


def _with_labels_before(part: DataPart, name: str, config: EvaluationConfig) -> DataPart:
    return dataclasses.replace(part, before=labels_before_cleaning(config, name, part.dataset))


def _check_alike(train: DataPart, tests: Sequence[DataPart]) -> None:
    """Refuse feature files of different encoders, as far as their widths show it, and pairs beside texts."""
    for part in tests:
        if {_has_pairs(train.dataset), _has_pairs(part.dataset)} == {True, False}:
            ours, theirs = (
                "pairs of texts" if _has_pairs(each.dataset) else "single texts" for each in (train, part)
            )
            raise BadData(
                f"The training set {train.name!r} has {ours}, and {part.name!r} has {theirs}; allowed: one "
                "of the two. Next: name the columns with `text`."
            )
        if train.dataset.kind == part.dataset.kind == "features":
            expected, width = (len(each.dataset.examples[0]) for each in (train, part))
            if width != expected:
                raise BadData(
                    f"{part.name!r} has features of width {width}, the training set {train.name!r} of width "
                    f"{expected}; allowed: one width. Next: make both with the same encoder and layer."
                )


def _has_pairs(dataset: Dataset) -> bool | None:
    """Whether texts are pairs; `None` of others, and where the first cannot be read, which is named later."""
    if dataset.kind != "text":
        return None
    with suppress(BadData):
        return isinstance(dataset.examples[0], tuple)
    return None


def _shifted(test: DataPart, kind: str, config: EvaluationConfig) -> DataPart:
    dataset = shifted(test.dataset, kind, seed=config.seed)
    dataset = dataclasses.replace(dataset, name=f"{short_name(config.test or config.train)} + {kind}")
    return DataPart("ood", dataset, dataset, has_true_labels=test.has_true_labels, before=test.before)


def corrupt_part(train: DataPart, config: NoisyDataConfig) -> DataPart:
    """The training part with the noise of the configuration in its labels."""
    if config.noise_manifest is not None:
        whole = train.whole if is_whole(config, train.whole) else None
        made = labels_of_manifest(config.noise_manifest, train.dataset, whole=whole)
        noise = made.as_labels()
    elif config.noise is not None:
        noise = corrupt_dataset(train.dataset, config.noise, seed=config.seed)
    else:
        return train
    dataset = dataclasses.replace(train.dataset, given_labels=noise.given, clean_labels=noise.clean)
    return dataclasses.replace(train, dataset=dataset, noise=noise)


def _named(parts: list[DataPart]) -> list[DataPart]:
    """Give each part a unique name that fits a table: its path without folders where that is unique."""
    short = [short_name(part.name) for part in parts]
    names = short if len(set(short)) == len(short) else [part.name for part in parts]
    seen: set[str] = set()
    named = []
    for part, name in zip(parts, names, strict=True):
        unique, count = name, 1
        while unique in seen:  # a data set may be named twice; rows of the results need unique names
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
