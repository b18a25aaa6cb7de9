"""`noiseproof detect`: which labels are probably wrong, and what to do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from noiseproof.cli.guard import command_line, say

if TYPE_CHECKING:
    from noiseproof.config.detect import DetectConfig

CONFIG = "noiseproof.config.detect:DetectConfig"
EPILOG = """Examples:

noiseproof detect photos/ --out issues/

noiseproof detect train.csv --label class --method neighbours --method-option k=20 --out issues/

noiseproof detect train.csv --probs probs.npz --export cleanlab --export cleaned-relabel --out issues/

noiseproof detect photos/ --features features/ --export label-studio --out issues/
"""


def detect(config: DetectConfig) -> dict[str, Any]:
    """Find the labels of a data set that are probably wrong; export them, or a cleaned copy."""
    from noiseproof.cli.outcome import print_detection, print_plan
    from noiseproof.pipelines.detect import detect as run_detection
    from noiseproof.pipelines.inputs.plans import plan_detection

    if config.plan:
        return print_plan(plan_detection(config), config.price)
    result = run_detection(config, command=command_line(), say=say)
    print_detection(result)
    return {"folder": result.folder, "exports": result.exports, "card": result.card}
