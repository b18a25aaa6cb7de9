"""An encoder is built only where an example has to go through it, and whatever changes in it is noticed."""

import json
import os
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_encoders import matrix_dataset, squares

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.bundled import zoo_cards
from noiseproof.backbones.weight_files import weight_files
from noiseproof.core.errors import CannotWrite, InvalidArgument, MissingFile, UnknownName
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.features import lazy_encoder
from noiseproof.features.extract import extract
from noiseproof.features.lazy_encoder import LazyEncoder
from rewritten import rewritten

declare_missing_operators()
timm = pytest.importorskip("timm")
OPTIONS = {"batch_size": 4, "engine": "torch", "precision": "float32", "dtype": "float32"}


def write_checkpoint(path, *, seed: int, **metadata_of_file: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = timm.create_model("test_resnet", pretrained=False)
    save_file(model.state_dict(), path, metadata=metadata_of_file)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_checkpoint(path, seed=0)
    return path


@pytest.fixture
def start(tmp_path, checkpoint, monkeypatch):
    """A function that starts again: features of a data set by the encoder, and how often it was built."""

    def again(*, name=f"timm:test_resnet@{checkpoint}", layer=None, dataset=None, **options):
        built = []

        def counting(name, **options):
            built.append(name)
            return open_backbone(name, **options)

        with monkeypatch.context() as patch:
            patch.setattr(lazy_encoder, "open_backbone", counting)
            store = tmp_path / "store"
            encoder = LazyEncoder(name, layer=layer, store=store)
            return encoder.features(dataset or squares(6), store=store, **OPTIONS | options), len(built)

    return again


def record(tmp_path) -> Path:
    (path,) = (tmp_path / "store" / ".encoders").glob("*.json")
    return path


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("timm", None),
        ("zoo:resnet8-noise0", None),
        ("zoo:resnet8-noise0", "pooled"),
        pytest.param("bundled:lite0-minilm", None, marks=pytest.mark.slow),
    ],
)
def test_finished_features_are_found_without_building_the_encoder(start, tmp_path, checkpoint, name, layer):
    name = f"timm:test_resnet@{checkpoint}" if name == "timm" else name
    first, built = start(name=name, layer=layer)
    assert (built, first.num_encoded) == (1, 6)
    second, built = start(name=name, layer=layer)
    assert (built, second.num_encoded) == (0, 0)
    expected = extract(squares(6), open_backbone(name, layer=layer), store=tmp_path / "other", engine="torch")
    assert second.manifest.components == first.manifest.components == expected.manifest.components
    np.testing.assert_array_equal(second.features, expected.features)
    recorded = LazyEncoder(name, layer=layer, store=tmp_path / "store").identity
    assert recorded == open_backbone(name, layer=layer).identity


def test_a_store_of_before_gets_its_record_with_its_features(start, tmp_path, checkpoint):
    encoder = open_backbone(f"timm:test_resnet@{checkpoint}")
    before = extract(squares(6), encoder, store=tmp_path / "store", engine="torch")
    assert [built for _, built in (start(), start())] == [1, 0]
    assert start()[0].path == before.path


def test_other_weights_under_the_same_name_size_and_time_are_noticed(start, checkpoint):
    first, _ = start()
    stat = checkpoint.stat()
    write_checkpoint(checkpoint, seed=1)
    os.utime(checkpoint, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert checkpoint.stat().st_size == stat.st_size
    other, built = start()
    assert (built, other.num_encoded) == (1, 6)
    assert other.manifest.key != first.manifest.key
    write_checkpoint(checkpoint, seed=0)
    again, built = start()
    assert (built, again.manifest.key) == (0, first.manifest.key)


def test_another_preprocessing_of_the_same_weights_is_noticed(start, checkpoint):
    first, _ = start()
    write_checkpoint(checkpoint, seed=0, noiseproof=json.dumps({"preprocessing": {"image_size": 96}}))
    other, built = start()
    assert (built, other.num_encoded) == (1, 6)
    parts, others = first.manifest.components, other.manifest.components
    assert {name for name in parts if parts[name] != others[name]} == {"transform"}


def test_a_packed_encoder_is_known_by_its_card_and_its_weights(start, tmp_path):
    folder = Path(str(zoo_cards._folder()))
    for suffix in (".json", ".safetensors"):
        (tmp_path / f"mine{suffix}").write_bytes((folder / f"resnet8-noise0{suffix}").read_bytes())
    name = f"zoo:{tmp_path / 'mine'}"
    first, _ = start(name=name)
    assert start(name=name)[1] == 0
    preprocessing = json.loads((tmp_path / "mine.json").read_text())["preprocessing"]
    rewritten(tmp_path / "mine.json", preprocessing=preprocessing | {"image_size": 48})
    other, built = start(name=name)
    assert (built, other.num_encoded) == (1, 6)
    assert other.manifest.key != first.manifest.key


@pytest.mark.parametrize("upgraded", ["timm", "torch", "torchvision", "noiseproof", "code"])
def test_after_an_upgrade_the_encoder_is_built_once_and_its_features_are_found(start, monkeypatch, upgraded):
    first, _ = start()
    if upgraded == "noiseproof":
        monkeypatch.setattr(lazy_encoder, "__version__", "99.0")
    elif upgraded == "code":
        monkeypatch.setattr(lazy_encoder, "_code_hash", lambda: "another")
    else:
        real = metadata.version
        monkeypatch.setattr(metadata, "version", lambda name: "99.0" if name == upgraded else real(name))
    second, built = start()
    assert (built, second.num_encoded, second.path) == (1, 0, first.path)
    assert start()[1] == 0


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": 99}', '{"name": "timm:test_resnet"}'])
def test_a_damaged_record_is_made_again(start, tmp_path, content):
    first, _ = start()
    good = record(tmp_path).read_bytes()
    record(tmp_path).write_text(content)
    second, built = start()
    assert (built, second.num_encoded, second.path) == (1, 0, first.path)
    assert record(tmp_path).read_bytes() == good
    assert start()[1] == 0


def test_a_record_that_is_wrong_misleads_to_other_features_and_never_to_wrong_ones(start, tmp_path):
    first, _ = start()
    rewritten(record(tmp_path), weights_hash="f" * 64)
    second, built = start()
    assert (built, second.num_encoded, second.path) == (1, 0, first.path)
    assert start()[1] == 0


def test_a_damaged_shard_is_encoded_again(start):
    first, _ = start()
    shard = first.path / "part-00000.safetensors"
    good = shard.read_bytes()
    shard.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.warns(UserWarning, match="is damaged and made again"):
        second, built = start()
    assert (built, second.num_encoded) == (1, 6)
    assert shard.read_bytes() == good


def test_other_examples_are_encoded(start):
    start()
    other = squares(7, fingerprint="other")
    assert [
        (built, stored.num_encoded) for stored, built in (start(dataset=other), start(dataset=other))
    ] == [
        (1, 7),
        (0, 0),
    ]


def test_random_crops_are_found_by_the_encoder_itself(start):
    crops = replace(squares(6), is_cropped=True)
    start()
    assert start(dataset=crops)[0].num_encoded == 6
    second, built = start(dataset=crops)
    assert (built, second.num_encoded) == (1, 0)
    assert second.manifest.components["transform"].startswith("resize to ")


def test_weights_that_change_while_they_are_read_are_not_recorded(tmp_path, checkpoint, monkeypatch):
    def slow(name, **options):
        opened = open_backbone(name, **options)
        write_checkpoint(checkpoint, seed=1)
        return opened

    monkeypatch.setattr(lazy_encoder, "open_backbone", slow)
    store = tmp_path / "store"
    encoder = LazyEncoder(f"timm:test_resnet@{checkpoint}", layer=None, store=store)
    encoder.features(squares(6), store=store, **OPTIONS)
    assert not (store / ".encoders").exists()


def test_a_store_without_room_for_a_record_is_used_all_the_same(start, monkeypatch):
    def refuse(path, value):
        raise CannotWrite("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(lazy_encoder, "write_record", refuse)
        assert [start()[0].num_encoded for _ in range(2)] == [6, 0]
    assert [start()[1] for _ in range(2)] == [1, 0]


def test_options_and_kind_are_checked_where_everything_is_finished_too(start):
    start()
    with pytest.raises(InvalidArgument, match="`batch_size` is 0; allowed: a whole number from 1"):
        start(batch_size=0)
    with pytest.raises(UnknownName, match="Unknown dtype 'float61'"):
        start(dtype="float61")
    with pytest.raises(InvalidArgument, match="allowed: one that reads features examples"):
        start(dataset=matrix_dataset(np.ones((3, 2))))
    with pytest.warns(UserWarning, match="`engine` is 'onnxruntime', but .* were made before by torch"):
        start(engine="onnxruntime")


def test_what_cannot_be_opened_is_refused_at_once(start, checkpoint):
    start()
    checkpoint.unlink()
    with pytest.raises(MissingFile, match="does not exist"):
        start()
    with pytest.raises(UnknownName, match="Unknown zoo encoder 'resnet9'"):
        start(name="zoo:resnet9")
    with pytest.raises(UnknownName, match="Unknown layer 'projected'"):
        start(name="zoo:resnet8-noise0", layer="projected")
    with pytest.raises(UnknownName, match="Unknown backbone 'resnet50'"):
        start(name="resnet50")


def test_files_decide_only_what_they_decide_alone(checkpoint, monkeypatch):
    known = ["timm:test_resnet@w.pt", "timm:resnet8_32px@w.pt", "zoo:resnet8-noise0", "bundled:lite0-minilm"]
    assert [len(weight_files(name) or ()) for name in known] == [1, 1, 2, 3]
    unknown = ["timm:resnet50", "open_clip:ViT-B-32/w.safetensors", "features:", "timm:hf-hub:a/b@w.pt"]
    assert [weight_files(name) for name in unknown] == [None] * len(unknown)

    def mine(pretrained=False):
        raise AssertionError

    monkeypatch.setitem(timm.models._registry._model_entrypoints, "mine", mine)
    assert weight_files("timm:mine@w.pt") is None
    monkeypatch.setitem(timm.models._registry._model_entrypoints, "test_resnet", mine)
    assert weight_files(f"timm:test_resnet@{checkpoint}") is None
    monkeypatch.delitem(sys.modules, "timm")
    assert weight_files("timm:resnet50@w.pt") == [Path("w.pt")]
