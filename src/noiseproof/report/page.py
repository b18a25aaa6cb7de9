"""The report: one HTML file that opens without a network."""

from __future__ import annotations

import base64
from collections.abc import Collection
from pathlib import Path

from markupsafe import Markup

from noiseproof.core.storage import files
from noiseproof.evaluate.protocol import heads_of
from noiseproof.evaluate.results import main_metric
from noiseproof.report import figures, headline, tables
from noiseproof.report.caveats import labels_caveat
from noiseproof.report.class_pairs import class_pairs
from noiseproof.report.next_steps import next_steps
from noiseproof.report.page_policy import page_parts, page_template
from noiseproof.report.run_folder import RunFolder, Suspect, load_run

READING_THE_SPECTRUM = (
    (
        "SVE",
        "entropy of the singular values in nats: higher means that the features spread over more directions.",
    ),
    (
        "LSVR",
        "minus the log of the largest singular value's share: higher means less dominated by one direction.",
    ),
    ("rank", "effective rank, exp(SVE): how many equally strong directions would have the same entropy."),
    ("raw", "the matrix as it is; its first direction is mostly the mean of the features."),
    ("centred", "with the mean taken off: what tells examples apart."),
)


def write_report(run_dir: str | Path, decided: Collection[str] = ()) -> Path:
    """Make `report.html` in a run folder from what is in it.

    Args:
        run_dir: as `noiseproof run --out` left it.
        decided: ids of the examples whose labels people decided.

    Returns:
        The path of the report.

    Raises:
        MissingFile: a file of the run does not exist.
        DamagedFile: a file is not what a run writes.
    """
    run = load_run(run_dir)
    path = run.path / "report.html"
    files.write_bytes(path, render(run, decided).encode())
    return path


def render(run: RunFolder, decided: Collection[str] = ()) -> str:
    """The page as text; the same bytes for the same run folder."""
    return page_template("page.html").render(
        **page_parts(has_script=True),
        run=run,
        headlines=headline.headlines(run, decided),
        about_heads=headline.about_heads(run),
        steps=next_steps(run),
        has_review=(run.path / "review.html").is_file(),
        pairs=[
            (pair, [(suspect, _data_uri(suspect)) for suspect in pair.examples]) for pair in class_pairs(run)
        ],
        facts=headline.facts(run),
        results=tables.results_table(run.results, caveat=labels_caveat(run.card.data, "test", "ood")),
        detection=tables.detection_table(run.card.detection) if run.card.detection else None,
        spectra=tables.spectrum_table(run.spectra),
        classes=tables.class_table(run.results, head=headline.best_head(run.results)),
        metrics=tables.metrics_table(run.results),
        # Made by us from numbers and escaped by matplotlib, so that these three may pass as they are.
        accuracy_svg=Markup(figures.accuracy_figure(run.results)),
        spectrum_svg=Markup(figures.spectrum_figure(run.spectra)),
        suspicion_svg=Markup(figures.suspicion_figure(run.issues)) if len(run.issues) else None,
        metric=tables.METRIC_TITLES[main_metric(run.results)],
        num_heads=len(heads_of(run.results)),
        duration=headline.duration,
        reading=READING_THE_SPECTRUM,
        suspects=[(suspect, _data_uri(suspect)) for suspect in run.suspects],
    )


def _data_uri(suspect: Suspect) -> str | None:
    if suspect.image is None:
        return None
    return f"data:image/png;base64,{base64.b64encode(suspect.image).decode()}"
