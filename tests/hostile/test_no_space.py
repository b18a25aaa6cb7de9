"""Whatever meets the full disk, the command ends with one sentence, and with what to do next."""

import errno
import os
import sys

import pytest
import typer

from noiseproof.cli.guard import ends_well, wants_traceback


def failing(error):
    with ends_well():
        raise error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_an_error_of_another_library_is_one_sentence(number, capsys):
    with pytest.raises(typer.Exit) as stop:
        failing(OSError(number, os.strerror(number), "/var/cache/somewhere"))
    assert stop.value.exit_code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "while writing 'somewhere'; nothing half-written was kept. Next: free some space and start the same "
        "command again."
    )


def test_other_errors_of_the_system_are_no_full_disk():
    with pytest.raises(OSError, match="Input/output error"):
        failing(OSError(errno.EIO, os.strerror(errno.EIO)))


def test_with_traceback_the_error_itself_is_shown():
    token = wants_traceback.set(True)
    try:
        with pytest.raises(OSError, match="No space left"):
            failing(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    finally:
        wants_traceback.reset(token)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110 - no file
def test_an_output_without_space_is_one_sentence(monkeypatch, capsys):
    full = open("/dev/full", "w")  # noqa: SIM115, PTH123 - closing it fails
    monkeypatch.setattr(sys, "stdout", full)

    def command():
        with ends_well():
            print("results")

    with pytest.raises(typer.Exit):
        command()
    assert "No space left on the device" in capsys.readouterr().err
    with pytest.raises(OSError, match="No space"):
        full.close()
