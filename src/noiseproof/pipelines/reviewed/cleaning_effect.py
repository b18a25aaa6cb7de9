"""Whether cleaning helped: the first head of a run, trained once more on the labels from before.

Accuracy against the labels from before counts labels that are known to be wrong as right, and accuracy
against the decided ones has no other run to be compared with. So both heads are measured on the same held-out
examples against the same labels. The second head is what a run on the labels from before would have trained,
with the tolerance of wrong labels that they would have called for. Examples that people excluded are in
neither training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from noiseproof.config.run import RunConfig
from noiseproof.core.records import LabelledDataset
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import START_AGAIN, Document, read_document
from noiseproof.evaluate.paired import paired_difference
from noiseproof.export.issue_files import SUMMARY, read_summary
from noiseproof.heads.abstract import AbstractHead, TrueProbs, fit_heads
from noiseproof.heads.estimators import load_head
from noiseproof.heads.saved_heads import SUFFIXES
from noiseproof.pipelines.inputs.cleaned_copies import LabelsBefore, labels_before_cleaning
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.pipelines.inputs.encoded import EncodedParts
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.pipelines.reviewed.known_decisions import KnownDecisions
from noiseproof.pipelines.run_heads.head_defaults import follow_data
from noiseproof.pipelines.run_heads.heads import HeadVariant, head_variants

RECORD = "cleaning_effect.json"
_BLOCK_ROWS = 8192


class CleaningEffect(Document):
    """The accuracy of one head, trained on labels from before and on cleaned ones; means over seeds.

    Attributes:
        head: its name.
        set_name: evaluation set.
        num_examples: n of the set.
        num_decided: examples of the set that people decided, unsure ones left out.
        num_corrected: labels of the training set that cleaning changed.
        before: accuracy with the labels from before.
        after: accuracy with the cleaned labels, against the same labels.
        difference: `after` minus `before`, with its 95 % interval.
    """

    SCHEMA: ClassVar[int] = 1
    head: str
    set_name: str
    num_examples: int
    num_decided: int
    num_corrected: int
    before: float
    after: float
    difference: dict[str, float]


def measure_cleaning(
    stages: Stages,
    config: RunConfig,
    encoded: EncodedParts,
    known: KnownDecisions | None,
    *,
    fitted: Sequence[str],
    true_probs: TrueProbs,
) -> CleaningEffect | None:
    """Measure it once; `None` where people changed no label to learn from, or heads see augmented views."""
    parts, features = encoded.parts, encoded.features
    if known is None or known.labels is None or parts.views or config.has_noise:
        return None
    train, test = parts.train, parts.tests[0]
    before = _labels_before(config, known.dataset, train)
    known_rows = np.flatnonzero(before >= 0)
    num_corrected = int((before != train.given_labels).sum())
    head = _head_before(stages, config, encoded, len(known.dataset))
    if not num_corrected or len(np.unique(before[known_rows])) < 2 or head.needs_transition_matrix:
        return None
    labels = test.dataset.best_labels if test.has_true_labels else test.given_labels

    def make(folder: Path) -> list[str]:
        built = head.build(range(head.num_seeds))
        matrix = np.asarray(features(train))[known_rows]
        fit_heads(built, matrix, before[known_rows], true_probs=true_probs)
        files = [stages.path(head.file(seed) + SUFFIXES[0]) for seed in range(head.num_seeds)]
        first, second = (
            _shares_right(heads, features(test), labels)
            for heads in (built, [load_head(file) for file in files])
        )
        effect = CleaningEffect(
            head=head.name, set_name=test.name, num_examples=len(labels),
            num_decided=_num_decided(test, known), num_corrected=num_corrected, before=float(first.mean()),
            after=float(second.mean()), difference=paired_difference(first, second).to_json(),
        )  # fmt: skip
        write_record(folder / RECORD, effect.to_json())
        return [RECORD]

    depends_on = [
        head.to_json(), head.num_seeds, encoded.key(train), before, list(fitted), encoded.key(test),
        labels, known.key,
    ]  # fmt: skip
    stages.once("cleaning effect", depends_on=depends_on, make=make)
    return read_document(stages.path(RECORD), CleaningEffect, next_step=START_AGAIN)


def _labels_before(config: RunConfig, judged: LabelledDataset, train: DataPart) -> np.ndarray:
    """Class ids before people decided of each example to learn from; -1 where that is no class any more."""
    found: LabelsBefore | None = labels_before_cleaning(config, config.train, judged)
    is_by_people = found is not None and found.words is not None
    labels = found.labels if found is not None and is_by_people else judged.given_labels
    number = dict(zip(map(str, judged.ids.tolist()), labels.tolist(), strict=True))
    own = np.array([number[str(each)] for each in train.dataset.ids.tolist()], np.int64)
    return np.where(own < len(judged.class_names), own, -1)


def _head_before(stages: Stages, config: RunConfig, encoded: EncodedParts, num_judged: int) -> HeadVariant:
    """The first head, as a run on the labels from before would have it."""
    dataset = encoded.parts.train.dataset
    summary, n = read_summary(stages.path(SUMMARY).parent), len(dataset)
    num_flagged = summary.num_issues + (summary.reviewed["num_flagged"] if summary.reviewed else 0)
    heads, _ = follow_data(
        head_variants(config)[:1], config, num_examples=n, dim=encoded.dim,
        num_suspects=round(num_flagged * n / num_judged), are_texts=dataset.kind == "text",
    )  # fmt: skip
    return heads[0]


def _shares_right(heads: Sequence[AbstractHead], features: Any, labels: np.ndarray) -> np.ndarray:
    """Share of the heads that are right about each example."""
    starts = range(0, len(labels), _BLOCK_ROWS)
    shares = np.zeros(len(labels))
    for start in starts:
        rows = slice(start, start + _BLOCK_ROWS)
        block = np.asarray(features[rows])
        shares[rows] = np.mean([head.predict(block) == labels[rows] for head in heads], axis=0)
    return shares


def _num_decided(test: DataPart, known: KnownDecisions) -> int:
    """Examples of an evaluation set that people decided; a set of its own may have been cleaned, too."""
    if test.before is not None and test.before.words is not None:
        return sum(word not in ("", "unsure") for word in test.before.words.tolist())
    sure = {one.example_id for one in known.settled.counting.values() if one.is_sure}
    return 0 if test.rows is None else len(sure.intersection(map(str, test.dataset.ids.tolist())))
