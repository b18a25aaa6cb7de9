import pytest
from clouds import save_data, small_study


@pytest.fixture
def data(tmp_path):
    """The folder that {data} stands for."""
    return save_data(tmp_path / "data")


@pytest.fixture
def start(tmp_path, data):
    """A function from changed keys of the small recipe to a finished start of its study."""

    def started(out="out", *, data=data, **changed):
        return small_study(tmp_path, out, data=data, **changed)

    return started
