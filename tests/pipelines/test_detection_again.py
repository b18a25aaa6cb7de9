"""`noiseproof detect` of a finished folder, started again: what it need not do, and what it must notice."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from noiseproof.config.detect import DetectConfig
from noiseproof.config.values import load_config
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.features import lazy_encoder
from noiseproof.pipelines.detect import detect
from tiny_images import image_folder

declare_missing_operators()
timm = pytest.importorskip("timm")
HEAVY = ("torch", "torchvision", "timm", "onnxruntime", "sklearn", "scipy.linalg", "scipy.stats", "pandas")
AGAIN = """
import sys
from noiseproof.cli.main import app
sys.argv = ["noiseproof", "detect", *sys.argv[1:]]
try:
    app()
finally:
    print("loaded:", *[name for name in {heavy} if name in sys.modules])
"""


def write_weights(path: Path, *, seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), path)


@pytest.fixture
def home(tmp_path):
    """A folder of images and the weights of an encoder."""
    image_folder(tmp_path / "images", per_class=8)
    write_weights(tmp_path / "weights.safetensors", seed=0)
    return tmp_path


@pytest.fixture
def start(home):
    """A function that starts `detect`: its result, and what it said."""

    def again(**changed):
        options = {
            "train": str(home / "images"), "out": home / "issues", "cache": home / "cache",
            "backbone": f"timm:test_resnet@{home / 'weights.safetensors'}", "engine": "torch",
            "export": ["cleanlab"],
        }  # fmt: skip
        said = []
        return detect(load_config(DetectConfig, options=options | changed), say=said.append), said

    return again


@pytest.fixture
def no_encoder(monkeypatch):
    """A function after which no encoder can be built."""

    def refuse(name, *, layer):
        raise AssertionError(f"{name} was built")

    return lambda: monkeypatch.setattr(lazy_encoder, "open_backbone", refuse)


def test_a_finished_folder_needs_no_encoder(start, no_encoder):
    first, _ = start()
    no_encoder()
    second, said = start()
    assert said == []
    assert second.card == first.card | {"encoder_passes": 0}
    np.testing.assert_array_equal(second.issues.suspicion, first.issues.suspicion)


def test_a_finished_folder_needs_none_for_other_options_and_labels(start, home, no_encoder):
    start()
    no_encoder()
    assert start(method="neighbours", method_options={"k": 3})[1] == [
        "Done again, because settings, data or files changed: label issues, export cleanlab."
    ]
    assert start(method="neighbours", method_options={"k": 2})[0].issues.method == "neighbours"
    assert start(export=["json"])[0].exports.keys() == {"json"}
    (home / "issues" / "label_issues.parquet").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"label_issues\.parquet' is damaged .* is done again"):
        start(export=["json"])
    assert start(export=["json"])[1] == []


def other_weights(home):
    write_weights(home / "weights.safetensors", seed=1)


def other_pixel(home):
    path = home / "images" / "dark" / "00.png"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(path)


def one_more(home):
    Image.new("RGB", (16, 16)).save(home / "images" / "dark" / "more.png")


def other_label(home):
    (home / "images" / "dark" / "00.png").rename(home / "images" / "light" / "moved.png")


def damaged_features(home):
    (shard,) = (home / "cache").glob("*/part-00000.safetensors")
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.slow_but_first
@pytest.mark.parametrize("change", [other_weights, other_pixel, one_more, other_label, damaged_features])
@pytest.mark.filterwarnings("ignore:The feature file")
def test_what_features_depend_on_is_noticed(start, home, change):
    first, _ = start()
    change(home)
    second, said = start()
    assert second.card["encoder_passes"] == len(second.issues.ids)
    is_new = change is not damaged_features
    assert (second.card["features"]["key"] != first.card["features"]["key"]) == is_new
    assert bool(said) == is_new
    assert start()[0].card["encoder_passes"] == 0


@pytest.mark.parametrize(
    "name", ["label_issues.parquet", "label_issues.json", "cleanlab.csv", "detection.json"]
)
def test_results_that_are_gone_are_made_again(start, home, no_encoder, name):
    start()
    no_encoder()
    good = (home / "issues" / name).read_bytes()
    (home / "issues" / name).unlink()
    start()
    after = (home / "issues" / name).read_bytes()
    assert (
        json.loads(after)["data"] == json.loads(good)["data"] if name == "detection.json" else after == good
    )


def test_a_finished_folder_loads_nothing_heavy(start, home):
    start()
    options = ["--out", home / "issues", "--cache", home / "cache", "--export", "cleanlab"]
    options += ["--backbone", f"timm:test_resnet@{home / 'weights.safetensors'}"]
    done = subprocess.run(
        [sys.executable, "-c", AGAIN.format(heavy=HEAVY), home / "images", *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    *printed, loaded = done.stdout.splitlines()
    assert any(line.startswith("Export cleanlab: ") for line in printed)
    assert loaded.split() == ["loaded:"]
