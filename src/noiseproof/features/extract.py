"""The encoding loop: decode in parallel, encode, write a shard, resume after interruptions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int

from noiseproof.backbones.base import AbstractBackbone
from noiseproof.backbones.images.pixels import for_crops
from noiseproof.backbones.services.service_backbone import ServiceBackbone
from noiseproof.core.errors import BadData, MissingFile, NoiseproofError
from noiseproof.core.progress import Counter, progress
from noiseproof.core.records import Dataset
from noiseproof.core.threads import num_cores, one_thread
from noiseproof.data.readable import with_all_unreadable
from noiseproof.features.engines import NUM_COMPARED, Engine, choose_engine
from noiseproof.features.lookup import check_extraction, find_features, key_components
from noiseproof.features.resume import Span, key_folder, only_process, spans_to_encode
from noiseproof.features.service_extraction import embed_spans
from noiseproof.features.shards import open_shard, write_shard
from noiseproof.features.store import SHARD_ROWS, StoredFeatures, load_features, store_key, write_manifest

_UNITS = {"image": "image", "text": "text", "features": "row"}
Call = TypeVar("Call")
Result = TypeVar("Result")


def extract(
    dataset: Dataset,
    backbone: AbstractBackbone,
    *,
    store: str | Path,
    batch_size: int = 64,
    engine: str = "auto",
    precision: str = "float32",
    dtype: str = "float32",
    num_workers: int | None = None,
    shard_rows: int = SHARD_ROWS,
    quiet: bool = False,
) -> StoredFeatures:
    """Features of every example, computed once and kept.

    What is already in the store is used after its checksums were compared; what is missing or damaged is
    computed. Killed at any point, the same call resumes after the last finished shard and ends with the
    same bytes. Two processes that want the same features take turns: the second finds them finished.
    Memory does not grow with the number of examples.

    Args:
        dataset: what to encode.
        backbone: by what.
        store: folder of feature sets; each key gets a folder in it.
        batch_size: examples per call of PyTorch; ONNX Runtime has its own.
        engine: `"auto"`, `"torch"` or `"onnxruntime"`, see `choose_engine`.
        precision: `"bfloat16"` for mixed precision on PyTorch.
        dtype: of the files; they are always read as float32.
        num_workers: threads that decode (and encode, with ONNX Runtime); by default one per core.
        shard_rows: examples per file, which is also the most that an interruption can lose.
        quiet: neither progress bar nor messages.

    Returns:
        The features, memory-mapped; `num_encoded` is the number computed in this call.

    Raises:
        BadData: examples cannot be read (all are named), or features are not finite; the id is named.
        NoSpaceLeft: the disk is full; finished shards stay.
        ServiceError: an embedding service failed or changed; its answers stay.
    """
    check_extraction(
        dataset, backbone.identity, dtype=dtype, batch_size=batch_size, num_workers=num_workers,
        shard_rows=shard_rows,
    )  # fmt: skip
    backbone = for_crops(backbone) if dataset.is_cropped else backbone
    components = key_components(dataset, backbone.identity, precision=precision, dtype=dtype)
    folder = key_folder(Path(store), components)

    def find() -> StoredFeatures | None:
        return find_features(
            dataset, backbone.identity, store=store, engine=engine, precision=precision, dtype=dtype,
            quiet=quiet,
        )  # fmt: skip

    if (stored := find()) is not None:
        return stored
    with only_process(folder, quiet=quiet):
        if (stored := find()) is not None:  # another process may have made them while this one waited
            return stored
        spans, missing = spans_to_encode(folder, len(dataset), components, shard_rows)
        if missing:
            with _all_unreadable_named(dataset):
                first_rows = _prepared(dataset, backbone, range(len(dataset))[:NUM_COMPARED])
                chosen = choose_engine(
                    backbone, first_rows, engine=engine, precision=precision, batch_size=batch_size
                )
                workers = num_workers or num_cores()
                _encode(dataset, backbone, chosen, missing, workers, components, quiet=quiet)
        shards = [open_shard(span.path) for span in spans]
        write_manifest(
            folder, shards, components=components, dataset=dataset.name, shard_rows=len(spans[0]),
            num_cut=_num_cut(dataset, backbone),
        )  # fmt: skip
    return replace(load_features(folder), num_encoded=sum(map(len, missing)))


def features_key(
    dataset: Dataset, backbone: AbstractBackbone, *, precision: str = "float32", dtype: str = "float32"
) -> str:
    """The key under which `extract` keeps these features; nothing is encoded or read."""
    backbone = for_crops(backbone) if dataset.is_cropped else backbone
    return store_key(key_components(dataset, backbone.identity, precision=precision, dtype=dtype))


def _encode(
    dataset: Dataset,
    backbone: AbstractBackbone,
    engine: Engine,
    spans: Sequence[Span],
    num_workers: int,
    components: dict[str, Any],
    *,
    quiet: bool,
) -> None:
    """Write the shards of these spans, one after the other."""
    agreement = "" if engine.agreement is None else repr(engine.agreement)
    noted = {"key": store_key(components), "engine": engine.name, "agreement": agreement}
    title, total = f"Features of {dataset.name}", sum(map(len, spans))
    threads = one_thread() if engine.is_parallel else nullcontext()
    with threads, progress(title, total=total, unit=_UNITS[dataset.kind], quiet=quiet) as bar:
        if isinstance(backbone, ServiceBackbone):
            parts = embed_spans(
                dataset, backbone, spans, prepare=lambda rows: _prepared(dataset, backbone, rows),
                key=noted["key"], batch_size=engine.rows_per_call, bar=bar,
            )  # fmt: skip
        else:
            parts = _features_of(dataset, backbone, engine, spans, num_workers, bar)
        for span, features in parts:
            ids = dataset.ids[span.start : span.stop]
            rows = _checked(features, ids, dataset.name, components["dtype"])
            write_shard(span.path, rows, ids, noted | {"start": str(span.start)})


def _features_of(
    dataset: Dataset,
    backbone: AbstractBackbone,
    engine: Engine,
    spans: Sequence[Span],
    num_workers: int,
    bar: Counter,
) -> Iterator[tuple[Span, Float[np.ndarray, "m d"]]]:
    """Features span by span. No call of the engine crosses a span, so a resumed run makes the same calls."""

    def in_thread(call: tuple[Span, np.ndarray]) -> np.ndarray:
        batch = _prepared(dataset, backbone, call[1].tolist())
        return engine.encode(batch) if engine.is_parallel else batch

    calls = ((span, rows) for span in spans for rows in _calls(dataset, backbone, engine, span))
    features: np.ndarray | None = None
    num_left = 0
    with _threads(num_workers) as pool:
        for (span, rows), result in _in_order(pool, in_thread, calls, num_ahead=2 * num_workers):
            block = result if engine.is_parallel else engine.encode(result)
            if features is None:
                features, num_left = np.empty((len(span), block.shape[1]), dtype=np.float32), len(span)
            features[rows - span.start] = block
            bar.update(len(rows))
            num_left -= len(rows)
            if not num_left:
                yield span, features
                features = None


def _calls(
    dataset: Dataset, backbone: AbstractBackbone, engine: Engine, span: Span
) -> Iterator[Int[np.ndarray, " b"]]:
    """Rows of each call. Texts of one call have one length, so that the features of a text do not depend on
    the others; they are tokenised twice for it, in a hundredth of the time of encoding them.
    """
    rows = np.arange(span.start, span.stop)
    if dataset.kind != "text":
        yield from _in_parts(rows, engine.rows_per_call)
        return
    lengths = np.array([_prepared_one(dataset, backbone, row).shape[-1] for row in rows.tolist()])
    order = np.argsort(lengths, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        yield from _in_parts(rows[group], engine.rows_of_length(int(lengths[group[0]])))


def _in_parts(rows: Int[np.ndarray, " m"], size: int) -> Iterator[Int[np.ndarray, " b"]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _num_cut(dataset: Dataset, backbone: AbstractBackbone) -> int:
    """Texts of which the encoder read a part only."""
    return sum(map(backbone.is_cut, dataset.examples)) if dataset.kind == "text" else 0


def _in_order(
    pool: ThreadPoolExecutor, function: Callable[[Call], Result], calls: Iterable[Call], *, num_ahead: int
) -> Iterator[tuple[Call, Result]]:
    """Like `pool.map`, but only a few calls ahead of the reader, so memory stays flat."""
    ahead: deque[tuple[Call, Future[Result]]] = deque()
    for call in calls:
        ahead.append((call, pool.submit(function, call)))
        if len(ahead) > num_ahead:
            first, future = ahead.popleft()
            yield first, future.result()
    for first, future in ahead:
        yield first, future.result()


def _prepared(dataset: Dataset, backbone: AbstractBackbone, rows: Sequence[int]) -> np.ndarray:
    """A batch; an example that cannot be read is named."""
    batch = [_prepared_one(dataset, backbone, row) for row in rows]
    for row, example in zip(rows, batch, strict=True):
        if example.shape != batch[0].shape and backbone.kind != "text":
            raise BadData(
                f"Example {_named(dataset.ids[row])} of {dataset.name!r} has shape {example.shape}, example "
                f"{_named(dataset.ids[rows[0]])} has {batch[0].shape}; allowed: one shape. "
                "Next: correct or leave out that row."
            )
    return backbone.stack(batch)


def _prepared_one(dataset: Dataset, backbone: AbstractBackbone, row: int) -> np.ndarray:
    try:
        return backbone.prepare(dataset.examples[row])
    except NoiseproofError:
        raise  # a data source names the file or row itself
    except Exception as error:
        raise BadData(
            f"Example {_named(dataset.ids[row])} of {dataset.name!r} cannot be read: {error}. "
            "Next: correct or leave out that example; what was finished is kept."
        ) from error


def _checked(
    features: Float[np.ndarray, "m d"], ids: np.ndarray, name: str, dtype: str
) -> Float[np.ndarray, "m d"]:
    """The features in the type of the files, all finite."""
    with np.errstate(over="ignore"):
        rows = features.astype(dtype, copy=False)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if not len(bad):
        return rows
    first = int(bad[0])
    described = f"of example {_named(ids[first])} of {name!r}"
    if np.isfinite(features[first]).all():
        largest = float(np.abs(features[first]).max())
        raise BadData(
            f"A feature {described} is {largest:.3g}, outside the range of float16; allowed: up to 65504. "
            "Next: dtype='float32'."
        )
    raise BadData(
        f"The features {described} have NaN or infinity ({len(bad)} such rows in this shard); allowed: "
        "finite numbers. Next: check that example, or the weights of the backbone."
    )


@contextmanager
def _all_unreadable_named(dataset: Dataset) -> Iterator[None]:
    """Name all examples that cannot be read where the first one stops the work; each is decoded once more."""
    try:
        yield
    except (BadData, MissingFile) as error:
        complete = with_all_unreadable(error, dataset)
        if complete is error:
            raise
        raise complete from error


def _named(example_id: Any) -> str:
    return repr(np.asarray(example_id).item())


@contextmanager
def _threads(num_workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that drops its queue on an error instead of working through it."""
    pool = ThreadPoolExecutor(num_workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
