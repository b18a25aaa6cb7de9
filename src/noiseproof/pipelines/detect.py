"""The flow of `noiseproof detect`: data -> features or probabilities -> suspect labels -> exports."""

from __future__ import annotations

import dataclasses
import time
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
from noiseproof.core.storage.checksums import write_record
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
from noiseproof.features.store import StoredFeatures
from noiseproof.pipelines.decisions.kept_page import REVIEW, keep_page
from noiseproof.pipelines.decisions.known_labels import KnownDecisions, judge_labels, keep_named, open_known
from noiseproof.pipelines.decisions.rate_sample import CHECK_FIRST, FORM, draw_sample, list_first, read_draws
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.pipelines.inputs.encoding import (
    checked_features,
    config_encoder,
    cut_notes,
    encode,
    shared_space_encoder,
    shared_space_name,
)
from noiseproof.pipelines.inputs.judged import needs_features, needs_text_tower, open_part
from noiseproof.pipelines.inputs.left_out import left_out
from noiseproof.pipelines.outputs.cards import make_card
from noiseproof.pipelines.outputs.folders import check_is_apart, only_process_in
from noiseproof.pipelines.outputs.provenance import differences
from noiseproof.pipelines.outputs.stages import Stages, publish

CARD = "detection.json"
DETECT = "label issues"
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
    features: Any = None
    parts: Sequence[StoredFeatures] = ()  # of each encoder, where several stand side by side
    made_of: dict[str, Any] = dataclasses.field(default_factory=dict)  # the encoder, for the card
    num_encoded: int = 0
    cut_notes: Sequence[str] = ()
    text_tower: Any = None

    @cached_property
    def source(self) -> Source:
        """The data set for exports, which may need examples that `limit` and `on_error` leave out."""
        config, dataset = self.config, self.part.dataset
        request = Request(
            config.train, config.label, config.image, config.text, config.clean_label,
            config.on_error, config.seed, config.missing_label, may_lack_examples=not needs_features(config),
        )  # fmt: skip
        return Source(dataset, with_own_columns(request), self.is_whole, self.known.settled.counting)

    @property
    def is_whole(self) -> bool:
        """Whether no example is left out."""
        return is_whole(self.config, self.part)


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
        known = open_known(config, config.out, part.dataset, is_whole=is_whole(config, part))
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
        keep_named(config, config.out, part.dataset, known)
        page = keep_page(config.out, part.dataset, state.features)
        exports = {name: config.out / file for name, (file, _) in targets.items()}
        contents = _write_card(state, exports.values())
        forms = [(config.budget, CHECK_FIRST), (config.rate_sample, FORM)]
        return DetectionResult(
            config.out, load_issues(config.out), read_summary(config.out), contents, exports,
            [config.out / name for size, name in forms if size is not None], page,
        )  # fmt: skip


def _load_features(state: _DetectState) -> None:
    """Get features from the encoder, the store or the given folder, and a text tower where it is needed."""
    config, whole = state.config, state.part.whole
    if not needs_features(config):
        return
    needs_text, class_names = needs_text_tower(config), state.part.dataset.class_names
    if config.features is not None:
        state.features, stored = checked_features(config.features, whole)
        if needs_text:
            made_of = stored.manifest.components
            state.text_tower = _open_text_tower(made_of["backbone"], class_names)
            check_shared_layer(made_of["layer"])
    else:
        begin = time.perf_counter()
        if needs_text:
            _check_images(config, whole)
            state.text_tower = _open_text_tower(shared_space_name(config), class_names)
        store = config.cache
        encoder = shared_space_encoder(config, store) if needs_text else config_encoder(config, whole, store)
        stored = encode(config, whole, encoder, store)
        state.features, state.parts, state.num_encoded = stored.features, stored.parts, stored.num_encoded
        state.cut_notes = cut_notes(whole, {whole.fingerprint: stored})
        state.stages.once(
            "extract", title=f"extract {state.part.name}", depends_on=stored.manifest.key,
            make=lambda folder: (), spent_s=time.perf_counter() - begin,
        )  # fmt: skip
    components = stored.manifest.components
    state.made_of = {name: components[name] for name in ("backbone", "layer", "weights_hash", "transform")}
    state.made_of |= {"key": stored.manifest.key, "dim": stored.manifest.dim}


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

    def make(folder: Path) -> list[str]:
        from noiseproof.detect.find_issues import find_label_issues  # loads PyTorch, SciPy and scikit-learn

        def find(labels: np.ndarray, features: Any) -> LabelIssues:
            return find_label_issues(
                features, labels, method=config.method,
                method_options=config.method_options or None, ids=dataset.ids,
                class_names=dataset.class_names, seed=config.seed, text_tower=state.text_tower, **probs,
            )  # fmt: skip

        return judge_labels(
            find, folder, dataset, state.known, state.features, state.parts, draws=draws,
            raw_cells=config.raw_cells,
        )  # fmt: skip

    labels = [dataset.given_labels, dataset.clean_labels, dataset.class_names]
    # Every option counts, a new one too; the effect of the others is in the features, labels and arrays here.
    options = config.model_dump(mode="json", exclude=_COUNTED_ELSEWHERE)
    # Features have the ids in their key, probabilities do not.
    depends_on = [
        state.made_of.get("key"), digest(dataset.ids.astype(str)), labels, options,
        {name: digest(np.asarray(values)) for name, values in probs.items()}, config.seed,
        ALGORITHM, state.known.key, None if draws is None else [draws.population, draws.rows],
    ]  # fmt: skip
    return state.stages.once(DETECT, depends_on=depends_on, make=make)


def is_whole(config: DetectConfig, part: DataPart) -> bool:
    """Whether no example of the data set is left out."""
    return config.limit is None and part.dataset.num_skipped == 0


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
    contents = make_card(
        "detect",
        config=state.config,
        made_with=state.stages.made_with[DETECT],  # of the start that made the results
        wall_s=state.stages.wall_s,
        files=state.stages.hashes,
        notes=[
            *_notes(state),
            *state.known.settled.notes,
            *formula_notes(exports),
            *differences(state.stages.made_with, DETECT),
        ],
        data=state.part.to_json(),
        features=state.made_of or None,
        encoder_passes=state.num_encoded,
        method=summary.method,
        num_suspect_labels=summary.num_issues,
        noise_rate=summary.rate_card(),
        detection=summary.against_truth,
        reviewed=summary.reviewed,
    )
    write_record(state.config.out / CARD, contents)
    return contents


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
    lines += state.cut_notes
    # Hints at class names are among the notes of the result already.
    of_result = tuple(read_summary(state.config.out).notes)
    return lines + [line for line in left_out(state.part.whole) if not line.endswith(of_result)]
