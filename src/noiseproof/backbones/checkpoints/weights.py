"""Weights from files: read without running code from them, loaded only where they fit, hashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from noiseproof.backbones.checkpoints.state_dicts import common_prefix, find_state_dict
from noiseproof.core.errors import CheckpointMismatch, MissingFile, invalid
from noiseproof.core.plurals import some
from noiseproof.core.storage.documents import Document, validate_document
from noiseproof.core.storage.sealed_tensors import (
    hash_tensors,
    read_sealed_header,
    read_sealed_tensors,
    write_sealed_tensors,
)
from noiseproof.core.storage.torch_files import read_torch_file

SUFFIXES = (".safetensors", ".pth", ".pth.tar", ".pt", ".bin", ".ckpt")
_NUM_LISTED = 8
_AGAIN = "fetch it again, or start the command that wrote it again"


def hash_weights(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of every parameter and buffer."""
    return hash_tensors(module.state_dict())


class WeightsHeader(Document):
    """Header of a file of weights, should it lose its card.

    Attributes:
        noise: in the data that it was trained on.
        preprocessing: which images it takes, see `timm_backbone.preprocessing_of`.
        architecture: timm's name of the image tower, where it has one.
        prefix: of the names of the image tower's weights.
        additions: what stays in the encoder beside its weights, as `Addition.to_json` has it.
        model: the image-text model that the tower is of.
    """

    noise: dict[str, Any] | None = None
    preprocessing: dict[str, Any] = Field(default_factory=dict)
    architecture: str | None = None
    prefix: str = ""
    additions: dict[str, Any] | None = None
    model: str | None = None


def write_weights(path: str | Path, module: nn.Module, *, header: WeightsHeader | None = None) -> None:
    """The state dict as safetensors, atomically."""
    write_sealed_tensors(path, module.state_dict(), (header or WeightsHeader()).to_json())


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a file: safetensors, or what `torch.load(weights_only=True)` accepts.

    A state dict under the usual keys is found (`state_dicts.find_state_dict`: averaged weights first, as timm
    does), and the `module.` and `_orig_mod.` of parallel training and torch.compile are taken off.

    Raises:
        MissingFile: there is no such file.
        BadData: it is a pickle of more than tensors, a TorchScript archive, or holds no state dict.
        DamagedFile: it cannot be parsed, or noiseproof wrote it and it has changed since.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"The checkpoint {str(path)!r} does not exist. Next: check the path after '@'.")
    return find_state_dict(_parsed(path), str(path))


def is_checkpoint_name(name: str) -> bool:
    """Whether a file name ends like a checkpoint, in small letters or capitals."""
    return name.lower().endswith(SUFFIXES)


def read_header(path: str | Path) -> WeightsHeader:
    """The header of a file of weights; an empty one for files that noiseproof did not write.

    Raises:
        OtherSchema: another version of noiseproof wrote it.
        DamagedFile: it cannot be read.
    """
    if Path(path).suffix.lower() != ".safetensors":
        return WeightsHeader()
    header = read_sealed_header(path, next_step=_AGAIN)
    return validate_document(header, WeightsHeader, source=f"header of {path}", next_step=_AGAIN)


def _parsed(path: Path) -> Any:
    if not is_checkpoint_name(path.name):
        raise invalid("checkpoint", str(path), f"a file that ends in {', '.join(SUFFIXES)}")
    if path.suffix.lower() == ".safetensors":
        return read_sealed_tensors(path, next_step=_AGAIN)[1]
    return read_torch_file(
        path,
        "checkpoint",
        next_step="In the environment it came from, save `model.state_dict()` with safetensors.",
    )


def under_prefix(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The entries whose names begin with this prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def load_exactly(
    module: nn.Module, state: Mapping[str, Tensor], *, source: str, dropped: Sequence[str] = ()
) -> None:
    """Load weights that fit, name by name and shape by shape.

    Args:
        module: what to load into.
        state: the weights.
        source: of the weights, for the message.
        dropped: names of layers that are not used here (the classifier): their keys may be present or not.

    Raises:
        CheckpointMismatch: with the missing, unexpected and misshapen keys.
    """
    used = {name: value for name, value in state.items() if not _is_under(name, dropped)}
    own = module.state_dict()
    # Counters of batches that older versions of torch did not save play no part in evaluation.
    missing = [name for name in own if name not in used and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in used if name not in own]
    misshapen = [
        f"{name} {tuple(value.shape)} instead of {tuple(own[name].shape)}"
        for name, value in used.items()
        if name in own and value.shape != own[name].shape
    ]
    if missing or unexpected or misshapen:
        lists = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
        described = "; ".join(
            f"{len(keys)} {title}: {some(keys, _NUM_LISTED)}" for title, keys in lists.items() if keys
        )
        raise CheckpointMismatch(
            f"The weights in {source!r} do not fit the model ({len(own)} keys): {described}. "
            + _next_step(used, own)
        )
    module.load_state_dict(own | used)


def _next_step(used: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    prefix = common_prefix(used, own)
    if prefix is None:
        return "Next: name the architecture these weights were trained with."
    return (
        f"The model's names are there after the prefix {prefix!r}. Next: save these weights without it: "
        f"{{name.removeprefix({prefix!r}): value for name, value in state.items() if "
        f"name.startswith({prefix!r})}}."
    )


def _is_under(name: str, layers: Sequence[str]) -> bool:
    return any(name == layer or name.startswith(f"{layer}.") for layer in layers)
