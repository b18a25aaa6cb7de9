"""Configuration of `noiseproof review`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from noiseproof.config.base import Config, option
from noiseproof.config.data import RUN

REVIEW = "Review page"


class ReviewConfig(Config):
    """Everything `noiseproof review` takes; the command's options have the same names."""

    folder: Path = option(panel=REVIEW, help="A folder of 'noiseproof detect' or 'noiseproof run'.")
    map: Literal["pca", "umap"] | None = option(
        None, panel=REVIEW,
        help="Map of the examples: the two directions in which features differ most, or neighbourhoods by "
        "UMAP, which takes longer.",
        shown_default="pca; with --serve that of the page",
    )  # fmt: skip
    serve: bool = option(
        False, panel=RUN, help="Serve the page on this machine and keep each decision on disk."
    )
    port: int = option(0, ge=0, le=65535, panel=RUN, help="Port of --serve; 0 for a free one.")
