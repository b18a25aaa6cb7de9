"""Where a training stands, in one safetensors file: weights, optimiser state, and counters in its header.

One file, replaced in one step, so that weights and counters can never be of different steps. There is no
state of random generators: what a step draws is a function of the seed and its number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from noiseproof import atomic
from noiseproof.errors import CheckpointMismatch, DamagedFile

_SCHEMA = 1
_MODEL, _OPTIMIZER, _GROUP = "model/", "optimizer/", "group/"


def write_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    step: int,
    identity: Mapping[str, Any],
    scaler: Mapping[str, float] | None = None,
) -> None:
    """Replace the file at `path`.

    Args:
        path: of the file.
        model: the bare one, not its parallel wrapper.
        optimizer: of its parameters.
        step: how many steps are done.
        identity: what the training is; only the same may go on from here.
        scaler: state of the loss scaling of float16.
    """
    tensors = {f"{_MODEL}{name}": value.detach() for name, value in model.state_dict().items()}
    state = optimizer.state_dict()
    numbers: dict[str, Any] = {}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{_OPTIMIZER}{index}/{name}"] = value
            else:
                numbers[f"{index}/{name}"] = value
    groups = [
        {key: value for key, value in each.items() if key != "params"} for each in state["param_groups"]
    ]
    for index, group in enumerate(groups):
        for name in [name for name, value in group.items() if isinstance(value, Tensor)]:
            tensors[f"{_GROUP}{index}/{name}"] = group.pop(name)  # timm's LAMB counts its steps here
    header = {
        "schema": _SCHEMA, "step": step, "identity": identity, "numbers": numbers, "groups": groups,
        "scaler": dict(scaler or {}),
    }  # fmt: skip
    with atomic.replacing(path) as partial:
        save_file(_own_copies(tensors), partial, metadata={"noiseproof": json.dumps(header)})


def read_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, *, identity: Mapping[str, Any]
) -> tuple[int, dict[str, float]]:
    """Put a training back to where it stood.

    Returns:
        How many steps are done, and the state of the loss scaling.

    Raises:
        CheckpointMismatch: it is of a training with other settings or another model; they are named.
        DamagedFile: it is not what was written.
    """
    header, tensors = _read(path)
    _check_identity(path, header["identity"], json.loads(json.dumps(identity)))
    weights = {name.removeprefix(_MODEL): value for name, value in tensors.items() if name.startswith(_MODEL)}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointMismatch(
            f"The checkpoint {str(path)!r} does not fit the model: {error}. Next: give another --out."
        ) from error
    optimizer.load_state_dict(_optimizer_state(header, tensors, optimizer))
    _restore_layouts(optimizer)
    return int(header["step"]), header.get("scaler", {})


def _optimizer_state(
    header: Mapping[str, Any], tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """As torch wants it back."""
    state: dict[int, dict[str, Any]] = {}
    groups = [dict(group) for group in header["groups"]]
    for place, value in tensors.items():
        kind, _, rest = place.partition("/")
        index, _, name = rest.partition("/")
        if kind == "optimizer":
            state.setdefault(int(index), {})[name] = value
        elif kind == "group":
            groups[int(index)][name] = value
    for place, number in header["numbers"].items():
        index, _, name = place.partition("/")
        state.setdefault(int(index), {})[name] = number
    fresh = optimizer.state_dict()["param_groups"]
    groups = [kept | {"params": own["params"]} for kept, own in zip(groups, fresh, strict=True)]
    return {"state": state, "param_groups": groups}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["noiseproof"])
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, json.JSONDecodeError, KeyError, OSError) as error:
        raise DamagedFile(
            f"The checkpoint {str(path)!r} cannot be read ({error}). Next: delete it to start again from "
            "step 0, or give another --out."
        ) from error


def _check_identity(path: Path, found: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    differing = sorted(key for key in found.keys() | asked.keys() if found.get(key) != asked.get(key))
    if differing:
        said = "; ".join(f"{key} was {found.get(key)!r} and is {asked.get(key)!r}" for key in differing[:6])
        raise CheckpointMismatch(
            f"The checkpoint {str(path)!r} is of a training with other settings: {said}. Next: repeat the "
            "settings to go on, or give another --out to start anew."
        )


def _restore_layouts(optimizer: torch.optim.Optimizer) -> None:
    """Moments as their parameters lie in memory: a norm summed in another order has other last bits."""
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _own_copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """safetensors wants rows in order; a channels-last weight keeps its numbers and loses its layout."""
    return {name: value.contiguous().cpu() for name, value in tensors.items()}
