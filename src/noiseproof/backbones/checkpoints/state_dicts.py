"""The state dict inside the checkpoints that training programs write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from noiseproof.core.errors import BadData

# timm takes the averaged weights where a checkpoint has them (`timm.models.load_state_dict`, use_ema=True).
_AVERAGED = ("state_dict_ema", "model_ema")
_PLAIN = ("state_dict", "model_state_dict", "model")
# Put before every name by parallel training and by torch.compile, in any order.
_WRAPPERS = ("module.", "_orig_mod.")


def find_state_dict(content: Any, source: str) -> dict[str, Tensor]:
    """The names and tensors in the content of a checkpoint.

    An exponential moving average of the weights (`state_dict_ema`, `model_ema`) is preferred to the weights
    of the last step (`state_dict`, `model_state_dict`, `model`), as timm does.

    Raises:
        BadData: it holds no state dict, or one of several parts that only the user can choose from.
    """
    while (key := _wrapping_key(content)) is not None:
        content = content[key]
    if not _is_state_dict(content):
        raise BadData(
            f"The checkpoint {source!r} holds no state dict; allowed: a mapping of names to tensors, alone "
            f"or under {', '.join((*_AVERAGED, *_PLAIN))}. {_advice(content)}"
        )
    return _without_wrappers(content, source)


def common_prefix(names: Collection[str], own: Collection[str]) -> str | None:
    """The prefix under which most of a model's weights are found, such as `encoder_q.` of MoCo.

    Args:
        names: of the weights in a file.
        own: names of the model's weights.

    Returns:
        The prefix; `None` where no prefix explains more than half of the model's names.
    """
    known, short = set(names), set(own)
    candidates: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        candidates.update(
            ".".join(parts[:cut]) + "." for cut in range(1, len(parts)) if ".".join(parts[cut:]) in short
        )
    prefix, _ = candidates.most_common(1)[0] if candidates else ("", 0)
    matches = sum(prefix + name in known for name in short)
    return prefix if prefix and matches > max(len(short) / 2, len(known & short)) else None


def _wrapping_key(content: Any) -> str | None:
    if not isinstance(content, Mapping):
        return None
    return next((key for key in (*_AVERAGED, *_PLAIN) if isinstance(content.get(key), Mapping)), None)


def _is_state_dict(content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(value, Tensor) for value in content.values())
    )


def _advice(content: Any) -> str:
    """The next step for a file that is no state dict: its parts where it has some, as DINO's `teacher`."""
    entries = content.items() if isinstance(content, Mapping) else ()
    parts = [key for key, value in entries if _is_state_dict(value)]
    if not parts:
        return "Next: save `model.state_dict()` with safetensors."
    named = ", ".join(f"{key!r} ({len(content[key])} weights)" for key in parts)
    return f"It has {named}. Next: save the one you want, {parts[-1]!r} for instance, with safetensors."


def _without_wrappers(state: Mapping[Any, Tensor], source: str) -> dict[str, Tensor]:
    cleaned: dict[str, Tensor] = {}
    for original, value in state.items():
        name = str(original)
        while name.startswith(_WRAPPERS):
            name = name.partition(".")[2]
        if name in cleaned:
            raise BadData(
                f"The checkpoint {source!r} has {name!r} twice, with and without {' or '.join(_WRAPPERS)}; "
                "allowed: each weight once. Next: save one of the two models."
            )
        cleaned[name] = value
    return cleaned
