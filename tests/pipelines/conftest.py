import pytest
from blobs import save_blobs

from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config


@pytest.fixture
def blobs(tmp_path):
    return save_blobs(tmp_path / "train.npz", n=90, seed=1)


@pytest.fixture
def other_blobs(tmp_path):
    return save_blobs(tmp_path / "other.npz", n=30, seed=2, spread=3.0)


@pytest.fixture
def configured(tmp_path, blobs, other_blobs):
    """A function from changed options to a small, fast configuration."""

    def make(**changed):
        options = {
            "train": str(blobs),
            "ood": [str(other_blobs)],
            "out": tmp_path / "run",
            "cache": tmp_path / "cache",
            "seeds": 2,
            "max_steps": 10,
            "noise": "symmetric:0.2",
        }
        return load_config(RunConfig, options=options | changed)

    return make
