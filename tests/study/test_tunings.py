"""Encoders that a study trains."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from noiseproof import FinetuneConfig, finetune
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.study.compute import num_results, requests_of
from noiseproof.study.grid import STEPS, Grid
from noiseproof.study.measures.material import Locations, open_task
from noiseproof.study.measures.measure import Workbench
from noiseproof.study.measures.tuning_measure import TuningMeasure, training_folder
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.rows import StudyLog
from noiseproof.study.study import plan_study, run_study

declare_missing_operators()
pytest.importorskip("timm")
pytest.importorskip("accelerate")
pytestmark = pytest.mark.slow
SHORT = {"epochs": 1, "batch_size": 16, "padding": 1}
FRESH = {"name": "zoo:resnet8-simclr", "label": "random", "family": "random", "init": "random"}
SIMCLR = {"name": "zoo:resnet8-simclr", "label": "SimCLR", "family": "SimCLR"}


def recipe(**changed):
    values = {
        "name": "tuned", "claim": "As found.", "source": "nobody", "command": "none", "minutes": 1,
        "hardware": "2 cores", "needs": "nothing", "expected": "as found", "backbones": [FRESH, SIMCLR],
        "tasks": {"digits": {"train": "sklearn:digits"}}, "limit": 80,
        "noise": ["none", "symmetric:0.5"],
        "tunings": {"ce": SHORT, "mwnet": {**SHORT, "meta": {"per_class": 1}}}, "seeds": 1,
        "tables": ["noise-x-noise", "heads-by-noise", "encoders-by-noise"], "figures": ["label-noise"],
    }  # fmt: skip
    return StudyRecipe(**(values | changed))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    return run_study(recipe(), out=out / "out", cache=out / "cache")


def test_every_place_of_the_grid_has_its_results(done):
    assert not done.outcome.failures
    cells = done.results.head_rows
    assert len(cells) == num_results(requests_of(Grid(recipe()))) == 2 * 2 * 2 * len(STEPS)
    assert set(cells["setting"]) == set(STEPS)
    assert set(cells["backbone"]) == {"random:zoo:resnet8-simclr", "zoo:resnet8-simclr"}
    noisy = cells[cells["noise"] != "none"]
    assert noisy["realised_rate"].between(0.45, 0.55).all()
    assert [encoder.title for encoder in done.results.encoders] == ["random", "SimCLR"]
    assert {path.stem for path in (done.folder / "figures").glob("*.png")} == {"label-noise-symmetric"}


def test_cards_stay_and_weights_do_not(done):
    left = list((done.folder / "tunings").iterdir())
    assert len(left) == 8
    assert {path.suffix for path in left} == {".json"}
    card = json.loads(left[0].read_text())
    assert card["kind"] == "finetune"
    assert card["selection"]["validations"]


def test_a_study_gives_what_the_command_gives(done, tmp_path):
    """The same data, labels and seed by `adapt finetune`: the same accuracy."""
    config = FinetuneConfig(
        train="sklearn:digits", out=tmp_path / "out", backbone="zoo:resnet8-simclr", noise="symmetric:0.5",
        limit=80, **SHORT,
    )  # fmt: skip
    found = finetune(config, quiet=True)["results"]
    cells = done.results.select(done.results.encoders[1], head="ce", noise="symmetric:0.5")
    for step in STEPS:
        (accuracy,) = cells[cells["setting"] == step]["accuracy"]
        (expected,) = found[f"tuned-{step}"].values()
        assert accuracy == pytest.approx(expected)


def test_only_what_is_missing_is_trained(done):
    wanted = recipe(tunings={"ce": SHORT, "gce": {**SHORT, "loss": "gce"}})
    plan = plan_study(wanted, out=done.folder)
    assert (plan.num_trainings, plan.num_missing) == (8, 4)
    again = run_study(recipe(), out=done.folder, cache=done.folder / "cache")
    assert again.outcome.num_computed == 0


def opened(wanted, out):
    grid, locations = Grid(wanted), Locations(None, out, out)
    return TuningMeasure(grid), Workbench(grid, locations, open_task(grid, "digits", locations))


def test_changed_settings_are_another_training(done, tmp_path):
    """Else one that was begun would be refused, and all of the study with it."""
    folders = set()
    for epochs in (1, 2):
        wanted = recipe(tunings={"ce": {**SHORT, "epochs": epochs}}, backbones=[SIMCLR], noise=["none"])
        measure, bench = opened(wanted, tmp_path)
        places = list(measure.places())
        assert len(places) == len(STEPS)
        assert len({measure.group(place, bench) for place in places}) == 1
        folders |= {training_folder(place, bench) for place in places}
    assert len(folders) == 2


def test_what_a_kill_left_of_a_finished_training_goes_away(done):
    measure, bench = opened(recipe(), done.folder)
    log, places = StudyLog(done.folder), list(measure.places())
    assert all(log.has(measure.result_key(place, bench)) for place in places)
    folder = training_folder(places[-1], bench)
    card = folder.with_suffix(".json")
    folder.mkdir()
    (folder / "card.json").write_bytes(card.read_bytes())
    (folder / "model.safetensors").write_text("weights")
    card.unlink()
    run_study(recipe(), out=done.folder, cache=done.folder / "cache")
    assert card.exists()
    assert not folder.exists()


def test_a_tuning_that_fails_costs_itself_only(tmp_path):
    wanted = recipe(
        noise=["symmetric:0.5"], backbones=[SIMCLR],
        tunings={"ce": SHORT, "too-many": {**SHORT, "meta": {"per_class": 50}}},
    )  # fmt: skip
    result = run_study(wanted, out=tmp_path / "out", cache=tmp_path / "cache")
    ((reason, count),) = result.outcome.failures.items()
    assert count == len(STEPS)
    assert "too-many" in reason
    assert "allowed: more than 50" in reason
    assert len(result.results.head_rows) == len(STEPS)


def test_settings_that_do_not_exist_are_found_before_any_work():
    with pytest.raises(InvalidArgument, match=r"`tunings.ce`: .*epoch"):
        Grid(recipe(tunings={"ce": {"epoch": 3}}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tunings": {}}, "`heads`, `tunings`, `detectors`"),
        ({"heads": {"ce": {"kind": "linear"}}, "backbones": [SIMCLR]}, "not for both: ce"),
        ({"heads": {"linear": {}}}, "no `heads` with an encoder of `init: random`"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(changed, said):
    with pytest.raises(ValueError, match=said):
        recipe(**changed)


PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell may have it ignored
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_tunings import recipe
from noiseproof.study.study import run_study
if __name__ == "__main__":
    run_study(recipe(), out=Path(sys.argv[1]), cache=Path(sys.argv[1]) / "cache")
"""


@pytest.mark.slow
def test_an_interrupt_ends_a_study_at_once(tmp_path):
    program = tmp_path / "program.py"
    text = PROGRAM.format(tests=str(Path(__file__).parent))
    long = {**SHORT, "epochs": 2000}
    program.write_text(text.replace("recipe()", f"recipe(tunings={{'ce': {long!r}}})"))
    out = tmp_path / "out"
    started = subprocess.Popen([sys.executable, program, out], start_new_session=True)
    deadline = time.monotonic() + 120
    while not list((out / "tunings").glob("*/.stages/waiting/log.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(started.pid, signal.SIGINT)
    started.wait(timeout=30)  # a training takes minutes
    while _members(started.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _members(started.pid)


def _members(group):
    """Processes of a session that are still there."""
    return [
        path
        for path in Path("/proc").glob("[0-9]*/stat")
        if (text := _text(path)) and int(text.rpartition(")")[2].split()[3]) == group
    ]


def _text(path):
    try:
        text = path.read_text()
    except OSError:
        return ""
    return "" if text.rpartition(")")[2].split()[0] == "Z" else text
