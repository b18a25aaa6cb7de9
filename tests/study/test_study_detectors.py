"""Detectors as rows of a study: what is asked, what comes out, and what is not computed twice."""

import json

import numpy as np
import pytest
from clouds import request_keys, small_recipe

from noiseproof.core.errors import InvalidArgument, NoiseproofError
from noiseproof.core.storage.checksums import to_line
from noiseproof.detect.detectors import TABLE, has_inputs, is_random
from noiseproof.detect.find_issues import find_label_issues
from noiseproof.evaluate.detection import detection_metrics
from noiseproof.heads.estimators import LinearProbe
from noiseproof.noise.kinds import corrupt_labels
from noiseproof.study.compute import num_missing, num_results, requests_of
from noiseproof.study.grid import Grid
from noiseproof.study.measures import detector_measure
from noiseproof.study.measures.detector_measure import DetectorMeasure
from noiseproof.study.measures.diagnosis_measures import SpectrumMeasure
from noiseproof.study.measures.head_measure import HeadMeasure
from noiseproof.study.recipe import StudyRecipe, load_recipe
from noiseproof.study.recipe_checks import inputs_of
from noiseproof.study.rows import DetectionRow, read_rows
from noiseproof.study.study import plan_study

SMALL = {
    "tasks": {"b": {"train": "{data}/b.npz", "test": "{data}/a.npz"}},
    "noise": ["symmetric:0.4"],
    "heads": {},
    "detectors": {"auto": None, "near": {"method": "neighbours", "options": {"k": 5}}},
}


def rows_of(result):
    return [row for row in read_rows(result.folder / "study.jsonl") if isinstance(row, DetectionRow)]


def facts_of(result):
    """What the rows say beside the clock."""
    rows = [row.to_json() | {"wall_s": None, "cpu_s": None} for row in rows_of(result)]
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def noisy_labels(data, seed):
    saved = np.load(data / "b.npz")
    noisy = corrupt_labels(saved["labels"], kind="symmetric", rate=0.4, num_classes=3, seed=seed)
    return saved["features"], noisy


def test_a_row_per_encoder_task_noise_seed_and_detector(start):
    result = start(**SMALL, tables=["arena", "arena-summary", "arena-compared", "arena-differences"])
    assert not result.outcome.failures
    places = [(row.task, row.noise_kind, row.seed, row.detector) for row in rows_of(result)]
    assert places == [("b", "symmetric", seed, name) for seed in (0, 1) for name in ("auto", "near")]
    assert result.results.num_results == result.outcome.num_computed == 4
    assert num_results(requests_of(Grid(result.results.recipe))) == 4
    written = {path.name for path in (result.folder / "tables").iterdir()}
    assert {"arena.md", "arena-summary.csv", "arena-compared.tex", "arena-differences.md"} <= written
    page = result.page.read_text()
    assert "detectors: auto, near" in page
    assert "auto less the others" in page


def test_a_row_says_what_the_detector_itself_says_of_the_same_labels(start, data):
    row = next(row for row in rows_of(start(**SMALL)) if row.seed == 1 and row.detector == "near")
    features, noisy = noisy_labels(data, seed=1)
    issues = find_label_issues(
        features, noisy.given, method="neighbours", method_options={"k": 5},
        class_names=("ant", "bee", "cat"), seed=1,
    )  # fmt: skip
    assert row.to_json().items() >= detection_metrics(issues, noisy.clean).to_json().items()
    assert (row.method, row.num_examples, row.realised_rate) == ("neighbours", 45, noisy.realised_rate)
    assert row.notes == list(issues.notes)
    assert row.wall_s > 0
    assert row.cpu_s > 0
    assert (row.accuracy_all, row.accuracy_selected, row.accuracy_relabelled) == (None, None, None)


def test_rows_of_another_algorithm_are_computed_anew(start, monkeypatch):
    changed = SMALL | {"seeds": 1}
    start(**changed)
    monkeypatch.setattr(detector_measure, "ALGORITHM", 0)
    result = start(**changed)
    assert result.outcome.num_computed == 2
    assert len({row.result_key for row in rows_of(result)}) == 4


def test_auto_says_which_method_it_chose(start):
    (row, *_) = rows_of(start(**SMALL))
    assert row.detector == "auto"
    assert row.method in ("leave_one_out", "transition")
    assert row.notes[-1].endswith(f"so the method {row.method!r} was used.")


def test_a_line_is_read_back_as_the_row_it_was(start):
    result = start(**SMALL, downstream=True)
    lines = (result.folder / "study.jsonl").read_text().splitlines()
    for line, row in zip(lines, rows_of(result), strict=True):
        assert to_line(row.to_json()) == line
        assert "metrics" not in json.loads(line)


def test_where_nothing_is_drawn_one_row_stands_for_all_seeds():
    detectors = {"auto": {}, "aum": {}, "fusion": {}, "still": {
        "method": "fusion", "options": {"methods": ["leave_one_out", "neighbours"]}}}  # fmt: skip
    recipe = small_recipe(detectors=detectors, heads={}, seeds=3, noise=["none", "symmetric:0.4"])
    grid = Grid(StudyRecipe(**recipe))
    seeds = {}
    for place in places_of_a(grid):
        seeds.setdefault((place.noise is not None, place.detector), []).append(place.seed)
    assert {name: own for (is_noisy, name), own in seeds.items() if not is_noisy} == {
        "auto": [0], "aum": [0, 1, 2], "fusion": [0, 1, 2], "still": [0],
    }  # fmt: skip
    assert all(own == [0, 1, 2] for (is_noisy, _), own in seeds.items() if is_noisy)
    after = Grid(StudyRecipe(**recipe, downstream=True))  # the probe draws its weights
    assert len(places_of_a(after)) == 4 * 2 * 3


def places_of_a(grid):
    return [place for place in DetectorMeasure(grid).places() if place.task == "a"]


@pytest.mark.parametrize("method", [name for name in TABLE if has_inputs(("features",), name, {})])
def test_the_table_says_whether_a_detector_draws(method):
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = rng.normal(size=(90, 6))
    given = np.where(rng.random(90) < 0.4, rng.integers(3, size=90), labels)
    found = [find_label_issues(features, given, method=method, seed=seed).suspicion for seed in (0, 1)]
    assert np.array_equal(*found) != is_random(method, {})


def test_labels_as_they_came_are_held_against_the_true_column(start, data):
    saved = dict(np.load(data / "b.npz"))
    given = saved["labels"].copy()
    given[:9] = (given[:9] + 1) % 3
    np.savez(data / "b.npz", **(saved | {"labels": given, "truth": saved["labels"]}))
    tasks = {"b": SMALL["tasks"]["b"] | {"label": "labels", "clean_label": "truth", "test_label": "labels"}}
    (row, *_) = rows_of(start(**(SMALL | {"tasks": tasks, "noise": ["none"]})))
    assert (row.num_wrong, row.realised_rate, row.noise_kind) == (9, 0.2, None)


def test_downstream_is_the_probe_on_all_on_the_selected_and_relabelled(start, data):
    row = next(row for row in rows_of(start(**SMALL, downstream=True)) if row.seed == 1)
    features, noisy = noisy_labels(data, seed=1)
    issues = find_label_issues(features, noisy.given, seed=1)
    test = np.load(data / "a.npz")

    def accuracy(rows, labels):
        head = LinearProbe(max_steps=6, seed=1).fit(rows, labels)
        return (head.predict(test["features"]) == test["labels"]).mean()

    keep = ~issues.is_issue
    assert row.accuracy_all == pytest.approx(accuracy(features, noisy.given))
    assert row.accuracy_selected == pytest.approx(accuracy(features[keep], noisy.given[keep]))
    relabelled = np.where(keep, noisy.given, issues.suggested_labels)
    assert row.accuracy_relabelled == pytest.approx(accuracy(features, relabelled))


def test_nothing_is_left_to_learn_from_where_too_much_is_flagged(start, monkeypatch):
    real = detector_measure.find_label_issues

    def flags_all(*args, **options):
        issues = real(*args, **options)
        issues.is_issue[:] = True
        return issues

    monkeypatch.setattr(detector_measure, "find_label_issues", flags_all)
    (row, *_) = rows_of(start(**SMALL, downstream=True))
    assert row.accuracy_selected is None
    assert row.accuracy_all is not None


def test_killed_between_it_goes_on_and_computes_nothing_twice(start, monkeypatch):
    whole, calls, real = facts_of(start("whole", **SMALL)), [], detector_measure.find_label_issues

    def dies(*args, **options):
        calls.append(options["seed"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(detector_measure, "find_label_issues", dies)
        with pytest.raises(KeyboardInterrupt):
            start(**SMALL)
    monkeypatch.setattr(
        detector_measure,
        "find_label_issues",
        lambda *args, **options: calls.append("again") or real(*args, **options),
    )
    assert facts_of(start(**SMALL)) == whole
    assert calls == [0, 0, 1, "again", "again"]
    start(**SMALL)
    assert len(calls) == 5


def test_an_extended_study_computes_the_new_rows_only(start):
    before = start(**SMALL)
    more = SMALL | {"detectors": SMALL["detectors"] | {"aum": {}}, "seeds": 3}
    assert plan_study(load_of(more), out=before.folder).num_missing == 2 + 3
    after = start(**more)
    assert after.outcome.num_computed == 2 + 3
    assert after.results.num_results == 9


def load_of(changed):
    return StudyRecipe(**small_recipe(**changed))


def test_detectors_beside_heads_leave_the_addresses_of_heads(start):
    heads = {"heads": {"linear": {}}, "detectors": {}}
    plain, both = load_of(SMALL | heads), load_of(SMALL | {"heads": {"linear": {}}})
    assert request_keys(plain) == request_keys(both, SpectrumMeasure, HeadMeasure)
    result = start(**(SMALL | {"heads": {"linear": {}}}))
    assert (len(result.results.head_rows), len(result.results.detections)) == (2, 4)
    existing = {row.request_key for row in read_rows(result.folder / "study.jsonl")}
    assert num_missing(requests_of(Grid(both)), existing) == 0


def test_a_detector_that_cannot_run_costs_its_own_rows_only(start, monkeypatch):
    real = detector_measure.find_label_issues

    def fails(*args, **options):
        if options["method"] == "neighbours":
            raise ValueError("no neighbours")
        return real(*args, **options)

    monkeypatch.setattr(detector_measure, "find_label_issues", fails)
    result = start(**SMALL, tables=["arena-summary"])
    (said,) = [reason for reason in result.outcome.failures if "no neighbours" in reason]
    assert "symmetric:0.4, near: ValueError" in said
    assert sum(result.outcome.failures.values()) == 2
    assert {row.detector for row in rows_of(result)} == {"auto"}
    assert (
        "Results are missing: b, symmetric 0.4: near."
        in (result.folder / "tables/arena-summary.md").read_text()
    )


@pytest.mark.parametrize(
    ("detectors", "said"),
    [
        ({"auto": {"methods": "aum"}}, "methods"),
        ({"near": {"method": "neighbors"}}, "neighbours"),
        ({"near": {"method": "neighbours", "options": {"m": 5}}}, "'m'"),
        ({"near": {"method": "neighbours", "options": {"k": 0}}}, "k"),
        ({"auto": {"options": {"k": 5}}}, "none with method 'auto'"),
        ({"cl": {"method": "cleanlab-5-fold", "options": {"C": 0}}}, "> 0"),
        ({"cl": {"method": "cleanlab-5-fold", "options": {"folds": 3}}}, "folds"),
        ({"match": {"method": "zero_shot"}}, "looks at features"),
        ({"all": {"method": "fusion", "options": {"methods": ["aum", "zero_shot"]}}}, "looks at features"),
        ({"all": {"method": "fusion", "options": {"methods": ["aum", "neighbors"]}}}, "neighbours"),
        ({"a b": {"method": "auto"}}, "a b"),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_is_computed(start, detectors, said, tmp_path):
    with pytest.raises(NoiseproofError) as raised:
        start(**(SMALL | {"detectors": detectors}))
    assert said in str(raised.value)
    assert not (tmp_path / "out" / "study.jsonl").exists()


def test_a_task_may_have_noise_of_its_own():
    tasks = {
        "noisy": {"train": "{data}/a.npz"},
        "real": {"train": "{data}/b.npz", "label": "x", "clean_label": "y", "noise": ["none"]},
    }
    recipe = load_of({"tasks": tasks, "noise": ["symmetric:0.2", "symmetric:0.4"], "heads": {"linear": {}}})
    assert recipe.noises_of("real") == (None,)
    assert (
        [one.rate for one in recipe.noises_of("noisy")] == [0.2, 0.4] == [one.rate for one in recipe.noises]
    )
    assert {(fit.task, fit.noise is None) for fit in HeadMeasure(Grid(recipe)).places()} == {
        ("noisy", False),
        ("real", True),
    }
    tasks["real"]["noise"] = ["symmetric:0.2"]
    with pytest.raises(ValueError, match="no one truth"):
        load_of({"tasks": tasks, "heads": {"linear": {}}})


def test_addresses_are_those_of_before_where_noise_is_not_told_by_task():
    task = {"a": {"train": "{data}/a.npz"}}
    own = {"a": {"train": "{data}/a.npz", "noise": ["symmetric:0.2"]}}
    heads = {"heads": {"linear": {}}}
    first = load_of({"tasks": task, "noise": ["symmetric:0.2"], **heads})
    assert request_keys(first) == request_keys(load_of({"tasks": own, **heads}))


def test_a_study_needs_something_to_do():
    with pytest.raises(ValueError, match="`heads`, `tunings`, `detectors`"):
        load_of(SMALL | {"detectors": {}})
    with pytest.raises(ValueError, match="no `detectors` with an encoder of `init: random`"):
        load_of(SMALL | {"backbones": [{"name": "zoo:resnet8-simclr", "init": "random"}]})


def test_recipe_files_say_a_detector_by_its_name_alone(tmp_path):
    from clouds import write_recipe

    recipe = load_recipe(write_recipe(tmp_path / "r.yaml", **SMALL))
    assert [one.method for one in recipe.detectors.values()] == ["auto", "neighbours"]
    with pytest.raises(InvalidArgument, match="option"):
        load_recipe(write_recipe(tmp_path / "r.yaml", **(SMALL | {"detectors": {"auto": {"option": {}}}})))


@pytest.mark.parametrize(
    ("backbone", "layer", "has_text"),
    [
        ("bundled:lite0-minilm", None, True),
        ("bundled:lite0-minilm", "projected", True),
        ("bundled:lite0-minilm", "pooled", False),
        ("open_clip:ViT-B-32/tag", "projected", True),
        ("open_clip:ViT-B-32/tag", None, False),  # its own layer comes before the shared space
        ("zoo:resnet8-simclr", None, False),
    ],
)
def test_only_features_in_the_space_of_the_text_go_with_a_text_tower(backbone, layer, has_text):
    recipe = load_of({"backbones": [{"name": backbone, "layer": layer}], "heads": {"linear": {}}})
    assert ("text_tower" in inputs_of(recipe)) == has_text
