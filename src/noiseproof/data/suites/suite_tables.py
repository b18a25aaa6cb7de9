"""The data sets of the papers as records, read from `suites.yaml` beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Literal, NamedTuple

import yaml
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

Metric = Literal["accuracy", "mean_per_class_accuracy", "matthews", "pearson"]
# How classes of an ImageNet variant are named: by WordNet id, by ImageNet's class number, by the folders of
# ObjectNet, or by the 30 classes of ImageNet-Vid.
Naming = Literal["wnid", "number", "objectnet", "vid"]
_WHOLE = ConfigDict(extra="forbid")


class Split(NamedTuple):
    """One split of a data set.

    Attributes:
        source: name for `open_dataset`; `{data}` is the folder of public data sets. `None`: no public
            source is known.
        size: number of examples; `None` where no one states it.
    """

    source: str | None
    size: int | None


@dataclass(frozen=True, config=_WHOLE)
class SuitePart:
    """Draw of train and test from a data set that is published in one piece; one of the two is set.

    Attributes:
        test_share: share of every class for the test split.
        train_per_class: examples of every class for the training split.
    """

    test_share: float | None = None
    train_per_class: int | None = None


@dataclass(frozen=True, config=_WHOLE)
class SuiteSet:
    """A data set of a paper's table.

    Attributes:
        splits: by name.
        num_classes: k; 1 for regression.
        metric: what the paper reports.
        also: what GLUE reports beside it: "f1" of the second class (`per_class` in `results.jsonl`), or
            "spearman".
        printed: classes, train size and test size as the paper prints them; `None` for an empty cell.
        part: how train and test are drawn, where both splits name the same source.
        imagenet: how its classes are mapped to the 1,000 of ImageNet, where a head for those is evaluated.
        text: columns of texts; two for pairs of sentences, none for images.
        note: where the data differ from what the paper prints.
    """

    splits: Mapping[str, Split]
    num_classes: int
    metric: Metric = "accuracy"
    also: tuple[str, ...] = ()
    printed: tuple[str | None, str | None, str | None] = (None, None, None)
    part: SuitePart | None = None
    imagenet: Naming | None = None
    text: tuple[str, ...] = ()
    note: str = ""


_FILE = resources.files("noiseproof.data.suites") / "suites.yaml"
SUITES = TypeAdapter(dict[str, dict[str, SuiteSet]]).validate_python(
    yaml.safe_load(_FILE.read_text(encoding="utf-8"))
)
