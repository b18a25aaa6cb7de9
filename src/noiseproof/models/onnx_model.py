"""Encoders, head and class names in one ONNX file, checked against PyTorch on real examples.

Resizing images and tokenising texts stay outside; the metadata of the file describes both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.backbones.base import AbstractBackbone
from noiseproof.backbones.given_features import GivenFeatures
from noiseproof.backbones.images.pixels import ImageBackbone
from noiseproof.backbones.texts.text_backbone import PooledTransformer, TextBackbone
from noiseproof.core.errors import BadData, NoiseproofError, first_line, invalid, missing_extra
from noiseproof.core.records import Dataset
from noiseproof.core.storage.files import delete_unfinished, replacing
from noiseproof.core.unit_length import unit_length
from noiseproof.core.version import __version__
from noiseproof.features.onnx_graph import onnx_graph
from noiseproof.heads.abstract import AbstractHead, empty_module
from noiseproof.models.onnx_metadata import metadata_bytes
from noiseproof.models.saved_model import SavedModel

LARGEST_DIFFERENCE = 1e-4  # of a probability, from PyTorch
NUM_CHECKED = 16
PROBABILITIES, SCORES = "probabilities", "scores"
_MARK = "noiseproof"
_MARK_BYTES = 200  # from the end of a file of ours, where the mark is
_OUTPUTS = {
    PROBABILITIES: "float32 (batch, classes), in the order of class_names",
    SCORES: "float32 (batch, 1), in the unit of the training data",
}
Inputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class OnnxCheck:
    """Comparison of an ONNX file with PyTorch.

    Attributes:
        difference: largest, of any probability of any example; of scores, relative to the largest.
        num_examples: that were compared.
        input_names: of the graph.
    """

    difference: float
    num_examples: int
    input_names: tuple[str, ...]


def write_onnx(model: SavedModel, dataset: Dataset, out: Path) -> OnnxCheck:
    """Write a model as one ONNX file, after it was compared with PyTorch on some of these examples.

    Args:
        model: with encoders that run here.
        dataset: real examples; up to `NUM_CHECKED` that can be read are compared.
        out: the file.

    Raises:
        InvalidArgument: an encoder that is a service, or a file of somebody else.
        NotExportable: an encoder uses what ONNX graphs cannot have.
        MissingExtra: onnxruntime is not installed.
        BadData: no example can be read, or the results differ.
    """
    check_onnx_out(out)
    model.check_kind(dataset)
    backbones = backbones_of(model)
    prepared = _prepared(dataset, backbones)
    by_encoder = _inputs(backbones, prepared)
    inputs = {name: values for each in by_encoder for name, values in each.items()}
    network = ShippedNetwork(model, backbones, tuple(map(len, by_encoder))).eval()
    first = tuple(torch.from_numpy(values[:2]) for values in inputs.values())
    model.check_width(network.features(*first).shape[1], dataset)
    graph = onnx_graph(
        network, first, inputs=list(inputs), outputs=[output_of(model)],
        free=_free_axes(inputs, output_of(model)),
    )  # fmt: skip
    reference = reference_outputs(model, backbones, prepared)
    check = _compared(graph, inputs, reference)
    delete_unfinished(out.parent, out.name)
    with replacing(out) as partial:
        partial.write_bytes(graph + metadata_bytes(_described(model, backbones, inputs, check)))
    return check


def check_onnx_out(out: Path) -> None:
    """Refuse a name with another suffix, and a file that is no ONNX file of ours."""
    if out.suffix.lower() != ".onnx":
        raise invalid("onnx", str(out), "a file that ends in .onnx")
    if out.is_dir() or (out.exists() and _MARK.encode() not in out.read_bytes()[-_MARK_BYTES:]):
        raise invalid(
            "onnx", str(out), "a new file, or one of 'noiseproof export'",
            "It is another, which would be replaced. Next: name another file.",
        )  # fmt: skip


def backbones_of(model: SavedModel) -> list[AbstractBackbone]:
    """The encoders of a model, opened; a model of features has the one that changes nothing.

    Raises:
        InvalidArgument: one is a service.
    """
    backbones: list[AbstractBackbone] = [encoder.opened for encoder in model.encoders] or [GivenFeatures()]
    for backbone in backbones:
        if not isinstance(backbone, ImageBackbone | TextBackbone | GivenFeatures):
            raise invalid(
                "RUN", model.source, "a model whose encoder runs on this machine",
                f"{backbone.name!r} is a service, which cannot be put into a file.",
            )  # fmt: skip
    return backbones


def output_of(model: SavedModel) -> str:
    """Name of the output of the graph."""
    return PROBABILITIES if model.has_classes else SCORES


class ShippedNetwork(nn.Module):
    """From float images in [0, 1], tokens or features to calibrated probabilities, or to scores."""

    def __init__(
        self, model: SavedModel, backbones: Sequence[AbstractBackbone], sizes: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoders = nn.ModuleList(_encoder(each) for each in backbones)
        members = [model.head] if isinstance(model.head, AbstractHead) else list(model.head.heads_)
        self.has_classes = model.has_classes
        self.heads = nn.ModuleList(_filled(head) for head in members)
        needs = model.needs
        self.is_half = needs is not None and needs.dtype == "float16"
        self.sharpness = 1.0 if needs is None or needs.calibration is None else needs.calibration.sharpness

    def forward(self, *inputs: Tensor) -> Float[Tensor, "b k"]:
        """Probabilities of the classes, or scores; arguments in the order of `_inputs`."""
        features = self.features(*inputs)[None]
        logits = [head(features)[1][0] for head in self.heads]
        if not self.has_classes:
            return logits[0]
        if len(logits) == 1:
            return torch.softmax(self.sharpness * logits[0], dim=1)
        probs = torch.stack([torch.softmax(each, dim=1) for each in logits]).mean(0)
        return torch.softmax(self.sharpness * torch.log(probs.clamp_min(1e-37)), dim=1)

    def features(self, *inputs: Tensor) -> Float[Tensor, "b d"]:
        """Input of the head: features, of several encoders side by side."""
        rest, parts = inputs, []
        for encoder, size in zip(self.encoders, self.sizes, strict=True):
            features, rest = encoder(*rest[:size]), rest[size:]
            parts.append(features.half().float() if self.is_half else features)
        if len(parts) > 1:
            parts = [nn.functional.normalize(part, dim=1) for part in parts]
        return torch.cat(parts, dim=1)


class _ImageEncoder(nn.Module):
    """The encoder of an image backbone, from pixels in [0, 1]; the normalisation is in the graph."""

    def __init__(self, backbone: ImageBackbone) -> None:
        super().__init__()
        self.encoder = backbone.encoder
        mean, std = (torch.tensor(each, dtype=torch.float64) for each in (backbone.mean, backbone.std))
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", (1 / std).float().view(1, 3, 1, 1))
        self.register_buffer("shift", (-mean / std).float().view(1, 3, 1, 1))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        return self.encoder(images * self.scale + self.shift)


class _TextEncoder(nn.Module):
    """The encoder of a text backbone, from token numbers, mask and types of one input or of two."""

    def __init__(self, backbone: TextBackbone) -> None:
        super().__init__()
        assert isinstance(backbone.module, PooledTransformer)
        self.module = backbone.module

    def forward(self, *inputs: Tensor) -> Float[Tensor, "b d"]:
        rows = []
        for start in range(0, len(inputs), 3):
            tokens, mask, types = inputs[start : start + 3]
            rows += [tokens.masked_fill(mask == 0, -1), types]
        return self.module(torch.stack(rows, dim=1))


class _GivenEncoder(nn.Module):
    """Features as they are."""

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return features


def _encoder(backbone: AbstractBackbone) -> nn.Module:
    if isinstance(backbone, ImageBackbone):
        return _ImageEncoder(backbone)
    return _TextEncoder(backbone) if isinstance(backbone, TextBackbone) else _GivenEncoder()


def _filled(head: AbstractHead) -> nn.Module:
    module = empty_module(head)
    module.load_state_dict({name: value[None] for name, value in head.state_.items()}, assign=True)
    return module


def _prepared(dataset: Dataset, backbones: Sequence[AbstractBackbone]) -> list[list[np.ndarray]]:
    """For each encoder some examples as it takes them, spread over the data set, without unreadable ones."""
    found: list[list[np.ndarray]] = []
    reason: Exception | None = None
    for row in np.linspace(0, len(dataset) - 1, min(4 * NUM_CHECKED, len(dataset))).astype(int).tolist():
        try:
            found.append([backbone.prepare(dataset.examples[row]) for backbone in backbones])
        except (NoiseproofError, OSError, ValueError) as error:
            reason = error
        if len(found) == NUM_CHECKED:
            break
    if not found:
        raise BadData(
            f"No example of {dataset.name!r} can be read to check the ONNX file on: {reason}. Next: name "
            "readable ones with `data`."
        )
    return [list(each) for each in zip(*found, strict=True)]


def _inputs(backbones: Sequence[AbstractBackbone], prepared: Sequence[Sequence[np.ndarray]]) -> list[Inputs]:
    """For each encoder: input of the graph -> values, of some prepared examples."""
    found: list[Inputs] = []
    for number, (backbone, examples) in enumerate(zip(backbones, prepared, strict=True), start=1):
        suffix = "" if len(backbones) == 1 else f"_{number}"
        batch = backbone.stack(examples)
        if isinstance(backbone, ImageBackbone):
            pixels = batch.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
            found.append({f"image{suffix}": np.ascontiguousarray(pixels)})
        elif isinstance(backbone, TextBackbone):
            found.append(_token_inputs(batch, suffix))
        else:
            found.append({"features": batch.astype(np.float32)})
    return found


def _token_inputs(batch: np.ndarray, suffix: str) -> Inputs:
    found: Inputs = {}
    for place in range(0, batch.shape[1], 2):
        end = suffix if batch.shape[1] == 2 else f"{suffix}_text{place // 2 + 1}"
        is_token = batch[:, place] >= 0
        found[f"input_ids{end}"] = np.where(is_token, batch[:, place], 0)
        found[f"attention_mask{end}"] = is_token.astype(np.int64)
        found[f"token_type_ids{end}"] = batch[:, place + 1]
    return found


def _free_axes(inputs: Inputs, output: str) -> dict[str, dict[int, str]]:
    free = {
        name: {0: "batch"} | ({1: "tokens"} if values.dtype == np.int64 else {})
        for name, values in inputs.items()
    }
    return free | {output: {0: "batch"}}


def reference_outputs(
    model: SavedModel, backbones: Sequence[AbstractBackbone], prepared: Sequence[Sequence[np.ndarray]]
) -> Float[np.ndarray, "n k"]:
    """Probabilities or scores as `predict` computes them, with encoders in eager PyTorch."""
    parts = [
        backbone.encode(backbone.stack(examples))
        for backbone, examples in zip(backbones, prepared, strict=True)
    ]
    if model.needs is not None and model.needs.dtype == "float16":
        parts = [part.astype(np.float16).astype(np.float32) for part in parts]
    return model.outputs(parts[0] if len(parts) == 1 else np.concatenate(list(map(unit_length, parts)), 1))


def _compared(graph: bytes, inputs: Inputs, reference: np.ndarray) -> OnnxCheck:
    """Run the graph on all examples at once and on the first alone.

    Raises:
        BadData: a probability differs by more than `LARGEST_DIFFERENCE`.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise missing_extra("onnxruntime", "vision", "The check of an ONNX file") from error
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]
        given = {name: inputs[name] for name in names}
        (whole,) = session.run(None, given)
        (first,) = session.run(None, {name: values[:1] for name, values in given.items()})
    except Exception as error:  # its own exception types, per reason
        raise BadData(
            f"ONNX Runtime refuses the model ({first_line(error)}). Next: load it in Python."
        ) from error
    scale = max(1.0, float(np.abs(reference).max()))  # scores may be of any size, probabilities are not
    difference = float(max(np.abs(whole - reference).max(), np.abs(first - reference[:1]).max())) / scale
    if not difference <= LARGEST_DIFFERENCE:
        raise BadData(
            f"The ONNX file gives other results than PyTorch, by up to {difference:.1e}; allowed: "
            f"{LARGEST_DIFFERENCE:.0e}. Nothing was written. Next: load the model in Python."
        )
    return OnnxCheck(difference, len(reference), tuple(names))


def _described(
    model: SavedModel, backbones: Sequence[AbstractBackbone], inputs: Inputs, check: OnnxCheck
) -> dict[str, str]:
    """The metadata of the file; values are texts, JSON where they are more than one."""
    entries = {
        "class_names": json.dumps(model.class_names),
        "inputs": json.dumps(
            {name: _described_input(inputs[name], backbones[0]) for name in check.input_names}
        ),
        "outputs": json.dumps({output_of(model): _OUTPUTS[output_of(model)]}),
        "preparation": json.dumps([backbone.transform for backbone in backbones]),
        "encoders": json.dumps([need.model_dump() for need in model.needs.encoders] if model.needs else []),
        "head": model.head.kind,
        "calibration": json.dumps(
            model.needs.calibration.model_dump() if model.needs and model.needs.calibration else None
        ),
        "check": json.dumps({"largest_difference": check.difference, "num_examples": check.num_examples}),
    }
    for number, backbone in enumerate(backbones, start=1):
        if isinstance(backbone, TextBackbone):
            entries["tokenizer" if len(backbones) == 1 else f"tokenizer_{number}"] = backbone.tokenizer_json
    return entries | {_MARK: __version__}  # last, so that the end of a file shows whose it is


def _described_input(values: np.ndarray, backbone: AbstractBackbone) -> str:
    if values.ndim == 4:
        return (
            f"float32 (batch, 3, {values.shape[2]}, {values.shape[3]}), RGB from 0 to 1, after resizing and "
            "cropping as in `preparation`; mean and standard deviation are in the graph"
        )
    if values.dtype == np.int64:
        return "int64 (batch, tokens), padded on the right, by the tokenizer in the metadata"
    return f"float32 (batch, {values.shape[1]}), features of {backbone.name!r}"
