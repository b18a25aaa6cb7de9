"""Names and cards of the small encoders that ship with the package; nothing here loads PyTorch."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from noiseproof.backbones.bundled.packed import PackedCard, read_packed_card
from noiseproof.core.registry import unknown_name


def zoo_names() -> tuple[str, ...]:
    """Names that may follow `zoo:`, by kind of pre-training and rate of noise."""
    names = [each.name.removesuffix(".json") for each in _folder().iterdir() if each.name.endswith(".json")]
    return tuple(sorted(names, key=_by_rate))


def zoo_card(name: str) -> PackedCard:
    """How a zoo encoder was made and what it is worth.

    Args:
        name: of `zoo_names`, or the path of a card that `noiseproof pretrain pack` wrote, with or without
            its `.json`.

    Raises:
        UnknownName: with the nearest known name.
        DamagedFile: the card cannot be read, or another version of noiseproof wrote it.
    """
    return read_packed_card(zoo_file(name, ".json"), f"zoo:{name}")


def describe(card: PackedCard) -> str:
    """One line: noise, accuracy, spectrum."""
    noise, (metric, value) = card.noise, card.result
    kind = {"image-text": "captions swapped", "simclr": "no labels used"}.get(
        card.objective, f"{noise.kind or 'label'} noise"
    )
    rate = "" if card.objective == "simclr" else f"{100 * noise.asked_rate:g} % "
    return (
        f"{rate}{kind}, {metric.replace('_', ' ')} {100 * value:.1f} %, "
        f"SVE {card.spectrum.entropy_nats:.2f}, LSVR {card.spectrum.largest_ratio:.2f}"
    )


def zoo_file(name: str, suffix: str) -> Traversable:
    """One of the two files of an encoder."""
    stem = name.removesuffix(".json")
    if stem in zoo_names():
        return _folder() / f"{stem}{suffix}"
    if Path(f"{stem}.json").is_file():
        return Path(f"{stem}{suffix}")
    raise unknown_name(
        "zoo encoder", name, zoo_names(), "See 'noiseproof ls backbones', or give the path of a packed one."
    )


def _folder() -> Traversable:
    return resources.files("noiseproof") / "weights" / "zoo"


def _by_rate(name: str) -> tuple[str, int]:
    """noise5 comes before noise10."""
    kind, _, rate = name.partition("noise")
    return kind, int(rate) if rate.isdigit() else 0
