"""The flow of `noiseproof review`: a page for a finished folder, and the decisions that are made on it."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.config.detect import DetectConfig
from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelIssues, LabelledDataset
from noiseproof.decisions.decision_files import DECISIONS
from noiseproof.decisions.settle import undisputed
from noiseproof.export.issue_files import load_issues
from noiseproof.pipelines.inputs.encoding import config_encoder, encode
from noiseproof.pipelines.inputs.inputs import open_training
from noiseproof.pipelines.inputs.judged import open_judged
from noiseproof.pipelines.outputs.cards import read_search_card
from noiseproof.pipelines.outputs.output_folders import only_process_in
from noiseproof.pipelines.reviewed.kept_page import (
    REVIEW,
    keep_known,
    known_decisions,
    make_page,
)
from noiseproof.pipelines.reviewed.rate_sample import open_sample, sample_lines
from noiseproof.review.decision_log import DecisionLog
from noiseproof.review.review_page import read_page
from noiseproof.review.review_server import ReviewServer
from noiseproof.review.surroundings import Map
from noiseproof.review.umap_plane import load_umap


def write_page(folder: Path, *, kind_of_map: Map = "pca") -> Path:
    """Write `review.html` anew, from the results of the folder and the data set that its card names.

    Args:
        folder: of `detect` or `run`.
        kind_of_map: see `find_surroundings`.

    Raises:
        MissingFile: the folder has no results.
        MissingExtra: umap-learn is not installed.
        BadData: the data set has changed since, or has nothing to make this map of.
    """
    if kind_of_map == "umap":
        load_umap()  # before anything takes time
    issues = load_issues(folder)
    dataset, features = _open_judged(folder)
    _check_same(issues, dataset)
    if kind_of_map == "umap" and features is None:
        raise BadData(
            f"The labels in {str(folder)!r} were judged by given probabilities, and `map` = 'umap' places "
            "examples by features. Next: detect without probabilities, or leave `map` out."
        )
    with only_process_in(folder, argument="folder"):
        return make_page(folder, issues, dataset, features, kind_of_map=kind_of_map)


def serve_page(
    folder: Path,
    *,
    kind_of_map: Map | None = None,
    port: int = 0,
    on_start: Callable[[ReviewServer], None],
) -> Path | None:
    """Serve the page until the user interrupts, and keep each decision on disk at once.

    Args:
        folder: of `detect` or `run`; a page that is there already is served as it is.
        kind_of_map: a page with another map is written anew.
        port: see `ReviewServer`.
        on_start: receives the server before it starts.

    Returns:
        `decisions.csv`; `None` if nothing is decided.

    Raises:
        InvalidArgument: another process writes to the folder, or the port cannot be used.
    """
    page = folder / REVIEW
    if not page.is_file() or kind_of_map not in (None, read_page(page).kind_of_map):
        write_page(folder, kind_of_map=kind_of_map or "pca")
    issues = load_issues(folder)
    with only_process_in(folder, argument="folder"):
        data = read_page(page)
        log = DecisionLog(folder, data.identity)
        log.mend()
        keep_known(folder, issues, data.identity)
        with ReviewServer(page, data, log, port=port, who=_user()) as server:
            on_start(server)
            try:
                server.serve_forever(poll_interval=0.2)
            except KeyboardInterrupt:
                pass
            finally:
                # As a table, and in the page, for those who open it without the server.
                decisions = keep_known(folder, issues, data.identity)
    return folder / DECISIONS if decisions else None


def rate_lines(folder: Path) -> list[str]:
    """How many labels are wrong, by the drawn sample of a folder and the decisions that it keeps."""
    issues, identity = load_issues(folder), read_page(folder / REVIEW).identity
    decisions = undisputed(known_decisions(folder, issues, identity))
    return sample_lines(open_sample(folder, issues), decisions, issues)


def _open_judged(folder: Path) -> tuple[LabelledDataset, Any]:
    """The examples that were judged, in their order, and their features, or `None` where none were needed."""
    kind, options = read_search_card(folder)
    if kind == "detect":
        return open_judged(load_config(DetectConfig, options=options))
    config = load_config(RunConfig, options=options)
    train, _ = open_training(config, task="classification")
    encoder = config_encoder(config, train.whole, config.cache)
    return train.with_held_out, encode(config, train.whole, encoder, config.cache).features


def _check_same(issues: LabelIssues, dataset: LabelledDataset) -> None:
    is_same = issues.ids.astype(str).tolist() == dataset.ids.astype(str).tolist()
    if not is_same or not np.array_equal(issues.given_labels, dataset.given_labels):
        raise BadData(
            f"{dataset.name!r} has changed since its labels were judged; allowed: the same examples and "
            "labels. Next: start 'noiseproof detect' or 'noiseproof run' with this --out again, which writes "
            "the page."
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a number without a name, in a container
        return ""
