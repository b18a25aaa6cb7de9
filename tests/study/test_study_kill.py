"""A study that is killed for real, at points nobody chose, and started again."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from clouds import facts, save_clouds, write_recipe

_COMMAND = """
import sys
import torch
torch.set_num_threads(1)
from pathlib import Path
from noiseproof.study.recipe import load_recipe
from noiseproof.study.study import run_study
folder = Path(sys.argv[1])
out = folder / sys.argv[2]
run_study(load_recipe(folder / "recipe.yaml"), out=out, cache=out / "features", data=folder)
"""


@pytest.mark.slow
def test_killed_at_random_points_it_ends_with_the_rows_of_an_uninterrupted_start(tmp_path):
    for name, n in (("a", 300), ("b", 200), ("far", 150)):
        save_clouds(tmp_path / f"{name}.npz", n=n, seed=n)
    write_recipe(
        tmp_path / "recipe.yaml", seeds=3, shares=[0.2, 1.0], label_noise=["none", "symmetric:0.4"],
        max_steps=60, has_head_spectra=True, figures=["feature-maps", "curvature"],
    )  # fmt: skip

    def begin(out):
        return subprocess.Popen([sys.executable, "-c", _COMMAND, str(tmp_path), out])

    assert begin("whole").wait() == 0
    seed = int(time.time())  # other points every time; printed, so that a failure can be looked into
    print(f"killed at random points of seed {seed}")
    rng, num_killed = np.random.default_rng(seed), 0
    results = tmp_path / "killed" / "study.jsonl"
    sizes = [0]
    for _ in range(20):
        process = begin("killed")
        while process.poll() is None and (results.stat().st_size if results.exists() else 0) <= sizes[-1]:
            time.sleep(0.01)  # until it has got further than the start before
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        num_killed += 1
        sizes.append(results.stat().st_size)
        if num_killed == 3:
            break
    assert num_killed >= 1
    assert begin("killed").wait() == 0
    assert facts(tmp_path / "killed") == facts(tmp_path / "whole")
