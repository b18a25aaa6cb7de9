"""A damaged file is refused by name, made again with a warning, or without effect."""

import os

import pytest
from flips import FINE, KINDS, REFUSED, SAME, WARNED, damages, outcome, try_damages

COUNT = int(os.environ.get("NOISEPROOF_FLIPS", "9"))  # of each kind of file
TRAININGS = ("checkpoint of a training", "log of a training")  # a quarter of a second each


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a kind, made once for all of its files."""
    folders = {}

    def make(kind):
        if kind.make not in folders:
            folders[kind.make] = tmp_path_factory.mktemp("made") / "whole"
            folders[kind.make].mkdir()
            kind.make(folders[kind.make])
        return folders[kind.make]

    return make


@pytest.mark.parametrize("title", KINDS)
def test_damage_is_noticed_or_without_effect(made, tmp_path, title):
    if title in TRAININGS:
        pytest.importorskip("accelerate")
    count = COUNT // 2 if title in TRAININGS else COUNT
    found = try_damages(KINDS[title], made(KINDS[title]), tmp_path, count=count)
    assert len(found) == count
    assert [(what, result) for what, result in found if result not in FINE] == []


def test_single_bits_are_flipped_and_ends_are_cut():
    content = bytes(range(100))
    found = dict(damages(content, 30, seed=0))
    assert [len(each) for each in list(found.values())[:3]] == [0, 50, 99]
    flips = list(found.values())[3:]
    assert len(flips) == 27
    for each in flips:
        (place,) = (k for k in range(100) if each[k] != content[k])
        assert (each[place] ^ content[place]).bit_count() == 1


def test_what_is_not_noticed_is_found(tmp_path):
    """The harness itself: a reader that believes everything, one that raises anything, one that warns."""
    import warnings
    from dataclasses import replace

    kind = replace(
        KINDS["file of a stage"], make=lambda folder: None, use=lambda f: (f / "a.txt").read_bytes()
    )
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "a.txt").write_bytes(b"ab")

    def result(use, content):
        return outcome(replace(kind, use=use), whole, content, tmp_path, b"ab")

    def warning(folder):
        warnings.warn("a.txt is damaged", stacklevel=1)
        return b"ab"

    assert result(kind.use, b"ab") == SAME
    assert result(kind.use, b"aB").startswith("CHANGED")
    assert result(lambda folder: 1 / 0, b"aB").startswith("ZeroDivisionError")
    assert result(warning, b"aB") == WARNED
    assert REFUSED in FINE


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.safetensors", "training.json", "validation.jsonl", "results.jsonl"])
def test_a_damaged_result_of_a_finished_training_is_made_again(tmp_path, name):
    from noiseproof.core.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    pytest.importorskip("timm")
    pytest.importorskip("accelerate")
    from noiseproof import FinetuneConfig, finetune
    from tiny_images import image_folder

    train, test = image_folder(tmp_path / "train"), image_folder(tmp_path / "test", per_class=4, seed=1)
    config = FinetuneConfig(
        train=train, test=test, out=tmp_path / "out", backbone="zoo:resnet8-noise20", epochs=1, batch_size=8,
        padding=1, validation=0.2,
    )  # fmt: skip
    results = finetune(config, quiet=True)["results"]
    path, model = config.out / name, (config.out / "model.safetensors").read_bytes()
    content = path.read_bytes()
    path.write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])
    with pytest.warns(UserWarning, match=rf"{name}' is damaged or was edited: .* is done again"):
        again = finetune(config, quiet=True)["results"]
    assert again == results
    assert (config.out / "model.safetensors").read_bytes() == model
