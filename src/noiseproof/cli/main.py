"""The command `noiseproof`; heavy packages are imported by the verb that needs them."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from noiseproof.cli import (
    adapt,
    apply,
    corrupt,
    demo,
    detect,
    export,
    extract,
    ls,
    predict,
    pretrain,
    report,
    review,
    run,
    spectrum,
    study,
    verdict,
)
from noiseproof.cli.commands import add_command
from noiseproof.cli.guard import guarded, wants_traceback
from noiseproof.cli.output import Verbs
from noiseproof.core.version import __version__

# Read when torch is imported. A thread that waits by spinning takes its core from every other program: with
# one more busy process on two cores, training steps took 1.7 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    name="noiseproof",
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(is_wanted: bool) -> bool:
    if is_wanted:
        print(__version__)
        raise typer.Exit
    return is_wanted


@app.callback()
def noiseproof_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where in the code an error came up.")
    ] = False,
) -> None:
    """Adapt pre-trained models when labels are wrong."""
    wants_traceback.set(traceback)


app.command("demo", epilog=demo.EPILOG)(guarded(demo.demo))
add_command(app, "run", run.run, config=run.CONFIG, epilog=run.EPILOG)
add_command(app, "detect", detect.detect, config=detect.CONFIG, epilog=detect.EPILOG)
add_command(
    app, "predict", predict.predict, config=predict.CONFIG, epilog=predict.EPILOG, arguments=("run", "data")
)
add_command(app, "export", export.export, config=export.CONFIG, epilog=export.EPILOG, arguments=("run",))
add_command(app, "apply", apply.apply, config=apply.CONFIG, epilog=apply.EPILOG, arguments=("folder",))
add_command(app, "extract", extract.extract, config=extract.CONFIG, epilog=extract.EPILOG)
app.command("spectrum", epilog=spectrum.EPILOG)(guarded(spectrum.spectrum))
add_command(app, "verdict", verdict.verdict, config=verdict.CONFIG, epilog=verdict.EPILOG)
add_command(app, "corrupt", corrupt.corrupt, config=corrupt.CONFIG, epilog=corrupt.EPILOG)
app.command("study", epilog=study.EPILOG)(guarded(study.study))
add_command(app, "review", review.review, config=review.CONFIG, epilog=review.EPILOG, arguments=("folder",))
app.command("report", epilog=report.EPILOG)(guarded(report.report))
app.command("ls", epilog=ls.EPILOG)(guarded(ls.ls))
app.add_typer(pretrain.app, name="pretrain")
app.add_typer(adapt.app, name="adapt")
