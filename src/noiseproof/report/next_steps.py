"""What to do after a run: the commands, with the folders of this run."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from noiseproof.report.run_folder import RunFolder


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
        Step("Train again", "On the corrected labels.", f"run {cleaned}{_evaluation(run)} --out {again}"),
        _predict(again),
    ]  # fmt: skip


def _evaluation(run: RunFolder) -> str:
    """The options that name the evaluation sets of this run."""
    config = run.card.config
    named = [("test", config.get("test")), *(("ood", name) for name in config.get("ood") or ())]
    return "".join(f" --{option} {shlex.quote(str(name))}" for option, name in named if name)


def _predict(folder: str) -> Step:
    return Step(
        "Classify new examples", "A folder of pictures or a table.",
        f"predict {folder} NEW_DATA --out predictions.csv",
    )  # fmt: skip
