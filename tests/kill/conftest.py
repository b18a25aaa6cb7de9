"""One server and one whole run of every program for all tests of a process."""

import pytest
from harness import Server
from programs import PROGRAMS

from noiseproof.core.torchvision_ops import declare_missing_operators


@pytest.fixture(scope="session")
def server():
    declare_missing_operators()  # programs prepare their inputs in this process
    with Server() as running:
        yield running


@pytest.fixture(scope="session")
def wholes(server, tmp_path_factory):
    """A function that prepares a program once and runs it once as a whole: inputs, start, results."""
    made = {}

    def whole(name):
        if name not in made:
            for extra in PROGRAMS[name].extras:
                pytest.importorskip(extra)
            folder = tmp_path_factory.mktemp(name)
            (folder / "inputs").mkdir()
            PROGRAMS[name].prepare(folder / "inputs")
            start = server.start(name, folder / "inputs", folder / "out")
            assert start.code == 0, start.printed
            made[name] = folder / "inputs", start, PROGRAMS[name].found(folder / "out")
        return made[name]

    return whole
