"""What to do after a run: the commands, with the folders of this run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from noiseproof.report.run_folder import RunFolder

_LABELS = ("test_label", "clean_label", "label")  # columns of the labels of evaluation sets


@dataclass(frozen=True)
class Step:
    """One step; `command` without the name of the program, if it is one."""

    title: str
    text: str
    command: str = ""


def next_steps(run: RunFolder) -> list[Step]:
    """The steps from a finished run to a better one; those about labels where some look wrong."""
    folder, again = shlex.quote(str(run.path)), shlex.quote(f"{run.path}-2")
    if run.issues.empty or not run.issues["is_issue"].any():
        return [_predict(folder)]
    cleaned = shlex.quote(f"{run.path}-cleaned")
    return [
        Step(
            "Look at the suspects", "Keep, correct or exclude each, by keyboard; then save decisions.csv."
        ),
        Step(
            "Apply your decisions", "A corrected copy of the data, with the old label beside the new one.",
            f"apply {folder} --decisions decisions.csv --out {cleaned}",
        ),
        Step("Train again", "On the corrected labels.", train_again(run.card.config, cleaned, again)),
        _predict(again),
    ]  # fmt: skip


def train_again(config: Mapping[str, Any], cleaned: str, out: str) -> str:
    """The command, without the name of the program, that trains on cleaned data as before.

    Columns of the training set need no option, since cleaned data have their names.

    Args:
        config: of the run or the search on the data before, as on its card.
        cleaned: cleaned data set, quoted.
        out: folder of the new run, quoted.
    """
    backbones = config.get("backbone") or ()
    evaluated = [("test", config.get("test")), *(("ood", name) for name in config.get("ood") or ())]
    label = next((config[name] for name in _LABELS if config.get(name)), None)
    named = [
        *evaluated,
        ("test-label", label if any(name for _, name in evaluated) else None),
        *(("backbone", name) for name in ((backbones,) if isinstance(backbones, str) else backbones)),
        ("layer", config.get("layer")),
        *((name.replace("_", "-"), config.get(name)) for name in ("missing_label", "on_error")),
    ]
    options = (
        f" --{name} {shlex.quote(str(value))}" for name, value in named if value not in (None, "raise")
    )
    return f"run {cleaned}{''.join(options)} --out {out}"


def _predict(folder: str) -> Step:
    return Step(
        "Classify new examples", "A folder of pictures or a table.",
        f"predict {folder} NEW_DATA --out predictions.csv",
    )  # fmt: skip
