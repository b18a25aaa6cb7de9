"""`noiseproof run`: from your data and a frozen encoder to a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noiseproof.cli.guard import command_line

if TYPE_CHECKING:
    from noiseproof.config.run import RunConfig

CONFIG = "noiseproof.config.run:RunConfig"
EPILOG = """Examples:

noiseproof run photos/ --out runs/photos

noiseproof run train.csv --label class --ood phone.csv --out runs/phone --seeds 5

noiseproof run features.npz --out runs/mine --heads linear,nmtune --set heads.nmtune.weight_svd=0.02

noiseproof run train.csv --out runs/robust --loss gce --loss-option q=0.7
"""


def run(config: RunConfig) -> None:
    """Extract features once, find suspect labels, train heads, evaluate them and write a report."""
    import typer

    from noiseproof.cli.outcome import describe_plan, print_run, print_suspects
    from noiseproof.pipelines.run import plan_run
    from noiseproof.pipelines.run import run as run_pipeline

    if config.plan:
        print(describe_plan(plan_run(config), config.price))
        return
    print_run(
        run_pipeline(
            config, command=command_line(), say=lambda line: typer.echo(line, err=True),
            on_suspects=print_suspects,
        )
    )  # fmt: skip
