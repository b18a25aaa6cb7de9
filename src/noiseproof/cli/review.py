"""`noiseproof review`: the page on which people look at suspect labels and decide."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from noiseproof.cli.guard import say

if TYPE_CHECKING:
    from noiseproof.config.review import ReviewConfig

CONFIG = "noiseproof.config.review:ReviewConfig"
EPILOG = """Examples:

noiseproof review issues/

noiseproof review issues/ --serve

noiseproof review issues/ --map umap
"""


def review(config: ReviewConfig) -> dict[str, Any]:
    """Write review.html of a folder anew, or serve it and keep the decisions in decisions.jsonl."""
    from noiseproof.pipelines.review import rate_lines, serve_page, write_page

    if not config.serve:
        page = write_page(config.folder, kind_of_map=config.map or "pca")
        print("\n".join([f"Review page: {page}", *rate_lines(config.folder)]))
        return {"page": page}
    # Both signals end it with decisions.csv written.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        table = serve_page(
            config.folder, kind_of_map=config.map, port=config.port,
            on_start=lambda server: _announce(server.url),
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGTERM, before)
    first = f"Decisions: {table}" if table else "No decision was made."
    print("\n".join([first, *rate_lines(config.folder)]))
    return {"decisions": table}


def _announce(url: str) -> None:
    # On standard error: it is no result, and is needed with --quiet, too.
    say(f"Review page: {url}\nCtrl-C ends it and writes decisions.csv.")
