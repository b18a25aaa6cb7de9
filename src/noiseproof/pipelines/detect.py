"""The flow of `noiseproof detect`: data -> features or probabilities -> suspect labels -> exports."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.config.detect import DetectConfig
from noiseproof.config.keywords import takes_keywords
from noiseproof.core.records import LabelIssues
from noiseproof.core.storage.files import digest
from noiseproof.data.request import Request
from noiseproof.data.sources import with_own_columns
from noiseproof.detect.algorithm import ALGORITHM
from noiseproof.detect.detectors import check_method
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
from noiseproof.features.store import FeatureManifest
from noiseproof.pipelines.inputs.data_notes import left_out
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.pipelines.inputs.encoding import cut_notes
from noiseproof.pipelines.inputs.inputs import is_whole
from noiseproof.pipelines.inputs.judged import MethodInputs, load_inputs, needs_features, open_part
from noiseproof.pipelines.outputs.cards import suspects_section, write_card
from noiseproof.pipelines.outputs.output_folders import check_is_apart, only_process_in
from noiseproof.pipelines.outputs.stages import Stages, publish
from noiseproof.pipelines.reviewed.judging import SEARCH, judge_once
from noiseproof.pipelines.reviewed.kept_page import REVIEW, keep_page
from noiseproof.pipelines.reviewed.known_decisions import KnownDecisions, keep_named, open_known
from noiseproof.pipelines.reviewed.rate_sample import CHECK_FIRST, FORM, draw_sample, list_first, read_draws

CARD = "detection.json"
# Options that act through features, labels and arrays, or not on the search. One that is not here counts.
_COUNTED_ELSEWHERE = {
    "train", "label", "image", "text", "clean_label", "limit", "on_error", "missing_label", "seed", "noise",
    "noise_manifest", "decisions", "allow_new_class", "backbone", "layer", "max_tokens", "precision", "dtype",
    "engine", "batch_size", "cache", "api_key_variable", "requests_per_minute", "requests_at_once", "plan",
    "price", "out", "features", "probs", "zero_shot", "export", "rate_sample", "budget",
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
        source = _source(config, known)
        targets = {name: export_target(name, source) for name in config.export}
        files = [file for _, files in targets.values() for file in files]
        files += [CHECK_FIRST] if config.budget else []
        ours = [ISSUES, SPREADSHEET, SUMMARY, "thumbnails.json"]
        stages = Stages(config.out, command=command)
        stages.check_free([*ours, *files], unedited=[SPREADSHEET, *files])
        inputs = load_inputs(stages, config, part)
        key = _find_issues(stages, config, known, inputs)
        if config.budget is not None:
            list_first(stages, key, known.labels, num=config.budget)
        for name, (file, _) in targets.items():
            _export(stages, name, file, source, depends_on=[key, known.key])
        publish(stages, cards=[CARD, REVIEW], say=say)
        if config.rate_sample is not None:
            draw_sample(
                config.out, part.dataset, load_issues(config.out), known.labels, size=config.rate_sample,
                seed=config.seed, page=config.out / REVIEW,
            )  # fmt: skip
        keep_named(config, known)
        page = keep_page(config.out, part.dataset, inputs.stored and inputs.stored.features)
        exports = {name: config.out / file for name, (file, _) in targets.items()}
        notes = [*_notes(config, part, inputs), *known.settled.notes, *formula_notes(exports.values())]
        card = _write_card(stages, config, part, inputs, notes)
        forms = [(config.budget, CHECK_FIRST), (config.rate_sample, FORM)]
        return DetectionResult(
            config.out, load_issues(config.out), read_summary(config.out), card, exports,
            [config.out / name for size, name in forms if size is not None], page,
        )  # fmt: skip


def _source(config: DetectConfig, known: KnownDecisions) -> Source:
    """The data set for exports, which may need examples that `limit` and `on_error` leave out."""
    request = Request(
        config.train, config.label, config.image, config.text, config.clean_label, config.on_error,
        config.seed, config.missing_label, may_lack_examples=not needs_features(config),
    )  # fmt: skip
    is_all = is_whole(config, known.dataset)
    return Source(known.dataset, with_own_columns(request), is_all, known.settled.counting)


def _find_issues(stages: Stages, config: DetectConfig, known: KnownDecisions, inputs: MethodInputs) -> str:
    dataset, draws = known.dataset, None
    if known.labels is not None:
        draws = read_draws(config.out, dataset.ids, fingerprint=dataset.fingerprint)

    def find(labels: np.ndarray, features: Any) -> LabelIssues:
        from noiseproof.detect.find_issues import find_label_issues  # loads PyTorch, SciPy and scikit-learn

        return find_label_issues(
            features, labels, method=config.method, method_options=config.method_options or None,
            ids=dataset.ids, class_names=dataset.class_names, seed=config.seed,
            text_tower=inputs.text_tower, **inputs.probs,
        )  # fmt: skip

    labels = [dataset.given_labels, dataset.clean_labels, dataset.class_names]
    options = config.model_dump(mode="json", exclude=_COUNTED_ELSEWHERE)
    # Features have the ids in their key, probabilities do not.
    depends_on = [
        inputs.stored and inputs.stored.manifest.key, digest(dataset.ids.astype(str)), labels, options,
        {name: digest(np.asarray(values)) for name, values in inputs.probs.items()}, config.seed,
        ALGORITHM, known.key, None if draws is None else [draws.population, draws.rows],
    ]  # fmt: skip
    return judge_once(
        stages, find, known, inputs.stored, draws=draws, raw_cells=config.raw_cells, depends_on=depends_on
    )


def _export(stages: Stages, name: str, file: str, source: Source, *, depends_on: Any) -> None:
    def make(folder: Path) -> list[str]:
        issues = load_issues(stages.path(ISSUES).parent)
        written = FORMATS[name].write(issues, folder / file, source, stages.folder)
        return [path.relative_to(folder).as_posix() for path in written]

    # An export reads the table again, so another table of the same examples makes it anew.
    path = Path(source.request.name)
    stat = path.stat() if path.is_file() else None
    version = [source.dataset.fingerprint, stat and [stat.st_size, stat.st_mtime_ns]]
    home = str(stages.folder.resolve())
    depends_on = [depends_on, name, file, home, dataclasses.asdict(source.request), version]
    stages.once(f"export {name}", depends_on=depends_on, make=make)


def _write_card(
    stages: Stages, config: DetectConfig, part: DataPart, inputs: MethodInputs, notes: Sequence[str]
) -> dict[str, Any]:
    summary, stored = read_summary(config.out), inputs.stored
    return write_card(
        stages,
        CARD,
        "detect",
        config=config,
        made_by=SEARCH,
        notes=notes,
        data=part.to_json(),
        features=None if stored is None else _features_section(stored.manifest),
        encoder_passes=0 if stored is None else stored.num_encoded,
        method=summary.method,
        **suspects_section(summary),
    )


def _features_section(manifest: FeatureManifest) -> dict[str, Any]:
    names = ("backbone", "layer", "weights_hash", "transform")
    made_of = {name: manifest.components[name] for name in names}
    return made_of | {"key": manifest.key, "dim": manifest.dim}


def _notes(config: DetectConfig, part: DataPart, inputs: MethodInputs) -> list[str]:
    lines = []
    if part.noise is not None:
        lines.append("Labels as they were before noise was put in count as right.")
        if any(name.startswith("cleaned") for name in config.export):
            lines.append("The cleaned copy has the labels put in that were not found: it is for a rehearsal.")
    if inputs.text_tower is not None:
        from noiseproof.backbones.image_text.prompt_words import notes_on_names

        lines.extend(notes_on_names(part.dataset.class_names))
    if config.limit is not None:
        lines.append(f"At most {config.limit} examples were used, drawn by class.")
    if inputs.stored is not None and config.features is None:
        lines += cut_notes(part.whole, inputs.stored)
    # Hints at class names are among the notes of the result already.
    of_result = tuple(read_summary(config.out).notes)
    return lines + [line for line in left_out(part.whole) if not line.endswith(of_result)]
