"""Two commands never write into one folder at the same time."""

import pytest
from typer.testing import CliRunner

from noiseproof.cli.main import app
from noiseproof.core.storage.files import locked_folder
from noiseproof.core.storage.marks import claim

COMMANDS = {
    "run": ("run", "sklearn:digits"),
    "detect": ("detect", "sklearn:digits"),
    "corrupt": ("corrupt", "sklearn:digits", "--noise", "symmetric:0.2"),
    "pretrain": (
        "pretrain",
        "supervised",
        "a.csv",
        "--test",
        "b.csv",
        "--recipe",
        "pretrain-resnet8-cifar10",
    ),
    "adapt finetune": ("adapt", "finetune", "a.csv", "--test", "b.csv", "--backbone", "zoo:resnet8-noise0"),
    "adapt deft": ("adapt", "deft", "a.csv", "--test", "b.csv"),
    "study": ("study", "paper1-nmtune", "--scale", "toy", "--data", "."),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_another_process_writes_to_is_refused(tmp_path, name):
    if name.split()[0] in ("pretrain", "adapt"):
        pytest.importorskip("accelerate")
    out = tmp_path / "out"
    claim(out)
    with locked_folder(out):
        (out / ".noiseproof.model.0123abcd.partial").write_bytes(b"of the other process")
        before = sorted(out.iterdir())
        result = CliRunner().invoke(app, [*COMMANDS[name], "--out", str(out)])
        assert result.exit_code == 2
        assert f"`--out` is {str(out)!r}, which another noiseproof is writing to" in result.stderr
        assert sorted(out.iterdir()) == before
