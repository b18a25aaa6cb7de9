"""`noiseproof report`: the page of a run, made again from its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Example:

noiseproof report runs/demo
"""


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A run folder.")],
) -> dict[str, Path]:
    """Make report.html of a run folder again."""
    from noiseproof.pipelines.outputs.output_folders import only_process_in
    from noiseproof.pipelines.reviewed.kept_page import decided_ids
    from noiseproof.report.page import write_report
    from noiseproof.report.run_folder import load_run

    load_run(folder)  # before anything is written
    with only_process_in(folder, argument="folder"):
        page = write_report(folder, decided_ids(folder))
        print(f"Report: {page}")
        return {"report": page}
