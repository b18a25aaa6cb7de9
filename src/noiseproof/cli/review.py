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
    from noiseproof.pipelines.review import rate_lines, serve_page, write_page

    if not serve:
        page = write_page(folder)
        print("\n".join([f"Review page: {page}", *rate_lines(folder)]))
        return {"page": page}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end it with decisions.csv written
    table = serve_page(folder, port=port, on_start=lambda server: _announce(server.url))
    print("\n".join([f"Decisions: {table}" if table else "No decision was made.", *rate_lines(folder)]))
    return {"decisions": table}


def _announce(url: str) -> None:
    # On standard error: it is no result, and is needed with --quiet, too.
    typer.echo(f"Review page: {url}\nCtrl-C ends it and writes decisions.csv.", err=True)
