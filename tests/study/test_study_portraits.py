import json
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from clouds import facts, request_keys, save_clouds, save_data, small_study

from noiseproof.diagnose.curvature import curvature
from noiseproof.diagnose.maps import feature_map
from noiseproof.heads.estimators import LinearProbe
from noiseproof.heads.loss_surface import loss_surface
from noiseproof.noise.kinds import corrupt_labels
from noiseproof.study import study_page
from noiseproof.study.compute import num_missing, requests_of
from noiseproof.study.grid import Grid
from noiseproof.study.measures import diagnosis_measures
from noiseproof.study.measures import head_measure as train
from noiseproof.study.measures.diagnosis_measures import CurvatureMeasure, MapMeasure, SpectrumMeasure
from noiseproof.study.measures.head_measure import HeadMeasure
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.rows import CurvatureRow, MapRow, StudyLog, read_rows

BOTH = {"figures": ["feature-maps", "curvature"]}
SMALL = {
    "backbones": [{"name": "features:", "noise": 0.1, "family": "given"}],
    "tasks": {"b": {"train": "{data}/b.npz", "test": "{data}/a.npz"}},
    "heads": {"linear": {}},
    "noise": ["none", "symmetric:0.4"],
}
WITH_BOTH = SMALL | BOTH
PINNED = ["83c0b2c3ad4151fe2ba4618f53931090", "2aeafaa8a5f02580d64b87b65ed06656"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study with both figures, to be looked at and not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    return small_study(folder, data=save_data(folder / "data"), **WITH_BOTH)


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch):
    """`finished` has its figures; of the other studies only rows are of interest."""
    monkeypatch.setattr(study_page, "FIGURES", dict.fromkeys(study_page.FIGURES, lambda results: []))


@pytest.fixture
def restart(finished, start, tmp_path):
    """As `start`, in a copy of the finished study."""
    shutil.copytree(finished.folder.parent, tmp_path, dirs_exist_ok=True)
    return start


NOISES = {"noise": ["none", "symmetric:0.4", "symmetric:0.2"]}
THREE = WITH_BOTH | NOISES | {"seeds": 1}


@pytest.fixture(scope="module")
def facts_of_three_noises(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return facts(small_study(folder, data=save_data(folder / "data"), **THREE).folder)


def rows_of(result, kind):
    return [row for row in read_rows(result.folder / "study.jsonl") if isinstance(row, kind)]


def counted(monkeypatch, module, name):
    calls, real = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **options: calls.append(args) or real(*args, **options))
    return calls


def test_a_study_with_both_figures_ends_in_pictures(finished):
    result = finished
    assert not result.outcome.failures
    names = {path.stem for path in (result.folder / "figures").glob("*.png")}
    assert names == {
        "curvature-features-b", "feature-map-features-b-none", "feature-map-features-b-symmetric-0.4",
    }  # fmt: skip
    path = result.folder / "figures" / "feature-map-features-b-symmetric-0.4.svg"
    texts = {e.text for e in ET.fromstring(path.read_text()).iter() if e.text}
    assert {"ant", "bee", "t-SNE, by clean label", "label is wrong (18 of 45)"} <= texts
    page = result.page.read_text()
    assert "Hessian eigenvalues of the heads: features:, b" in page
    assert "labels with symmetric 0.4 noise" in page


def test_map_of_the_test_set_is_the_one_of_the_diagnosis(finished, data):
    (row,) = [row for row in rows_of(finished, MapRow) if row.noise_kind is None]
    saved = np.load(data / "a.npz")
    found = feature_map(saved["features"], max_points=1000)
    assert row.rows == list(range(60))
    assert row.given == saved["labels"].tolist()
    assert (row.clean, row.class_names, row.num_examples) == (None, ["ant", "bee", "cat"], 60)
    assert np.array(row.linear) == pytest.approx(found.linear, rel=1e-4)
    assert np.array(row.neighbours) == pytest.approx(found.neighbours, rel=1e-4)
    assert row.explained == pytest.approx(found.explained)


def test_map_with_noise_is_of_the_training_set_by_true_and_given_label(finished, data):
    (row,) = [row for row in rows_of(finished, MapRow) if row.noise_kind == "symmetric"]
    saved = np.load(data / "b.npz")
    noisy = corrupt_labels(saved["labels"], kind="symmetric", rate=0.4, num_classes=3, seed=0)
    assert row.given == noisy.given.tolist()
    assert row.clean == saved["labels"].tolist()
    assert np.array(row.linear) == pytest.approx(feature_map(saved["features"]).linear, rel=1e-4)


def test_maps_have_at_most_so_many_points(start, monkeypatch):
    monkeypatch.setattr(diagnosis_measures, "MAX_POINTS", 12)
    row = rows_of(start(**WITH_BOTH), MapRow)[0]
    assert len(row.rows) == len(row.given) == len(row.linear) == len(row.neighbours) == 12
    assert row.num_examples == 60


def test_curvature_is_that_of_the_head_on_its_noisy_labels(finished, data):
    import torch

    rows = rows_of(finished, CurvatureRow)
    assert [(row.noise_kind, row.seed) for row in rows] == [
        (kind, seed) for kind in (None, "symmetric") for seed in (0, 1)
    ]
    row = rows[-1]
    saved = np.load(data / "b.npz")
    given = corrupt_labels(saved["labels"], kind="symmetric", rate=0.4, num_classes=3, seed=1).given
    head = LinearProbe(max_steps=6, seed=1).fit(saved["features"], given)
    parameters, summed = loss_surface(head)
    batch = (torch.from_numpy(saved["features"].astype(np.float64)), torch.from_numpy(given))
    found = curvature(summed, parameters, [batch], seed=1)
    assert row.eigenvalues == pytest.approx(found.eigenvalues, rel=1e-4)
    assert row.trace == pytest.approx(found.trace, rel=1e-4)
    assert (row.num_train, row.num_parameters) == (45, 3 * 6 + 3)
    assert row.realised_rate == pytest.approx(18 / 45)


def test_started_again_nothing_is_computed(finished, restart, monkeypatch):
    before = (finished.folder / "study.jsonl").read_bytes()
    calls = [
        counted(monkeypatch, module, name)
        for module, name in (
            (train, "fit_heads"),
            (diagnosis_measures, "feature_map"),
            (diagnosis_measures, "fitted_curvature"),
        )
    ]  # fmt: skip
    again = restart(**WITH_BOTH)
    assert calls == [[], [], []]
    assert (again.folder / "study.jsonl").read_bytes() == before


def test_an_extended_study_computes_the_new_portraits_only(restart, monkeypatch):
    maps = counted(monkeypatch, diagnosis_measures, "feature_map")
    curvatures = counted(monkeypatch, diagnosis_measures, "fitted_curvature")
    restart(**(WITH_BOTH | {"seeds": 3} | NOISES))
    assert len(maps) == 1  # of the new noise
    assert len(curvatures) == 3 + 2  # all seeds of the new noise, the new seed of the others


def test_a_study_asked_for_portraits_later_keeps_its_rows_and_adds_them(start, finished, monkeypatch):
    before = start(**SMALL)
    lines = (before.folder / "study.jsonl").read_text().splitlines()
    fits = counted(monkeypatch, train, "fit_heads")
    after = start(**WITH_BOTH)
    grown = (after.folder / "study.jsonl").read_text().splitlines()
    assert grown[: len(lines)] == lines
    assert [json.loads(line)["row"] for line in grown[len(lines) :]] == ["map"] * 2 + ["curvature"] * 4
    assert sum(len(call[0]) for call in fits) == 4
    assert after.outcome.num_computed == 0
    assert facts(after.folder) == facts(finished.folder)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("num_calls", [1, 3])
@pytest.mark.parametrize(
    ("module", "name"), [(diagnosis_measures, "feature_map"), (diagnosis_measures, "fitted_curvature")]
)
def test_killed_between_it_goes_on(start, facts_of_three_noises, monkeypatch, module, name, num_calls):
    calls, real = [], getattr(module, name)

    def dies(*args, **options):
        calls.append(args)
        if len(calls) == num_calls:
            raise KeyboardInterrupt
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, dies)
        with pytest.raises(KeyboardInterrupt):
            start(**THREE)
    assert facts(start(**THREE).folder) == facts_of_three_noises


def test_a_map_that_cannot_be_made_costs_nothing_else(start, data):
    saved = dict(np.load(data / "a.npz"))
    np.savez(data / "a.npz", **(saved | {"features": np.ones_like(saved["features"])}))
    result = start(**(WITH_BOTH | {"figures": ["feature-maps", "curvature"]}))
    ((reason, count),) = result.outcome.failures.items()
    assert "feature map, none: All rows of `features` are equal up to a factor" in reason
    assert count == 1
    assert len(result.results.head_rows) == 4
    assert len(result.results.curvatures) == 4


def test_a_curvature_that_cannot_be_had_leaves_the_results_of_its_head(start, monkeypatch):
    real = diagnosis_measures.fitted_curvature

    def fails_for_seed_0(*args, seed, **options):
        if seed == 0:
            raise ValueError("no eigenvalues")
        return real(*args, seed=seed, **options)

    monkeypatch.setattr(diagnosis_measures, "fitted_curvature", fails_for_seed_0)
    result = start(**WITH_BOTH)
    ((reason, count),) = result.outcome.failures.items()
    assert "curvature of linear: ValueError: no eigenvalues" in reason
    assert count == 2
    assert len(result.results.head_rows) == 4
    assert result.results.curvatures["seed"].tolist() == [1, 1]
    monkeypatch.undo()
    assert not start(**WITH_BOTH).outcome.failures


def test_heads_whose_loss_depends_on_the_training_have_none(start, monkeypatch):
    heads = {"heads": {"linear": {}, "forgetful": {"kind": "linear", "loss": "elr"}}}
    result = start(**(WITH_BOTH | heads))
    assert not result.outcome.failures
    assert set(result.results.curvatures["head"]) == {"linear"}
    fits = counted(monkeypatch, train, "fit_heads")
    start(**(WITH_BOTH | heads))
    assert fits == []


def test_with_two_views_the_curvature_is_of_the_first(start, monkeypatch):
    fits = counted(monkeypatch, train, "fit_heads")
    seen, real = [], diagnosis_measures.fitted_curvature

    def spy(head, blocks, given, *, seed):
        blocks = list(blocks)
        seen.append(np.concatenate([rows for _, rows in blocks]))
        return real(head, blocks, given, seed=seed)

    monkeypatch.setattr(diagnosis_measures, "fitted_curvature", spy)
    start(
        backbones=["zoo:resnet8-noise0"], tasks={"digits": {"train": "sklearn:digits"}}, limit=60, views=2,
        heads={"linear": {}}, seeds=1, figures=["curvature"],
    )  # fmt: skip
    ((_, first, _),) = fits
    assert (seen[0] == first).all()


def test_who_does_not_ask_has_none_and_the_addresses_of_before():
    values = {
        "name": "fixed", "claim": "c", "source": "s", "command": "none", "minutes": 1, "hardware": "h",
        "needs": "n", "expected": "e", "backbones": ["features:"], "seeds": 1, "heads": {"linear": {}},
        "tasks": {"a": {"train": "{data}/a.npz"}},
    }  # fmt: skip
    plain, both = StudyRecipe(**values), StudyRecipe(**values, figures=("feature-maps", "curvature"))
    assert request_keys(plain, MapMeasure, CurvatureMeasure) == []
    assert len(request_keys(both, MapMeasure, CurvatureMeasure)) == 2
    # As earlier versions have them: existing results must be found.
    assert request_keys(both, SpectrumMeasure, HeadMeasure) == request_keys(plain) == PINNED


def test_changed_data_make_new_portraits_and_changed_back_the_old_ones_count(
    finished, restart, data, monkeypatch
):
    old = (data / "a.npz").read_bytes()
    save_clouds(data / "a.npz", n=60, seed=9)
    changed = restart(**WITH_BOTH)
    assert changed.results.maps["cell"][0] != finished.results.maps["cell"][0]
    of_the_training_set = [one.results.maps["cell"][1] for one in (changed, finished)]
    assert of_the_training_set[0] == of_the_training_set[1]  # which is b
    (data / "a.npz").write_bytes(old)
    maps = counted(monkeypatch, diagnosis_measures, "feature_map")
    assert restart(**WITH_BOTH).results.maps.equals(finished.results.maps)
    assert maps == []


def test_missing_heads_of_a_plan_are_those_without_curvature(start):
    result = start(**SMALL)
    existing = {row.request_key for row in StudyLog(result.folder).rows}
    assert num_missing(requests_of(Grid(result.results.recipe)), existing) == 0
    wanted = result.results.recipe.model_copy(update={"figures": ("curvature",)})
    assert num_missing(requests_of(Grid(wanted)), existing) == 4
