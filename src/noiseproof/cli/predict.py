"""`noiseproof predict`: classify new examples with a finished run, a saved head or a fine-tuned encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noiseproof.config.predict import PredictConfig

CONFIG = "noiseproof.config.predict:PredictConfig"
EPILOG = """Examples:

noiseproof predict runs/photos new/ --out predictions.csv

noiseproof predict runs/photos a.jpg b.jpg

noiseproof predict runs/reviews unread.csv --confidence 0.95 --out predictions.parquet

noiseproof predict runs/photos/heads/linear-seed0.safetensors new/ --out predictions.jsonl

noiseproof predict runs/photos new/ --json
"""
_NUM_SHOWN = 20


def predict(config: PredictConfig) -> dict[str, Any]:
    """Classify new examples: class, confidence, probabilities, and whether to have a look."""
    from noiseproof.cli.output import wants_json
    from noiseproof.pipelines.predict import predict as run_prediction

    in_json = wants_json() and config.out is None
    summary = run_prediction(config, keep_rows=in_json)
    _print_summary(summary, confidence=config.confidence, show_first=config.out is None and not in_json)
    return {
        "out": summary.out, "num_examples": summary.num_examples, "num_unusable": summary.num_unusable,
        "num_unsure": summary.num_unsure, "counts": summary.counts, "notes": summary.notes,
        "predictions": summary.rows if in_json else None,
    }  # fmt: skip


def _print_summary(summary: Any, *, confidence: float, show_first: bool) -> None:
    if show_first:
        _print_first(summary.first, summary.num_examples)
    for note in summary.notes:
        print(f"Note: {note}")
    listed = ", ".join(f"{name} {count:,}" for name, count in summary.counts.most_common(10))
    more = len(summary.counts) - 10
    classes = f": {listed}{f' and {more} more classes' if more > 0 else ''}" if listed else ""
    num_predicted = summary.num_examples - summary.num_unusable
    print(f"{num_predicted:,} of {summary.num_examples:,} classified{classes}")
    if summary.model.has_classes:
        num_doubtful = summary.num_unsure - summary.num_unusable
        print(f"{num_doubtful:,} of these {num_predicted:,} unsure: their confidence is below {confidence:g}")
    if summary.num_unusable:
        print(
            f"{summary.num_unusable:,} more cannot be read: unsure, without a prediction; the column reason "
            "says why"
        )
    if summary.out is not None:
        print(f"Predictions: {summary.out}")


def _print_first(frame: Any, num_examples: int) -> None:
    import rich
    from rich.table import Table

    names = [name for name in ("example_id", "prediction", "confidence", "reason") if name in frame]
    table = Table(*names)
    for row in frame.head(_NUM_SHOWN)[names].itertuples(index=False):
        table.add_row(*(rich.markup.escape(_shown(cell)) for cell in row))
    rich.print(table)
    if num_examples > _NUM_SHOWN:
        print(f"... and {num_examples - _NUM_SHOWN:,} more; --out FILE writes all")


def _shown(cell: Any) -> str:
    if cell is None or cell != cell:  # NaN
        return ""
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
