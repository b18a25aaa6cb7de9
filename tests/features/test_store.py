import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from tiny_encoders import CountingBackbone, squares

from noiseproof.core.errors import DamagedFile, InvalidArgument, MissingFile, OtherSchema
from noiseproof.features import shards
from noiseproof.features.extract import extract
from noiseproof.features.shards import open_shard, write_shard
from noiseproof.features.store import load_features
from rewritten import rewritten

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.fixture
def stored(tmp_path):
    return extract(squares(11), CountingBackbone(), store=tmp_path / "store", shard_rows=4, quiet=True)


def flipped(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)


def flip_feature(stored):
    """One bit of a feature of the second shard."""
    path, row = stored.path / "part-00001.safetensors", np.array(stored.features[5])
    flipped(path, path.read_bytes().index(row.tobytes()) + 3)


@given(
    ids=st.one_of(
        st.lists(TEXT, min_size=1, max_size=5),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5),
    ),
    dtype=st.sampled_from([np.float16, np.float32]),
)  # fmt: skip
def test_a_shard_gives_back_what_was_written(tmp_path_factory, ids, dtype):
    path = tmp_path_factory.mktemp("shard") / "part-00000.safetensors"
    features = np.random.default_rng(0).standard_normal((len(ids), 3)).astype(dtype)
    write_shard(path, features, np.array(ids), {"key": "k"})
    shard = open_shard(path)
    np.testing.assert_array_equal(shard.features, features)
    assert shard.features.dtype == dtype
    assert shard.ids.tolist() == ids
    assert shard.is_intact()
    np.testing.assert_array_equal(load_file(path)["features"], features)  # anybody's reader can open it


def test_loading_from_the_store_or_from_the_folder_of_the_key(stored):
    for path in (stored.path, stored.path.parent, str(stored.path)):
        loaded = load_features(path, verify=True)
        np.testing.assert_array_equal(loaded.features, stored.features)
        assert loaded.ids.tolist() == squares(11).ids.tolist()
        assert (len(loaded), loaded.num_encoded) == (11, 0)


def test_loaded_features_are_mapped_and_cannot_be_changed(stored):
    rows = load_features(stored.path).features[1:3]
    with pytest.raises(ValueError, match="read-only"):
        rows[0] = 0


def test_several_sets_are_listed(stored):
    extract(squares(11), CountingBackbone(name="another"), store=stored.path.parent, quiet=True)
    with pytest.raises(InvalidArgument, match="one of these:\n") as caught:
        load_features(stored.path.parent)
    assert "squares by another" in str(caught.value)
    assert f"{stored.path}: squares by counting" in str(caught.value)


def test_nothing_there_and_nothing_finished_are_told_apart(stored, tmp_path):
    with pytest.raises(MissingFile, match=r"which does not exist; .* Next: 'noiseproof extract"):
        load_features(tmp_path / "nowhere")
    (stored.path / "manifest.json").unlink()
    with pytest.raises(MissingFile, match=r"no finished features; .* Next: start the extraction again"):
        load_features(stored.path.parent)


def test_a_shard_that_is_gone_or_of_another_size_is_named(stored):
    shard = stored.path / "part-00001.safetensors"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(
        DamagedFile, match=r"part-00001.safetensors' is damaged: it has \d+ bytes, the manifest"
    ):
        load_features(stored.path)
    shard.unlink()
    with pytest.raises(DamagedFile, match=r"part-00001.safetensors' is damaged: it is missing"):
        load_features(stored.path)


def test_a_changed_byte_is_found_by_verifying(stored):
    flip_feature(stored)
    load_features(stored.path)
    with pytest.raises(DamagedFile, match=r"part-00001.safetensors' is damaged: its checksum is not that"):
        load_features(stored.path, verify=True)


def test_a_damaged_header_is_found_at_once(stored):
    shard = stored.path / "part-00001.safetensors"
    content = bytearray(shard.read_bytes())
    content[9] ^= 0xFF
    shard.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"part-00001.safetensors' is damaged"):
        load_features(stored.path)


def test_a_shard_of_other_features_is_found(stored, tmp_path):
    other = extract(
        squares(11, fingerprint="other!"), CountingBackbone(), store=tmp_path / "b", shard_rows=4, quiet=True
    )
    shutil.copy(other.path / "part-00001.safetensors", stored.path)
    with pytest.raises(
        DamagedFile, match=r"part-00001.safetensors' is damaged: it belongs to other features"
    ):
        load_features(stored.path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda manifest: manifest.pop("dim"), "dim: Field required"),
        (lambda manifest: manifest.update(dim=6), "promises another shape"),
        (
            lambda manifest: manifest["components"].update(backbone="x"),
            "its key is not that of its components",
        ),
    ],
    ids=["incomplete", "another shape", "another backbone"],
)
def test_a_manifest_that_contradicts_itself_is_named(stored, change, reason):
    manifest = stored.manifest.to_json()
    change(manifest)
    (stored.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedFile, match=rf"manifest.json' is damaged: .*{reason}"):
        load_features(stored.path)


def test_a_manifest_without_a_schema_is_read_and_one_of_a_newer_schema_is_refused(stored):
    path, manifest = stored.path / "manifest.json", stored.manifest.to_json()
    assert manifest.pop("schema") == 1
    path.write_text(json.dumps(manifest))
    assert load_features(stored.path).manifest == stored.manifest
    path.write_text(json.dumps(manifest | {"schema": 2}))
    with pytest.raises(
        OtherSchema,
        match=r"has schema 2; this version .* reads schema 1. Next: install a newer noiseproof, or run the",
    ):
        load_features(stored.path)


def test_no_labels_are_stored(stored):
    names = {name for path in stored.path.glob("part-*") for name in load_file(path)}
    assert names == {"features", "ids_utf8", "ids_ends"}
    assert not any("label" in name for name in stored.manifest.to_json())


def test_a_flipped_bit_is_found_when_the_first_row_of_its_shard_is_read(stored):
    flip_feature(stored)
    opened = load_features(stored.path)
    assert opened.features[:4].tobytes() == np.asarray(stored.features)[:4].tobytes()  # of the first shard
    for read in (np.asarray, lambda features: features[[0, 5]], lambda features: features.rows([9, 5])[0:2]):
        with pytest.raises(DamagedFile, match=r"part-00001.safetensors' is damaged: its checksum.*Next: run"):
            read(opened.features)


def test_a_shard_is_compared_once(stored, monkeypatch):
    hashed = []
    real = shards.hash_file
    monkeypatch.setattr(shards, "hash_file", lambda path: hashed.append(path.name) or real(path))
    features = load_features(stored.path).features
    assert hashed == []
    for _ in range(3):
        np.asarray(features)
    assert hashed == [path.name for path in sorted(stored.path.glob("part-*"))]
    np.asarray(load_features(stored.path, verify=True).features)
    assert len(hashed) == len(set(hashed))  # verified when it was opened, by the store


def test_a_changed_id_is_found_when_the_features_are_opened(stored):
    path = stored.path / "part-00001.safetensors"
    flipped(path, path.read_bytes().index(b"square-5"))
    with pytest.raises(DamagedFile, match=r"part-00001.safetensors' is damaged: its checksum"):
        load_features(stored.path)


def test_a_manifest_of_before_without_hashes_of_ids_compares_whole_shards_at_once(stored):
    entries = [each.model_dump() | {"ids_sha256": None} for each in stored.manifest.shards]
    rewritten(stored.path / "manifest.json", shards=entries)
    assert load_features(stored.path).ids.tolist() == stored.ids.tolist()
    flip_feature(stored)
    with pytest.raises(DamagedFile, match=r"part-00001.safetensors' is damaged: its checksum"):
        load_features(stored.path)
