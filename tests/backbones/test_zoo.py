import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_models import images

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.bundled import zoo_cards
from noiseproof.backbones.bundled.zoo_cards import describe, zoo_card, zoo_names
from noiseproof.cli.ls import _backbones
from noiseproof.core.errors import CheckpointMismatch, DamagedFile, OtherSchema, UnknownName
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.features.engines import checked_onnx_engine
from rewritten import rewritten

declare_missing_operators()
pytest.importorskip("timm")
SUPERVISED = [f"resnet8-noise{rate}" for rate in (0, 5, 10, 20, 30, 50)]
PAIRS = [f"resnet8-clip-noise{rate}" for rate in (0, 10, 30)]


def test_the_zoo_is_complete_and_small():
    assert set(zoo_names()) == {*SUPERVISED, *PAIRS, "resnet8-simclr", "resnet8-pacs"}
    sizes = [each.stat().st_size for each in zoo_cards._folder().iterdir()]
    assert len(sizes) == 2 * len(zoo_names())
    assert max(sizes) < 1_500_000
    assert sum(sizes) < 12_000_000


@pytest.mark.parametrize("name", zoo_names())
def test_every_card_says_how_to_make_the_encoder_again(name):
    card = zoo_card(name)
    noise = card.noise
    assert card.command.startswith("noiseproof pretrain ")
    assert noise.realised_rate == pytest.approx(noise.asked_rate, abs=1e-3)
    sizes = (6_882, 765) if name == "resnet8-pacs" else (50_000, 10_000)
    assert (card.train["num_examples"], card.test["num_examples"]) == sizes
    assert len(card.spectrum.singular_values) == card.spectrum.dim == 128
    assert bool(noise.manifest_sha256) == (noise.asked_rate > 0)
    assert "/" not in card.train["name"].removeprefix("cifar10/")


def test_cards_say_what_their_numbers_are_of():
    for name in SUPERVISED:
        assert "bfloat16" in zoo_card(name).notes[0]
    for name in PAIRS[1:]:
        noise = zoo_card(name).noise
        assert 0.9 * noise.asked_rate == pytest.approx(noise.wrong_class_rate, rel=0.03)
    for name in zoo_names():
        card = zoo_card(name)
        notes = [note for note in getattr(card, "notes", ()) if "schema 1" in note]
        assert len(notes) == (card.noise.asked_rate > 0)


@pytest.mark.parametrize("name", SUPERVISED)
def test_names_of_supervised_encoders_tell_their_noise(name):
    rate = int(name.removeprefix("resnet8-noise"))
    assert zoo_card(name).noise.asked_rate == rate / 100


def test_encoders_of_one_kind_differ_in_nothing_but_their_noise():
    for names in (SUPERVISED, PAIRS):
        first = zoo_card(names[0])
        for name in names:
            card = zoo_card(name)
            assert card.settings == first.settings
            assert card.seed == first.seed
            assert card.train == first.train


@pytest.mark.parametrize("name", zoo_names())
def test_every_zoo_encoder_gives_the_same_features_on_both_engines(name):
    pytest.importorskip("onnxruntime")
    backbone = open_backbone(f"zoo:{name}")
    rows = np.stack([backbone.prepare(image) for image in images()])
    assert rows.shape == (3, 32, 32, 3)
    assert backbone.dim == 128
    assert checked_onnx_engine(backbone, rows).agreement < 1e-4


def test_32_pixel_images_reach_the_network_unchanged():
    image = images()[2]
    assert image.size == (32, 32)
    np.testing.assert_array_equal(open_backbone("zoo:resnet8-noise0").prepare(image), np.asarray(image))


def test_different_noise_means_different_weights():
    hashes = {open_backbone(f"zoo:{name}").weights_hash for name in zoo_names()}
    assert len(hashes) == len(zoo_names())


def test_ls_shows_noise_and_accuracy_of_every_encoder():
    lines = [line for line in _backbones() if line.startswith("zoo:")]
    assert len(lines) == len(zoo_names())
    assert all(" % " in line or "accuracy" in line for line in lines)
    assert "20 % symmetric noise, test accuracy" in describe(zoo_card("resnet8-noise20"))


def test_an_unknown_encoder_gets_a_suggestion():
    with pytest.raises(
        UnknownName, match=r"Unknown zoo encoder 'resnet8-noise25'. Did you mean 'resnet8-noise"
    ):
        open_backbone("zoo:resnet8-noise25")


@pytest.fixture
def own_zoo(tmp_path, monkeypatch):
    for suffix in ("json", "safetensors"):
        shutil.copy(str(zoo_cards._folder() / f"resnet8-noise0.{suffix}"), tmp_path)
    monkeypatch.setattr(zoo_cards, "_folder", lambda: tmp_path)
    return tmp_path


def test_weights_that_were_altered_are_refused(own_zoo):
    path = own_zoo / "resnet8-noise0.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DamagedFile, match="its SHA-256 is not the one"):
        open_backbone("zoo:resnet8-noise0")


def test_cards_have_checksums_and_a_changed_one_is_refused(own_zoo):
    assert all("checksum" in json.loads(path.read_text()) for path in own_zoo.glob("*.json"))
    path = own_zoo / "resnet8-noise0.json"
    path.write_text(path.read_text().replace('"asked_rate": 0.0', '"asked_rate": 0.5'))
    with pytest.raises(DamagedFile, match=r"'card of zoo:resnet8-noise0' is damaged: its contents are not"):
        open_backbone("zoo:resnet8-noise0")


def test_a_card_of_a_newer_version_is_refused(own_zoo):
    path = own_zoo / "resnet8-noise0.json"
    rewritten(path, schema=9)
    with pytest.raises(
        OtherSchema,
        match=r"'card of zoo:resnet8-noise0' has schema 9; this .* schema 1. Next: install a newer",
    ):
        open_backbone("zoo:resnet8-noise0")


def test_weights_of_another_architecture_list_missing_and_unexpected_keys(own_zoo):
    path = own_zoo / "resnet8-noise0.json"
    rewritten(path, architecture="test_resnet")
    with pytest.raises(CheckpointMismatch, match=r"missing: conv1.*unexpected: "):
        open_backbone("zoo:resnet8-noise0")


def test_the_document_tells_the_accuracy_of_every_card():
    text = (Path(__file__).resolve().parents[2] / "docs" / "pretraining.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `zoo:")]
    assert len(rows) == len(zoo_names())
    for row in rows:
        name = row.split("`")[1].removeprefix("zoo:")
        _, accuracy = zoo_card(name).result
        assert f"| {100 * accuracy:.1f} %" in row


def test_accuracy_falls_as_noise_rises():
    for names in (SUPERVISED, PAIRS):
        accuracies = [zoo_card(name).result[1] for name in names]
        assert accuracies == sorted(accuracies, reverse=True)
