"""The flow of `noiseproof run`: data -> features -> spectrum, suspect labels, heads -> evaluation -> report.

Every step is a stage that leaves files: a second start skips finished stages and ends with the same results.
The run folder changes only when all stages are done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.config.keywords import takes_keywords
from noiseproof.config.run import RunConfig
from noiseproof.core.errors import invalid
from noiseproof.core.progress import stage
from noiseproof.core.records import Dataset, LabelIssues, LabelledDataset
from noiseproof.core.storage.checksums import write_record
from noiseproof.data.fingerprints import content_hashes
from noiseproof.detect.algorithm import ALGORITHM
from noiseproof.detect.find_issues import find_label_issues
from noiseproof.evaluate.results import ResultRow, read_results
from noiseproof.export.issue_files import SPREADSHEET, SUMMARY, load_issues, read_summary
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.features.store import StoredFeatures
from noiseproof.heads.abstract import TrueProbs, fit_heads
from noiseproof.heads.fit import num_steps
from noiseproof.heads.saved_heads import SUFFIXES, HeadNeeds
from noiseproof.pipelines.decisions.cleaning_effect import CleaningEffect, measure_cleaning
from noiseproof.pipelines.decisions.kept_page import REVIEW, decided_ids, keep_page
from noiseproof.pipelines.decisions.known_labels import (
    KnownDecisions,
    decided_part,
    judge_labels,
    keep_named,
    no_decisions,
    open_known,
)
from noiseproof.pipelines.decisions.other_data import check_not_of_other_data
from noiseproof.pipelines.diagnosis import diagnose_once
from noiseproof.pipelines.heads.evaluation import EVALUATE, RESULTS, evaluate_once
from noiseproof.pipelines.heads.expected_time import training_time_s
from noiseproof.pipelines.heads.head_defaults import follow_data, num_suspects
from noiseproof.pipelines.heads.head_needs import head_needs
from noiseproof.pipelines.heads.heads import HeadVariant, head_variants, with_estimated_transition
from noiseproof.pipelines.heads.shipped_heads import choose_once, read_choice
from noiseproof.pipelines.inputs.data_notes import notes
from noiseproof.pipelines.inputs.data_parts import DataPart, DataParts
from noiseproof.pipelines.inputs.encoding import Encoder, config_encoder, cut_notes, encode
from noiseproof.pipelines.inputs.inputs import open_parts, short_name
from noiseproof.pipelines.inputs.straddling import count_copies, read_straddling_copies
from noiseproof.pipelines.outputs.cards import backbone_section, make_card
from noiseproof.pipelines.outputs.folders import check_is_apart, only_process_in
from noiseproof.pipelines.outputs.provenance import differences
from noiseproof.pipelines.outputs.stages import Stages, publish
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


@dataclass(eq=False)
class _RunState:
    """Configuration, stages and features of one run, shared by its steps."""

    config: RunConfig
    stages: Stages
    say: Callable[[str], None]
    on_suspects: OnSuspects
    judged: LabelledDataset = field(init=False)  # with the labels as given
    known: KnownDecisions = field(default_factory=no_decisions)
    stored: dict[str, StoredFeatures] = field(default_factory=dict)  # by fingerprint of the data set
    num_encoded: int = 0
    are_suspects_new: bool = False  # found in this start, not in an earlier one
    choices: list[str] = field(default_factory=list)  # about the heads, for the card
    notes: list[str] = field(default_factory=list)  # of the heads, for the card
    true_probs: TrueProbs = field(default_factory=remembering_true_label_probs)  # for all heads


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
        state = _RunState(config, Stages(config.out, command=command), say, on_suspects)
        state.stages.check_free([], unedited=[SPREADSHEET])
        heads = head_variants(config)  # a misspelt option is found before any work
        decide = partial(_open_decisions, state)
        parts = open_parts(config, views=config.views, task=config.task, decide=decide)
        if parts.has_scores and config.decisions:
            allowed, next_step = "nothing, since the labels are scores", "Next: leave it out."
            raise invalid("decisions", str(config.decisions[0]), allowed, next_step)
        if parts.has_scores:
            whole = parts.train.whole
            check_not_of_other_data(config.out, whole, content_hashes(whole))
        if parts.note_on_scores is not None:
            say(parts.note_on_scores)
            heads = [head.as_regressor() for head in heads]
        encoder = config_encoder(config, parts.train.whole, config.cache)
        for dataset in parts.to_extract:
            _extract(state, dataset, encoder)
        of_part: dict[str, Any] = {
            "features": partial(_features, state),
            "key": partial(_features_key, state),
        }
        diagnose_once(state.stages, parts, **of_part)
        count_copies(state.stages, parts, **of_part)
        if not parts.has_scores:
            _detect(state)
        heads = _settle(state, heads, parts)
        heads, state.notes = with_estimated_transition(
            heads, state.stages, parts.train, features=lambda: _features(state, parts.train),
            depends_on=_features_key(state, parts.train),
        )  # fmt: skip
        fitted = [_fit(state, head, parts, encoder) for head in heads]
        evaluate_once(state.stages, heads, fitted, parts.tests, **of_part)
        effect = None if parts.has_scores else measure_cleaning(
            state.stages, config, parts, state.judged, state.known, fitted=fitted[0],
            true_probs=state.true_probs, **of_part,
        )  # fmt: skip
        needs = partial(head_needs, config, encoder, class_names=parts.train.dataset.class_names)
        choose_once(
            state.stages, heads, fitted, parts, stored=state.stored, seed=config.seed, needs=needs, **of_part
        )
        publish(state.stages, cards=(CARD, PAGE, REVIEW), say=say)
        if not parts.has_scores:
            judged = state.stored[parts.train.whole.fingerprint].features
            keep_named(config, config.out, state.judged, state.known)
            keep_page(config.out, state.judged, judged)
        contents = _write_card(state, parts, encoder, effect, num_seeds=heads[0].num_seeds)
        report = write_report(config.out, decided_ids(config.out))
        return RunResult(config.out, report, read_results(config.out / RESULTS), contents)


def _open_decisions(state: _RunState, train: DataPart) -> Callable[[DataPart], DataPart]:
    """Remember the data as it is to be judged, and the decisions of people about it."""
    state.judged = train.with_held_out
    is_whole = state.config.limit is None and state.judged.num_skipped == 0
    state.known = open_known(state.config, state.config.out, state.judged, is_whole=is_whole)
    return partial(decided_part, known=state.known)


def _extract(state: _RunState, dataset: Dataset, encoder: Encoder) -> None:
    begin = time.perf_counter()
    stored = encode(state.config, dataset, encoder, state.config.cache)
    state.num_encoded += stored.num_encoded
    state.stored[dataset.fingerprint] = stored
    state.stages.once(
        f"extract-{dataset.fingerprint[:16]}",
        title=f"extract {short_name(dataset.name)}",
        depends_on=stored.manifest.key,
        make=lambda folder: (),
        spent_s=time.perf_counter() - begin,
    )


def _features(state: _RunState, part: DataPart) -> ShardedMatrix:
    """Features of the examples of a part, still on disk."""
    features = state.stored[part.whole.fingerprint].features
    return features if part.rows is None else features.rows(part.rows)


def _features_key(state: _RunState, part: DataPart) -> list[Any]:
    """Everything that results on the features of a part depend on."""
    key = state.stored[part.whole.fingerprint].manifest.key
    return [key, part.rows, part.dataset.class_names]


def _detect(state: _RunState) -> None:
    """Find suspect labels in training and test split alike: leave-one-out needs no split."""
    dataset, raw_cells = state.judged, state.config.raw_cells
    stored = state.stored[dataset.fingerprint]

    def find(labels: np.ndarray, features: Any) -> LabelIssues:
        return find_label_issues(
            features, labels, ids=dataset.ids, class_names=dataset.class_names, seed=state.config.seed
        )

    def make(folder: Path) -> list[str]:
        state.are_suspects_new = True
        return judge_labels(
            find, folder, dataset, state.known, stored.features, stored.parts, raw_cells=raw_cells
        )

    labels = [dataset.given_labels, dataset.clean_labels, dataset.class_names]
    depends_on = [stored.manifest.key, labels, state.config.seed, ALGORITHM, raw_cells, state.known.key]
    state.stages.once("label issues", depends_on=depends_on, make=make)


def _settle(state: _RunState, heads: list[HeadVariant], parts: DataParts) -> list[HeadVariant]:
    """Heads with the options that follow the data; report the suspect labels and the time that is left."""
    dim = state.stored[parts.train.whole.fingerprint].manifest.dim
    issues = None if parts.has_scores else load_issues(state.stages.path(SUMMARY).parent)
    heads, state.choices = follow_data(
        heads, state.config, num_examples=len(parts.train.dataset), dim=dim,
        num_suspects=0 if issues is None else num_suspects(issues, parts.train),
        are_texts=parts.train.dataset.kind == "text",
    )  # fmt: skip
    if issues is not None and state.are_suspects_new:
        rest_s = training_time_s(
            heads, num_examples=len(parts.train.dataset), dim=dim,
            num_classes=len(parts.train.dataset.class_names), num_views=state.config.views,
        )  # fmt: skip
        state.on_suspects(issues, rest_s, state.stages.path(SUMMARY).parent)
    return heads


def _fit(state: _RunState, head: HeadVariant, parts: DataParts, encoder: Encoder) -> list[str]:
    """Train one head with all its seeds and return the keys of its stages."""
    seeds = list(range(head.num_seeds))
    groups = [[seed] for seed in seeds] if head.trains_seeds_apart else [seeds]
    return [_fit_seeds(state, head, group, parts, encoder) for group in groups]


def _fit_seeds(
    state: _RunState, head: HeadVariant, seeds: list[int], parts: DataParts, encoder: Encoder
) -> str:
    train, views = parts.train, [state.stored[view.fingerprint] for view in parts.views]
    is_apart = head.trains_seeds_apart
    name = f"seed-{seeds[0]}-of-{head.name}" if is_apart else f"head-{head.name}"
    which = f", seed {seeds[0]}" if is_apart and head.num_seeds > 1 else ""

    def make(folder: Path) -> list[str]:
        fitted = head.build(seeds)
        sources = [stored.features for stored in views] or [_features(state, train)]
        steps = num_steps([one.spec() for one in fitted], len(train.dataset))
        with stage(f"Head {head.name}{which}", total=steps, unit="step") as bar:
            first, second = [*map(np.asarray, sources), None][:2]  # read once, not for every seed
            fit_heads(
                fitted, first, train.dataset.scores if head.predicts_scores else train.given_labels,
                second_view=second, on_step=bar.update,
                true_probs=state.true_probs,
            )  # fmt: skip
        for seed, one in zip(seeds, fitted, strict=True):
            needs = head_needs(state.config, encoder, one, train.dataset.class_names)
            one.save(folder / head.file(seed), needs=needs)
        return [head.file(seed) + suffix for seed in seeds for suffix in SUFFIXES]

    keys = [stored.manifest.key for stored in views]
    depends_on: list[Any] = [head.to_json(), seeds, _features_key(state, train), train.given_labels, keys]
    depends_on += [ALGORITHM] if head.options.get("noise_tolerant") else []
    depends_on += [sorted(HeadNeeds.model_fields)]  # earlier heads had none
    return state.stages.once(name, title=f"head {head.name}", depends_on=depends_on, make=make)


def _write_card(
    state: _RunState, parts: DataParts, encoder: Encoder, effect: CleaningEffect | None, *, num_seeds: int
) -> dict[str, Any]:
    # From disk, since its stage may have been skipped.
    summary = None if parts.has_scores else read_summary(state.config.out)
    contents = make_card(
        "run",
        config=state.config,
        made_with=state.stages.made_with[EVALUATE],  # of the start that made the results
        wall_s=state.stages.wall_s,
        files=state.stages.hashes,
        notes=[
            *notes(state.config, parts),
            *dict.fromkeys(line for part in parts.all for line in cut_notes(part.whole, state.stored)),
            *read_straddling_copies(state.config.out).notes(),
            *state.notes,
            *state.known.settled.notes,
            *differences(state.stages.made_with, EVALUATE),
        ],
        data=[part.to_json() for part in parts.all],
        backbone=backbone_section(
            encoder.identity, state.stored[parts.train.whole.fingerprint].manifest, state.config
        ),
        seeds=list(range(num_seeds)),
        choices=[*state.choices, read_choice(state.config.out).reason],
        encoder_passes=state.num_encoded,
        task="regression" if parts.has_scores else "classification",
        num_suspect_labels=None if summary is None else summary.num_issues,
        noise_rate=None if summary is None else summary.rate_card(),
        detection_notes=[] if summary is None else list(summary.notes),
        detection=None if summary is None else summary.against_truth,
        reviewed=None if summary is None else summary.reviewed,
        cleaning_effect=None if effect is None else effect.to_json(),
    )
    write_record(state.config.out / CARD, contents)
    return contents
