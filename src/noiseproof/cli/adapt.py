"""`noiseproof adapt`: change an encoder for your task, some of your labels being wrong."""

from __future__ import annotations

import typer

from noiseproof.cli import deft, finetune
from noiseproof.cli.commands import add_command
from noiseproof.cli.output import Verbs

app = typer.Typer(
    cls=Verbs, no_args_is_help=True, help="Adapt an encoder to a task whose labels may be wrong."
)
add_command(app, "finetune", finetune.finetune, config=finetune.CONFIG, epilog=finetune.EPILOG)
add_command(app, "deft", deft.deft, config=deft.CONFIG, epilog=deft.EPILOG)
