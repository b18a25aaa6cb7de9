"""The flow of `noiseproof export`: saved model -> one ONNX file, or a folder for the Hugging Face hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from noiseproof.config.export import ExportConfig
from noiseproof.core.errors import MissingFile, NoiseproofError
from noiseproof.core.records import Dataset
from noiseproof.models.hub_folder import write_model_folder
from noiseproof.models.onnx_model import OnnxCheck, write_onnx
from noiseproof.models.saved_model import SavedModel
from noiseproof.pipelines.dataset_card import export_dataset, is_dataset
from noiseproof.pipelines.loading import load
from noiseproof.pipelines.model_card import model_card


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote.

    Attributes:
        notes: on the model; sentences.
        onnx: file, where it was asked for.
        check: its comparison with PyTorch.
        hub: folder for the hub.
        hub_kind: "model" or "dataset".
    """

    notes: tuple[str, ...] = ()
    onnx: Path | None = None
    check: OnnxCheck | None = None
    hub: Path | None = None
    hub_kind: str = "model"


def export(config: ExportConfig) -> ExportResult:
    """Write a model as one ONNX file that was compared with PyTorch, or as a folder for the hub.

    Raises:
        MissingFile: there is no model, or no example to check on.
        BadData: the ONNX file gives other probabilities; nothing is written.
    """
    if config.hub is not None and config.onnx is None and is_dataset(config.run):
        return ExportResult(
            export_dataset(config.run, config.hub, config), hub=config.hub, hub_kind="dataset"
        )
    model = load(config.run, head=config.head)
    check = None
    if config.onnx is not None:
        check = write_onnx(model, _real_examples(model, config), config.onnx)
    if config.hub is not None:
        write_model_folder(model, config.hub, card=model_card(model, config.run, config.hub.resolve().name))
    return ExportResult(model.notes, config.onnx, check, config.hub)


def _real_examples(model: SavedModel, config: ExportConfig) -> Dataset:
    """Examples to check on: those of the configuration, else the training data."""
    name = config.data or model.run_card.get("config", {}).get("train")
    if name is None:
        raise MissingFile(
            f"The head {model.source!r} does not say what it was trained on. Next: name real examples with "
            "--data, on which the file is checked."
        )
    own = {} if config.data else model.run_card["config"]
    image, text = config.image or own.get("image"), config.text or own.get("text")
    try:
        return model.open(name, image=image, text=text).dataset
    except NoiseproofError as error:
        if config.data:
            raise
        raise type(error)(
            f"The training data cannot be opened to check the file on: {error} Next: name others with --data."
        ) from error
