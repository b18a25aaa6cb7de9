"""Decisions of people that a flow takes: from the files a user names, else from its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from noiseproof.config.data import DecisionsConfig
from noiseproof.core.errors import BadData
from noiseproof.decisions.files import DECISIONS, LOG, read_decisions
from noiseproof.decisions.record import Decision, Examples
from noiseproof.decisions.settle import Settled, settle

_NUM_NAMED = 3


def decision_files(config: DecisionsConfig, folder: Path) -> list[Path]:
    """The files of decisions that the user names, else those in a folder."""
    return list(config.decisions) or [path for name in (DECISIONS, LOG) if (path := folder / name).is_file()]


def read_settled(paths: Sequence[Path], examples: Examples) -> Settled:
    """The decisions of several files together, settled where they disagree.

    Raises:
        BadData: a file cannot be used, or people disagree and nothing says whose decision counts.
    """
    return settle([one for path in paths for one in read_decisions(path, examples)])


def check_complete(decisions: Sequence[str], examples: Examples) -> None:
    """Raise `BadData` unless every label that looks wrong is decided.

    Args:
        decisions: ids of the decided examples, unsure ones left out.
        examples: with the flags.
    """
    known = set(decisions)
    flagged = [one for one, is_issue in zip(examples.ids, examples.is_issue, strict=True) if is_issue]
    left = [one for one in flagged if one not in known]
    if left:
        raise BadData(
            f"{len(left)} of {len(flagged)} labels that look wrong are undecided or unsure, such as "
            f"{', '.join(map(repr, left[:_NUM_NAMED]))}; allowed with `require_complete`: a decision on "
            "each. Next: decide them, or leave `require_complete` out."
        )


def check_none_is_lost(folder: Path, settled: Settled, examples: Examples) -> None:
    """Raise `BadData` if `decisions.csv` of the folder has decisions that the new ones do not have."""
    path = folder / DECISIONS
    if not path.is_file():
        return
    before: list[Decision] = read_decisions(path, examples)
    known = {one.example_id for one in settled.all}
    lost = [one.example_id for one in before if one.example_id not in known]
    if lost:
        raise BadData(
            f"{str(path)!r} has decisions on {len(lost)} examples that `decisions` does not have, such as "
            f"{lost[0]!r}, and would be replaced. Allowed: decisions on these, too. Next: give both files "
            f"(--decisions {path} once more), or move that one away."
        )
