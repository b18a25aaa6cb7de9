"""`python -m noiseproof` is the command `noiseproof`."""

from noiseproof.cli.main import app

app(prog_name="noiseproof")
