"""The flow of `noiseproof run`: data -> features -> spectrum, suspect labels, heads -> evaluation -> report.

Every step is a stage that leaves files: a second start skips finished stages and ends with the same results.
The run folder changes only when all stages are done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.config.keywords import takes_keywords
from noiseproof.config.run import RunConfig
from noiseproof.core.errors import invalid
from noiseproof.core.records import LabelIssues
from noiseproof.data.fingerprints import content_hashes
from noiseproof.detect.algorithm import ALGORITHM
from noiseproof.detect.find_issues import find_label_issues
from noiseproof.evaluate.results import ResultRow, read_results
from noiseproof.export.issue_files import SPREADSHEET, SUMMARY, load_issues, read_summary
from noiseproof.pipelines.diagnosis import diagnose_once
from noiseproof.pipelines.inputs.data_notes import notes
from noiseproof.pipelines.inputs.data_parts import DataParts
from noiseproof.pipelines.inputs.encoded import EncodedParts, encode_once
from noiseproof.pipelines.inputs.encoding import config_encoder
from noiseproof.pipelines.inputs.inputs import open_training, with_evaluation_sets
from noiseproof.pipelines.inputs.straddling import count_copies, read_straddling_copies
from noiseproof.pipelines.outputs.cards import backbone_section, suspects_section, write_card
from noiseproof.pipelines.outputs.output_folders import check_is_apart, only_process_in
from noiseproof.pipelines.outputs.stages import Stages, publish
from noiseproof.pipelines.reviewed.cleaning_effect import measure_cleaning
from noiseproof.pipelines.reviewed.judging import SEARCH, judge_once
from noiseproof.pipelines.reviewed.kept_page import REVIEW, decided_ids, keep_page
from noiseproof.pipelines.reviewed.known_decisions import KnownDecisions, decided_part, keep_named, open_known
from noiseproof.pipelines.reviewed.other_data import check_not_of_other_data
from noiseproof.pipelines.run_heads.evaluation import EVALUATE, RESULTS, evaluate_once
from noiseproof.pipelines.run_heads.expected_time import training_time_s
from noiseproof.pipelines.run_heads.head_choice import choose_once, read_choice
from noiseproof.pipelines.run_heads.head_defaults import follow_data, num_suspects
from noiseproof.pipelines.run_heads.heads import HeadVariant, head_variants, with_estimated_transition
from noiseproof.pipelines.run_heads.training import head_needs, train_once
from noiseproof.posterior.true_labels import remembering_true_label_probs
from noiseproof.report.page import write_report

CARD, PAGE = "run.json", "report.html"
OnSuspects = Callable[[LabelIssues, float, Path], None]


@dataclass(frozen=True)
class RunResult:
    """Results of a finished run.

    Attributes:
        folder: the run folder.
        report: the page.
        rows: a row per head x seed x evaluation set.
        card: the contents of `run.json`.
    """

    folder: Path
    report: Path
    rows: list[ResultRow] = field(repr=False)
    card: dict[str, Any] = field(repr=False)


@takes_keywords(RunConfig)
def run(
    config: RunConfig,
    *,
    command: str = "noiseproof.run(...)",
    say: Callable[[str], None] = lambda line: None,
    on_suspects: OnSuspects = lambda issues, rest_s, folder: None,
) -> RunResult:
    """Train heads on features of a frozen encoder, evaluate them, find suspect labels, and write a report.

    Args:
        config: of data, encoder and heads.
        command: how the user started it, for the card.
        say: receives lines about the expected time and about changes in the folder.
        on_suspects: receives the suspect labels as soon as they are found, and the expected seconds of
            training that follow.

    Raises:
        NoiseproofError: data, encoder or an option cannot be used; earlier results stay on disk.
    """
    check_is_apart(config.out, (config.train, config.test, *config.ood))
    with only_process_in(config.out, mark=CARD):
        stages = Stages(config.out, command=command)
        stages.check_free([], unedited=[SPREADSHEET])
        heads = head_variants(config)  # a misspelt option is found before any work
        parts, known = _open_data(config)
        if parts.note_on_scores is not None:
            say(parts.note_on_scores)
            heads = [head.as_regressor() for head in heads]
        encoder = config_encoder(config, parts.train.whole, config.cache)
        encoded = encode_once(stages, config, parts, encoder)
        diagnose_once(stages, encoded)
        count_copies(stages, encoded)
        issues = None if known is None else _find_suspects(stages, config, encoded, known)
        heads, choices = _follow_data(heads, config, encoded, issues)
        if issues is not None and SEARCH in stages.done:
            on_suspects(issues, _training_time_s(heads, config, encoded), stages.path(SUMMARY).parent)
        heads, more_notes = with_estimated_transition(heads, stages, encoded)
        needs = partial(head_needs, config, encoder, parts.train.dataset.class_names)
        true_probs = remembering_true_label_probs()  # for all heads
        fitted = [train_once(stages, head, encoded, needs=needs, true_probs=true_probs) for head in heads]
        evaluate_once(stages, heads, fitted, encoded)
        effect = measure_cleaning(stages, config, encoded, known, fitted=fitted[0], true_probs=true_probs)
        choose_once(stages, heads, fitted, encoded, needs=needs, seed=config.seed)
        publish(stages, cards=(CARD, PAGE, REVIEW), say=say)
        if known is not None:
            more_notes += known.settled.notes
            keep_named(config, known)
            keep_page(config.out, known.dataset, encoded.of(parts.train.whole).features)
        card = _write_card(
            stages, config, encoded, more_notes, choices=choices, cleaning_effect=effect and effect.to_json(),
            backbone=backbone_section(encoder.identity, encoded.of(parts.train.whole).manifest, config),
            seeds=list(range(heads[0].num_seeds)),
        )  # fmt: skip
        report = write_report(config.out, decided_ids(config.out))
        return RunResult(config.out, report, read_results(config.out / RESULTS), card)


def _open_data(config: RunConfig) -> tuple[DataParts, KnownDecisions | None]:
    """The data with the labels that people decided, and these decisions; `None` where labels are scores."""
    train, held_out = open_training(config, task=config.task)
    if train.dataset.has_scores:
        if config.decisions:
            allowed, next_step = "nothing, since the labels are scores", "Next: leave it out."
            raise invalid("decisions", str(config.decisions[0]), allowed, next_step)
        check_not_of_other_data(config.out, train.whole, content_hashes(train.whole))
        known = None
    else:
        known = open_known(config, train.with_held_out)
        train = decided_part(train, known)
        held_out = held_out and decided_part(held_out, known)
    return with_evaluation_sets(config, train, held_out, views=config.views), known


def _find_suspects(
    stages: Stages, config: RunConfig, encoded: EncodedParts, known: KnownDecisions
) -> LabelIssues:
    """Find suspect labels in training and test split alike: leave-one-out needs no split."""
    dataset, stored = known.dataset, encoded.of(known.dataset)

    def find(labels: np.ndarray, features: Any) -> LabelIssues:
        return find_label_issues(
            features, labels, ids=dataset.ids, class_names=dataset.class_names, seed=config.seed
        )

    labels = [dataset.given_labels, dataset.clean_labels, dataset.class_names]
    depends_on = [stored.manifest.key, labels, config.seed, ALGORITHM, config.raw_cells, known.key]
    judge_once(stages, find, known, stored, raw_cells=config.raw_cells, depends_on=depends_on)
    return load_issues(stages.path(SUMMARY).parent)


def _follow_data(
    heads: list[HeadVariant], config: RunConfig, encoded: EncodedParts, issues: LabelIssues | None
) -> tuple[list[HeadVariant], list[str]]:
    """Heads with the options that follow the data, and notes on these."""
    train = encoded.parts.train
    return follow_data(
        heads, config, num_examples=len(train.dataset), dim=encoded.dim,
        num_suspects=0 if issues is None else num_suspects(issues, train),
        are_texts=train.dataset.kind == "text",
    )  # fmt: skip


def _training_time_s(heads: list[HeadVariant], config: RunConfig, encoded: EncodedParts) -> float:
    train = encoded.parts.train
    return training_time_s(
        heads, num_examples=len(train.dataset), dim=encoded.dim,
        num_classes=len(train.dataset.class_names), num_views=config.views,
    )  # fmt: skip


def _write_card(
    stages: Stages,
    config: RunConfig,
    encoded: EncodedParts,
    more_notes: Sequence[str],
    *,
    choices: Sequence[str],
    **sections: Any,
) -> dict[str, Any]:
    parts = encoded.parts
    # From disk, since its stage may have been skipped.
    summary = None if parts.has_scores else read_summary(config.out)
    return write_card(
        stages,
        CARD,
        "run",
        config=config,
        made_by=EVALUATE,
        notes=[
            *notes(config, parts),
            *encoded.cut_notes(),
            *read_straddling_copies(config.out).notes(),
            *more_notes,
        ],
        data=[part.to_json() for part in parts.all],
        choices=[*choices, read_choice(config.out).reason],
        encoder_passes=encoded.num_encoded,
        task="regression" if parts.has_scores else "classification",
        detection_notes=[] if summary is None else list(summary.notes),
        **suspects_section(summary),
        **sections,
    )
