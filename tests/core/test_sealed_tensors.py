import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from noiseproof.core.errors import DamagedFile
from noiseproof.core.storage.sealed_tensors import (
    hash_tensors,
    read_sealed_header,
    read_sealed_tensors,
    write_sealed_tensors,
)

AGAIN = {"next_step": "make it again"}
TENSORS = {
    "halves": torch.arange(6, dtype=torch.bfloat16).reshape(2, 3), "empty": torch.zeros(0, 4),
    "number": torch.tensor(3), "is_on": torch.tensor([True, False]),
    "image": torch.arange(24.0).reshape(1, 3, 2, 4).to(memory_format=torch.channels_last),
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    write_sealed_tensors(tmp_path / "a.safetensors", TENSORS, {"step": 3})
    return tmp_path / "a.safetensors"


def test_tensors_and_header_come_back(path):
    header, tensors = read_sealed_tensors(path, **AGAIN)
    assert header == read_sealed_header(path, **AGAIN) == {"step": 3}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
    assert all(tensors[name].dtype == value.dtype for name, value in TENSORS.items())


def test_the_same_tensors_give_the_same_bytes_in_any_order(path, tmp_path):
    write_sealed_tensors(tmp_path / "b.safetensors", dict(reversed(TENSORS.items())), {"step": 3})
    assert (tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


def test_the_hash_is_over_names_types_shapes_and_bytes():
    one = {"a": torch.zeros(2, 3)}
    others = [{"b": one["a"]}, {"a": one["a"].int()}, {"a": one["a"].T}, {"a": one["a"] - 0.0}]
    assert len({hash_tensors(each) for each in (one, *others[:3])}) == 4
    assert hash_tensors(others[3]) == hash_tensors(one)


def test_files_of_others_have_no_header(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", metadata={"format": "pt"})
    header, tensors = read_sealed_tensors(tmp_path / "a.safetensors", **AGAIN)
    assert header == {}
    assert tensors["a"].tolist() == [1, 1]


def test_every_changed_bit_of_the_data_is_refused(path):
    content = path.read_bytes()
    begin = 8 + struct.unpack("<Q", content[:8])[0]
    for place in range(begin, len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        with pytest.raises(DamagedFile, match=r"a.safetensors' is damaged: .*Next: make it again\."):
            read_sealed_tensors(path, **AGAIN)


@pytest.mark.parametrize("entry", ["oiseproof", "noiseproof"])
def test_a_header_that_is_not_as_it_was_is_refused(entry, path):
    text = json.dumps({"step": 4, "tensors_sha256": hash_tensors(TENSORS), "checksum": "0" * 16})
    save_file(load_file(path), path, metadata={entry: text})
    for read in (read_sealed_tensors, read_sealed_header):
        with pytest.raises(DamagedFile, match=r"a.safetensors' is damaged: .*Next: make it again\."):
            read(path, **AGAIN)


@pytest.mark.parametrize("text", ["[]", "{", "3"])
def test_a_header_that_is_no_object_is_refused(text, path):
    save_file(load_file(path), path, metadata={"noiseproof": text})
    with pytest.raises(DamagedFile, match=r"a.safetensors' is damaged: .*Next: make it again\."):
        read_sealed_tensors(path, **AGAIN)
