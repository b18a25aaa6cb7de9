"""`noiseproof.load`: a run folder, a saved head or a fine-tuned encoder as a model for new examples."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from noiseproof.adapt.learnable import classifier_of
from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.checkpoints.weights import read_checkpoint, read_header
from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.backbones.services.settings import ServiceSettings
from noiseproof.config.data import default_cache
from noiseproof.core.errors import BadData, MissingFile, OtherSchema, invalid
from noiseproof.core.plurals import counted
from noiseproof.core.registry import unknown_name
from noiseproof.core.storage.checksums import check_file
from noiseproof.core.storage.documents import START_AGAIN
from noiseproof.core.system_errors import expanded
from noiseproof.heads.estimators import LinearProbe
from noiseproof.heads.saved_heads import SUFFIXES, EncoderNeed, HeadCalibration, HeadNeeds, read_head
from noiseproof.models.saved_model import EncodingOptions, SavedModel
from noiseproof.pipelines.outputs.cards import TRAINING_CARD, read_card
from noiseproof.pipelines.outputs.output_folders import MARKS
from noiseproof.pipelines.run_heads.head_choice import FILE, read_choice
from noiseproof.robust.robust_estimators import estimator_from

RUN_CARD, WEIGHTS, TUNED = "run.json", "model.safetensors", "tuned-best"
_MOST_NAMES = 1000  # of classes on the card of a training
_NOT_CALIBRATED = (
    "Confidences are the head's own probabilities: no held-out examples came with it to calibrate them on."
)


def load(
    path: str | os.PathLike[str],
    *,
    head: str | None = None,
    cache: str | os.PathLike[str] | None = None,
    engine: str = "auto",
    batch_size: int = 64,
    service: ServiceSettings | None = None,
) -> SavedModel:
    """Load a model that classifies new images, texts or features.

    Args:
        path: a folder of `noiseproof run` or `noiseproof adapt finetune`, a saved head (either of its two
            files, or a folder with one head), or a folder that `noiseproof export --hub` wrote.
        head: of a run with several: a name such as `nmtune` (its first seed) or `nmtune-seed2`; by default
            the head that the run chose on held-out training examples, fitted to all examples.
        cache: feature store; by default that of all runs.
        engine: what runs the encoder: "auto", "torch" or "onnxruntime".
        batch_size: examples per call of the encoder.
        service: key and pace of an embedding service.

    Raises:
        MissingFile: there is no model.
        UnknownName: the run has no such head.
        DamagedFile: a file was altered.
    """
    store = default_cache() if cache is None else Path(cache)
    options = EncodingOptions(store, engine, batch_size, service or ServiceSettings())
    if not os.fspath(path).strip():  # else it would be the folder of the process
        raise invalid("path", path, "a folder of 'noiseproof run', or a saved head")
    home = expanded(Path(path))
    if (home / RUN_CARD).is_file():
        return _of_run(home, head, options)
    of_run = home.parent.parent
    if home.parent.name == "heads" and (of_run / RUN_CARD).is_file() and head is None:
        return _of_run(of_run, _head_file(home).name, options)
    if head is not None:
        raise invalid("head", head, "nothing, since only a run folder has several heads")
    if (home / TRAINING_CARD).is_file():
        return _of_training(home, options)
    return _alone(_head_file(home), options)


def _of_run(folder: Path, head: str | None, options: EncodingOptions) -> SavedModel:
    card = read_card(folder / RUN_CARD, "run")
    known = sorted(
        Path(name).stem for name in card["files"] if name.startswith("heads/") and name.endswith(SUFFIXES[0])
    )
    if not (folder / FILE).is_file():
        raise OtherSchema(
            f"The run {str(folder)!r} has no {FILE}: an earlier version wrote it. Next: start the command of "
            "its run.json again; features are not computed again."
        )
    check_file(folder / FILE, card["files"].get(FILE), next_step=START_AGAIN)
    choice = read_choice(folder)
    name = _named_head(head or choice.fitted_to_all or choice.head, known, str(folder))
    stem = folder / "heads" / name
    for suffix in SUFFIXES:
        file = f"heads/{name}{suffix}"
        if (folder / file).is_file():
            check_file(folder / file, card["files"].get(file), next_step=START_AGAIN)
    model = _alone(stem, options, calibration=choice.calibrations.get(f"heads/{name}"))
    model.run_card = card
    model.notes = ((choice.reason,) if head is None else ()) + model.notes
    return model


def _named_head(name: str, known: list[str], folder: str) -> str:
    for each in (name, f"{name}-seed0"):
        if each in known:
            return each
    raise unknown_name(f"head of {folder!r}:", name, known)


def _alone(stem: Path, options: EncodingOptions, *, calibration: HeadCalibration | None = None) -> SavedModel:
    """The model of the two files of a head."""
    saved = read_head(stem)
    source = f"{stem}{SUFFIXES[0]}"
    needs = saved.needs
    if needs is not None and calibration is not None:
        needs = needs.model_copy(update={"calibration": calibration})
    model = SavedModel(estimator_from(saved, source), source, needs, options)
    model.notes = (_calibration_note(needs),) if model.has_classes else ()
    return model


def _calibration_note(needs: HeadNeeds | None) -> str:
    if needs is None or needs.calibration is None:
        return _NOT_CALIBRATED
    found = needs.calibration
    return (
        f"Confidences are calibrated by temperature scaling on {found.num_held_out:,} held-out examples; "
        "they hold for examples like those."
    )


def _head_file(path: Path) -> Path:
    """The head that a path stands for, without suffix."""
    if path.is_dir():
        stems = sorted({file.with_suffix("") for file in path.glob(f"*{SUFFIXES[0]}")}, key=str)
        heads = [stem for stem in stems if Path(f"{stem}{SUFFIXES[1]}").is_file()]
        if len(heads) == 1:
            return heads[0]
        flow = next((work for mark, work in MARKS.items() if (path / mark).is_file()), None)
        found = f"It holds {flow}" if flow else f"It has {counted(len(heads), 'head')}"
        raise MissingFile(
            f"{str(path)!r} is no model. {found}; allowed: a folder of a finished 'noiseproof run' or "
            "'noiseproof adapt finetune', or one saved head. Next: name one of these."
        )
    stem = path.with_suffix("") if path.suffix in SUFFIXES else path
    if not any(Path(f"{stem}{suffix}").is_file() for suffix in SUFFIXES):
        raise MissingFile(
            f"There is no model at {str(path)!r}; allowed: a folder of 'noiseproof run' or 'noiseproof adapt "
            "finetune', or a saved head, HEAD.safetensors with HEAD.json. Next: check the path."
        )
    return stem


def _of_training(folder: Path, options: EncodingOptions) -> SavedModel:
    """A fine-tuned encoder, and its classifier as a linear head on its features."""
    card = read_card(folder / TRAINING_CARD, "finetune")
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise MissingFile(f"{str(folder)!r} has no {WEIGHTS}. Next: start its command again.")
    check_file(weights, card["weights_sha256"], next_step=START_AGAIN)
    names = tuple(card["train"]["class_names"])
    head, num_classes = _classifier(weights)
    if num_classes != len(names):
        raise BadData(
            f"The card in {str(folder)!r} has {len(names)} names of {num_classes} classes, since cards keep "
            f"at most {_MOST_NAMES}. Next: use it as a backbone, and train a head with 'noiseproof run'."
        )
    encoder = open_backbone(f"timm:{read_header(weights).architecture}@{weights}")
    need = EncoderNeed(**encoder.identity.model_dump(include=set(EncoderNeed.model_fields)))
    needs = HeadNeeds(class_names=names, encoders=(need,))
    if (folder / FILE).is_file():
        check_file(folder / FILE, card["files"].get(FILE), next_step=START_AGAIN)
        choice = read_choice(folder)
        needs = needs.model_copy(update={"calibration": choice.calibrations.get(TUNED)})
    return SavedModel(head, str(weights), needs, options, card, (_calibration_note(needs),))


def _classifier(weights: Path) -> tuple[LinearProbe, int]:
    """The classifier in a file of weights as a fitted linear head; classes are class ids."""
    architecture = read_header(weights).architecture
    timm = import_timm("A fine-tuned encoder")
    network = timm.create_model(architecture, pretrained=False, num_classes=2)
    layer = classifier_of(network)
    name = next(key for key, part in network.named_modules() if part is layer)
    state = read_checkpoint(weights)
    head = LinearProbe()
    head.state_ = {f"classify.{key}": state[f"{name}.{key}"] for key in ("weight", "bias")}
    num_classes, head.n_features_in_ = map(int, head.state_["classify.weight"].shape)
    head.classes_ = np.arange(num_classes)
    return head, num_classes
