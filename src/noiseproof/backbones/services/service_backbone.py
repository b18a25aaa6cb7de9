"""`api:MODEL`: text embeddings of a service, as an encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from jaxtyping import Float

from noiseproof.backbones.base import AbstractBackbone, chosen_layer
from noiseproof.backbones.services.address import ServiceAddress, parse_address
from noiseproof.backbones.services.client import EmbeddingClient
from noiseproof.backbones.services.settings import ServiceSettings
from noiseproof.core.records import Kind

LAYER = "embedding"
CHARACTERS_PER_TOKEN = 4
MOST_TOKENS = 32_000  # of a request; OpenAI allows 300,000, a small server needs minutes for them


class ServiceBackbone(AbstractBackbone):
    """A model behind an HTTP service. Texts are sent as they are; the service refuses or cuts long ones.

    The weights of a service are unknown: in their place its URL and the name of the model are hashed. That
    finished features are found costs no request, so the width of the embeddings is no part of it.
    """

    kind: Kind = "text"
    dim = None
    layer = LAYER

    def __init__(self, name: str, address: ServiceAddress, settings: ServiceSettings) -> None:
        self.name, self.address, self.requests_at_once = name, address, settings.requests_at_once
        self.weights_hash = hashlib.sha256(f"{address.model} at {address.url}".encode()).hexdigest()
        self.transform = f"texts as they are, to {address.model} at {address.url}; pairs: u, v, |u - v|, u v"
        self.client = EmbeddingClient(address, settings)

    def prepare(self, example: str | tuple[str, str]) -> np.ndarray:
        """The text, or the two of a pair, as an array of objects, which can be stacked."""
        texts = (example,) if isinstance(example, str) else example
        for text in texts:
            if not text.strip():
                raise ValueError("the text is empty")
            text.encode()  # half of a pair of surrogates cannot be sent
        return np.array(texts, dtype=object)

    def encode(self, batch: np.ndarray) -> Float[np.ndarray, "b d"]:
        """Features by one request."""
        with self.requests() as pool:
            return pool.submit(self.ask, batch).result()

    def ask(
        self, batch: np.ndarray, *, keep: Callable[[np.ndarray], None] = lambda features: None
    ) -> Float[np.ndarray, "b d"]:
        """Features by one request, inside `requests`; a pair has [u, v, |u - v|, u v] of its two texts.

        Args:
            batch: of texts.
            keep: called with the features before the request after this one starts.
        """
        texts, is_pair = batch.ravel().tolist(), batch.shape[1] == 2
        rows = self.client.embed(texts, keep=lambda rows: keep(_of_pairs(rows) if is_pair else rows))
        return _of_pairs(rows) if is_pair else rows

    @contextmanager
    def requests(self) -> Iterator[ThreadPoolExecutor]:
        """Threads that may `ask`. After an error requests that wait give up, and running ones end, since
        their answers may have to be paid for.
        """
        with self.client.connected():
            # While a request waits to be tried again, another takes its turn.
            pool = ThreadPoolExecutor(2 * self.requests_at_once)
            try:
                yield pool
            finally:
                self.client.stop()
                pool.shutdown(cancel_futures=True)


def open_service(
    rest: str, *, layer: str | None = None, service: ServiceSettings | None = None
) -> ServiceBackbone:
    """An embedding service as a text encoder; nothing is sent.

    Raises:
        InvalidArgument, UnknownName: see `parse_address`; no such layer.
    """
    address = parse_address(rest)
    chosen_layer(layer, [LAYER])
    return ServiceBackbone(f"api:{rest}", address, service or ServiceSettings())


def _of_pairs(rows: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "half width"]:
    first, second = rows[::2], rows[1::2]
    return np.concatenate([first, second, np.abs(first - second), first * second], axis=1)


def num_tokens(text: str) -> int:
    """Estimated tokens of a text: the tokenizer of a service is not known."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def split_into_requests(texts: Sequence[str], *, most_texts: int) -> list[range]:
    """Neighbouring texts together, each time at most so many texts and `MOST_TOKENS`, but at least one."""
    requests: list[range] = []
    start = total = 0
    for place, text in enumerate(texts):
        tokens = num_tokens(text)
        if place > start and (place - start == most_texts or total + tokens > MOST_TOKENS):
            requests.append(range(start, place))
            start, total = place, 0
        total += tokens
    return [*requests, range(start, len(texts))] if len(texts) else requests
