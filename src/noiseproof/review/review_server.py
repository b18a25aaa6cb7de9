"""The review page on this machine, with a log of decisions that all its tabs share.

Other programs of this machine, and pages of other sites that a browser has open, can reach a port too: the
address of everything here has a secret in it, and requests with the name of another host, or from a page of
another origin, are refused.
"""

from __future__ import annotations

import hmac
import html
import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from noiseproof.core.errors import NoiseproofError, invalid
from noiseproof.core.storage.inner_paths import inner_path
from noiseproof.core.storage.json_text import BadJson, parse_json
from noiseproof.core.storage.regular_files import read_regular
from noiseproof.decisions.record import COLUMNS, WORDS
from noiseproof.review.decision_log import DecisionLog
from noiseproof.review.review_page import PARTS, PageData

HOST, _SECRET = "127.0.0.1", ".review-secret"
_MOST_BYTES = 2**16  # of a request
_MOST_NAME = 200
_TIMEOUT_S = 30.0
_HEADERS = {
    "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


def _secret(folder: Path) -> str:
    """The secret of the addresses of a folder, the same after a restart, so that open pages go on."""
    path = inner_path(folder, _SECRET)
    if path.is_file():
        found = read_regular(path).decode("ascii", "replace")
        if re.fullmatch(r"[\w-]{32}", found):
            return found
        path.unlink()
    token = secrets.token_urlsafe(24)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    return token


class ReviewServer(ThreadingHTTPServer):
    """Serves one page and its log; `serve_forever` until `shutdown`.

    Args:
        page: the file.
        data: what the page is about.
        log: gets the decisions.
        port: to listen on; 0 for a free one.
        who: proposed name of the person.

    Raises:
        InvalidArgument: the port is in use or not allowed.
    """

    daemon_threads = True
    request_queue_size = 128  # with the usual 5, the sixth request that waits may be reset

    def __init__(self, page: Path, data: PageData, log: DecisionLog, *, port: int = 0, who: str = "") -> None:
        self.page, self.log, self.who = page, log, who
        self.ids, self.token = set(data.ids), _secret(page.parent)
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise invalid(
                "port", port, "a free port from 1024 to 65535",
                f"Next: name another one, or leave it out ({error}).",
            ) from error  # fmt: skip
        self.origins = {f"http://{name}:{self.server_port}" for name in (HOST, "localhost")}

    @property
    def url(self) -> str:
        """Address of the page, with the secret."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"


class _Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    timeout = _TIMEOUT_S
    server_version, sys_version = "noiseproof", ""

    def do_GET(self) -> None:
        """The page, a part of it, or the decisions after a number of them."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Keep a decision."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: addresses have the secret in them."""

    def _answer(self, act: Any) -> None:
        try:
            kind, content = act(self._checked_path())
            status = HTTPStatus.OK
        except _Refused as error:
            status, kind, content = error.status, "text/plain", str(error).encode()
        except NoiseproofError as error:  # the disk is full
            status, kind, content = HTTPStatus.INSUFFICIENT_STORAGE, "text/plain", str(error).encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        with suppress(ConnectionError):  # the tab is closed
            self.end_headers()
            self.wfile.write(content)

    def _checked_path(self) -> str:
        """The path below the secret."""
        if f"http://{self.headers.get('Host')}" not in self.server.origins:
            raise _Refused(HTTPStatus.MISDIRECTED_REQUEST, "This is not the host of this page.")
        origin = self.headers.get("Origin")
        if origin not in self.server.origins and (origin is not None or self.command != "GET"):
            raise _Refused(HTTPStatus.FORBIDDEN, "This page is of another origin.")
        token, _, rest = urlsplit(self.path).path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise _Refused(HTTPStatus.NOT_FOUND, "Open the address that noiseproof review printed.")
        return rest

    def _get(self, path: str) -> tuple[str, bytes]:
        folder = self.server.page.parent
        if path in ("", self.server.page.name):
            return "text/html", self._page()
        if re.fullmatch(rf"{PARTS}/part-\d{{5}}\.js", path) and (folder / path).is_file():
            return "text/javascript", inner_path(folder, path).read_bytes()
        if path == "decisions":
            number = parse_qs(urlsplit(self.path).query).get("since", ["0"])[0]
            count, later = self.server.log.since(int(number) if number.isdecimal() else 0)
            rows = [{name: getattr(one, name) for name in COLUMNS} for one in later]
            return "application/json", json.dumps({"next": count, "rows": rows}).encode()
        raise _Refused(HTTPStatus.NOT_FOUND, "There is nothing at this address.")

    def _page(self) -> bytes:
        """The page, with the address of the log."""
        begin = f'<html lang="en" data-log="decisions" data-who="{html.escape(self.server.who)}">'
        return self.server.page.read_bytes().replace(b'<html lang="en">', begin.encode(), 1)

    def _post(self, path: str) -> tuple[str, bytes]:
        size = self.headers.get("Content-Length", "")
        is_json = self.headers.get("Content-Type", "").partition(";")[0].strip() == "application/json"
        if path != "decisions" or not is_json:
            raise _Refused(HTTPStatus.NOT_FOUND, "Decisions are posted to `decisions` as JSON.")
        if not size.isdecimal() or int(size) > _MOST_BYTES:
            raise _Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A decision has at most {_MOST_BYTES} bytes."
            )
        try:
            row = parse_json(self.rfile.read(int(size)))
        except BadJson as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"This is no JSON: {error}") from error
        self.server.log.append(**_checked(row, self.server.ids))
        return "application/json", b"{}"


def _checked(row: Any, ids: set[str]) -> dict[str, str]:
    """The values of a decision, which a request may have made up."""
    if not isinstance(row, Mapping) or not all(isinstance(row.get(name), str) for name in COLUMNS):
        raise _Refused(HTTPStatus.BAD_REQUEST, f"A decision has the texts {', '.join(COLUMNS)}.")
    values = {name: row[name] for name in COLUMNS}
    if values["example_id"] not in ids:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"There is no example {values['example_id'][:80]!r} here.")
    if values["decision"] not in (*WORDS, ""):
        raise _Refused(HTTPStatus.BAD_REQUEST, f"A decision is one of {', '.join(WORDS)}, or empty.")
    if values["decision"] in ("accept", "keep", "relabel") and not values["label"]:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"{values['decision']} needs a label.")
    if max(len(values["label"]), len(values["who"])) > _MOST_NAME:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"Label and name have at most {_MOST_NAME} characters.")
    try:
        datetime.fromisoformat(values["when"])
    except ValueError as error:
        raise _Refused(HTTPStatus.BAD_REQUEST, "`when` is a time such as 2026-11-30T17:00:00Z.") from error
    return values
