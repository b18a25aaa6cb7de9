"""The file is the one of safetensors, byte for byte, without a second copy in memory or on disk."""

import pytest
import torch
from safetensors.torch import load_file, save

from noiseproof.core.storage.sealed_tensors import write_tensors

DTYPES = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2,
)  # fmt: skip


def of_every_type():
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(3, 5, generator=generator).to(dtype) for dtype in DTYPES]
    return {f"layer {k}.wéight": tensor for k, tensor in enumerate(drawn)}


@pytest.mark.parametrize(
    "tensors",
    [{}, {"scalar": torch.tensor(2.5)}, {"empty": torch.zeros(0, 4), "b": torch.ones(1)}, of_every_type()],
    ids=["none", "scalar", "empty", "every type"],
)
@pytest.mark.parametrize("metadata", [{}, {"noiseproof": '{"a": "é"}'}])
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_the_bytes_are_those_of_safetensors(tmp_path, tensors, metadata):
    write_tensors(tmp_path / "file", tensors, metadata=metadata)
    assert (tmp_path / "file").read_bytes() == save(tensors, metadata=metadata or None)


def test_any_memory_layout_is_written(tmp_path):
    image = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    columns = torch.arange(6.0).reshape(2, 3).T
    shared = torch.ones(3)
    write_tensors(tmp_path / "f", {"i": image, "c": columns, "s": shared, "t": shared}, metadata={})
    read = load_file(tmp_path / "f")
    assert torch.equal(read["i"], image)
    assert torch.equal(read["c"], columns)
    assert torch.equal(read["s"], read["t"])
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
