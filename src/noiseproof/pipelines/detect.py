"""The flow of `noiseproof detect`: data -> features or probabilities -> suspect labels -> exports."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from noiseproof.backbones.text_towers import USUAL_MODEL, check_shared_layer, open_prompt_tower
from noiseproof.backbones.wording import notes_on_names
from noiseproof.config.data import EncoderConfig, NoisyDataConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.core.errors import invalid
from noiseproof.core.files import digest, write_json
from noiseproof.core.progress import stage
from noiseproof.core.records import Dataset, LabelIssues
from noiseproof.data.formats.probabilities import read_probabilities
from noiseproof.data.request import Request
from noiseproof.detect.detectors import describe_needs, has_inputs
from noiseproof.detect.find_issues import AUTO, check_method, find_label_issues
from noiseproof.export.formats import FORMATS, check_format, target
from noiseproof.export.issue_files import (
    ISSUES,
    SUMMARY,
    IssueSummary,
    load_issues,
    read_summary,
    write_issues,
)
from noiseproof.export.source import Source
from noiseproof.export.thumbnails import write_thumbnails
from noiseproof.pipelines.cards import make_card
from noiseproof.pipelines.encoding import backbone_of, encoded, features_in, image_half_of
from noiseproof.pipelines.folders import check_is_apart, only_process_in
from noiseproof.pipelines.inputs import Part, corrupted, label_columns, open_labelled, open_one, short_name
from noiseproof.pipelines.provenance import differences, made_with
from noiseproof.pipelines.stages import Stages, publish

CARD = "detection.json"
DETECT = "label issues"
_COUNTED_ELSEWHERE = {
    *NoisyDataConfig.model_fields, *EncoderConfig.model_fields, "probs", "zero_shot", "features", "export",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Detection:
    """What `detect` left behind.

    Attributes:
        folder: of the files.
        issues: what was found.
        summary: the contents of `label_issues.json`.
        card: the contents of `detection.json`.
        exports: format -> file or folder.
    """

    folder: Path
    issues: LabelIssues
    summary: IssueSummary
    card: dict[str, Any]
    exports: dict[str, Path]


@dataclass(eq=False)
class _Detect:
    """What the steps of one start share."""

    config: DetectConfig
    stages: Stages
    part: Part
    features: Any = None
    made_of: dict[str, Any] = dataclasses.field(default_factory=dict)  # the encoder, for the card
    num_encoded: int = 0
    text_tower: Any = None

    @cached_property
    def source(self) -> Source:
        """The data for exports; `limit` and `on_error` leave examples out."""
        config, dataset = self.config, self.part.dataset
        request = Request(
            config.train, config.label, config.image, config.text, config.clean_label,
            config.on_error, config.seed,
        )  # fmt: skip
        return Source(dataset, request, is_whole=config.limit is None and dataset.num_skipped == 0)


def detect(
    config: DetectConfig,
    *,
    command: str = "noiseproof.pipelines.detect.detect(...)",
    say: Callable[[str], None] = lambda line: None,
) -> Detection:
    """Judge every label of a data set and write what looks wrong; started again, what is finished is skipped.

    Args:
        config: what to do, which data, which detector, which exports.
        command: how the user started it, for the card.
        say: receives a line where there is something to tell.

    Raises:
        NoiseproofError: of the data, the encoder, an option; what was on disk stays.
    """
    check_is_apart(config.out, [config.train])
    with only_process_in(config.out, mark=CARD):
        check_method(config.method, config.method_options)  # a slip is found before any work
        for name in config.export:
            check_format(name)
        part = _opened(config)
        this = _Detect(config, Stages(config.out, made_with=made_with(command)), part)
        targets = {name: target(name, this.source) for name in config.export}
        files = [file for _, files in targets.values() for file in files]
        this.stages.check_free([ISSUES, SUMMARY, "thumbnails.json", *files], unedited=files)
        _look(this)
        key = _judge(this)
        for name, (called, _) in targets.items():
            _export(this, name, called, key)
        publish(this.stages, cards=[CARD], say=say)
        contents = _write_card(this)
        exports = {name: config.out / called for name, (called, _) in targets.items()}
        return Detection(config.out, load_issues(config.out), read_summary(config.out), contents, exports)


def _opened(config: DetectConfig) -> Part:
    """The data with the noise that is injected; texts only where nothing has to be encoded."""
    is_encoded = _wants_features(config) and config.features is None
    opener = open_one if is_encoded else open_labelled
    dataset = opener(config, config.train, **label_columns(config))
    part = corrupted(Part("train", dataset, dataset), config)
    return dataclasses.replace(
        part, dataset=dataclasses.replace(part.dataset, name=short_name(part.dataset.name))
    )


def _wants_features(config: DetectConfig) -> bool:
    """Encoding takes minutes, so probabilities that suffice are taken as they are."""
    if config.features is not None or config.backbone is not None:
        return True
    given = _given(config)
    return not (given if config.method == AUTO else has_inputs(given, config.method, config.method_options))


def _wants_text(config: DetectConfig) -> bool:
    """Whether nothing but an image-text model has what the method lacks."""
    there = [*_given(config), "features"]
    return config.method != AUTO and not has_inputs(there, config.method, config.method_options)


def _given(config: DetectConfig) -> list[str]:
    """Which probabilities the user has."""
    return [name for name in ("probs", "zero_shot") if getattr(config, name) is not None]


def _look(this: _Detect) -> None:
    """The features, from the encoder, the store or the folder that was named."""
    config, whole = this.config, this.part.whole
    if not _wants_features(config):
        return
    wants_text, class_names = _wants_text(config), this.part.dataset.class_names
    if config.features is not None:
        this.features, stored = features_in(config.features, whole)
        if wants_text:
            made_of = stored.manifest.components
            this.text_tower = open_prompt_tower(made_of["backbone"], class_names)
            check_shared_layer(made_of["layer"])
    else:
        begin = time.perf_counter()
        if wants_text:
            _check_images(config, whole)
            this.text_tower = open_prompt_tower(config.backbone or USUAL_MODEL, class_names)
        backbone = image_half_of(config) if wants_text else backbone_of(config, whole)
        stored = encoded(config, whole, backbone, config.cache)
        this.features, this.num_encoded = stored.features, stored.num_encoded
        this.stages.once(
            "extract", title=f"extract {this.part.name}", depends_on=stored.manifest.key,
            make=lambda folder: (), spent_s=time.perf_counter() - begin,
        )  # fmt: skip
    components = stored.manifest.components
    this.made_of = {name: components[name] for name in ("backbone", "layer", "weights_hash", "transform")}
    this.made_of |= {"key": stored.manifest.key, "dim": stored.manifest.dim}


def _check_images(config: DetectConfig, whole: Dataset) -> None:
    if whole.kind != "image":
        raise invalid(
            "method", config.method, f"a detector for {whole.kind}",
            f"It needs {describe_needs(config.method)}, and an image-text model sees images only. Next: "
            "another method, or --zero-shot with probabilities of your own.",
        )  # fmt: skip


def _judge(this: _Detect) -> str:
    config, dataset = this.config, this.part.dataset
    probs = {
        name: read_probabilities(path, dataset, argument=name, may_have_others=not this.source.is_whole)
        for name, path in (("probs", config.probs), ("zero_shot", config.zero_shot))
        if path is not None
    }

    def make(folder: Path) -> list[str]:
        with stage("Suspect labels", total=len(dataset), unit="label") as bar:
            issues = find_label_issues(
                this.features, dataset.given_labels, method=config.method,
                method_options=config.method_options or None, ids=dataset.ids,
                class_names=dataset.class_names, seed=config.seed, text_tower=this.text_tower, **probs,
            )  # fmt: skip
            bar.update(len(dataset))
        written = write_issues(issues, folder, clean_labels=dataset.clean_labels)
        return [*written, *write_thumbnails(issues, dataset, folder)]

    labels = [dataset.given_labels, dataset.clean_labels, dataset.class_names]
    # Every option counts, a new one too; the effect of the others is in the features, labels and arrays here.
    options = config.model_dump(mode="json", exclude=_COUNTED_ELSEWHERE)
    # Features have the ids in their key, probabilities do not.
    depends_on = [
        this.made_of.get("key"), digest(dataset.ids.astype(str)), labels, options,
        {name: digest(values) for name, values in probs.items()}, config.seed,
    ]  # fmt: skip
    return this.stages.once(DETECT, depends_on=depends_on, make=make)


def _export(this: _Detect, name: str, called: str, key: str) -> None:
    def make(folder: Path) -> list[str]:
        issues = load_issues(this.stages.path(ISSUES).parent)
        written = FORMATS[name].write(issues, folder / called, this.source, this.config.out)
        return [path.relative_to(folder).as_posix() for path in written]

    request = this.source.request
    # An export reads the table again, so another table of the same examples makes it anew.
    depends_on = [
        key,
        name,
        called,
        str(this.config.out.resolve()),
        dataclasses.asdict(request),
        _version_of(this),
    ]
    this.stages.once(f"export {name}", depends_on=depends_on, make=make)


def _version_of(this: _Detect) -> Any:
    """What tells whether the file of the data set is the same; folders are told by their examples."""
    path = Path(this.config.train)
    whole: Dataset = this.part.whole
    found = path.stat() if path.is_file() else None
    return [whole.fingerprint, found and [found.st_size, found.st_mtime_ns]]


def _write_card(this: _Detect) -> dict[str, Any]:
    found = read_summary(this.config.out)
    contents = make_card(
        "detect",
        config=this.config,
        made_with=this.stages.made_with[DETECT],  # of the start that made the results
        wall_s=this.stages.wall_s,
        notes=_notes(this) + differences(this.stages.made_with, DETECT),
        data=this.part.to_json(),
        features=this.made_of or None,
        encoder_passes=this.num_encoded,
        method=found.method,
        num_suspect_labels=found.num_issues,
        detection=found.against_truth,
    )
    write_json(this.config.out / CARD, contents)
    return contents


def _notes(this: _Detect) -> list[str]:
    """What a reader has to know about the data."""
    said = []
    if this.part.noise is not None:
        said.append("Labels as they were before noise was put in count as right.")
        if any(name.startswith("cleaned") for name in this.config.export):
            said.append("The cleaned copy has the labels put in that were not found: it is for a rehearsal.")
    if this.text_tower is not None:
        said.extend(notes_on_names(this.part.dataset.class_names))
    if this.config.limit is not None:
        said.append(f"At most {this.config.limit} random examples were used.")
    if num_skipped := this.part.whole.num_skipped:
        said.append(f"{num_skipped} unreadable examples were left out.")
    return said
