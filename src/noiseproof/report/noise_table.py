"""Tables of the noise in labels or captions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from noiseproof.core.records import NoisyCaptions, NoisyLabels
from noiseproof.report.tables import NONE, Cell, Table

_MAX_ROWS = 30


def noise_table(noisy: NoisyLabels | NoisyCaptions, *, target_entropy_nats: float | None = None) -> Table:
    """Kind, requested and realised rate, seed, and concentration of the wrong labels.

    Args:
        noisy: labels or captions, with the truth.
        target_entropy_nats: of the wrong label given the true class, where there are labels.
    """
    changed = noisy.swapped if isinstance(noisy, NoisyCaptions) else noisy.flipped
    rows = [
        ("kind", noisy.kind),
        ("examples", f"{len(changed):,}"),
        ("changed", f"{int(changed.sum()):,}"),
        ("requested", f"{100 * noisy.asked_rate:.2f} %"),
        ("realised", f"{100 * noisy.realised_rate:.2f} %"),
        ("seed", str(noisy.seed)),
    ]
    notes = []
    if target_entropy_nats is not None:
        rows.append(("entropy of targets, by class", f"{target_entropy_nats:.3f} nats"))
        most = len(np.asarray(noisy.transition)) - 1 if isinstance(noisy, NoisyLabels) else 1
        notes.append(
            f"Entropy of the wrong labels: 0 = one target per class, {np.log(max(most, 1)):.3f} = all alike."
        )
    if noisy.example_entropy_nats is not None:
        rows.append(("entropy of targets, by example", f"{noisy.example_entropy_nats:.3f} nats"))
    if isinstance(noisy, NoisyCaptions) and noisy.num_same_text:
        rows.append(("of those with the same text", f"{noisy.num_same_text:,}"))
    body = tuple((Cell(name), Cell(value)) for name, value in rows)
    return Table("Noise", ("what", "value"), body, tuple(notes))


def class_table(noisy: NoisyLabels, class_names: Sequence[str]) -> Table:
    """Rate of wrong labels of each class, and the class most of them went to."""
    body, counts = [], np.bincount(noisy.clean, minlength=len(class_names))
    # By size only where there are too many to show: otherwise in the order of the classes.
    largest = np.sort(np.argsort(-counts, kind="stable")[:_MAX_ROWS])
    for c in largest.tolist():
        wrong = noisy.given[noisy.flipped & (noisy.clean == c)]
        most = int(np.bincount(wrong).argmax()) if len(wrong) else None
        body.append(
            (
                Cell(class_names[c]),
                Cell(f"{counts[c]:,}"),
                Cell(f"{100 * len(wrong) / counts[c]:.2f} %" if counts[c] else NONE),
                Cell(NONE if most is None else f"{class_names[most]} ({100 * np.mean(wrong == most):.0f} %)"),
            )
        )
    notes = (f"The {_MAX_ROWS} largest of {len(counts)} classes.",) if len(counts) > _MAX_ROWS else ()
    return Table("By class", ("true class", "examples", "wrong", "most often taken for"), tuple(body), notes)
