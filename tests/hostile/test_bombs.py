"""Small files that ask for much memory or time: each ends with a sentence, before memory is taken."""

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from noiseproof.config.values import read_yaml
from noiseproof.core.errors import BadData, InvalidArgument, MissingFile
from noiseproof.core.limits import EXAMPLE_BYTES, IMAGE_PIXELS, UNPACKED_BYTES, YAML_NODES, limit
from noiseproof.core.storage.array_files import map_array, open_archive, read_array
from noiseproof.core.storage.regular_files import check_regular, open_regular, read_regular
from noiseproof.core.storage.yaml_text import BadYaml, parse_yaml
from noiseproof.data import images
from noiseproof.data.images import decode_image
from noiseproof.data.pairs.pair_shards import ShardPairs
from noiseproof.data.sources import open_dataset

MIB = 1 << 20


@pytest.fixture
def within_48_mib(tmp_path_factory):
    """The test takes no more memory than that; NumPy and bytes are counted, modules are not."""
    path = tmp_path_factory.mktemp("warm") / "f.npz"
    np.savez(path, features=np.eye(2), labels=["a", "b"])
    open_dataset(str(path))
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 * MIB


def zeros_archive(path, sizes):
    """An NPZ whose arrays are so many zeros each, written block by block."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, num_bytes in sizes.items():
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                header, {"descr": "|u1", "fortran_order": False, "shape": (num_bytes,)}
            )
            with archive.open(f"{name}.npy", "w") as member:
                member.write(header.getvalue())
                for _ in range(num_bytes // MIB):
                    member.write(bytes(MIB))
    return path


# --- NPZ and NPY


def test_arrays_that_nobody_asked_for_are_not_read(tmp_path, within_48_mib):
    path = zeros_archive(tmp_path / "f.npz", {"huge": 64 * MIB})
    with zipfile.ZipFile(path, "a") as archive:
        for name, array in {"features": np.eye(4), "labels": np.arange(4)}.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{name}.npy", buffer.getvalue())
    assert len(open_dataset(str(path))) == 4


def test_an_array_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch, within_48_mib):
    path = zeros_archive(tmp_path / "f.npz", {"features": 64 * MIB})
    monkeypatch.setenv(UNPACKED_BYTES, str(30 * MIB))
    with (
        pytest.raises(
            BadData, match=r"'features', unpacked, are larger than the limit.*set NOISEPROOF_MAX_UNP"
        ),
        open_archive(path, "f.npz") as archive,
    ):
        archive["features"]


def with_shape(array, shape):
    """An NPY file whose header has another shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue() + array.tobytes()


@pytest.mark.parametrize("shape", [(2**40,), (2**20, 2**20), (-1,), (5,), (2**62, 4)])
def test_a_header_that_promises_more_than_the_file_has_is_refused(tmp_path, shape, within_48_mib):
    (tmp_path / "a.npy").write_bytes(with_shape(np.arange(4.0), shape))
    for read in (read_array, map_array):
        with pytest.raises(BadData, match=r"its header promises the shape .*, and the file is shorter"):
            read(tmp_path / "a.npy", "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", with_shape(np.arange(4.0), shape))
    with (
        pytest.raises(BadData, match=r"'a.npz' cannot be read: its header promises"),
        open_archive(tmp_path / "a.npz", "a.npz") as found,
    ):
        found["a"]


# --- tar


def shard(path, size, *, kind=tarfile.REGTYPE, mode="w:gz"):
    """A shard of one member of so many zeros."""
    with tarfile.open(path, mode) as archive:
        member = tarfile.TarInfo("0.txt")
        member.size, member.type = size, kind

        class Zeros(io.RawIOBase):
            def readable(self):
                return True

            def readinto(self, buffer):
                buffer[:] = bytes(len(buffer))
                return len(buffer)

        archive.addfile(member, io.BufferedReader(Zeros()))
    return path


def test_a_member_above_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch, within_48_mib):
    path = shard(tmp_path / "0.tar", 64 * MIB)
    assert path.stat().st_size < MIB
    monkeypatch.setenv(EXAMPLE_BYTES, str(30 * MIB))
    with pytest.raises(BadData, match=r"bytes of '0.txt' are larger than the limit of 31457280; to raise it"):
        ShardPairs(path, caption=None, image=None).scan()


def test_many_members_that_unpack_to_more_than_the_limit_are_refused(tmp_path, monkeypatch, within_48_mib):
    with tarfile.open(tmp_path / "0.tar", "w:gz") as archive:
        for row in range(50):
            member = tarfile.TarInfo(f"{row}.png")
            member.size = MIB
            archive.addfile(member, io.BytesIO(bytes(MIB)))
    monkeypatch.setenv(UNPACKED_BYTES, str(30 * MIB))
    with pytest.raises(BadData, match=r"its \d+ bytes, unpacked, are larger than the limit"):
        ShardPairs(tmp_path / "0.tar", caption=None, image=None).scan()


def test_a_long_header_is_refused_before_it_is_read(tmp_path, within_48_mib):
    path = shard(tmp_path / "0.tar", 64 * MIB, kind=tarfile.GNUTYPE_LONGNAME)
    with pytest.raises(BadData, match=r"cannot be read \(a header of 67108864 bytes\)"):
        ShardPairs(path, caption=None, image=None).scan()


# --- IDX


def test_an_idx_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch, within_48_mib):
    head = struct.pack(">4I", 0x803, 64, 1024, 1024)
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(64):
            file.write(bytes(MIB))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 2) + b"\0\1")
    monkeypatch.setenv(UNPACKED_BYTES, str(30 * MIB))
    with pytest.raises(BadData, match=r"67108864 bytes, unpacked, are larger than the limit"):
        open_dataset(f"idx:{tmp_path}/train")


# --- images


def png_of(width, height):
    """A PNG whose header has this size; its pixels are absent."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">2I5B", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (13_000, 13_000), (60_000, 60_000)])
def test_an_image_above_the_limit_is_larger_than_it_and_not_damaged(width, height, within_48_mib):
    with pytest.raises(
        BadData, match=r"pixels are larger than the limit of 89478485; to raise it, set NOISE"
    ):
        decode_image(png_of(width, height))


def test_pillow_does_not_warn_of_an_image_that_is_refused(recwarn):
    images._silence_pillow.cache_clear()  # pytest takes filters back after each test
    with pytest.raises(BadData, match="pixels are larger than the limit"):
        decode_image(png_of(10_000, 10_000))
    assert not recwarn


def test_the_limit_of_pixels_can_be_raised_and_lowered(monkeypatch):
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    monkeypatch.setenv(IMAGE_PIXELS, "600")
    assert decode_image(buffer.getvalue()).size == (30, 20)
    monkeypatch.setenv(IMAGE_PIXELS, "599")
    with pytest.raises(BadData, match="30 x 20 pixels are larger than the limit of 599"):
        decode_image(buffer.getvalue())


@pytest.mark.parametrize("value", ["0", "-1", "many", "1e9", "9" * 30])
def test_a_limit_that_is_no_number_is_refused(monkeypatch, value):
    monkeypatch.setenv(IMAGE_PIXELS, value)
    with pytest.raises(InvalidArgument, match=r"NOISEPROOF_MAX_IMAGE_PIXELS is .*; allowed: a whole number"):
        limit(IMAGE_PIXELS)


# --- YAML


def laughs(levels):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            laughs(9),
            r"line 5, .* nodes are more than the limit of 100000; to raise it, set NOISEPROOF_MAX_YAML",
        ),
        ("a: &a [*a]", r"line 1, column 8: the alias \*a stands for itself"),
        ("[" * 500, "nested deeper than 100 levels"),
        ("\n".join("  " * i + "a:" for i in range(500)), "nested deeper than 100 levels"),
        ("- " * 500, "nested deeper than 100 levels"),
    ],
)
def test_a_yaml_file_that_grows_is_refused(tmp_path, text, message):
    with pytest.raises(BadYaml, match=message):
        parse_yaml(text)
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InvalidArgument, match=message):
        read_yaml(tmp_path / "c.yaml", argument="config")


def test_aliases_of_a_usual_file_are_read(monkeypatch):
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == {
        "a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2},
    }  # fmt: skip
    monkeypatch.setenv(YAML_NODES, "5")
    with pytest.raises(BadYaml, match="6 nodes are more than the limit of 5"):
        parse_yaml("[1, 2, 3, 4, 5]")


# --- files that are none


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    return tmp_path / "pipe.csv"


def test_a_pipe_is_refused_and_not_waited_for(pipe):
    with pytest.raises(BadData, match=r"pipe.csv' is a named pipe; allowed: a regular file"):
        open_regular(pipe)
    with pytest.raises(BadData, match="is a named pipe"):
        open_dataset(str(pipe))


@pytest.mark.parametrize("name", ["pipe.csv", "/dev/zero"])
def test_a_pipe_or_a_device_in_a_column_of_images_is_named(tmp_path, pipe, name):
    (tmp_path / "t.csv").write_text(f"image,label\n{name},a\n{name},b\n")
    with pytest.raises(
        BadData, match=r"2 examples .* cannot be read: .*'(/dev/zero|.*pipe.csv)' is a (named|dev)"
    ):
        open_dataset(str(tmp_path / "t.csv"))


def test_folders_and_devices_are_no_files(tmp_path):
    with pytest.raises(BadData, match="is a folder; allowed: a regular file"):
        check_regular(tmp_path)
    with pytest.raises(BadData, match="'/dev/zero' is a device"):
        read_regular("/dev/zero")
    check_regular(tmp_path / "none")  # its reader says so
    with pytest.raises(MissingFile, match="does not exist"):
        read_array(tmp_path / "none.npy", "none.npy")


def test_a_file_above_the_limit_is_not_read(tmp_path, monkeypatch, within_48_mib):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(
        BadData, match=r"the 1099511627776 bytes of .*a.png' are larger than the limit of 268435456"
    ):
        read_regular(tmp_path / "a.png")
