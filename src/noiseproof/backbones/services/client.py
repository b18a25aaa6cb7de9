"""One service over HTTP: requests with a key, at a pace, repeated after failures that may pass."""

from __future__ import annotations

import functools
import os
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import numpy as np
from jaxtyping import Float

from noiseproof.backbones.services.address import ServiceAddress
from noiseproof.backbones.services.answers import BrokenAnswer, UnusableAnswer, read_answer
from noiseproof.backbones.services.pace import Pace
from noiseproof.backbones.services.settings import DEFAULT_KEY_VARIABLE, ServiceSettings
from noiseproof.core.errors import ServiceError, invalid, missing_extra
from noiseproof.core.progress import write_line

_MOST_TRIES = 10  # with 30 % of requests failing, one batch in 170,000 fails ten times
_MOST_TIMEOUTS = 3
_CONNECT_S, _ANSWER_S = 10.0, 120.0
_LONGEST_RETRY_AFTER_S = 600.0
_PASSING = (408, 409, 425, 429)  # beside all from 500
_SHOWN = 300  # characters of a service's own message


class EmbeddingClient:
    """Embeddings of lists of texts; safe to call from several threads inside `connected`."""

    def __init__(
        self, address: ServiceAddress, settings: ServiceSettings, *, pace: Pace | None = None
    ) -> None:
        self._address, self._settings = address, settings
        self._pace = pace or Pace(settings.requests_per_minute)
        self._slots = threading.Semaphore(settings.requests_at_once)
        self._http: Any = None
        self._key: str | None = None
        self._dim: int | None = None
        self._report_lock, self._num_reported = threading.Lock(), 0  # failures in a row of one request
        self._failure = ""  # that ended the requests, for the threads that only give up
        self._encoding = "base64"  # a fifth of the bytes of numbers, and exact

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Requests are possible in this block; `stop` ends the waiting ones.

        Raises:
            ServiceError: the service needs a key and there is none.
            MissingExtra: httpx2 is not installed.
        """
        try:
            import httpx2
        except ModuleNotFoundError as error:
            raise missing_extra("httpx2", "api", f"The service {self._address.url}") from error
        self._key = self._read_key()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._failure = ""
        self._pace.start()
        # A proxy of the environment does not lead back to this machine.
        with httpx2.Client(
            headers=headers, verify=_trusted_certificates(),
            timeout=httpx2.Timeout(_ANSWER_S, connect=_CONNECT_S),
            follow_redirects=False, trust_env=not self._address.is_loopback,
        ) as self._http:  # fmt: skip
            yield

    def stop(self) -> None:
        """Let requests that wait give up; running ones end as they would."""
        self._pace.stop()

    def embed(
        self, texts: Sequence[str], *, keep: Callable[[np.ndarray], None] = lambda embeddings: None
    ) -> Float[np.ndarray, "b d"]:
        """Embeddings of these texts by one request, repeated while it fails in ways that may pass.

        Args:
            texts: of the request.
            keep: called with the embeddings before another request takes the place of this one.

        Raises:
            ServiceError: the service refused, or failed too often.
        """
        num_failures = num_timeouts = 0
        while True:
            try:
                with self._slots:
                    self._pace.wait_for_turn()
                    if self._pace.is_stopped:
                        raise ServiceError(self._failure or f"{self._address.url} gets no more requests.")
                    embeddings = self._ask(texts)
                    keep(embeddings)
                    return embeddings
            except _PassingError as failure:
                num_failures += 1
                num_timeouts += failure.is_timeout
                if num_failures >= _MOST_TRIES or num_timeouts >= _MOST_TIMEOUTS:
                    problem = f"failed {num_failures} times, at last: {failure}"
                    raise self._error(problem, _advice(failure)) from failure
                self._report(failure, num_failures)
                if failure.retry_after_s:
                    self._pace.hold_all(failure.retry_after_s)
                else:
                    self._pace.back_off(num_failures)

    def _report(self, failure: _PassingError, num_failures: int) -> None:
        """One line at the first failure and one at the fifth in a row: retries can take minutes."""
        with self._report_lock:
            if num_failures not in (1, 5) or num_failures <= self._num_reported:
                return
            self._num_reported = num_failures
        pause = f", which requested a pause of {failure.retry_after_s:.0f} s" if failure.retry_after_s else ""
        write_line(
            f"The service {self._address.url} failed ({failure}){pause}; each request is tried up to "
            f"{_MOST_TRIES} times, with longer and longer waits."
        )

    def _ask(self, texts: Sequence[str]) -> Float[np.ndarray, "b d"]:
        import httpx2

        body = {"model": self._address.model, "input": list(texts), "encoding_format": self._encoding}
        try:
            response = self._http.post(f"{self._address.url}/embeddings", json=body)
        except httpx2.InvalidURL as error:
            raise self._error(f"cannot be reached: {error}") from error
        except httpx2.RequestError as error:
            self._refuse_certificate(error)
            is_timeout = isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout)
            raise _PassingError(f"{type(error).__name__} {error}".strip(), is_timeout=is_timeout) from error
        if response.status_code != 200:
            return self._after_refusal(response, texts)
        try:
            features = read_answer(response.content, len(texts))
        except BrokenAnswer as error:
            raise _PassingError(str(error)) from error
        except UnusableAnswer as error:
            raise self._error(f"gave an answer that is not usable: {error}") from error
        self._dim = self._dim or features.shape[1]
        if features.shape[1] != self._dim:
            raise self._error(f"returned {features.shape[1]} numbers for a text, and {self._dim} before")
        return features

    def _after_refusal(self, response: Any, texts: Sequence[str]) -> Float[np.ndarray, "b d"]:
        """Raise the error of a status; a service without base64 gets the request again, for numbers."""
        status = response.status_code
        shown = self._without_key(response.text.strip())[:_SHOWN] or "no message"
        if status in _PASSING or status >= 500:
            raise _PassingError(f"{status}, {shown}", retry_after_s=self._retry_after_s(response))
        if status in (400, 422) and self._encoding == "base64" and "encoding_format" in response.text:
            self._encoding = "float"
            return self._ask(texts)
        if status in (401, 403):
            raise self._error(f"answered {status}: {shown}", self._advice_on_key())
        if response.is_redirect:
            raise self._error(
                f"redirects to {response.headers.get('location', 'nowhere')!r}; allowed: answers of its own, "
                "since texts and key go to the URL that you wrote", "write the right URL after '@'",
            )  # fmt: skip
        longest = max(map(len, texts))
        raise self._error(
            f"answered {status}: {shown}",
            f"check model and URL, or send less at a time: --batch-size (here {len(texts)} texts, the "
            f"longest of {longest:,} characters)",
        )

    def _read_key(self) -> str | None:
        variable = self._settings.api_key_variable
        key = os.environ.get(variable, "").strip()
        is_needed = self._address.url.startswith("https://") and not self._address.is_loopback
        if not key and (is_needed or variable != DEFAULT_KEY_VARIABLE):
            raise invalid(
                "api_key_variable", variable, "an environment variable with the key of the service",
                f"It is empty or not set. Next: export {variable}=..., or name another one.",
            )  # fmt: skip
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise invalid(
                "api_key_variable", variable, "an environment variable with a key",
                "Its value has blanks or other characters that no key has. Next: set it again.",
            )  # fmt: skip
        return key if key and self._address.may_take_key else None

    def _advice_on_key(self) -> str:
        variable = self._settings.api_key_variable
        if not self._address.may_take_key:
            return f"use https; the key in {variable} is not sent over http to another machine"
        state = "was sent" if self._key else "is empty or not set"
        return f"check the key; that of the environment variable {variable} {state}"

    def _retry_after_s(self, response: Any) -> float:
        """Seconds that the service names; 0 where it names none.

        Raises:
            ServiceError: more than ten minutes.
        """
        seconds = _seconds(response.headers.get("retry-after", ""))
        if seconds > _LONGEST_RETRY_AFTER_S:
            raise self._error(
                f"answered {response.status_code} and requested a pause of {seconds:.0f} s, more than the "
                f"limit of {_LONGEST_RETRY_AFTER_S:.0f} s",
                "run the command again after that",
            )
        return seconds

    def _refuse_certificate(self, error: BaseException) -> None:
        """Raise if a failure is that of a certificate, which will not pass."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise self._error(
                    f"has a certificate that is not trusted: {cause.verify_message}",
                    "name the file of its authority in SSL_CERT_FILE",
                ) from error
            cause = cause.__cause__ or cause.__context__

    def _error(self, problem: str, next_step: str = "check model and URL") -> ServiceError:
        """An error that ends the requests of all threads."""
        message = (
            f"The service {self._address.url} with the model {self._address.model!r} {problem}. "
            f"Next: {next_step}."
        )
        self._failure = self._failure or message
        self.stop()
        return ServiceError(message)

    def _without_key(self, text: str) -> str:
        """A service's message; some repeat the key. Codes that a terminal would obey become blanks."""
        plain = "".join(each if each.isprintable() else " " for each in text)
        return plain.replace(self._key, "***") if self._key else plain


@functools.cache
def _trusted_certificates() -> ssl.SSLContext:
    """Certificates are verified always; reading those of the authorities takes a third of a second."""
    import httpx2

    return httpx2.create_ssl_context()


class _PassingError(Exception):
    """A failure that may pass."""

    def __init__(self, problem: str, *, retry_after_s: float = 0.0, is_timeout: bool = False) -> None:
        super().__init__(problem)
        self.retry_after_s, self.is_timeout = retry_after_s, is_timeout


def _advice(failure: _PassingError) -> str:
    if failure.is_timeout:
        return "send less at a time: --requests-at-once 1, or a smaller --batch-size"
    return "check that the service runs"


def _seconds(text: str) -> float:
    """Seconds of a `Retry-After`: a number or a date; 0 for anything else."""
    try:
        return max(0.0, float(text)) if text.strip().replace(".", "", 1).isdigit() else _until(text)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _until(date: str) -> float:
    when = parsedate_to_datetime(date)
    when = when.replace(tzinfo=when.tzinfo or UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
