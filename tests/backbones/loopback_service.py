"""A server on this machine that speaks the OpenAI embeddings protocol, and can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

DIM = 8
Fault = Callable[["LoopbackService", Any], Any]


def cheap_embeddings(texts: Sequence[str]) -> np.ndarray:
    """A unit vector for each text, from its hash."""
    rows = []
    for text in texts:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
        row = np.random.default_rng(seed).standard_normal(DIM)
        rows.append(row / np.linalg.norm(row))
    return np.array(rows, np.float32)


def encoder_of_texts(name: str, **options: Any) -> Callable[[Sequence[str]], np.ndarray]:
    """From texts to their features by an encoder here, on the engine that extraction takes."""
    from noiseproof.backbones.backbones import open_backbone
    from noiseproof.features.engines import choose_engine

    backbone = open_backbone(name, **options)
    engine = choose_engine(backbone, backbone.stack([backbone.prepare("a")]))

    def embed(texts: Sequence[str]) -> np.ndarray:
        prepared = [backbone.prepare(text) for text in texts]
        lengths = np.array([each.shape[-1] for each in prepared])
        found = {}
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            features = engine.encode(np.stack([prepared[row] for row in rows]))
            found |= dict(zip(rows.tolist(), features, strict=True))
        return np.stack([found[row] for row in range(len(texts))])

    return embed


class LoopbackService:
    """What the server knows and counts.

    Attributes:
        url: base URL.
        embed: from texts to vectors.
        faults: of the next requests, one each; then requests are answered.
        choose_fault: called for every further request; `None` for an answer.
        key: that requests must have; `None` for any.
        asked: requests, as (headers, body).
        answered: how often each text was answered.
        busy_s: time in `embed`.
    """

    def __init__(self, embed: Callable[[Sequence[str]], np.ndarray] = cheap_embeddings) -> None:
        self.embed, self.faults, self.key = embed, list[str](), None
        self.choose_fault: Callable[[], str | None] = lambda: None
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.answered: Counter[str] = Counter()
        self.busy_s, self.url, self.lock = 0.0, "", threading.Lock()
        self.hang = threading.Event()

    @property
    def name(self) -> str:
        return f"api:toy@{self.url}"

    @property
    def num_texts(self) -> int:
        return sum(len(body["input"]) for _, body in self.asked)

    def entries(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        begin = time.perf_counter()
        rows = self.embed(body["input"])
        self.busy_s += time.perf_counter() - begin
        in_base64 = body["encoding_format"] == "base64"
        encoded = [base64.b64encode(row.tobytes()).decode() if in_base64 else row.tolist() for row in rows]
        return [{"object": "embedding", "index": k, "embedding": each} for k, each in enumerate(encoded)]


# Name of a fault -> what becomes of the entries of the answer.
CHANGES: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "wrong order": lambda entries: entries[::-1],
    "one missing": lambda entries: entries[:-1],
    "index twice": lambda entries: [entry | {"index": 0} for entry in entries],
    "no index": lambda entries: [{"embedding": entry["embedding"]} for entry in entries],
    "another dimension": lambda entries: [entry | {"embedding": [0.5, 0.5, 0.5]} for entry in entries],
    "two dimensions": lambda entries: [entries[0] | {"embedding": [0.5]}, *entries[1:]],
    "empty vectors": lambda entries: [entry | {"embedding": []} for entry in entries],
    "NaN": lambda entries: [entry | {"embedding": [float("nan")] * DIM} for entry in entries],
    "huge numbers": lambda entries: [entry | {"embedding": [1e300] * DIM} for entry in entries],
    "words": lambda entries: [entry | {"embedding": ["a", "b"]} for entry in entries],
    "bad base64": lambda entries: [entry | {"embedding": "%%%"} for entry in entries],
    "odd base64": lambda entries: [entry | {"embedding": "AAAA"} for entry in entries],
    "no list": lambda entries: {"a": 1},
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: LoopbackService

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        service = self.service
        with service.lock:
            service.asked.append((dict(self.headers), body))
            fault = service.faults.pop(0) if service.faults else service.choose_fault()
        if service.key is not None and self.headers.get("authorization") != f"Bearer {service.key}":
            fault = fault or "401"
        if fault == "hang":
            service.hang.wait(20)
            self.close_connection = True
        elif fault == "slow":
            time.sleep(0.3)
            self._answer(body, None)
        elif fault == "no base64" and body["encoding_format"] == "base64":
            self._send(400, {"error": {"message": "encoding_format must be float"}})
        elif fault is not None and fault[:3].isdigit():
            status, _, header = fault.partition(" ")
            headers = dict([header.split(": ")]) if header else {}
            sent = self.headers.get("authorization", "no key")
            self._send(int(status), {"error": {"message": f"fault {status} for {sent}"}}, headers)
        else:
            self._answer(body, fault)

    def _answer(self, body: dict[str, Any], fault: str | None) -> None:
        service = self.service
        with service.lock:
            entries = service.entries(body)
        changed = CHANGES[fault](entries) if fault in CHANGES else entries
        content = json.dumps({"object": "list", "data": changed, "model": body["model"]}).encode()
        if fault == "page":
            content = b"<html>Welcome</html>"
        if fault is None or fault in ("wrong order", "no base64"):
            with service.lock:
                service.answered.update(body["input"])
        half = content[: len(content) // 2]
        self._send_bytes(200, half if fault in ("half", "half JSON") else content,
                         {}, len(half if fault == "half JSON" else content))  # fmt: skip
        self.close_connection = self.close_connection or fault == "half"

    def _send(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self._send_bytes(status, content, headers or {}, len(content))

    def _send_bytes(self, status: int, content: bytes, headers: dict[str, str], promised: int) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(promised), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is no error here."""


@contextmanager
def loopback_service(
    embed: Callable[[Sequence[str]], np.ndarray] = cheap_embeddings, *, ssl_context: Any = None, port: int = 0
) -> Iterator[LoopbackService]:
    """A running server; it ends with the block."""
    service = LoopbackService(embed)
    server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"service": service}))
    if ssl_context is not None:
        server.socket = ssl_context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if ssl_context is None else "https"
    service.url = f"{scheme}://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()
