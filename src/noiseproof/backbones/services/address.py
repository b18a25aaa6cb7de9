"""`api:MODEL` and `api:MODEL@URL`: which model of which service; nothing here loads a library."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from noiseproof.core.errors import invalid

URL_VARIABLE = "OPENAI_BASE_URL"
_DEFAULT_URL = "https://api.openai.com/v1"
_ALLOWED = "a URL such as https://HOST/v1 or http://127.0.0.1:8000/v1, without login, '?' and '#'"


@dataclass(frozen=True)
class ServiceAddress:
    """A model of a service.

    Attributes:
        model: name that the service knows.
        url: base URL, without a slash at its end.
    """

    model: str
    url: str

    @property
    def is_loopback(self) -> bool:
        """Whether the service runs on this machine."""
        host = urlsplit(self.url).hostname or ""
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def may_take_key(self) -> bool:
        """Whether a key is safe on the way: encrypted, or within this machine."""
        return self.url.startswith("https://") or self.is_loopback


def parse_address(rest: str) -> ServiceAddress:
    """The service of a name.

    Args:
        rest: what follows `api:`; without a URL that of `OPENAI_BASE_URL`, else OpenAI's own.

    Raises:
        InvalidArgument: no model, or a URL that is none or holds a password.
    """
    model, at_http, tail = rest.partition("@http")
    if not model.strip():
        raise invalid("backbone", f"api:{model}", "api:MODEL or api:MODEL@URL")
    url = f"http{tail}" if at_http else os.environ.get(URL_VARIABLE) or _DEFAULT_URL
    problem = _problem(url)
    if problem:
        argument, before = ("backbone", f"api:{model}@") if at_http else (URL_VARIABLE, "")
        raise invalid(argument, before + _masked(url), _ALLOWED, problem)
    return ServiceAddress(model, url.rstrip("/"))


def check_api_name(rest: str) -> None:
    """Refuse a name without a model, or with a URL that cannot be used."""
    parse_address(rest)


def check_address(name: str) -> None:
    """Refuse an encoder `api:...` with a URL that cannot be used; a password must not reach a file."""
    if name.startswith("api:"):
        check_api_name(name.removeprefix("api:"))


def _problem(url: str) -> str:
    """The problem with a URL, as a sentence that shows no part of it; empty without one."""
    if re.search(r"[\s\x00-\x1f\x7f\\]", url):
        return "It has a blank, a backslash or a control character."
    if "@" in url:
        return "A key is read from an environment variable only. Next: take the login out of the URL."
    if "?" in url or "#" in url:
        return "Next: leave out what follows '?' or '#'."
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number up to 65535, a bracket
        is_complete = False
    return "" if is_complete else "Next: check its host and port."


def _masked(url: str) -> str:
    """A URL for messages: a login and what follows '?' or '#' may be secret."""
    return re.sub(r"[?#].*", "?***", re.sub(r"//.*@", "//***@", url, flags=re.S), flags=re.S)
