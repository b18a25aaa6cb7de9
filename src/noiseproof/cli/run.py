"""`noiseproof run`: from your data and a frozen encoder to a report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from noiseproof.cli.guard import command_line, say

if TYPE_CHECKING:
    from noiseproof.config.run import RunConfig

CONFIG = "noiseproof.config.run:RunConfig"
EPILOG = """Examples:

noiseproof run photos/ --out runs/photos

noiseproof run train.csv --label class --ood phone.csv --out runs/phone --seeds 5

noiseproof run features.npz --out runs/mine --heads linear,nmtune --set heads.nmtune.weight_svd=0.02

noiseproof run train.csv --out runs/robust --loss gce --loss-option q=0.7
"""


def run(config: RunConfig) -> dict[str, Any]:
    """Extract features once, find suspect labels, train heads, evaluate them and write a report."""
    from noiseproof.cli.outcome import print_plan, print_run, print_suspects
    from noiseproof.pipelines.inputs.plans import plan_run
    from noiseproof.pipelines.run import run as run_pipeline

    if config.plan:
        return print_plan(plan_run(config), config.price)
    result = run_pipeline(config, command=command_line(), say=say, on_suspects=print_suspects)
    print_run(result)
    rows = [json.loads(row.to_line()) for row in result.rows]
    return {"folder": result.folder, "report": result.report, "results": rows, "card": result.card}
