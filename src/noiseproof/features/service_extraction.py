"""The encoding loop of embedding services: many requests at once, each answer kept when it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed

import numpy as np
from jaxtyping import Float, Int

from noiseproof.backbones.services.service_backbone import ServiceBackbone, split_into_requests
from noiseproof.core.errors import ServiceError
from noiseproof.core.progress import Counter
from noiseproof.core.records import Dataset
from noiseproof.features.drift import check_drift
from noiseproof.features.kept_answers import KeptAnswers
from noiseproof.features.resume import Span


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

    Args:
        dataset: texts.
        backbone: the service.
        spans: to encode.
        prepare: a batch from rows.
        key: of the feature set.
        batch_size: most texts of a request.
        bar: counts texts.

    Raises:
        ServiceError: the service refused, failed too often or has changed; what was answered is kept.
    """
    for span in spans:
        prepare(range(span.start, span.stop))  # what cannot be sent is refused before anything is
    num_done, current = 0, spans[0]
    try:
        with backbone.requests() as pool:
            check_drift(backbone, current.path.parents[1])
            for current in spans:
                kept = kept_answers(current, key)
                kept.cut_torn_line()
                bar.update(len(kept.rows))

                def answer(rows: Int[np.ndarray, " b"], kept: KeptAnswers = kept) -> int:
                    kept.add(rows, backbone.ask(prepare(rows.tolist())))
                    return len(rows)

                requests = requests_of(dataset, current, kept, batch_size)
                for done in as_completed([pool.submit(answer, rows) for rows in requests]):
                    bar.update(done.result())
                yield current, _features(current, kept_answers(current, key))
                current.answers.unlink(missing_ok=True)
                num_done += len(current)
    except ServiceError as error:  # here, so that the requests that were running have ended
        raise _with_state(error, num_done + len(kept_answers(current, key).rows), spans) from error


def kept_answers(span: Span, key: str) -> KeptAnswers:
    """Answers for a shard of these rows of this feature set."""
    return KeptAnswers(span.answers, f"{key} {span.start} {span.stop}")


def requests_of(
    dataset: Dataset, span: Span, kept: KeptAnswers, batch_size: int
) -> list[Int[np.ndarray, " b"]]:
    """Rows of each request that a span still needs; texts of like length together."""
    rows = np.setdiff1d(np.arange(span.start, span.stop), kept.rows)
    rows = rows[np.argsort([len(dataset.examples[row]) for row in rows.tolist()], kind="stable")]
    texts = [dataset.examples[row] for row in rows.tolist()]
    return [rows[each.start : each.stop] for each in split_into_requests(texts, most_texts=batch_size)]


def _features(span: Span, kept: KeptAnswers) -> Float[np.ndarray, "m d"]:
    """The answers in the order of the rows."""
    assert kept.features is not None
    assert np.array_equal(np.sort(kept.rows), np.arange(span.start, span.stop))
    features = np.empty((len(span), kept.features.shape[1]), np.float32)
    features[kept.rows - span.start] = kept.features
    return features


def _with_state(error: ServiceError, num_answered: int, spans: Sequence[Span]) -> ServiceError:
    total = sum(map(len, spans))
    return ServiceError(
        f"{error} Of the {total:,} texts to embed {num_answered:,} are answered and kept in "
        f"{str(spans[0].path.parent)!r}; the same command again asks for the others only."
    )
