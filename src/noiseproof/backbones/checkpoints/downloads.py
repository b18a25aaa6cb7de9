"""Downloads that fail at once, with advice, where there is no network."""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from noiseproof.core.errors import MissingFile, first_line

OFFLINE_ADVICE = (
    "Without a network these work: 'bundled:efficientnet-lite0', 'zoo:NAME', "
    "'timm:NAME@checkpoint.safetensors', 'open_clip:ARCH/checkpoint.safetensors', 'features:', and weights "
    "downloaded earlier."
)


def is_reachable() -> bool:
    """Whether the hub's name resolves; true behind a proxy, which resolves it itself."""
    if urllib.request.getproxies():
        return True
    address = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        socket.getaddrinfo(address.hostname, address.port or 443)
    except OSError:
        return False
    return True


@contextmanager
def downloading(what: str) -> Iterator[None]:
    """Load weights from the hub or its cache inside this block.

    The hub's client retries for most of a minute per file without a network; this block prevents that.

    Args:
        what: the backbone, as the user wrote it.

    Raises:
        MissingFile: the weights are neither cached nor can they be downloaded.
    """
    from huggingface_hub import constants

    was_offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = was_offline or not is_reachable()
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise MissingFile(
            f"The weights of {what!r} could not be downloaded: {first_line(error)}. {OFFLINE_ADVICE}"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline
