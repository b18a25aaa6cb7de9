"""Configuration of `noiseproof apply`."""

from __future__ import annotations

from pathlib import Path

from noiseproof.config.base import option
from noiseproof.config.data import RUN, DecisionsConfig, Folder

DECISIONS = "Decisions"


class ApplyConfig(DecisionsConfig):
    """Everything `noiseproof apply` takes; the command's options have the same names."""

    folder: Path = option(panel=DECISIONS, help="Folder that 'noiseproof detect' or 'run' wrote.")
    out: Folder = option(
        panel=RUN, help="New folder of the cleaned data set; the same command again replaces what it wrote."
    )
    require_complete: bool = option(
        False, panel=DECISIONS, help="Stop if a label that looks wrong has no decision, or is unsure."
    )
