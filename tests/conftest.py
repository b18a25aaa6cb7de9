import os
from pathlib import Path

import pytest

import checked_types

checked_types.install()
# Before anything imports a hub library: a test that reaches for a hub fails at once instead of waiting.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads only get in each other's way on a few rows."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NOISEPROOF_SHARED_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; name their folder with NOISEPROOF_SHARED_DATA")
    return folder
