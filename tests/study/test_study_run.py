import json

import numpy as np
import pytest
from clouds import facts, save_clouds

from noiseproof.core.errors import InvalidArgument, NoSpaceLeft
from noiseproof.data.splits import stratified_share
from noiseproof.evaluate.metrics import METRICS
from noiseproof.features import extract
from noiseproof.heads.estimators import LinearProbe, NMTune
from noiseproof.noise.kinds import corrupt_labels
from noiseproof.study import compute as run
from noiseproof.study.measures import diagnosis_measures, head_measure
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.rows import HeadRow, SpectrumRow, StudyLog


def cells(result, **wanted):
    found = result.results.select(**wanted)
    assert len(found)
    return found


def counted(monkeypatch, module, name):
    calls, real = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **options: calls.append(args) or real(*args, **options))
    return calls


def test_every_cell_of_the_grid_has_a_row(start):
    result = start(noise=["none", "symmetric:0.4"], shares=[0.5, 1.0])
    # 2 noises x 2 shares x 2 heads x 2 seeds x (2 + 1) sets
    assert len(result.results.head_rows) == result.outcome.num_computed == 48
    assert not result.outcome.failures
    assert len(result.results.spectra) == 3
    noisy = cells(result, noise="symmetric:0.4", share=0.5, task="a")
    assert set(noisy["num_train"]) == {24}  # half of the 48 that are not held out
    assert noisy["realised_rate"].tolist() == pytest.approx([10 / 24] * len(noisy))  # round(0.4 x 24)
    card = json.loads((result.folder / "study.json").read_text())
    assert (card["num_cells"], card["num_found"], card["failures"]) == (48, 48, {})
    assert StudyRecipe(**card["config"]) == result.results.recipe


def test_a_row_is_what_the_head_alone_would_have_got(start, data):
    result = start(noise=["symmetric:0.4"], shares=[0.5], heads={"nmtune": {}})
    (row,) = cells(result, task="b", seed=1).to_dict("records")
    train_set, test_set = np.load(data / "b.npz"), np.load(data / "a.npz")
    rows = stratified_share(train_set["labels"], share=0.5, seed=1)
    noisy = corrupt_labels(train_set["labels"][rows], kind="symmetric", rate=0.4, num_classes=3, seed=1)
    head = NMTune(max_steps=6, seed=1).fit(train_set["features"][rows], noisy.given)
    assert row["accuracy"] == pytest.approx(head.score(test_set["features"], test_set["labels"]))
    assert row["entropy_nats"] is None or np.isnan(row["entropy_nats"])


def test_metrics_have_the_names_of_a_run(start):
    start(heads={"linear": {}}, seeds=1)
    lines = (start(heads={"linear": {}}, seeds=1).folder / "study.jsonl").read_text().splitlines()
    assert set(METRICS) <= json.loads(lines[-1]).keys()


def test_started_again_it_computes_nothing(start, monkeypatch):
    first = start(noise=["none", "symmetric:0.4"])
    before = (first.folder / "study.jsonl").read_bytes()
    fits = counted(monkeypatch, head_measure, "fit_heads")
    spectra = counted(monkeypatch, diagnosis_measures, "spectra")
    again = start(noise=["none", "symmetric:0.4"])
    assert again.outcome.num_computed == len(fits) == len(spectra) == 0
    assert (again.folder / "study.jsonl").read_bytes() == before
    assert len(again.results.head_rows) == len(first.results.head_rows)


def test_an_extended_study_computes_what_is_new(start, monkeypatch):
    start(heads={"linear": {}}, seeds=1)
    fits = counted(monkeypatch, head_measure, "fit_heads")
    # Before: 3 cells. Now a second head, and a second seed for both: 9 more.
    assert start(heads={"linear": {}, "mlp": {}}, seeds=2).outcome.num_computed == 9
    assert sum(len(call[0]) for call in fits) == 6  # heads on 2 tasks: seed 1 of linear, 2 of mlp
    tasks = {"a": {"train": "{data}/a.npz", "ood": ["{data}/far.npz", "{data}/b.npz"]}}
    assert start(heads={"linear": {}}, seeds=1, tasks=tasks).outcome.num_computed == 1


def test_a_smaller_study_shows_its_own_cells_only(start):
    start(seeds=3)
    smaller = start(seeds=2, heads={"linear": {}})
    assert smaller.outcome.num_computed == 0
    assert len(smaller.results.head_rows) == 2 * 3
    assert smaller.results.heads == ["linear"]


def test_changed_data_are_computed_again_and_changed_back_they_are_not(start, data):
    first = start()
    old = (data / "a.npz").read_bytes()
    save_clouds(data / "a.npz", n=60, seed=9)
    changed = start()
    assert changed.outcome.num_computed == len(first.results.head_rows)  # a is also the test set of b
    assert len(changed.results.head_rows) == len(first.results.head_rows)
    assert not changed.results.head_rows["cell"].isin(first.results.head_rows["cell"]).any()
    (data / "a.npz").write_bytes(old)
    back = start()
    assert back.outcome.num_computed == 0
    assert back.results.head_rows["cell"].tolist() == first.results.head_rows["cell"].tolist()


def test_changed_labels_alone_are_noticed(start, data):
    first = start(heads={"linear": {}})
    save_clouds(data / "far.npz", n=30, seed=3, spread=3.0, turned=5)
    again = start(heads={"linear": {}})
    assert again.outcome.num_computed == len(cells(first, domain="ood"))


def test_features_are_extracted_and_decomposed_once_per_encoder_and_set(start, monkeypatch):
    encoded = counted(monkeypatch, extract, "_encode")
    spectra = counted(monkeypatch, diagnosis_measures, "spectra")
    start(noise=["none", "symmetric:0.4"], shares=[0.5, 1.0], seeds=3)
    assert len(encoded) == 3  # a.npz, b.npz, far.npz
    assert len(spectra) == 3  # held-out part of a, far, and the whole of a as test set of b


def test_seconds_are_kept_for_each_data_set_that_was_encoded(start):
    result = start()
    held_out, far, a = result.results.spectra["encode_s"]
    assert [len(each) for each in (held_out, far, a)] == [1, 1, 2]  # of b's task: a and its training set b
    assert held_out.items() <= a.items()  # the whole of a, encoded once
    assert not held_out.keys() & far.keys()
    assert all(seconds > 0 for each in (held_out, far, a) for seconds in each.values())


def test_linear_heads_on_the_same_data_are_trained_together(start, monkeypatch):
    fits = counted(monkeypatch, head_measure, "fit_heads")
    start(heads={"linear": {}}, seeds=5, tasks={"b": {"train": "{data}/b.npz", "test": "{data}/a.npz"}})
    assert [len(call[0]) for call in fits] == [5]
    fits.clear()
    start("other", heads={"linear": {}}, seeds=5, shares=[0.5], tasks={"b": {"train": "{data}/b.npz"}})
    assert [len(call[0]) for call in fits] == [1] * 5  # each seed draws examples of its own


def test_a_missing_set_costs_its_own_cells_only(start, data, capsys):
    (data / "far.npz").unlink()
    result = start()
    said = capsys.readouterr().err.splitlines()
    assert len(result.results.head_rows) == 2 * 2 * 2  # heads x seeds x in-domain sets
    (reason,) = result.outcome.failures
    assert result.outcome.failures[reason] == 4
    assert "a: The data set" in reason
    assert any("far.npz" in line and line.endswith("Going on without it.") for line in said)
    assert "far.npz" in result.page.read_text()
    save_clouds(data / "far.npz", n=30, seed=3, spread=3.0)
    assert start().outcome.num_computed == 4


def test_a_missing_training_set_costs_its_task_only(start, data):
    (data / "b.npz").unlink()
    result = start()
    assert result.results.values("task") == ["a"]
    assert list(result.outcome.failures.values()) == [4]


def test_results_that_are_there_do_not_lack_though_their_data_are_gone(start, data, capsys):
    whole = start()
    for name in ("far", "b"):
        (data / f"{name}.npz").unlink()
    capsys.readouterr()
    again = start()
    assert not again.outcome.failures
    assert len(again.results.head_rows) == len(whole.results.head_rows) == 12
    assert not capsys.readouterr().err
    more = start(seeds=3)  # of the new seed a's held-out part can be computed, no more
    assert sorted(more.outcome.failures.values()) == [2, 2]
    assert more.outcome.num_computed == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_without_a_folder_it_is_said_what_to_do(start):
    result = start(data=None)
    assert not len(result.results.head_rows)
    assert sum(result.outcome.failures.values()) == 12
    assert all("Next: --data FOLDER" in reason for reason in result.outcome.failures)
    assert result.page.exists()


def test_an_encoder_that_is_not_there_does_not_hold_up_the_others(start):
    name = "timm:resnet18@no_such_file.safetensors"
    result = start(backbones=[name, "features:"])
    assert len(result.results.head_rows) == 12
    assert list(result.outcome.failures.values()) == [12]
    (reason,) = result.outcome.failures
    assert reason.startswith(f"{name}: ")


def test_noise_that_a_task_cannot_have_costs_its_own_cells_only(start):
    result = start(noise=["none", "asymmetric:mnist:0.4"])
    assert len(result.results.head_rows) == 12
    assert sum(result.outcome.failures.values()) == 12
    assert all("class in `class_map`: '2'" in reason for reason in result.outcome.failures)


def test_a_map_of_classes_comes_from_a_file(start, tmp_path):
    (tmp_path / "map.yaml").write_text("ant: bee\n")
    tasks = {"a": {"train": "{data}/a.npz"}}
    result = start(noise=[f"asymmetric:{tmp_path / 'map.yaml'}:0.5"], tasks=tasks)
    assert set(result.results.head_rows["realised_rate"]) == {8 / 48}  # half of the 16 ants


def test_a_head_that_diverges_does_not_lose_the_others(start):
    result = start(heads={"linear": {}, "mlp": {"learning_rate": 1e30}})
    assert result.results.heads == ["linear"]
    assert sum(result.outcome.failures.values()) == 6
    assert all("diverged" in reason for reason in result.outcome.failures)


def test_an_error_of_ours_does_not_lose_the_others(start, monkeypatch):
    def broken(*args, **options):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(head_measure, "fit_heads", broken)
    result = start(seeds=1, heads={"linear": {}})
    assert {reason.split(", ")[-1] for reason in result.outcome.failures} == {
        "linear: ZeroDivisionError: of all things"
    }


def test_a_full_disk_ends_the_study(start, monkeypatch):
    calls = []

    def full(self, rows):
        calls.append(rows)
        raise NoSpaceLeft("No space left on the device.")

    monkeypatch.setattr(StudyLog, "append", full)
    with pytest.raises(NoSpaceLeft):
        start()
    assert len(calls) == 1


def test_an_interruption_is_not_swallowed(start, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(head_measure, "fit_heads", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start()


def test_the_spectrum_of_reshaped_features_is_that_of_the_head(start):
    result = start(has_head_spectra=True, seeds=1)
    spectra = {row["set"]: row for row in result.results.spectra.to_dict("records") if row["task"] == "a"}
    for row in cells(result, task="a").to_dict("records"):
        is_as_encoded = row["entropy_nats"] == pytest.approx(spectra[row["set"]]["entropy_nats"])
        assert is_as_encoded == (row["head"] == "linear")


def test_two_views_are_given_to_every_head(start, monkeypatch):
    views, real = [], head_measure.fit_heads

    def noted(heads, features, labels, *, second_view):
        views.append((np.asarray(features), np.asarray(second_view)))
        real(heads, features, labels, second_view=second_view)

    monkeypatch.setattr(head_measure, "fit_heads", noted)
    digits = {"digits": {"train": "sklearn:digits", "limit": 60}}
    start(backbones=["zoo:resnet8-noise0"], tasks=digits, views=2, seeds=1, shares=[0.5])
    assert len(views) == 2
    for first, second in views:
        assert first.shape == second.shape
        assert 0.5 < np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.999  # of the same images, changed


def test_a_file_that_a_kill_cut_off_anywhere_ends_with_the_same_rows(start, tmp_path):
    whole = start("whole", shares=[0.5, 1.0])
    expected = facts(whole.folder)
    content = (whole.folder / "study.jsonl").read_bytes()
    rng = np.random.default_rng(0)
    (tmp_path / "cut").mkdir()
    for end in [0, *sorted(rng.integers(1, len(content), 4).tolist()), len(content)]:
        (tmp_path / "cut" / "study.jsonl").write_bytes(content[:end])
        assert facts(start("cut", shares=[0.5, 1.0]).folder) == expected


def test_unknown_tables_and_figures_are_mistakes(start):
    with pytest.raises(
        InvalidArgument, match=r"Unknown table 'model'. Did you mean 'models'[\s\S]*figure 'x'"
    ):
        start(tables=["model"], figures=["x"])


def test_all_names_that_do_not_exist_are_mistakes_before_anything_is_read(start, monkeypatch, tmp_path):
    opened = counted(monkeypatch, run, "open_task")
    with pytest.raises(InvalidArgument) as error:
        start(
            backbones=["timm:resnet50_", "zoo:resnet8-noise21", "nothing:x", "features:y", "bundled:z"],
            heads={"linar": {}}, figures=["curvatur"], data=tmp_path / "nowhere",
        )  # fmt: skip
    lines = str(error.value).splitlines()
    for line, said in zip(
        lines,
        [
            "Unknown figure 'curvatur'. Did you mean 'curvature'?",
            "Unknown timm model 'resnet50_'. Did you mean 'resnet50",
            "Unknown zoo encoder 'resnet8-noise21'. Did you mean 'resnet8-noise20'?",
            "Unknown backbone 'nothing:x'.",
            "`backbone` is 'features:y'; allowed: 'features:' alone.",
            "Unknown bundled backbone 'z'. Known: efficientnet-lite0, ",
            f"`data` is {str(tmp_path / 'nowhere')!r}; allowed: a folder that exists.",
            "`heads.linar+default`: Unknown head 'linar'. Did you mean 'linear'?",
        ],
        strict=True,
    ):
        assert line.startswith(said)
    assert opened == []
    assert not (tmp_path / "out").exists()


def test_rows_are_of_two_kinds(start):
    from noiseproof.study.rows import read_rows

    kinds = [type(row) for row in read_rows(start().folder / "study.jsonl")]
    assert (kinds.count(HeadRow), kinds.count(SpectrumRow)) == (12, 3)


def test_a_loss_is_a_setting_and_its_matrix_is_estimated_from_each_places_own_data(start, monkeypatch):
    calls = counted(monkeypatch, head_measure, "estimate_transition")
    settings = {
        "plain": {},
        "gce": {"loss": "gce", "loss_options": {"q": 0.5}},
        "forward": {"loss": "forward"},
    }
    changed = {"noise": ["none", "symmetric:0.4"], "heads": {"linear": {}}, "seeds": 1}
    result = start(settings=settings, **changed)
    assert not result.outcome.failures
    assert len(calls) == 2 * 2  # once for each task and noise
    assert len(result.results.head_rows) == 2 * 3 * (2 + 1)
    again = start(settings=settings, **changed)
    assert again.outcome.num_computed == 0
    assert len(calls) == 2 * 2


def test_results_from_before_losses_had_options_keep_their_address():
    said = head_measure.spec_to_json(LinearProbe().spec())
    assert "loss_options" not in said["training"]
    assert head_measure.spec_to_json(LinearProbe(loss="gce").spec())["training"]["loss_options"]
    smoothed = LinearProbe(loss_options={"label_smoothing": 0.1}).spec()
    assert head_measure.spec_to_json(smoothed)["training"]["loss_options"] == (("label_smoothing", 0.1),)


def test_results_from_before_heads_could_tolerate_noise_keep_their_address(start, monkeypatch):
    assert "noise_tolerant" not in head_measure.spec_to_json(NMTune().spec())["training"]
    assert head_measure.spec_to_json(NMTune(noise_tolerant=True).spec())["training"]["noise_tolerant"] is True
    changed = {"noise": ["symmetric:0.4"], "seeds": 1}
    start(heads={"nmtune": {}}, **changed)
    fits = counted(monkeypatch, head_measure, "fit_heads")
    heads = {"nmtune": {}, "tolerant": {"kind": "nmtune", "noise_tolerant": True}}
    assert start(heads=heads, **changed).outcome.num_computed == 3  # sets; plain NMTune is there already
    assert sum(len(call[0]) for call in fits) == 2
    assert start(heads=heads, **changed).outcome.num_computed == 0


def test_heads_that_learn_from_estimates_of_another_algorithm_are_trained_anew(start, monkeypatch):
    heads = {
        "plain": {"kind": "linear"}, "forward": {"kind": "linear", "loss": "forward"},
        "tolerant": {"kind": "linear", "noise_tolerant": True},
    }  # fmt: skip
    changed = {"noise": ["symmetric:0.4"], "seeds": 1, "heads": heads}
    start(**changed)
    monkeypatch.setattr(head_measure, "ALGORITHM", 0)
    fits = counted(monkeypatch, head_measure, "fit_heads")
    start(**changed)
    fitted = [head for call in fits for head in call[0]]
    assert all(head.noise_tolerant or head.loss == "forward" for head in fitted)
    assert len(fitted) == 2 * 2  # two tasks
