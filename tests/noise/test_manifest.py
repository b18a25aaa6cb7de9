import numpy as np
import pyarrow.parquet as pq
import pytest

from noiseproof.core.errors import BadData, DamagedFile, MissingFile, OtherSchema
from noiseproof.noise.captions import swap_captions
from noiseproof.noise.kinds import corrupt_labels
from noiseproof.noise.manifest import load_manifest, write_manifest
from rewritten import rewritten

IDS = [f"photos/{i}" for i in range(20)]
OF = {"ids": IDS, "data_name": "photos", "data_fingerprint": "f" * 64}


def noisy_labels(seed=0):
    return corrupt_labels(np.arange(20) % 4, rate=0.3, num_classes=4, seed=seed)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_written_is_read(tmp_path):
    noisy = noisy_labels()
    digest = write_manifest(tmp_path, noisy, **OF, class_names=list("abcd"))
    found = load_manifest(tmp_path)
    assert found.sha256 == digest
    assert len(digest) == 64
    for name in ("given", "clean", "flipped", "transition"):
        assert np.array_equal(getattr(found, name), getattr(noisy, name)), name
    assert found.ids.tolist() == IDS
    assert (found.kind, found.seed, found.data_name) == ("symmetric", 0, "photos")
    assert (found.asked_rate, found.realised_rate) == (0.3, 0.3)
    assert found.data_fingerprint == "f" * 64
    assert found.class_names == ("a", "b", "c", "d")


def test_captions_are_read_back(tmp_path):
    noisy = swap_captions([f"größe {i}" for i in range(20)], rate=0.5, seed=2)
    write_manifest(tmp_path, noisy, **OF)
    found = load_manifest(tmp_path)
    assert found.given.tolist() == noisy.given.tolist()
    assert found.clean.tolist() == noisy.clean.tolist()
    assert found.flipped.tolist() == noisy.swapped.tolist()
    assert (found.kind, found.realised_rate, found.transition) == ("captions", 0.5, None)


def test_no_examples_are_read_back(tmp_path):
    noisy = corrupt_labels([], rate=0.3, num_classes=2, seed=0)
    write_manifest(tmp_path, noisy, **OF | {"ids": []})
    assert len(load_manifest(tmp_path).ids) == 0


def test_same_seed_gives_same_bytes_and_another_seed_replaces_them(tmp_path):
    one = write_manifest(tmp_path / "a", noisy_labels(), **OF)
    assert write_manifest(tmp_path / "b", noisy_labels(), **OF) == one
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert write_manifest(tmp_path / "b", noisy_labels(seed=1), **OF) != one
    assert len(contents(tmp_path / "b")) == 2
    assert load_manifest(tmp_path / "b").seed == 1


@pytest.mark.parametrize("change", ["ids", "data_fingerprint"])
def test_the_hash_covers_of_which_data_it_is(tmp_path, change):
    one = write_manifest(tmp_path / "a", noisy_labels(), **OF)
    value = IDS[::-1] if change == "ids" else "0" * 64
    assert write_manifest(tmp_path / "b", noisy_labels(), **OF | {change: value}) != one


def test_the_hash_does_not_depend_on_how_the_name_was_typed(tmp_path):
    one = write_manifest(tmp_path / "a", noisy_labels(), **OF)
    assert write_manifest(tmp_path / "b", noisy_labels(), **OF | {"data_name": "photos/"}) == one
    assert load_manifest(tmp_path / "b").data_name == "photos/"


def test_labels_are_given_in_the_order_of_the_ids(tmp_path):
    noisy = noisy_labels()
    write_manifest(tmp_path, noisy, **OF)
    found = load_manifest(tmp_path)
    some = np.array(IDS)[[7, 3, 19]]
    assert found.given_for(some).tolist() == noisy.given[[7, 3, 19]].tolist()
    assert found.clean_for(some, data_fingerprint="f" * 64).tolist() == noisy.clean[[7, 3, 19]].tolist()


def test_other_data_are_refused(tmp_path):
    write_manifest(tmp_path, noisy_labels(), **OF)
    found = load_manifest(tmp_path)
    with pytest.raises(BadData, match=r"made for 'photos' with the fingerprint ffff.*this data set has 0000"):
        found.given_for(IDS, data_fingerprint="0" * 64)
    with pytest.raises(BadData, match=r"has no example 'phone/1' \(1 of 2 are not in it\).*'photos/0'"):
        found.given_for(["photos/1", "phone/1"])


@pytest.mark.parametrize("key", ["seed", "kind", "asked_rate", "transition", "data_fingerprint"])
def test_a_header_that_was_changed_is_found(tmp_path, key):
    write_manifest(tmp_path, noisy_labels(), **OF)
    changed = {"seed": 9, "kind": "pair", "asked_rate": 0.2, "transition": np.eye(4).tolist()}.get(key, "0")
    rewritten(tmp_path / "noise.json", **{key: changed})
    with pytest.raises(DamagedFile, match=r"noise.json' is damaged: the SHA-256 of its contents.*Next: "):
        load_manifest(tmp_path)


@pytest.mark.parametrize("column", ["example_id", "given", "clean", "flipped"])
def test_a_table_that_was_changed_is_found(tmp_path, column):
    write_manifest(tmp_path, noisy_labels(), **OF)
    (path,) = tmp_path.glob("*.parquet")
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    turned = table.column(column)[::-1] if column != "flipped" else table.column(column).take([0] * 20)
    pq.write_table(table.set_column(place, column, turned), path)
    with pytest.raises(DamagedFile, match=r"the SHA-256 of its contents and of 'noise-.*parquet' is"):
        load_manifest(tmp_path)


def test_files_that_cannot_be_read_are_damaged(tmp_path):
    write_manifest(tmp_path, noisy_labels(), **OF)
    (path,) = tmp_path.glob("*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DamagedFile, match=r"its table 'noise-.*parquet' cannot be read"):
        load_manifest(tmp_path)
    path.unlink()
    with pytest.raises(DamagedFile, match=r"its table 'noise-.*parquet' cannot be read"):
        load_manifest(tmp_path)
    (tmp_path / "noise.json").write_text("[]")
    with pytest.raises(DamagedFile, match=r"noise.json' is damaged: document: Input should be a valid dict"):
        load_manifest(tmp_path)


@pytest.mark.parametrize("schema", [1, 3])
def test_a_manifest_of_another_version_is_named(tmp_path, schema):
    write_manifest(tmp_path, noisy_labels(), **OF)
    rewritten(tmp_path / "noise.json", schema=schema)
    said = rf"noise.json' has schema {schema}; this version .* reads schema 2. Next: .*make it again"
    with pytest.raises(OtherSchema, match=said):
        load_manifest(tmp_path)


def test_a_folder_without_a_manifest_is_told(tmp_path):
    with pytest.raises(MissingFile, match=r"`noise_manifest` is .* has no noise.json"):
        load_manifest(tmp_path)


def test_ids_have_to_be_unique_and_as_many(tmp_path):
    with pytest.raises(BadData, match="`ids` has 19 rows, the noise 20"):
        write_manifest(tmp_path, noisy_labels(), **OF | {"ids": IDS[1:]})
    with pytest.raises(BadData, match="duplicate ids: 'photos/0'"):
        write_manifest(tmp_path, noisy_labels(), **OF | {"ids": [IDS[0], *IDS[:19]]})
    assert not contents(tmp_path)
