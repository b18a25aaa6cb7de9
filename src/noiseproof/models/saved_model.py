"""A saved head together with its encoders: classifies images, texts or features."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseproof.backbones.services.settings import ServiceSettings
from noiseproof.core.checks import check_share
from noiseproof.core.errors import (
    BadData,
    CheckpointMismatch,
    MissingFile,
    NoiseproofError,
    UnknownName,
    invalid,
)
from noiseproof.core.plurals import counted
from noiseproof.core.progress import progress
from noiseproof.core.records import Dataset, Kind
from noiseproof.core.system_errors import expanded
from noiseproof.core.threads import num_cores
from noiseproof.data.examples import bare_reason
from noiseproof.data.splits import subset
from noiseproof.data.unlabelled import Examples, examples_in_memory, frame_examples, open_examples
from noiseproof.features.lazy_encoder import LazyEncoder
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.features.side_by_side import EncodersSideBySide
from noiseproof.heads.abstract import AbstractRegressor
from noiseproof.heads.saved_heads import HeadNeeds
from noiseproof.models.predictions import prediction_frame, score_frame
from noiseproof.posterior.temperature import calibrated
from noiseproof.robust.robust_estimators import Estimator

if TYPE_CHECKING:
    import pandas as pd

_BLOCK_ROWS = 8192
_GIVEN = "features:"
_SHOWN = 100  # characters of a description in a message


@dataclass(frozen=True)
class EncodingOptions:
    """How encoders run, and where features are kept.

    Attributes:
        store: folder of feature sets.
        engine: which library runs the encoder.
        batch_size: examples per call of PyTorch.
        service: key and pace of embedding services.
    """

    store: Path
    engine: str = "auto"
    batch_size: int = 64
    service: ServiceSettings = field(default_factory=ServiceSettings)


@dataclass(eq=False, repr=False)
class SavedModel:
    """A fitted head and what it needs; `noiseproof.load` makes it.

    Attributes:
        head: scikit-learn classifier on features.
        source: file of the head.
        needs: encoders, class names and calibration; `None` where the head was fitted to a matrix.
        options: of encoding.
        run_card: card of the run or the training; empty for a head alone.
        notes: what a user should know about the choice of the head and its calibration; sentences.
    """

    head: Estimator
    source: str
    needs: HeadNeeds | None
    options: EncodingOptions
    run_card: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        classes = f", {counted(len(self.class_names), 'class', 'classes')}" if self.has_classes else ""
        return f"SavedModel({type(self.head).__name__} on {_PLURAL[self.kind]}{classes}, {self.source!r})"

    @property
    def has_classes(self) -> bool:
        """Whether it predicts classes, not scores."""
        return not isinstance(self.head, AbstractRegressor)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their columns; none where it predicts scores."""
        if isinstance(self.head, AbstractRegressor):
            return ()
        return tuple(map(str, self.head.classes_)) if self.needs is None else self.needs.class_names

    @property
    def kind(self) -> Kind:
        """Kind of the examples: "image", "text" or "features"."""
        return "features" if self.needs is None else self.needs.encoders[0].kind

    @property
    def is_calibrated(self) -> bool:
        """Whether confidences were calibrated on held-out examples."""
        return self.needs is not None and self.needs.calibration is not None

    def predict(
        self, data: Any, *, confidence: float = 0.9, image: str | None = None, text: str | None = None
    ) -> pd.DataFrame:
        """Classify examples.

        Args:
            data: a path (folder, image, table, .npz or .npy), a list, series or other iterable of paths of
                images, of pictures of PIL or of texts, an (n, d) array of features, or a data frame.
            confidence: below it, `is_unsure` is true; in [0, 1].
            image: column of images of a table.
            text: column of texts of a table.

        Returns:
            A row per example: example_id, prediction, confidence, a column `prob_CLASS` per class, is_unsure,
            and the reason where it is unsure or the example cannot be read. Scores have neither confidence
            nor probabilities.

        Raises:
            CheckpointMismatch: the encoder is not the one of the head.
            BadData: the data are of another kind or width.
        """
        import pandas as pd

        examples = self.open(data, image=image, text=text)
        return pd.concat(list(self.frames(examples, confidence=confidence)), ignore_index=True)

    def open(self, data: Any, *, image: str | None = None, text: str | None = None) -> Examples:
        """The examples in any form that `predict` takes."""
        if isinstance(data, Examples):
            return data
        if isinstance(data, (str, os.PathLike)):
            return self._open_named(os.fspath(data), image=image, text=text)
        if hasattr(data, "columns") and hasattr(data, "iloc"):
            return frame_examples(data, image=image, text=text)
        for option, value in (("image", image), ("text", text)):
            if value is not None:
                raise invalid(option, value, "nothing, since `data` is no table")
        return examples_in_memory(data, kind=self.kind)

    def _open_named(self, name: str, *, image: str | None, text: str | None) -> Examples:
        try:
            return open_examples(
                str(expanded(Path(name))) if name[:1] == "~" else name, image=image, text=text
            )
        except (MissingFile, UnknownName) as error:
            if self.kind == "text":
                raise type(error)(f"{error} A text itself stands in a list: predict([text]).") from error
            raise

    def frames(self, examples: Examples, *, confidence: float) -> Iterator[pd.DataFrame]:
        """Predictions in blocks of rows, so that memory does not grow with the number of examples."""
        check_share(confidence, "confidence")
        features, reasons = self.features(examples)
        dataset = examples.dataset
        is_usable = np.ones(len(dataset), bool)
        is_usable[list(reasons)] = False
        place = np.cumsum(is_usable) - 1  # row of the features
        for start in range(0, len(dataset), _BLOCK_ROWS):
            rows = np.arange(start, min(start + _BLOCK_ROWS, len(dataset)))
            usable = rows[is_usable[rows]]
            outputs = np.full((len(rows), len(self.class_names) or 1), np.nan)
            if len(usable):
                assert features is not None
                outputs[usable - start] = self.outputs(features[place[usable]])
            ids, why = dataset.ids[rows], [reasons.get(row) for row in rows.tolist()]
            if self.has_classes:
                yield prediction_frame(ids, outputs, self.class_names, confidence=confidence, reasons=why)
            else:
                yield score_frame(ids, outputs[:, 0], reasons=why)

    def outputs(self, features: Any) -> np.ndarray:
        """(n, k) class probabilities from features, calibrated where the head is; scores as (n, 1)."""
        if isinstance(self.head, AbstractRegressor):
            return self.head.predict(features)[:, None]
        probs = self.head.predict_proba(features)
        if self.needs is None or self.needs.calibration is None:
            return probs
        return calibrated(probs, self.needs.calibration.sharpness)

    def features(self, examples: Examples) -> tuple[Any, Mapping[int, str]]:
        """Features of the usable examples, `None` without any, and the reason for every other row."""
        dataset = examples.dataset
        self.check_kind(dataset)
        reasons = dict(examples.unusable)
        if reasons:
            found = self._encoded_rows(dataset, reasons)
        else:
            try:
                found = self._encoded(dataset)
            except (BadData, MissingFile):
                reasons = self._unusable(dataset)
                if not reasons:
                    raise
                found = self._encoded_rows(dataset, reasons)
        if found is not None:
            self.check_width(found.shape[1], dataset)
        return found, reasons

    def check_kind(self, dataset: Dataset) -> None:
        """Raise `BadData` if the examples are of another kind."""
        if dataset.kind != self.kind:
            raise BadData(
                f"{dataset.name!r} holds {_PLURAL[dataset.kind]}, and the head {self.source!r} reads "
                f"{_PLURAL[self.kind]}. Next: name data of that kind, or its column with `image` or `text`."
            )

    def check_width(self, width: int, dataset: Dataset) -> None:
        """Raise `CheckpointMismatch` if the features are of another width."""
        if width != self.head.n_features_in_:
            raise CheckpointMismatch(
                f"{dataset.name!r} gives features of width {width}, and the head {self.source!r} "
                f"takes {self.head.n_features_in_}. Next: use the encoder, the layer and the kind of data "
                "(single texts or pairs) that it was trained with."
            )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the head with everything that it needs, calibration included; `load` reads it back."""
        return self.head.save(path, needs=self.needs)

    @cached_property
    def encoders(self) -> tuple[LazyEncoder, ...]:
        """The encoders, checked to be those of the head.

        Raises:
            CheckpointMismatch: an encoder has other weights, or prepares examples in another way.
        """
        needed = () if self.needs is None else self.needs.encoders
        found = []
        for need in needed:
            encoder = LazyEncoder(
                need.name, layer=need.layer, store=self.options.store, service=self.options.service,
                max_tokens=need.max_tokens,
            )  # fmt: skip
            own = encoder.identity
            for what, mine, its in (
                ("layer", need.layer, own.layer),
                ("SHA-256 of the weights", need.weights_hash, own.weights_hash),
                ("preparation of examples", need.transform, own.transform),
            ):
                if mine != its:
                    here, of_head = _where_they_differ(str(its), str(mine))
                    raise CheckpointMismatch(
                        f"The head {self.source!r} was trained on features of {need.name!r}, which is "
                        f"another encoder here: its {what} is {here!r}, that of the head {of_head!r}. Next: "
                        "restore these weights and the versions of run.json, or train the head again."
                    )
            found.append(encoder)
        return tuple(found)

    def _encoded_rows(self, dataset: Dataset, reasons: Mapping[int, str]) -> Any:
        kept = np.setdiff1d(np.arange(len(dataset)), list(reasons))
        return self._encoded(subset(dataset, kept, name=dataset.name)) if len(kept) else None

    def _encoded(self, dataset: Dataset) -> Any:
        if self.needs is None or [one.name for one in self.needs.encoders] == [_GIVEN]:
            return ShardedMatrix([np.asarray(dataset.examples, np.float32)])
        encoders = self.encoders
        one = encoders[0] if len(encoders) == 1 else EncodersSideBySide(encoders)
        return one.features(
            dataset, store=self.options.store, batch_size=self.options.batch_size,
            engine=self.options.engine, precision=self.needs.precision, dtype=self.needs.dtype,
        ).features  # fmt: skip

    def _unusable(self, dataset: Dataset) -> dict[int, str]:
        """Row -> reason, of every example that cannot be read or prepared; each is read once more."""
        backbones = [encoder.opened for encoder in self.encoders]

        def reason(row: int) -> str | None:
            try:
                example = dataset.examples[row]
                for backbone in backbones:
                    backbone.prepare(example)
            except (NoiseproofError, OSError, ValueError) as error:
                return bare_reason(error)
            return None

        reasons: dict[int, str] = {}
        with (
            progress(f"Checking {dataset.name}", total=len(dataset), unit="example") as bar,
            ThreadPoolExecutor(num_cores()) as pool,
        ):
            for row, found in enumerate(pool.map(reason, range(len(dataset)))):
                if found is not None:
                    reasons[row] = found
                bar.update()
        return reasons


_PLURAL: dict[Kind, str] = {"image": "images", "text": "texts", "features": "features"}


def _where_they_differ(first: str, second: str) -> tuple[str, str]:
    """The parts of two descriptions from shortly before their first difference on."""
    pairs = enumerate(zip(first, second, strict=False))
    same = next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))
    start = max(0, same - _SHOWN // 4)
    return first[start : start + _SHOWN], second[start : start + _SHOWN]
