"""A model as a folder for the Hugging Face hub: weights, configuration, and a card for people.

`model.safetensors` has all weights (`encoder.NAME`, or `encoder_1.NAME` and so on, and `head.NAME`),
`head.safetensors` and `head.json` are what `noiseproof.load` reads.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from noiseproof.backbones.base import AbstractBackbone, AbstractTorchBackbone
from noiseproof.backbones.texts.text_backbone import TextBackbone
from noiseproof.core.errors import invalid
from noiseproof.core.storage.files import delete_folder, delete_unfinished, replacing, write_bytes, write_json
from noiseproof.core.storage.sealed_tensors import write_tensors
from noiseproof.core.version import __version__
from noiseproof.heads.abstract import AbstractHead
from noiseproof.models.onnx_model import backbones_of
from noiseproof.models.saved_model import SavedModel

CARD, CONFIG, WEIGHTS, HEAD = "README.md", "config.json", "model.safetensors", "head"
DATA = "data"
TASKS = {"image": "image-classification", "text": "text-classification", "features": "tabular-classification"}
_OURS = "\n- noiseproof\n"  # a tag in every card that we wrote
_UNFINISHED = (
    "---\ntags:\n- noiseproof\n---\n\n# Unfinished\n\n'noiseproof export --hub' was stopped before its end; "
    "start it again.\n"
)


def write_model_folder(model: SavedModel, folder: Path, *, card: str) -> None:
    """Write weights, configuration and card of a model.

    Raises:
        InvalidArgument: an encoder is a service, or the folder holds something else.
    """
    backbones = backbones_of(model)
    begin_hub_folder(folder)
    model.save(folder / HEAD)
    write_tensors(folder / WEIGHTS, _weights(model, backbones), metadata={"format": "pt"})
    write_json(folder / CONFIG, _config(model, backbones))
    for number, backbone in enumerate(backbones, start=1):
        if isinstance(backbone, TextBackbone):
            name = "tokenizer" if len(backbones) == 1 else f"tokenizer_{number}"
            write_bytes(folder / f"{name}.json", backbone.tokenizer_json.encode())
    write_bytes(folder / CARD, card.encode())  # last, in place of the one of `begin_hub_folder`


def write_dataset_folder(files: Mapping[str, Path | bytes], folder: Path, *, card: str) -> None:
    """Copy files of a data set, or write their contents, under their names in `data/`, then the card."""
    begin_hub_folder(folder)
    for name, source in files.items():
        with replacing(folder / DATA / name) as partial:
            if isinstance(source, bytes):
                partial.write_bytes(source)
            else:
                shutil.copyfile(source, partial)
    write_bytes(folder / CARD, card.encode())


def begin_hub_folder(folder: Path) -> None:
    """Begin an export: a card of an unfinished folder, without data of an earlier export.

    The card is also what shows whose folder it is; a mark would be uploaded, too.

    Raises:
        InvalidArgument: the folder has files of somebody else.
    """
    delete_unfinished(folder)
    card = folder / CARD
    is_ours = card.is_file() and _OURS in card.read_text(errors="replace")[:2000]
    others = sorted(path.name for path in folder.iterdir()) if folder.is_dir() and not is_ours else []
    if others:
        raise invalid(
            "hub", str(folder), "a new or empty folder, or one of 'noiseproof export --hub'",
            f"It has {others[0]!r}. Next: name another folder.",
        )  # fmt: skip
    write_bytes(folder / CARD, _UNFINISHED.encode())
    if (folder / DATA).is_dir():
        delete_folder(folder / DATA)


def card_text(header: Mapping[str, Any], sections: Iterable[tuple[str, str]]) -> str:
    """A card of the hub: YAML between two lines, then Markdown.

    Args:
        header: for the hub.
        sections: title and text of each, the first with the title of the page; empty ones are left out.
    """
    yaml_text = yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True)
    (first, lead), *rest = sections
    parts = [f"---\n{yaml_text}---\n", f"# {first}\n", lead]
    parts += [f"## {title}\n\n{text}" for title, text in rest if text]
    return "\n".join(f"{part.rstrip()}\n" for part in parts)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; bars and line breaks in cells would end them."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    text = " ".join(str(value).split()).replace("|", "\\|")
    return text.replace("<", "&lt;").replace("[", "\\[")


def _weights(model: SavedModel, backbones: Sequence[AbstractBackbone]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for number, backbone in enumerate(backbones, start=1):
        prefix = "encoder" if len(backbones) == 1 else f"encoder_{number}"
        if isinstance(backbone, AbstractTorchBackbone):
            found |= {f"{prefix}.{name}": each for name, each in backbone.module.state_dict().items()}
    members = [model.head] if isinstance(model.head, AbstractHead) else list(model.head.heads_)
    for number, head in enumerate(members, start=1):
        prefix = "head" if len(members) == 1 else f"head_{number}"
        found |= {f"{prefix}.{name}": each for name, each in head.state_.items()}
    return {name: tensor.cpu().contiguous() for name, tensor in found.items()}


def _config(model: SavedModel, backbones: Sequence[AbstractBackbone]) -> dict[str, Any]:
    """Fields with the names that the hub and transformers use, and what noiseproof needs beside them."""
    names = model.class_names
    calibration = None if model.needs is None else model.needs.calibration
    return {
        "library_name": "noiseproof",
        "noiseproof_version": __version__,
        "num_labels": len(names),
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
        "head": {"kind": model.head.kind, "num_features": int(model.head.n_features_in_)},
        "encoders": [
            {"name": each.name, "layer": each.layer, "preparation": each.transform} for each in backbones
        ],
        "calibration": None if calibration is None else calibration.model_dump(),
    }
