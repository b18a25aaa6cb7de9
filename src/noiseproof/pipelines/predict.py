"""The flow of `noiseproof predict`: saved model -> features of new examples -> a table of predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noiseproof.backbones.services.settings import ServiceSettings
from noiseproof.config.predict import PredictConfig
from noiseproof.data.unlabelled import Examples, listed_images
from noiseproof.models.prediction_files import plain_rows, write_predictions
from noiseproof.models.saved_model import SavedModel
from noiseproof.pipelines.loading import load
from noiseproof.pipelines.outputs.output_folders import check_is_apart

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class PredictionSummary:
    """Counts of a table of predictions.

    Attributes:
        model: that made them.
        out: their file; `None` where they were only made.
        notes: on the model and the data; sentences.
        num_examples: rows.
        num_unusable: rows without a prediction.
        num_unsure: rows without a prediction or below the confidence.
        counts: predictions by class.
        first: the first rows.
        rows: all rows, where they are kept.
    """

    model: SavedModel
    out: Path | None
    notes: tuple[str, ...]
    num_examples: int = 0
    num_unusable: int = 0
    num_unsure: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    first: Any = None
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, frame: pd.DataFrame) -> None:
        """Count the rows of a part of the table."""
        has_none = frame["prediction"].isna()
        self.num_examples += len(frame)
        self.num_unusable += int(has_none.sum())
        self.num_unsure += int(frame["is_unsure"].sum())
        if self.model.has_classes:
            self.counts.update(frame["prediction"][~has_none].tolist())
        if self.first is None:
            self.first = frame


def predict(config: PredictConfig, *, keep_rows: bool = False) -> PredictionSummary:
    """Classify new examples with a saved model, and write a row for each, readable or not.

    With `keep_rows` the summary has all rows; else memory does not grow with their number.

    Raises:
        MissingFile: there is no model or no data.
        CheckpointMismatch: the encoder is not the one of the head.
        BadData: the data are of another kind or width.
    """
    if config.out is not None:
        check_is_apart(config.out, map(str, config.data))
    model = load(
        config.run, head=config.head, cache=config.cache, engine=config.engine, batch_size=config.batch_size,
        service=config.settings_of(ServiceSettings),
    )  # fmt: skip
    examples = _examples(model, config)
    frames: Iterable[pd.DataFrame] = model.frames(examples, confidence=config.confidence)
    if config.out is not None:
        frames = write_predictions(frames, config.out)
    summary = PredictionSummary(model, config.out, (*model.notes, *examples.dataset.notes))
    for frame in frames:
        summary.add(frame)
        if keep_rows:
            summary.rows += plain_rows(frame)
    return summary


def _examples(model: SavedModel, config: PredictConfig) -> Examples:
    if len(config.data) == 1:
        return model.open(config.data[0], image=config.image, text=config.text)
    return listed_images(config.data)
