"""The flow of `noiseproof detect`: data -> features or probabilities -> suspect labels -> exports."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.backbones.image_text.shared_space import check_shared_layer
from noiseproof.config.data import DecisionsConfig, EncodersConfig, NoisyDataConfig, PlanConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.config.keywords import takes_keywords
from noiseproof.core.errors import invalid
from noiseproof.core.records import Dataset, LabelIssues
from noiseproof.core.storage.files import digest
from noiseproof.data.formats.probabilities import read_probabilities
from noiseproof.data.request import Request
from noiseproof.data.sources import with_own_columns
from noiseproof.detect.algorithm import ALGORITHM
from noiseproof.detect.detectors import check_method, describe_needs
from noiseproof.export.formats import FORMATS, check_format, export_target
from noiseproof.export.formula_notes import formula_notes
from noiseproof.export.issue_files import (
    ISSUES,
    SPREADSHEET,
    SUMMARY,
    IssueSummary,
    load_issues,
    read_summary,
)
from noiseproof.export.source import Source
from noiseproof.features.store import FeatureManifest, StoredFeatures
from noiseproof.pipelines.decisions.judging import SEARCH, judge_once
from noiseproof.pipelines.decisions.kept_page import REVIEW, keep_page
from noiseproof.pipelines.decisions.known_labels import KnownDecisions, keep_named, open_known
from noiseproof.pipelines.decisions.rate_sample import CHECK_FIRST, FORM, draw_sample, list_first, read_draws
from noiseproof.pipelines.inputs.data_notes import left_out
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.pipelines.inputs.encoded import encode_stage
from noiseproof.pipelines.inputs.encoding import checked_features, cut_notes, shared_space_name
from noiseproof.pipelines.inputs.inputs import is_whole
from noiseproof.pipelines.inputs.judged import judging_encoder, needs_features, needs_text_tower, open_part
from noiseproof.pipelines.outputs.cards import suspects_section, write_card
from noiseproof.pipelines.outputs.folders import check_is_apart, only_process_in
from noiseproof.pipelines.outputs.stages import Stages, publish

CARD = "detection.json"
_COUNTED_ELSEWHERE = {
    *NoisyDataConfig.model_fields, *EncodersConfig.model_fields, *DecisionsConfig.model_fields,
    *PlanConfig.model_fields, "probs", "zero_shot", "features", "export", "rate_sample", "budget",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """Results of a finished `detect`.

    Attributes:
        folder: of the files.
        issues: verdict on every label.
        summary: the contents of `label_issues.json`.
        card: the contents of `detection.json`.
        exports: format -> file or folder.
        forms: tables of labels to check, with empty columns for the decisions.
        review: the page to look at the labels.
    """

    folder: Path
    issues: LabelIssues
    summary: IssueSummary
    card: dict[str, Any]
    exports: dict[str, Path]
    forms: list[Path]
    review: Path


@dataclass(eq=False)
class _DetectState:
    """Configuration, stages, data and features of one detection, shared by its steps."""

    config: DetectConfig
    stages: Stages
    part: DataPart
    known: KnownDecisions
    stored: StoredFeatures | None = None
    text_tower: Any = None

    @cached_property
    def source(self) -> Source:
        """The data set for exports, which may need examples that `limit` and `on_error` leave out."""
        config, dataset = self.config, self.part.dataset
        request = Request(
            config.train, config.label, config.image, config.text, config.clean_label,
            config.on_error, config.seed, config.missing_label, may_lack_examples=not needs_features(config),
        )  # fmt: skip
        is_all = is_whole(config, dataset)
        return Source(dataset, with_own_columns(request), is_all, self.known.settled.counting)


@takes_keywords(DetectConfig)
def detect(
    config: DetectConfig,
    *,
    command: str = "noiseproof.pipelines.detect.detect(...)",
    say: Callable[[str], None] = lambda line: None,
) -> DetectionResult:
    """Find suspect labels of a data set and export them; finished stages of an earlier start are skipped.

    Args:
        config: of data, detector and exports.
        command: how the user started it, for the card.
        say: receives lines about changes in the folder.

    Raises:
        NoiseproofError: data, encoder or an option cannot be used; earlier results stay on disk.
    """
    check_is_apart(config.out, [config.train])
    with only_process_in(config.out, mark=CARD):
        check_method(config.method, config.method_options)  # a mistake is found before any work
        for name in config.export:
            check_format(name)
        part = open_part(config)
        known = open_known(config, part.dataset)
        state = _DetectState(config, Stages(config.out, command=command), part, known)
        targets = {name: export_target(name, state.source) for name in config.export}
        files = [file for _, files in targets.values() for file in files]
        files += [CHECK_FIRST] if config.budget else []
        ours = [ISSUES, SPREADSHEET, SUMMARY, "thumbnails.json"]
        state.stages.check_free([*ours, *files], unedited=[SPREADSHEET, *files])
        _load_features(state)
        key = _find_issues(state)
        if config.budget is not None:
            list_first(state.stages, key, known.labels, num=config.budget)
        for name, (file, _) in targets.items():
            _export(state, name, file, key)
        publish(state.stages, cards=[CARD, REVIEW], say=say)
        if config.rate_sample is not None:
            draw_sample(
                config.out, part.dataset, load_issues(config.out), known.labels, size=config.rate_sample,
                seed=config.seed, page=config.out / REVIEW,
            )  # fmt: skip
        keep_named(config, known)
        page = keep_page(config.out, part.dataset, state.stored and state.stored.features)
        exports = {name: config.out / file for name, (file, _) in targets.items()}
        contents = _write_card(state, exports.values())
        forms = [(config.budget, CHECK_FIRST), (config.rate_sample, FORM)]
        return DetectionResult(
            config.out, load_issues(config.out), read_summary(config.out), contents, exports,
            [config.out / name for size, name in forms if size is not None], page,
        )  # fmt: skip


def _load_features(state: _DetectState) -> None:
    """Get features from the encoder, the store or the given folder, and a text tower where it is needed."""
    config, whole, class_names = state.config, state.part.whole, state.part.dataset.class_names
    if not needs_features(config):
        return
    needs_text = needs_text_tower(config)
    if config.features is not None:
        state.stored = checked_features(config.features, whole)
        made_of = state.stored.manifest.components
        if needs_text:
            state.text_tower = _open_text_tower(made_of["backbone"], class_names)
            check_shared_layer(made_of["layer"])
        return
    if needs_text:
        _check_images(config, whole)
        state.text_tower = _open_text_tower(shared_space_name(config), class_names)
    state.stored = encode_stage(state.stages, "extract", config, whole, judging_encoder(config, whole))


def _open_text_tower(name: str, class_names: Sequence[str]) -> Any:
    from noiseproof.backbones.image_text.text_towers import open_prompt_tower  # loads PyTorch

    return open_prompt_tower(name, class_names)


def _check_images(config: DetectConfig, whole: Dataset) -> None:
    if whole.kind != "image":
        raise invalid(
            "method", config.method, f"a detector for {whole.kind}",
            f"It needs {describe_needs(config.method)}, and an image-text model sees images only. Next: "
            "another method, or --zero-shot with probabilities of your own.",
        )  # fmt: skip


def _find_issues(state: _DetectState) -> str:
    """Run the detector and return the key of its stage."""
    config, dataset = state.config, state.part.dataset
    probs = {
        name: read_probabilities(path, dataset, argument=name, may_have_others=not state.source.is_whole)
        for name, path in (("probs", config.probs), ("zero_shot", config.zero_shot))
        if path is not None
    }

    draws = None
    if state.known.labels is not None:
        draws = read_draws(config.out, dataset.ids, fingerprint=dataset.fingerprint)

    def find(labels: np.ndarray, features: Any) -> LabelIssues:
        from noiseproof.detect.find_issues import find_label_issues  # loads PyTorch, SciPy and scikit-learn

        return find_label_issues(
            features, labels, method=config.method, method_options=config.method_options or None,
            ids=dataset.ids, class_names=dataset.class_names, seed=config.seed,
            text_tower=state.text_tower, **probs,
        )  # fmt: skip

    labels = [dataset.given_labels, dataset.clean_labels, dataset.class_names]
    # Every option counts, a new one too; the effect of the others is in the features, labels and arrays here.
    options = config.model_dump(mode="json", exclude=_COUNTED_ELSEWHERE)
    # Features have the ids in their key, probabilities do not.
    depends_on = [
        state.stored and state.stored.manifest.key, digest(dataset.ids.astype(str)), labels, options,
        {name: digest(np.asarray(values)) for name, values in probs.items()}, config.seed,
        ALGORITHM, state.known.key, None if draws is None else [draws.population, draws.rows],
    ]  # fmt: skip
    return judge_once(
        state.stages, find, state.known, state.stored, draws=draws, raw_cells=config.raw_cells,
        depends_on=depends_on,
    )  # fmt: skip


def _export(state: _DetectState, name: str, file: str, key: str) -> None:
    def make(folder: Path) -> list[str]:
        issues = load_issues(state.stages.path(ISSUES).parent)
        written = FORMATS[name].write(issues, folder / file, state.source, state.config.out)
        return [path.relative_to(folder).as_posix() for path in written]

    request = state.source.request
    # An export reads the table again, so another table of the same examples makes it anew.
    home, version = str(state.config.out.resolve()), _data_version(state)
    depends_on = [[key, state.known.key], name, file, home, dataclasses.asdict(request), version]
    state.stages.once(f"export {name}", depends_on=depends_on, make=make)


def _data_version(state: _DetectState) -> Any:
    """Fingerprint of the examples, with size and time of the file where the data set is one."""
    path = Path(state.config.train)
    whole: Dataset = state.part.whole
    stat = path.stat() if path.is_file() else None
    return [whole.fingerprint, stat and [stat.st_size, stat.st_mtime_ns]]


def _write_card(state: _DetectState, exports: Iterable[Path]) -> dict[str, Any]:
    summary = read_summary(state.config.out)
    return write_card(
        state.stages,
        CARD,
        "detect",
        config=state.config,
        made_by=SEARCH,
        notes=[*_notes(state), *state.known.settled.notes, *formula_notes(exports)],
        data=state.part.to_json(),
        features=None if state.stored is None else _features_section(state.stored.manifest),
        encoder_passes=0 if state.stored is None else state.stored.num_encoded,
        method=summary.method,
        **suspects_section(summary),
    )


def _features_section(manifest: FeatureManifest) -> dict[str, Any]:
    names = ("backbone", "layer", "weights_hash", "transform")
    made_of = {name: manifest.components[name] for name in names}
    return made_of | {"key": manifest.key, "dim": manifest.dim}


def _notes(state: _DetectState) -> list[str]:
    """Notes on the data for readers of the results."""
    lines = []
    if state.part.noise is not None:
        lines.append("Labels as they were before noise was put in count as right.")
        if any(name.startswith("cleaned") for name in state.config.export):
            lines.append("The cleaned copy has the labels put in that were not found: it is for a rehearsal.")
    if state.text_tower is not None:
        from noiseproof.backbones.image_text.wording import notes_on_names

        lines.extend(notes_on_names(state.part.dataset.class_names))
    if state.config.limit is not None:
        lines.append(f"At most {state.config.limit} examples were used, drawn by class.")
    if state.stored is not None and state.config.features is None:
        lines += cut_notes(state.part.whole, state.stored)
    # Hints at class names are among the notes of the result already.
    of_result = tuple(read_summary(state.config.out).notes)
    return lines + [line for line in left_out(state.part.whole) if not line.endswith(of_result)]
