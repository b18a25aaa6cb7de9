import pytest
import torch
from clouds import save_clouds, write_recipe

from noiseproof.study.recipe import load_recipe
from noiseproof.study.study import run_study


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads only get in each other's way on ten rows."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path):
    """The folder that {data} stands for."""
    folder = tmp_path / "data"
    folder.mkdir()
    save_clouds(folder / "a.npz", n=60, seed=1)
    save_clouds(folder / "b.npz", n=45, seed=2)
    save_clouds(folder / "far.npz", n=30, seed=3, spread=3.0)
    return folder


@pytest.fixture
def start(tmp_path, data):
    """A function from changed keys of the small recipe to a finished start of its study."""

    def started(out="out", *, say=lambda line: None, data=data, **changed):
        recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", **changed))
        return run_study(recipe, out=tmp_path / out, cache=tmp_path / "cache", data=data, say=say)

    return started
