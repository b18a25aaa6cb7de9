"""`noiseproof apply`: the data set as people decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from noiseproof.cli.guard import command_line, say

if TYPE_CHECKING:
    from noiseproof.config.apply import ApplyConfig

CONFIG = "noiseproof.config.apply:ApplyConfig"
EPILOG = """Examples:

noiseproof apply issues/ --decisions decisions.csv --out cleaned/

noiseproof apply issues/ --decisions label-studio-export.json --require-complete --out cleaned/
"""


def apply(config: ApplyConfig) -> dict[str, Any]:
    """Write a cleaned data set by decisions of people about the labels that look wrong."""
    from noiseproof.pipelines.apply import apply as apply_decisions
    from noiseproof.pipelines.apply import describe

    done = apply_decisions(config, command=command_line(), say=say)
    for line in describe(done):
        print(line)
    print(f"Cleaned data: {done.data}")
    print(f"What was changed, by whom: {config.out / 'changes.csv'}")
    print(f"Decisions, for the next 'noiseproof detect' or 'run': {done.decisions}")
    if done.next_command:
        print(f"Next: {done.next_command}")
    return {
        "data": done.data, "decisions": done.decisions, "card": done.card, "next_command": done.next_command,
    }  # fmt: skip
