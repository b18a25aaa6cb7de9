"""The data set of a reader: examples that are decoded when read, with the fingerprint of their contents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from noiseproof.core.records import LabelledDataset
from noiseproof.data.examples import AbstractReader, LazyExamples, as_image, as_text
from noiseproof.data.fingerprints import fingerprint
from noiseproof.data.request import Request


def lazy_dataset(
    reader: AbstractReader,
    request: Request,
    *,
    ids: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    kind: Literal["image", "text"] = "image",
    clean_labels: np.ndarray | None = None,
) -> LabelledDataset:
    """A data set of the raw contents in a reader; they are read once, for the fingerprint.

    Args:
        reader: raw contents of n examples.
        request: of the user.
        ids: n, unique.
        labels: n class ids.
        class_names: k names.
        kind: of the examples.
        clean_labels: n class ids, where the truth is known.

    Raises:
        MissingFile: a file of an example does not exist.
        BadData: an example cannot be read.
    """
    return LabelledDataset(
        name=request.name,
        kind=kind,
        examples=LazyExamples(reader, ids, request.name, as_image if kind == "image" else as_text),
        ids=ids,
        given_labels=np.asarray(labels, np.int64),
        class_names=tuple(class_names),
        fingerprint=fingerprint(reader, ids, owner=request.name, on_error=request.on_error),
        clean_labels=clean_labels,
    )
