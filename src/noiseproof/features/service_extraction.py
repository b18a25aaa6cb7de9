"""The encoding loop of embedding services: many requests at once, each answer kept when it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.backbones.services.service_backbone import ServiceBackbone, num_tokens, split_into_requests
from noiseproof.core.errors import ServiceError
from noiseproof.core.progress import Counter
from noiseproof.core.records import Dataset
from noiseproof.features.drift import check_drift
from noiseproof.features.kept_answers import KeptAnswers
from noiseproof.features.lookup import check_extraction, find_features, key_components
from noiseproof.features.resume import Span, key_folder, unfinished_spans
from noiseproof.features.store import SHARD_ROWS, store_key


def embed_spans(
    dataset: Dataset,
    backbone: ServiceBackbone,
    spans: Sequence[Span],
    *,
    prepare: Callable[[Sequence[int]], np.ndarray],
    key: str,
    batch_size: int,
    bar: Counter,
) -> Iterator[tuple[Span, Float[np.ndarray, "m d"]]]:
    """Features span by span; the kept answers of a span go when the next one is wanted.

    Raises:
        ServiceError: the service refused, failed too often or has changed; what was answered is kept.
    """
    for span in spans:
        prepare(range(span.start, span.stop))  # what cannot be sent is refused before anything is
    num_done = 0
    try:
        with backbone.requests() as pool:
            check_drift(backbone, spans[0].path.parents[1])

            def submit(span: Span) -> list[Future[int]]:
                kept = kept_answers(span, key)
                kept.cut_torn_line()
                bar.update(len(kept.rows))

                def answer(rows: Int[np.ndarray, " b"]) -> int:
                    backbone.ask(prepare(rows.tolist()), keep=partial(kept.add, rows))
                    return len(rows)

                return [pool.submit(answer, rows) for rows in requests_of(dataset, span, kept, batch_size)]

            following = submit(spans[0])
            for number, span in enumerate(spans, start=1):
                # The next span is asked for while the last answers of this one are on their way.
                running, following = following, submit(spans[number]) if number < len(spans) else []
                for done in as_completed(running):
                    bar.update(done.result())
                yield span, _features(span, kept_answers(span, key))
                span.answers.unlink(missing_ok=True)
                num_done += 1
    except ServiceError as error:  # here, so that the requests that were running have ended
        total = sum(map(len, spans))
        num_answered = sum(map(len, spans[:num_done]))
        num_answered += sum(len(kept_answers(span, key).rows) for span in spans[num_done:])
        raise ServiceError(
            f"{error} Of the {total:,} texts to embed {num_answered:,} are answered and kept in "
            f"{str(spans[0].path.parent)!r}; the same command again asks for the others only."
        ) from error


def kept_answers(span: Span, key: str) -> KeptAnswers:
    """Answers for a shard of these rows of this feature set."""
    return KeptAnswers(span.answers, f"{key} {span.start} {span.stop}")


@dataclass(frozen=True)
class RequestPlan:
    """What an extraction would ask of a service.

    Attributes:
        num_texts: that are not in the store.
        num_stored: texts that are.
        num_requests: without the probe and retries.
        num_tokens: estimated.
    """

    num_texts: int
    num_stored: int
    num_requests: int
    num_tokens: int


def plan_requests(
    dataset: Dataset, backbone: ServiceBackbone, *, store: Path, batch_size: int, precision: str, dtype: str
) -> RequestPlan:
    """Count what `extract` with these arguments would ask; nothing is sent or written."""
    check_extraction(dataset, backbone.identity, dtype=dtype, batch_size=batch_size)
    options: dict[str, Any] = {"precision": precision, "dtype": dtype}
    requests: list[Int[np.ndarray, " b"]] = []
    if find_features(dataset, backbone.identity, store=store, quiet=True, **options) is None:
        components = key_components(dataset, backbone.identity, **options)
        folder, key = key_folder(store, components), store_key(components)
        for span in unfinished_spans(folder, len(dataset), components, SHARD_ROWS):
            requests += requests_of(dataset, span, kept_answers(span, key), batch_size)
    rows = [row for request in requests for row in request.tolist()]
    tokens = sum(num_tokens(_joined(dataset.examples[row])) for row in rows)
    return RequestPlan(len(rows), len(dataset) - len(rows), len(requests), tokens)


def requests_of(
    dataset: Dataset, span: Span, kept: KeptAnswers, batch_size: int
) -> list[Int[np.ndarray, " b"]]:
    """Rows of each request that a span still needs; texts of like length together."""
    rows = np.setdiff1d(np.arange(span.start, span.stop), kept.rows)
    texts = [_joined(dataset.examples[row]) for row in rows.tolist()]
    order = np.argsort([len(text) for text in texts], kind="stable")
    is_pair = len(rows) > 0 and not isinstance(dataset.examples[int(rows[0])], str)
    most_texts = max(1, batch_size // 2) if is_pair else batch_size
    requests = split_into_requests([texts[k] for k in order.tolist()], most_texts=most_texts)
    return [rows[order[each.start : each.stop]] for each in requests]


def _joined(example: str | tuple[str, str]) -> str:
    return example if isinstance(example, str) else " ".join(example)


def _features(span: Span, kept: KeptAnswers) -> Float[np.ndarray, "m d"]:
    """The answers in the order of the rows."""
    assert kept.features is not None
    assert np.array_equal(np.sort(kept.rows), np.arange(span.start, span.stop))
    features = np.empty((len(span), kept.features.shape[1]), np.float32)
    features[kept.rows - span.start] = kept.features
    return features
