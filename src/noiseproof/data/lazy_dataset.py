"""The data set of a reader: examples that are decoded when read, with the fingerprint of their contents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from noiseproof.core.records import LabelledDataset
from noiseproof.data.examples import AbstractReader, LazyExamples, as_image, as_text
from noiseproof.data.fingerprints import fingerprint
from noiseproof.data.missing_texts import WatchedTexts
from noiseproof.data.readable import leave_out, missing_label_reasons
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
    key: str | None = None,
) -> LabelledDataset:
    """A data set of the raw contents in a reader; they are read once, for the fingerprint.

    Args:
        reader: raw contents of n examples.
        ids: n, unique.
        labels: n class ids; examples with -1 have no label and are left out.
        kind: of the examples.
        clean_labels: n class ids, where the truth is known; likewise.
        key: the fingerprint, where it is known; then nothing is read.

    Raises:
        MissingFile: a file of an example does not exist.
        BadData: an example cannot be read, or most texts are words for an empty cell.
    """
    labels = np.asarray(labels, np.int64)
    watched = WatchedTexts(reader)
    key = key or fingerprint(watched, ids, owner=request.name, on_error=request.on_error)
    watched.refuse_most(ids, request.name)
    columns = {request.label or "label": labels}
    if clean_labels is not None:
        columns[request.clean_label or "clean_label"] = clean_labels
    whole = LabelledDataset(
        name=request.name,
        kind=kind,
        examples=LazyExamples(reader, ids, request.name, as_image if kind == "image" else as_text),
        ids=ids,
        given_labels=np.maximum(labels, 0),
        class_names=tuple(class_names),
        fingerprint=key,
        clean_labels=None if clean_labels is None else np.maximum(clean_labels, 0),
        notes=watched.notes(ids, request.name),
    )
    return leave_out(whole, missing_label_reasons(columns))
