import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from blobs import BLOBS, OTHER, options_in, save_blobs
from PIL import Image

from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.core.storage.checksums import write_record
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.heads import abstract
from noiseproof.heads.abstract import fit_heads
from noiseproof.pipelines import diagnosis
from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.inputs import encoded
from noiseproof.pipelines.inputs.inputs import open_parts
from noiseproof.pipelines.outputs import cards, provenance
from noiseproof.pipelines.outputs.output_folders import only_process_in
from noiseproof.pipelines.reviewed import judging
from noiseproof.pipelines.run_heads import evaluation, training
from noiseproof.posterior import true_labels
from noiseproof.report import figures
from noiseproof.report.run_folder import load_run

LEFT = {
    "review.html",
    "run.json",
    "results.jsonl",
    "spectrum.json",
    "copies.json",
    "heads.json",
    "label_issues.csv",
    "label_issues.json",
    "label_issues.parquet",
    "thumbnails.json",
    "report.html",
}


@pytest.fixture(autouse=True)
def _page_without_figures(request, monkeypatch):
    """Figures take half the time of a run; `tests/report` looks at them, and one run here has them."""
    if request.node.name != "test_run_leaves_the_promised_files":
        for name in ("accuracy_figure", "spectrum_figure", "suspicion_figure"):
            monkeypatch.setattr(figures, name, lambda found: "<svg></svg>")


def results_of(config):
    return (config.out / "results.jsonl").read_bytes()


def test_run_leaves_the_promised_files(configured):
    config = configured()
    result = pipeline.run(config)
    assert {path.name for path in config.out.iterdir() if path.is_file()} - {".lock", ".noiseproof"} == LEFT
    heads = {path.name for path in (config.out / "heads").iterdir()}
    expected = {f"{h}-seed{s}{x}" for h in config.heads for s in (0, 1) for x in (".safetensors", ".json")}
    assert heads == expected
    assert result.report == config.out / "report.html"
    assert len(load_run(config.out).results) == 2 * 2 * 2  # heads x seeds x sets


def test_card_says_what_was_done(configured):
    card = pipeline.run(configured(), command="noiseproof run ...").card
    assert [(part["set"], part["role"], part["num_examples"]) for part in card["data"]] == [
        ("train.npz", "train", 72),
        ("train.npz (held out)", "test", 18),
        ("other.npz", "ood", 30),
    ]
    assert card["data"][0]["label_noise"]["realised_rate"] == pytest.approx(14 / 72)
    assert card["data"][1]["label_noise"] is None
    assert card["command"] == "noiseproof run ..."
    assert card["seeds"] == [0, 1]
    assert card["encoder_passes"] == 120
    assert card["backbone"]["dim"] == 8
    assert {"numpy", "torch", "noiseproof"} <= card["versions"].keys()
    assert card["detection"]["num_wrong"] == 14
    assert card["config"]["noise"] == "symmetric:0.2"


def test_every_label_of_the_training_data_is_checked_also_held_out_ones(configured, blobs):
    config = configured(heads="linear")
    card = pipeline.run(config).card
    frame = pd.read_parquet(config.out / "label_issues.parquet")
    assert frame["suspicion"].is_monotonic_decreasing
    frame = frame.sort_values("row", ignore_index=True)
    assert list(frame) == [
        "example_id", "given_label", "suggested_label", "suspicion", "is_issue", "clean_label", "row",
    ]  # fmt: skip
    assert frame["example_id"].tolist() == [f"train/{row}" for row in range(90)]
    assert frame["clean_label"].tolist() == ["ant", "bee", "cat"] * 30
    assert (frame["given_label"] != frame["clean_label"]).sum() == 14
    train = open_parts(config).train
    held_out = np.setdiff1d(np.arange(90), train.rows)
    assert (frame["given_label"] == frame["clean_label"])[held_out].all()  # noise is for heads to learn from
    names = np.array(train.dataset.class_names)
    assert frame["given_label"][train.rows].tolist() == names[train.given_labels].tolist()
    assert card["detection"]["num_wrong"] == 14
    assert card["detection"]["num_flagged"] == frame["is_issue"].sum()
    thumbnails = json.loads((config.out / "thumbnails.json").read_text())
    given = dict(zip(frame["example_id"], frame["given_label"], strict=True))
    assert [given[entry["example_id"]] for entry in thumbnails] == [e["given_label"] for e in thumbnails]


def test_wrong_label_in_the_held_out_part_is_found(configured, blobs):
    plain = configured(noise=None, heads="linear")
    row = int(open_parts(plain).tests[0].rows[0])
    with np.load(blobs) as archive:
        arrays = dict(archive)
    arrays["labels"][row] = (arrays["labels"][row] + 1) % 3
    np.savez(blobs, **arrays)
    assert pipeline.run(plain).card["detection"] is None
    worst = pd.read_parquet(plain.out / "label_issues.parquet").sort_values("suspicion").iloc[-1]
    assert (worst["example_id"], worst["is_issue"]) == (f"train/{row}", True)


@pytest.mark.parametrize("step", ["spectra", "find_label_issues", "evaluate_on"])
def test_features_of_a_part_stay_on_disk(configured, monkeypatch, step):
    real, seen = getattr(place_of(step), step), []

    def spied(*arguments, **options):
        seen.extend(a for a in arguments if hasattr(a, "shape") and len(a.shape) == 2)
        return real(*arguments, **options)

    monkeypatch.setattr(place_of(step), step, spied)
    pipeline.run(configured(heads="linear"))
    assert seen
    assert all(isinstance(features, ShardedMatrix) for features in seen)


def test_second_start_encodes_nothing_and_gives_the_same_bytes(configured):
    config = configured()
    first = pipeline.run(config)
    names = ("results.jsonl", "spectrum.json", "label_issues.parquet", "heads/nmtune-seed1.safetensors")
    before = {
        name: ((config.out / name).read_bytes(), (config.out / name).stat().st_mtime_ns) for name in names
    }
    said = []
    second = pipeline.run(config, say=said.append)
    after = {
        name: ((config.out / name).read_bytes(), (config.out / name).stat().st_mtime_ns) for name in names
    }
    assert after == before
    assert (first.card["encoder_passes"], second.card["encoder_passes"]) == (120, 0)
    assert second.card["wall_s"] == first.card["wall_s"]
    assert said == []


def test_the_card_is_of_the_start_that_made_the_results(configured, monkeypatch):
    config = configured(heads="linear")
    first = pipeline.run(config, command="first").card
    monkeypatch.setattr(provenance, "versions", lambda: {"torch": "99.0"})
    second = pipeline.run(config, command="second").card
    for name in ("command", "created", "versions", "hardware"):
        assert second[name] == first[name]
    third = pipeline.run(configured(heads="linear", seeds=1), command="third").card
    assert (third["command"], third["versions"]) == ("third", {"torch": "99.0"})
    assert any(
        note.startswith("The stage 'spectrum' was done by an earlier start, with ") for note in third["notes"]
    )


@pytest.mark.parametrize("step", ["write_record", "write_report"])
def test_results_never_lie_beside_the_card_of_another_run(configured, blobs, monkeypatch, step):
    config = configured(heads="linear")
    first = pipeline.run(config)
    save_blobs(blobs, n=90, seed=7)

    def failing(path, *arguments):
        if Path(path).name != "spectrum.json":
            raise OSError("the disk is gone")
        return write_record(path, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(place_of(step), step, failing)
        with pytest.raises(OSError, match="the disk is gone"):
            pipeline.run(config)
    left = [name for name in ("run.json", "report.html") if (config.out / name).exists()]
    assert left == ([] if step == "write_record" else ["run.json"])
    again = pipeline.run(config).card
    assert again["data"][0]["fingerprint"] != first.card["data"][0]["fingerprint"]
    assert (config.out / "report.html").is_file()


def test_heads_come_in_the_order_they_were_asked_for(configured):
    for order in ("linear,mlp", "mlp,linear"):
        rows = pipeline.run(configured(heads=order, max_steps=2)).rows
        assert list(dict.fromkeys(row.head for row in rows)) == order.split(",")


def test_another_folder_shares_the_features_and_gives_the_same_results(configured, tmp_path):
    config, elsewhere = configured(), configured(out=tmp_path / "again")
    pipeline.run(config)
    assert pipeline.run(elsewhere).card["encoder_passes"] == 0
    assert results_of(elsewhere) == results_of(config)


def place_of(step):
    """The module whose global name `step` a run uses."""
    homes = {
        "encode": encoded,
        "fit_heads": training,
        "write_head": abstract,
        "write_record": cards,
        "write_thumbnails": judging,
        "spectra": diagnosis,
        "evaluate_on": evaluation,
        "load_head": evaluation,
    }
    return homes.get(step, pipeline)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("step", ["spectra", "find_label_issues", "fit_heads", "write_head", "evaluate_on"])
def test_run_that_fails_leaves_the_one_before_it_as_it_was(configured, blobs, monkeypatch, step):
    config = configured(heads="linear,mlp", max_steps=3)
    pipeline.run(config)

    def files():
        visible = [path for path in config.out.rglob("*") if ".stages" not in path.parts and path.is_file()]
        return {path: path.read_bytes() for path in visible}

    before = files()
    save_blobs(blobs, n=90, seed=7)

    def failing(*arguments, **options):
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(place_of(step), step, failing)
        with pytest.raises(OSError, match="the disk is gone"):
            pipeline.run(config)
    assert files() == before
    pipeline.run(config)
    assert files().keys() == before.keys()
    assert files() != before


STEPS = (
    "open_training", "encode", "spectra", "find_label_issues", "write_thumbnails", "fit_heads", "write_head",
    "load_head", "evaluate_on", "write_record", "write_report",
)  # fmt: skip
OFTEN = ("encode", "fit_heads", "write_head", "evaluate_on")


SMALL = {"heads": "linear,nmtune", "max_steps": 3}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nobody interrupted; read only."""
    folder = tmp_path_factory.mktemp("whole")
    options = options_in(
        folder, save_blobs(folder / "train.npz", **BLOBS), save_blobs(folder / "other.npz", **OTHER)
    )
    return pipeline.run(load_config(RunConfig, options=options | SMALL)).folder


@pytest.mark.slow_but_first
@pytest.mark.parametrize(("step", "call"), [*((step, 1) for step in STEPS), *((step, 2) for step in OFTEN)])
def test_interrupted_run_goes_on_to_the_same_results(configured, whole, monkeypatch, step, call):
    config = configured(**SMALL)
    real, num_calls = getattr(place_of(step), step), 0

    def interrupted(*arguments, **options):
        nonlocal num_calls
        num_calls += 1
        if num_calls == call:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(place_of(step), step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(config)
    monkeypatch.setattr(place_of(step), step, real)
    pipeline.run(config)
    for name in ("results.jsonl", "spectrum.json", "label_issues.parquet"):
        assert (config.out / name).read_bytes() == (whole / name).read_bytes()


def trained(monkeypatch):
    """(kind, seed) of every head that is trained from here on."""
    done, real = [], training.fit_heads

    def spied(heads, *arguments, **options):
        real(heads, *arguments, **options)
        done.extend((type(head).__name__, head.seed) for head in heads)

    monkeypatch.setattr(training, "fit_heads", spied)
    return done


def test_changed_head_redoes_that_head_only(configured, monkeypatch):
    pipeline.run(configured(heads="linear,mlp,nmtune"))
    done = trained(monkeypatch)
    said = []
    changed = {"linear": {}, "mlp": {}, "nmtune": {"weight_svd": 0.5}}
    pipeline.run(configured(heads=changed), say=said.append)
    assert done == [("NMTune", 0), ("NMTune", 1)]
    assert said == [
        "Done again, because settings, data or files changed: head nmtune, evaluate, choice of the head."
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU trains all seeds at once")
def test_interrupted_training_goes_on_after_the_last_finished_seed(configured, monkeypatch):
    config = configured(heads="mlp", seeds=3)
    real = abstract.write_head

    def interrupted(head, path):
        if head.options["seed"] == 2:
            raise KeyboardInterrupt
        return real(head, path)

    with monkeypatch.context() as patched:
        patched.setattr(abstract, "write_head", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(config)
    done = trained(monkeypatch)
    assert list(pipeline.run(config).card["wall_s"]).count("head mlp") == 1
    assert done == [("MLPProbe", 2)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU trains all seeds at once")
def test_more_seeds_train_the_new_mlps_only(configured, monkeypatch):
    pipeline.run(configured(heads="linear,mlp", seeds=1))
    done = trained(monkeypatch)
    result = pipeline.run(configured(heads="linear,mlp", seeds=2))
    assert done == [
        ("LinearProbe", 0),
        ("LinearProbe", 1),
        ("MLPProbe", 1),
    ]  # linear probes share their steps
    assert len(result.rows) == 2 * 2 * 2


def test_another_evaluation_set_trains_nothing_again(configured, other_blobs, monkeypatch):
    pipeline.run(configured(ood=[]))
    monkeypatch.delattr(training, "fit_heads")
    monkeypatch.delattr(pipeline, "find_label_issues")
    assert pipeline.run(configured(ood=[str(other_blobs)])).card["encoder_passes"] == 30


def test_head_that_is_left_out_is_deleted(configured):
    pipeline.run(configured(heads="linear,mlp,nmtune"))
    config = configured(heads="linear")
    said = []
    pipeline.run(config, say=said.append)
    assert {path.name.split("-")[0] for path in (config.out / "heads").iterdir()} == {"linear"}
    assert "Deleted, because no longer part of the results: head mlp, head nmtune." in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU trains all seeds at once")
def test_seed_that_is_left_out_is_deleted(configured):
    pipeline.run(configured(heads="mlp", seeds=2))
    config, said = configured(heads="mlp", seeds=1), []
    pipeline.run(config, say=said.append)
    assert sorted(path.name for path in (config.out / "heads").iterdir()) == [
        "mlp-seed0.json", "mlp-seed0.safetensors",
    ]  # fmt: skip
    assert "Deleted, because no longer part of the results: seed-1-of-mlp." in said


def test_more_labels_noise_does_not_encode_again(configured):
    pipeline.run(configured())
    card = pipeline.run(configured(noise="symmetric:0.4")).card
    assert card["encoder_passes"] == 0
    assert card["data"][0]["label_noise"]["asked_rate"] == pytest.approx(0.4)


def test_result_of_a_head_does_not_depend_on_the_heads_beside_it(configured, tmp_path):
    together, alone = configured(heads="linear,mlp,nmtune"), configured(heads="mlp", out=tmp_path / "alone")
    pipeline.run(together)
    pipeline.run(alone)
    names = [f"heads/mlp-seed{seed}.safetensors" for seed in (0, 1)]
    assert [(together.out / n).read_bytes() for n in names] == [(alone.out / n).read_bytes() for n in names]


def test_true_labels_are_estimated_once_for_all_heads_and_seeds(configured, tmp_path, monkeypatch):
    real, calls = true_labels.true_label_probs, []
    monkeypatch.setattr(true_labels, "true_label_probs", lambda *given: calls.append(given) or real(*given))
    tolerant = {"linear": {"noise_tolerant": True}, "nmtune": {"noise_tolerant": True}}
    together = configured(heads=tolerant, max_steps=3)
    pipeline.run(together)
    assert len(calls) == 1
    alone = configured(heads={"nmtune": tolerant["nmtune"]}, max_steps=3, out=tmp_path / "alone")
    pipeline.run(alone)
    name = "heads/nmtune-seed1.safetensors"
    assert (together.out / name).read_bytes() == (alone.out / name).read_bytes()


def test_given_test_set_is_used_and_nothing_is_held_out(configured, tmp_path):
    test = save_blobs(tmp_path / "test.npz", n=15, seed=3)
    card = pipeline.run(configured(test=str(test))).card
    assert [(part["set"], part["num_examples"]) for part in card["data"]] == [
        ("train.npz", 90),
        ("test.npz", 15),
        ("other.npz", 30),
    ]


def test_evaluation_uses_the_true_labels_where_they_are_known(configured, blobs):
    with np.load(blobs) as archive:
        arrays = dict(archive)
    noisy = (arrays["labels"] + 1) % 3  # every given label is wrong
    np.savez(blobs, **arrays, noisy=noisy)
    thorough = {"linear": {"epochs": 100, "learning_rate": 0.1, "max_steps": None}}
    config = configured(label="noisy", clean_label="labels", noise=None, ood=[], heads=thorough)
    result = pipeline.run(config)
    assert all(row.metrics["accuracy"] < 0.2 for row in result.rows)
    assert result.card["notes"] == []


def test_a_mistake_of_the_loss_is_told_once_for_all_heads(configured):
    wrong = {"loss": "gce", "loss_options": {"q": 7}}
    with pytest.raises(InvalidArgument, match=r"^`loss_options\['q'\]` is 7; allowed: [^\n]*$"):
        pipeline.run(configured(**wrong, heads="linear,mlp,nmtune"))
    config = configured(heads={"linear": wrong, "mlp": wrong, "nmtune": {}})
    with pytest.raises(InvalidArgument, match=r"^`heads\.linear`, `heads\.mlp`: `loss_options[^\n]*$"):
        pipeline.run(config)


def test_note_says_that_the_test_labels_may_be_wrong(configured):
    card = pipeline.run(configured(noise=None, heads="linear")).card
    assert card["notes"] == [
        "The true labels of the evaluation sets are not known: accuracy is against labels as given."
    ]
    assert card["detection"] is None


def test_same_set_named_twice_gets_two_names(configured, other_blobs):
    card = pipeline.run(configured(ood=[str(other_blobs), str(other_blobs)], heads="linear")).card
    assert len({part["set"] for part in card["data"]}) == 4


def test_unknown_head_and_option_are_told_at_once_before_any_work(configured):
    heads = {"nmtun": {}, "mlp": {"epoch": 3}}
    config = configured(heads=heads)
    with pytest.raises(
        InvalidArgument, match=r"(?s)'nmtun'. Did you mean 'nmtune'.*'epoch'. Did you mean 'epochs'"
    ):
        pipeline.run(config)
    assert not config.cache.exists()


def test_value_that_a_head_refuses_is_told_before_any_work(configured):
    config = configured(heads={"mlp": {"dropout": 2}})
    with pytest.raises(InvalidArgument, match=r"(?s)heads.mlp.*dropout.*2"):
        pipeline.run(config)
    assert not config.cache.exists()


def test_head_that_compares_views_needs_two(configured):
    with pytest.raises(
        InvalidArgument, match=r"`heads.nmtune`: `views` is 1; this head compares views. Next: --views 2."
    ):
        pipeline.run(configured(recipe="released"))


def test_folder_in_use_is_refused(configured):
    config = configured()
    with (
        only_process_in(config.out),
        pytest.raises(InvalidArgument, match="another noiseproof is writing to"),
    ):
        pipeline.run(config)


def test_class_that_was_not_trained_on_is_named(configured, tmp_path):
    path = tmp_path / "strange.npz"
    np.savez(path, features=np.ones((4, 8), np.float32), labels=np.arange(4) % 2, class_names=["ant", "dog"])
    with pytest.raises(BadData, match="does not have: dog"):
        pipeline.run(configured(ood=[str(path)]))


def save_photos(folder, size_px=24):
    rng = np.random.default_rng(0)
    for name, base in {"dark": 40, "light": 200}.items():
        (folder / name).mkdir(parents=True)
        for number in range(8):
            pixels = np.clip(base + rng.normal(0, 20, (size_px, size_px, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.slow
def test_images_with_shifts_views_and_thumbnails(configured, tmp_path, monkeypatch):
    learnt_from = []

    def spy(heads, features, labels, *, second_view=None, **options):
        learnt_from.extend([features, second_view])
        return fit_heads(heads, features, labels, second_view=second_view, **options)

    monkeypatch.setattr(training, "fit_heads", spy)
    photos = save_photos(tmp_path / "photos")
    config = configured(
        train=str(photos), ood=[], shifts="blur,noise", views=2, recipe="released", seeds=1, noise=None,
        max_steps=3,
    )  # fmt: skip
    result = pipeline.run(config)
    # all 16 images, two views of the 12 to train on, the 4 held-out ones under two shifts
    assert result.card["encoder_passes"] == 16 + 12 * 2 + 4 * 2
    first, second = learnt_from[:2]
    assert first.shape == second.shape
    assert not np.allclose(first, second)
    assert [part["set"] for part in result.card["data"]] == [
        "photos", "photos (held out)", "photos + blur", "photos + noise",
    ]  # fmt: skip
    entries = json.loads((config.out / "thumbnails.json").read_text())
    assert len(entries) == 16
    with Image.open(config.out / entries[0]["file"]) as thumbnail:
        assert max(thumbnail.size) <= 160
    assert pipeline.run(config).card["encoder_passes"] == 0
