import pytest
from blobs import BLOBS, OTHER, options_in, save_blobs

from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config


@pytest.fixture
def blobs(tmp_path):
    return save_blobs(tmp_path / "train.npz", **BLOBS)


@pytest.fixture
def other_blobs(tmp_path):
    return save_blobs(tmp_path / "other.npz", **OTHER)


@pytest.fixture
def configured(tmp_path, blobs, other_blobs):
    """A function from changed options to a small, fast configuration."""

    def make(**changed):
        options = options_in(tmp_path, blobs, other_blobs)
        return load_config(RunConfig, options=options | changed)

    return make
