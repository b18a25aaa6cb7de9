"""`noiseproof review`: the page on which people look at suspect labels and decide."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

noiseproof review issues/

noiseproof review issues/ --serve
"""


def review(
    folder: Annotated[Path, typer.Argument(help="A folder of 'noiseproof detect' or 'noiseproof run'.")],
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the page on this machine and keep each decision on disk.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port of --serve; 0 for a free one.")] = 0,
) -> dict[str, Path | None]:
    """Write review.html of a folder anew, or serve it and keep the decisions in decisions.jsonl."""
    from noiseproof.pipelines.review import serve_page, write_page

    if not serve:
        page = write_page(folder)
        print(f"Review page: {page}")
        return {"page": page}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end it with decisions.csv written
    table = serve_page(folder, port=port, on_start=lambda server: _announce(server.url))
    print(f"Decisions: {table}" if table else "No decision was made.")
    return {"decisions": table}


def _announce(url: str) -> None:
    print(f"Review page: {url}\nCtrl-C ends it and writes decisions.csv.", flush=True)
