import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from changed import changed
from noiseproof import DeftConfig, open_dataset
from noiseproof.adapt.finetune_settings import FinetuneSettings
from noiseproof.backbones.backbones import open_backbone
from noiseproof.cli.main import app
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, CheckpointMismatch, InvalidArgument
from noiseproof.core.storage.checksums import read_record
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.evaluate.results import read_results
from noiseproof.pipelines.deft import phase1 as phase_one
from noiseproof.pipelines.deft import phase2 as phase_two
from noiseproof.pipelines.deft.deft_inputs import read_scores
from noiseproof.pipelines.deft.flow import deft as deft_aloud
from tiny_clip import tiny_clip
from tiny_images import image_folder

declare_missing_operators()
pytest.importorskip("open_clip")
pytest.importorskip("accelerate")
deft = partial(deft_aloud, quiet=True)
SMALL = {"epochs": 2, "batch_size": 4, "padding": 1}
pytestmark = pytest.mark.filterwarnings("ignore:.*runs on PyTorch, not ONNX Runtime")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders of training and test images, and the model."""
    root = tmp_path_factory.mktemp("deft")
    train, test = image_folder(root / "train"), image_folder(root / "test", per_class=4, seed=1)
    return train, test, tiny_clip(root / "clip")


@pytest.fixture
def config(places, tmp_path, monkeypatch):
    monkeypatch.setenv("NOISEPROOF_CACHE", str(tmp_path / "cache"))
    train, test, model = places
    return DeftConfig(
        train=train, out=tmp_path / "out", model=model, test=test, noise="symmetric:0.25", tune="none",
        **SMALL,
    )  # fmt: skip


@pytest.mark.parametrize("tune", ["none", "vpt-deep:2"])
def test_a_folder_has_prompts_scores_and_card(config, tune):
    card = deft(changed(config, tune=tune))
    assert card == read_record(config.out / "card.json", next_step="")
    frame = pd.read_parquet(config.out / "scores.parquet")
    data = open_dataset(config.train)
    assert frame["example_id"].tolist() == data.ids.tolist()
    truth = np.array(data.class_names)[data.given_labels]
    assert frame["clean_label"].tolist() == truth.tolist()
    assert (frame["given_label"] != frame["clean_label"]).sum() == card["detection"]["num_wrong"] == 6
    assert (frame["is_clean"] == (frame["p_clean"] > 0.5)).all()
    assert card["phase1"]["num_selected"] == frame["is_clean"].sum()
    kept = frame[frame["is_clean"]]
    right = (kept["given_label"] == kept["clean_label"]).mean() if len(kept) else None
    assert card["detection"]["clean_precision"] == pytest.approx(right)
    assert load_file(config.out / "prompts.safetensors")["contexts"].shape == (2, 16, 8)
    assert card["phase1"]["learning"]["mode"] == tune
    learned = 2 * 16 * 8 + (2 * 2 * 16 if tune != "none" else 0)
    assert card["phase1"]["learning"]["parameters"] == learned
    assert card["noise"]["realised_rate"] == 0.25
    assert (config.out / "noise").is_dir()
    assert (config.out / "tuned.safetensors").exists() == (tune != "none")
    assert not (config.out / "checkpoint.safetensors").exists()
    assert [row.head for row in read_results(config.out / "results.jsonl")] == ["prompts"]


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    "tune", ["full", "last-blocks:1", "bias", "lora", "vpt-shallow:2", "adapter:4", "ssf"]
)
def test_the_scores_are_of_the_weights_that_were_saved(config, tune):
    """The file opens as a backbone, and its features with the saved prompts give the saved scores."""
    if tune == "lora":
        pytest.importorskip("peft")
    deft(changed(config, tune=tune, learning_rate=0.1))
    name = config.model.partition("/")[0]
    backbone = open_backbone(f"{name}/{config.out / 'tuned.safetensors'}", layer="projected")
    before = open_backbone(config.model, layer="projected")
    data = open_dataset(config.train)
    pixels = np.stack([backbone.prepare(example) for example in data.examples])
    features = backbone.encode(pixels)
    assert np.abs(features - before.encode(pixels)).max() > 1e-4
    from noiseproof.backbones.image_text.text_towers import open_prompt_tower
    from noiseproof.detect.prompts import score_with

    frame = pd.read_parquet(config.out / "scores.parquet")
    given = np.array([data.class_names.index(each) for each in frame["given_label"]])
    text = open_prompt_tower(config.model, data.class_names)
    contexts = load_file(config.out / "prompts.safetensors")["contexts"]
    found = score_with(contexts, features, given, text, variant="synthetic")
    np.testing.assert_allclose(found.p_clean, frame["p_clean"], atol=1e-5)


@pytest.mark.parametrize("tune", ["none", "vpt-deep:2"])
def test_the_same_seed_gives_the_same_scores_and_another_does_not(config, tmp_path, tune):
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        deft(changed(config, tune=tune, out=tmp_path / name, seed=seed, noise=None))
        found.append(pd.read_parquet(tmp_path / name / "scores.parquet")["p_clean"].to_numpy())
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()


def test_test_labels_change_no_score(config, tmp_path):
    paths = sorted(Path(config.test).glob("*/*.png"))
    labels = [path.parent.name for path in paths]
    found = []
    for name, given in (("right", labels), ("turned", labels[::-1])):
        table = pd.DataFrame({"image": [str(path) for path in paths], "label": given})
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        deft(changed(config, tune="ssf", test=str(tmp_path / f"{name}.csv"), out=tmp_path / name))
        found.append((tmp_path / name / "scores.parquet").read_bytes())
    assert found[0] == found[1]


def test_another_phase_two_does_not_learn_the_prompts_again(config, monkeypatch):
    deft(config)
    monkeypatch.setattr(phase_one, "prompt_scores", None)  # a second call would fail
    card = deft(changed(config, phase2="heads"))
    assert set(card["results"]) == {"prompts", "heads-all", "heads-selected", "heads-relabelled"}
    assert deft(changed(config, phase2="heads")) == card
    with pytest.raises(CheckpointMismatch, match=r"other settings \(.*seed"):
        deft(changed(config, seed=1))


def selection(config, monkeypatch, choose):
    """Let phase 1 select what `choose` says of the row numbers."""
    real = phase_one.prompt_scores

    def chosen(*values, **options):
        scores = real(*values, **options)
        return replace(scores, is_clean=choose(np.arange(len(scores.is_clean))))

    monkeypatch.setattr(phase_one, "prompt_scores", chosen)


@pytest.mark.slow
def test_full_tuning_of_phase_two_reads_selected_examples_only(config, monkeypatch):
    selection(config, monkeypatch, lambda rows: rows % 3 > 0)
    seen = {}
    real = phase_two.prepare_finetuning

    def observed(own, accelerator, parts, **options):
        seen[Path(own.out).name.partition("-")[0]] = parts.train.dataset.ids.tolist()
        return real(own, accelerator, parts, **options)

    monkeypatch.setattr(phase_two, "prepare_finetuning", observed)
    brief = FinetuneSettings(epochs=1, batch_size=4, padding=1, validation=0.2)
    full = changed(config, phase2="full", phase2_backbone="zoo:resnet8-noise20", phase2_settings=brief)
    card = deft(full)
    frame = pd.read_parquet(config.out / "scores.parquet")
    assert seen["selected"] == frame["example_id"][frame["is_clean"]].tolist()
    assert seen["all"] == frame["example_id"].tolist()
    (folder,) = (config.out / "phase2").glob("selected-*")
    inner = json.loads((folder / "card.json").read_text())
    assert inner["train"]["num_examples"] + inner["validation"]["num_examples"] == 16
    assert {"full-all-best", "full-all-last", "full-selected-best", "full-selected-last"} < set(
        card["results"]
    )
    assert card["phase2"]["backbone"] == "zoo:resnet8-noise20"
    deft(changed(full, phase2_settings=brief.model_copy(update={"learning_rate": 0.01})))
    assert len(list((config.out / "phase2").glob("selected-*"))) == 2  # the first is not lost


def test_heads_of_phase_two_learn_from_the_selected_labels(config, monkeypatch):
    """Only rows whose label is right are selected, so labels that were turned cannot be learned."""
    data = open_dataset(config.train)
    turned = changed(config, noise=None, phase2="heads")
    real = phase_two.LinearProbe.fit
    seen = []

    def observed(self, features, labels):
        seen.append((len(features), labels.tolist()))
        return real(self, features, labels)

    monkeypatch.setattr(phase_two.LinearProbe, "fit", observed)
    selection(turned, monkeypatch, lambda rows: rows % 2 == 0)
    deft(turned)
    assert [count for count, _ in seen] == [24, 12, 24]
    assert seen[1][1] == data.given_labels[::2].tolist()


def test_a_selection_without_two_classes_is_told_after_the_scores_are_written(config, monkeypatch):
    selection(config, monkeypatch, lambda rows: rows < 0)
    with pytest.raises(
        BadData, match="Phase 1 selected 0 of 24 labels, which leaves 0 classes with at least 1"
    ):
        deft(changed(config, phase2="heads"))
    assert not pd.read_parquet(config.out / "scores.parquet")["is_clean"].any()
    assert not (config.out / "card.json").exists()
    assert deft(config)["phase1"]["num_selected"] == 0


def test_a_class_with_too_few_selected_is_left_out_of_phase_two_and_said(tmp_path, config, monkeypatch):
    paths = sorted(Path(config.train).glob("*/*.png"))
    names = [("sea", path.parent.name)[number % 3 > 0] for number, path in enumerate(paths)]
    table = pd.DataFrame({"image": [str(path) for path in paths], "label": names})
    table.to_csv(tmp_path / "t.csv", index=False)
    own = changed(
        config,
        train=str(tmp_path / "t.csv"),
        test=None,
        label="label",
        phase2="heads",
        noise=None,
    )
    is_sea = np.array(names) == "sea"
    ids = pd.Series(is_sea, index=open_dataset(own.train, label="label").ids)
    real = phase_one.prompt_scores

    def chosen(features, labels, tower, **options):
        scores = real(features, labels, tower, **options)
        return replace(scores, is_clean=labels != list(tower.class_names).index("sea"))

    monkeypatch.setattr(phase_one, "prompt_scores", chosen)
    card = deft(own)
    assert any("no example of 1 class " in note and "sea" in note for note in card["notes"])
    frame = pd.read_parquet(own.out / "scores.parquet")
    assert not frame["is_clean"][ids[frame["example_id"]].to_numpy()].any()


def test_a_class_that_no_label_names_is_refused(tmp_path, config):
    paths = sorted(Path(config.train).glob("*/*.png"))
    truth = ["sea" if number == 0 else path.parent.name for number, path in enumerate(paths)]
    given = [path.parent.name for path in paths]
    table = pd.DataFrame({"image": [str(path) for path in paths], "given": given, "truth": truth})
    table.to_csv(tmp_path / "t.csv", index=False)
    own = changed(
        config, train=str(tmp_path / "t.csv"), test=None, label="given", clean_label="truth", noise=None,
    )  # fmt: skip
    with pytest.raises(BadData, match="never among those given: sea"):
        deft(own)


def test_a_mask_belongs_to_ids_and_not_to_places(config, tmp_path):
    deft(config)
    data = open_dataset(config.train)
    frame = pd.read_parquet(config.out / "scores.parquet")
    shuffled = tmp_path / "shuffled.parquet"
    frame.sample(frac=1, random_state=0).to_parquet(shuffled)
    found, expected = read_scores(shuffled, data), read_scores(config.out / "scores.parquet", data)
    for name in ("p_clean", "is_clean", "suggested"):
        assert (getattr(found, name) == getattr(expected, name)).all()
    with pytest.raises(BadData, match="has no score of 4 examples"):
        read_scores(shuffled, open_dataset(image_folder(tmp_path / "other", per_class=14, seed=2)))


def test_what_cannot_work_is_refused_before_any_work(config, tmp_path):
    with pytest.raises(InvalidArgument, match="no text tower"):
        deft(changed(config, model="timm:resnet18"))
    data = {"train": config.train, "out": config.out}
    with pytest.raises(InvalidArgument, match="`phase2` is 'full', which needs `phase2_backbone`: timm:NAME"):
        load_config(DeftConfig, options=data | {"phase2": "full"})
    with pytest.raises(InvalidArgument, match="`phase2` is 'half'; allowed: 'none', 'heads' or 'full'"):
        load_config(DeftConfig, options=data | {"phase2": "half"})
    names = tmp_path / "same"
    image_folder(names)
    (names / "light").rename(names / "Dark")
    with pytest.raises(BadData, match="which read the same"):
        deft(changed(config, train=str(names), test=None))
    assert not (config.out / "phase1.json").exists()


def test_the_command_line_tells_what_was_selected(config):
    said = CliRunner().invoke(
        app,
        ["adapt", "deft", config.train, "--test", config.test, "--model", config.model, "--out",
         str(config.out), "--tune", "none", "--epochs", "1", "--noise", "symmetric:0.25",
         "--phase2", "heads", "--set", "batch_size=8"],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "of 24 labels as right (tune: none)" in said.output
    assert "heads-selected" in said.output
    assert "Against the truth (25.0 % wrong)" in said.output
    assert torch.isfinite(load_file(config.out / "prompts.safetensors")["contexts"]).all()
