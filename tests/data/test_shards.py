import gzip
import io
import tarfile

import numpy as np
import pytest
from tiny_sources import COLOURS, make_tar

from noiseproof.core.errors import BadData
from noiseproof.data.sources import open_dataset


def rewritten(folder, keep):
    """The first shard with only the members that `keep` lets through."""
    path = sorted((folder / "shards").glob("*.tar"))[0]
    with tarfile.open(path) as archive:
        members = [(each, archive.extractfile(each).read()) for each in archive if keep(each.name)]
    with tarfile.open(path, "w") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return str(folder / "shards")


def test_images_and_captions_of_two_shards_are_read(tmp_path):
    dataset = open_dataset(make_tar(tmp_path, labels=("a red one", "green", "blue", "green")))
    assert dataset.ids.tolist() == ["00000/000000", "00000/000001", "00001/000002", "00001/000003"]
    captions = np.array(dataset.class_names)[dataset.given_labels]
    assert captions.tolist() == ["a red one", "green", "blue", "green"]
    assert [dataset.examples[row].getpixel((0, 0)) for row in range(4)] == list(COLOURS)


def test_one_shard_is_a_data_set_too(tmp_path):
    make_tar(tmp_path)
    assert len(open_dataset(str(tmp_path / "shards" / "00001.tar"))) == 2


def test_ids_and_fingerprint_are_those_a_manifest_is_made_for(tmp_path):
    from noiseproof.data.pairs.pairs import open_pairs

    name = make_tar(tmp_path)
    dataset, scan = open_dataset(name), open_pairs(name).scan()
    assert dataset.ids.tolist() == scan.ids.tolist()
    assert dataset.fingerprint == scan.fingerprint


def test_an_example_without_an_image_is_named(tmp_path):
    make_tar(tmp_path)
    with pytest.raises(BadData, match=r"000001' of .* has no image file"):
        open_dataset(rewritten(tmp_path, lambda name: name != "000001.png"))


def test_a_compressed_shard_is_refused_with_advice(tmp_path):
    make_tar(tmp_path)
    path = tmp_path / "shards" / "00000.tar"
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(BadData, match=r"cannot be read by offset.*gunzip"):
        open_dataset(str(path))
