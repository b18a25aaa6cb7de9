"""The command line in this process."""

from __future__ import annotations

from collections.abc import Sequence

from typer.testing import CliRunner


class Refused(Exception):
    """What a command printed on standard error before it ended."""


def noiseproof(arguments: Sequence[str]) -> None:
    """Run the command line in this process.

    Raises:
        Refused: with what it printed; whatever else is raised is a traceback.
    """
    from noiseproof.cli.main import app

    result = CliRunner().invoke(app, list(arguments))
    error = result.exception
    if error is not None and not isinstance(error, SystemExit):
        raise error
    if result.exit_code:
        lines = [line for line in result.stderr.splitlines() if not line.startswith("Note: ")]
        raise Refused("\n".join(lines))
