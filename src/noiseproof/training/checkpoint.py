"""Checkpoint of a training in one safetensors file: weights, optimiser state, and counters in its header.

One file, replaced in one step, so that weights and counters can never be of different steps. There is no
state of random generators: what a step draws is a function of the seed and its number. Checksums over all of
it are compared, so that no training goes on from a damaged file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from noiseproof.backbones.checkpoints.weights import under_prefix
from noiseproof.core.errors import CheckpointMismatch
from noiseproof.core.storage.documents import check_schema
from noiseproof.core.storage.sealed_tensors import read_sealed_tensors, write_sealed_tensors

_SCHEMA = 2  # of 1 had no checksums
_START_AGAIN = "delete it to start again from step 0, or give another --out"
_MODEL, _OPTIMIZER, _GROUP, _STATEFUL = "model/", "optimizer/", "group/", "companion/"


@runtime_checkable
class Stateful(Protocol):
    """What learns beside the model and is saved with it; an `nn.Module` has the first two methods."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Everything that its next step depends on."""

    def load_state_dict(self, state: Mapping[str, Tensor], /) -> object:
        """Back to where `state_dict` was taken; a `RuntimeError` where it is of another kind."""

    def facts(self) -> Mapping[str, Any]:
        """JSON values for the log."""


def write_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    step: int,
    identity: Mapping[str, Any],
    scaler: Mapping[str, float] | None = None,
    stateful: Mapping[str, Stateful] | None = None,
) -> None:
    """Replace the file at `path`.

    Args:
        path: of the file.
        model: the bare one, not its parallel wrapper.
        optimizer: of its parameters.
        step: how many steps are done.
        identity: of the training; only the same may resume from here.
        scaler: state of the loss scaling of float16.
        stateful: objects that learn beside the model, by a name without a slash.
    """
    tensors = {f"{_MODEL}{name}": value.detach() for name, value in model.state_dict().items()}
    for title, each in (stateful or {}).items():
        for name, value in each.state_dict().items():
            tensors[f"{_STATEFUL}{title}/{name}"] = value.detach()
    moments, numbers = optimizer_state(optimizer)
    tensors |= {f"{_OPTIMIZER}{place}": value for place, value in moments.items()}
    groups = [
        {key: value for key, value in each.items() if key != "params"}
        for each in optimizer.state_dict()["param_groups"]
    ]
    for index, group in enumerate(groups):
        for name in [name for name, value in group.items() if isinstance(value, Tensor)]:
            tensors[f"{_GROUP}{index}/{name}"] = group.pop(name)  # timm's LAMB counts its steps here
    header = {
        "schema": _SCHEMA, "step": step, "identity": identity, "numbers": numbers, "groups": groups,
        "scaler": dict(scaler or {}),
    }  # fmt: skip
    write_sealed_tensors(path, tensors, header)


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State of an optimiser by "index/name" of the parameter: tensors, and plain numbers."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            (tensors if isinstance(value, Tensor) else numbers)[f"{index}/{name}"] = value
    return tensors, numbers


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    remembered: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Restore the state of an optimiser.

    Args:
        optimizer: of the same parameters in the same order.
        remembered: tensors and numbers by "index/name", of `optimizer_state`.
        groups: options of its groups; by default they stay.
    """
    state: dict[int, dict[str, Any]] = {}
    for place, value in remembered.items():
        index, _, name = place.partition("/")
        state.setdefault(int(index), {})[name] = value
    fresh = optimizer.state_dict()["param_groups"]
    kept = [{**old, "params": own["params"]} for old, own in zip(groups or fresh, fresh, strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": kept})
    _restore_layouts(optimizer)


def restore_training(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    identity: Mapping[str, Any],
    stateful: Mapping[str, Stateful] | None = None,
) -> tuple[int, dict[str, float]]:
    """Restore a training from its checkpoint, if there is one.

    Returns:
        Number of steps done, and the state of the loss scaling; 0 and nothing without a checkpoint.

    Raises:
        CheckpointMismatch: it is of a training with other settings or another model; they are named.
        DamagedFile: it is not what was written.
    """
    if not path.exists():
        return 0, {}
    header, tensors = read_sealed_tensors(path, next_step=_START_AGAIN)
    check_schema(header, _SCHEMA, source=str(path), next_step=_START_AGAIN)
    _check_identity(path, header["identity"], json.loads(json.dumps(identity)))
    try:
        model.load_state_dict(under_prefix(tensors, _MODEL))
        for title, each in (stateful or {}).items():
            each.load_state_dict(under_prefix(tensors, f"{_STATEFUL}{title}/"))
    except RuntimeError as error:
        raise CheckpointMismatch(
            f"The checkpoint {str(path)!r} does not fit the model: {error}. Next: give another --out."
        ) from error
    groups = [dict(group) for group in header["groups"]]
    for place, value in under_prefix(tensors, _GROUP).items():
        index, _, name = place.partition("/")
        groups[int(index)][name] = value
    restore_optimizer(optimizer, under_prefix(tensors, _OPTIMIZER) | header["numbers"], groups)
    return int(header["step"]), header.get("scaler", {})


def _check_identity(path: Path, found: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    differing = sorted(key for key in found.keys() | ours.keys() if found.get(key) != ours.get(key))
    if differing:
        listed = "; ".join(f"{key} was {found.get(key)!r} and is {ours.get(key)!r}" for key in differing[:6])
        raise CheckpointMismatch(
            f"The checkpoint {str(path)!r} is of a training with other settings: {listed}. Next: repeat the "
            "settings to go on, or give another --out to start anew."
        )


def _restore_layouts(optimizer: torch.optim.Optimizer) -> None:
    """Give moments the layout of their parameters: sums in another order have other last bits."""
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
