"""The flow of `noiseproof verdict`: an encoder is compared with encoders of known noise on one data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.bundled.zoo_cards import zoo_card, zoo_names
from noiseproof.config.verdict import VerdictConfig
from noiseproof.core.progress import progress
from noiseproof.core.records import Dataset
from noiseproof.data.sources import open_dataset
from noiseproof.diagnose.signature import NUM_DRAWS, Signature, signature
from noiseproof.diagnose.verdict import Reference, Verdict, hellinger, verdict, verdict_on_other_width
from noiseproof.features.extract import extract
from noiseproof.report.tables import NONE, Cell, Table

_ITSELF = "itself"


def judge(config: VerdictConfig) -> tuple[Verdict, list[Reference], Signature | None]:
    """Place an encoder among those of known noise; every encoder sees the data set once.

    Returns:
        The verdict, the known encoders by rate, and the signature of the encoder to judge; no signatures
        where the widths of the features differ. A known encoder with the very same spectrum is the encoder
        to judge, and is left out of the verdict.
    """
    references = zoo_rates() if config.references is None else config.references
    dataset = open_dataset(
        config.train, label=config.label, image=config.image, limit=config.limit, seed=config.seed
    )
    first = min(references, key=lambda name: references[name])
    mine, other = (
        width_of(dataset, config.backbone, store=config.cache, layer=config.layer),
        width_of(dataset, first, store=config.cache),
    )
    if mine != other:  # before minutes of resampling
        return verdict_on_other_width(mine, other, nearest=first), [], None
    known = signatures(dataset, references, store=config.cache, seed=config.seed)
    unknown = signature_of(
        dataset, config.backbone, store=config.cache, layer=config.layer, num_draws=NUM_DRAWS,
        seed=config.seed,
    )  # fmt: skip
    others = [each for each in known if hellinger(unknown, each.signature) > 0]
    return verdict(unknown, others, max_width=config.max_width), known, unknown


def signatures(
    dataset: Dataset,
    references: Mapping[str, float],
    *,
    store: Path,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> list[Reference]:
    """Encoders of known noise on a data set, by rate."""
    by_rate = sorted(references.items(), key=lambda each: each[1])
    return [
        Reference(name, rate, signature_of(dataset, name, store=store, num_draws=num_draws, seed=seed))
        for name, rate in by_rate
    ]


def width_of(dataset: Dataset, backbone: str, *, store: Path, layer: str | None = None) -> int:
    """Width of the features of one encoder."""
    return extract(dataset, open_backbone(backbone, layer=layer), store=store).features.shape[1]


def signature_of(
    dataset: Dataset, backbone: str, *, store: Path, layer: str | None = None, num_draws: int, seed: int
) -> Signature:
    """The signature of one encoder's features."""
    stored = extract(dataset, open_backbone(backbone, layer=layer), store=store)
    with progress(f"Bootstrap of {backbone}", total=num_draws, unit="draw") as bar:
        return signature(stored.features, seed=seed, num_draws=num_draws, on_draw=bar.update)


def zoo_rates() -> dict[str, float]:
    """The zoo's supervised encoders -> rate of the noise in their labels; its pairs are too few."""
    cards = {name: zoo_card(name) for name in zoo_names()}
    return {
        f"zoo:{name}": card.noise.asked_rate for name, card in cards.items() if card.objective == "supervised"
    }


def known_table(known: Sequence[Reference], name: str, unknown: Signature) -> Table:
    """The spectra of all encoders, the one in question last."""
    body = [
        (
            Cell(each.name),
            Cell(f"{100 * each.rate:g} %"),
            *_statistics(each.signature),
            Cell(_distance(unknown, each.signature)),
        )
        for each in known
    ]
    body.append((Cell(name), Cell("?"), *_statistics(unknown), Cell(NONE)))
    columns = ("encoder", "noise", "SVE, nats", "LSVR", "distance")
    notes = (
        "Distance: Hellinger's, between the whole spectra; 0 alike, 1 nothing in common.",
        f"{_ITSELF}: the encoder in question, which has no say in the verdict.",
    )
    return Table("Spectra on this data set", columns, tuple(body), notes)


def _distance(unknown: Signature, known: Signature) -> str:
    distance = hellinger(unknown, known)
    return f"{distance:.3f}" if distance > 0 else _ITSELF


def _statistics(one: Signature) -> tuple[Cell, Cell]:
    return Cell(f"{one.entropy_nats:.4f}"), Cell(f"{one.largest_ratio:.4f}")


def sentence(result: Verdict) -> str:
    """The verdict in words."""
    if result.rate is None or result.low is None or result.high is None:
        return f"Cannot tell: {result.reason}. Most alike: {result.nearest}."
    return (
        f"Pre-trained under about {100 * result.rate:.0f} % noise (95 % interval {100 * result.low:.0f} to "
        f"{100 * result.high:.0f} %). Most alike: {result.nearest}."
    )
