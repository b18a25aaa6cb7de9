"""The verdict on an encoder: features of it and of encoders of known noise on one data set, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.zoo import zoo_card, zoo_names
from noiseproof.core.checks import check_share
from noiseproof.core.errors import invalid
from noiseproof.core.progress import stage
from noiseproof.core.records import Dataset
from noiseproof.diagnose.signature import NUM_DRAWS, Signature, signature
from noiseproof.diagnose.verdict import Reference, Verdict, hellinger, of_another_width, verdict
from noiseproof.features.extract import extract
from noiseproof.report.tables import NONE, Cell, Table

_ITSELF = "itself"


def judge(
    dataset: Dataset,
    backbone: str,
    *,
    references: Mapping[str, float],
    store: Path,
    layer: str | None = None,
    max_width: float = 0.3,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> tuple[Verdict, list[Reference], Signature | None]:
    """Place an encoder among those of known noise; every encoder sees the data set once.

    Args:
        dataset: on which they are compared; labels are not used.
        backbone: the encoder in question.
        references: name of a backbone -> rate of the noise it was pre-trained under.
        store: of the features.
        layer: of the encoder in question.
        max_width: as in `verdict`.
        num_draws: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        The verdict, the known encoders by rate, and the signature in question; no signatures where the
        widths of the features differ. A known encoder with the very spectrum in question is that encoder, and
        is left out of the verdict.
    """
    first = min(references, key=lambda name: references[name])
    mine, theirs = (
        width_of(dataset, backbone, store=store, layer=layer),
        width_of(dataset, first, store=store),
    )
    if mine != theirs:  # before minutes of resampling
        return of_another_width(mine, theirs, nearest=first), [], None
    known = signatures(dataset, references, store=store, num_draws=num_draws, seed=seed)
    unknown = signature_of(dataset, backbone, store=store, layer=layer, num_draws=num_draws, seed=seed)
    others = [each for each in known if hellinger(unknown, each.signature) > 0]
    return verdict(unknown, others, max_width=max_width), known, unknown


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
    """Of one encoder's features."""
    return extract(dataset, open_backbone(backbone, layer=layer), store=store).features.shape[1]


def signature_of(
    dataset: Dataset, backbone: str, *, store: Path, layer: str | None = None, num_draws: int, seed: int
) -> Signature:
    """The signature of one encoder's features."""
    stored = extract(dataset, open_backbone(backbone, layer=layer), store=store)
    with stage(f"Bootstrap of {backbone}", total=num_draws, unit="draw") as bar:
        return signature(stored.features, seed=seed, num_draws=num_draws, on_draw=bar.update)


def zoo_rates() -> dict[str, float]:
    """The zoo's supervised encoders -> rate of the noise in their labels; its pairs are too few."""
    cards = {name: zoo_card(name) for name in zoo_names()}
    return {
        f"zoo:{name}": card.noise.asked_rate for name, card in cards.items() if card.objective == "supervised"
    }


def parse_references(texts: Sequence[str]) -> dict[str, float]:
    """`zoo:resnet8-noise20=0.2` and so on -> name -> rate.

    Raises:
        InvalidArgument: no rate, one outside [0, 1], or a name that occurs twice.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, equals, rate = text.rpartition("=")
        try:
            value = float(rate)
        except ValueError:
            equals = ""
            value = 0.0
        if not equals or not name:
            raise invalid("reference", text, "BACKBONE=RATE, such as zoo:resnet8-noise20=0.2")
        check_share(value, f"reference {name}")
        if name in found:
            raise invalid("reference", text, "every encoder once")
        found[name] = value
    return found


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


def sentence(found: Verdict) -> str:
    """The verdict in words."""
    if found.rate is None or found.low is None or found.high is None:
        return f"Cannot tell: {found.reason}. Most alike: {found.nearest}."
    return (
        f"Pre-trained under about {100 * found.rate:.0f} % noise (95 % interval {100 * found.low:.0f} to "
        f"{100 * found.high:.0f} %). Most alike: {found.nearest}."
    )
