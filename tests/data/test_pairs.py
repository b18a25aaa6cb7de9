import io
import json
import tarfile
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from noiseproof.core.errors import BadData, InvalidArgument, MissingFile, UnknownName
from noiseproof.data.pairs.pairs import PAIRS, open_pairs
from noiseproof.data.sources import open_dataset

CAPTIONS = ["a red dog, running", 'a "blue" cat', "ein grüner Vogel", "two\nlines", "a dog", "a cat"]


def png(i):
    out = io.BytesIO()
    Image.new("RGB", (4, 4), (i * 20, 0, 0)).save(out, "PNG")
    return out.getvalue()


def add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size, member.mtime = len(content), 1_600_000_000
    archive.addfile(member, io.BytesIO(content))


def save_shards(folder, captions=CAPTIONS, per_shard=4):
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(captions), per_shard):
        with tarfile.open(folder / f"{start // per_shard:05d}.tar", "w") as archive:
            for i in range(start, min(start + per_shard, len(captions))):
                add(archive, f"{i:06d}.png", png(i))
                add(archive, f"{i:06d}.txt", captions[i].encode())
                add(archive, f"{i:06d}.json", json.dumps({"key": i}).encode())
    return folder


def save_parquet(folder):
    images = [{"bytes": png(i), "path": f"{i}.png"} for i in range(len(CAPTIONS))]
    table = pa.table({"image": images, "caption": CAPTIONS, "width": range(len(CAPTIONS))})
    pq.write_table(table, folder / "pairs.parquet", row_group_size=2)
    return folder / "pairs.parquet"


def save_texts(folder, kind):
    (folder / "images").mkdir()
    for i in range(len(CAPTIONS)):
        (folder / "images" / f"{i}.png").write_bytes(png(i))
    rows = [{"image": f"images/{i}.png", "caption": CAPTIONS[i], "n": str(i)} for i in range(len(CAPTIONS))]
    path = folder / f"pairs.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        import csv

        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="," if kind == "csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
    return path


def save(folder, kind):
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "tar":
        return save_shards(folder / "shards")
    return save_parquet(folder) if kind == "parquet" else save_texts(folder, kind)


every_format = pytest.mark.parametrize("kind", PAIRS.names)


def test_the_list_of_formats_is_whole():
    assert PAIRS.names == ("parquet", "csv", "tsv", "jsonl", "tar")


@every_format
def test_captions_are_replaced_and_all_else_stays(kind, tmp_path):
    path = save(tmp_path / "in", kind)
    pairs = open_pairs(str(path))
    scan = pairs.scan()
    assert list(scan.captions) == CAPTIONS
    files = pairs.write(tmp_path / "out", CAPTIONS[::-1])
    assert all(file.is_file() for file in files)
    copy = open_pairs(str(tmp_path / "out" if kind == "tar" else files[0])).scan()
    assert list(copy.captions) == CAPTIONS[::-1]
    assert len(copy.ids) == len(CAPTIONS)


@every_format
def test_ids_and_fingerprint_are_those_of_the_data_set(kind, tmp_path):
    """So that a manifest fits the pairs it was made from when they are trained on."""
    path = save(tmp_path, kind)
    scan = open_pairs(str(path)).scan()
    dataset = open_dataset(str(path), label="txt" if kind == "tar" else "caption")
    assert scan.ids.tolist() == dataset.ids.tolist()
    assert scan.fingerprint == dataset.fingerprint


@every_format
def test_the_same_captions_give_the_same_bytes(kind, tmp_path):
    pairs = open_pairs(str(save(tmp_path / "in", kind)))
    one, other = pairs.write(tmp_path / "a", CAPTIONS), pairs.write(tmp_path / "b", CAPTIONS)
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in other]


def test_other_columns_and_files_are_kept(tmp_path):
    (file,) = open_pairs(str(save(tmp_path / "p", "parquet"))).write(tmp_path / "out", CAPTIONS[::-1])
    assert pq.read_table(file).column("width").to_pylist() == list(range(6))
    shards = save(tmp_path / "t", "tar")
    copies = open_pairs(str(shards)).write(tmp_path / "out", CAPTIONS[::-1])
    for copy in copies:
        with tarfile.open(shards / copy.name) as before, tarfile.open(copy) as after:
            assert before.getnames() == after.getnames()
            for name in before.getnames():
                if not name.endswith(".txt"):
                    assert before.extractfile(name).read() == after.extractfile(name).read()
                    assert before.getmember(name).mtime == after.getmember(name).mtime


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.binary(), pa.string_view()],
    ids=str,
)
def test_relative_paths_of_any_kind_of_text_lead_to_the_same_images(tmp_path, kind):
    (tmp_path / "in" / "images").mkdir(parents=True)
    for i in range(len(CAPTIONS)):
        (tmp_path / "in" / "images" / f"{i}.png").write_bytes(png(i))
    paths = pa.array([f"images/{i}.png" for i in range(len(CAPTIONS))], kind)
    columns = {"image": paths, "caption": pa.array(CAPTIONS, pa.string()).cast(kind), "other": paths}
    pq.write_table(pa.table(columns), tmp_path / "in" / "p.parquet")
    (file,) = open_pairs(str(tmp_path / "in" / "p.parquet")).write(tmp_path / "out", CAPTIONS)
    copy = pq.read_table(file).column("image")
    assert copy.type == kind
    texts = (cells.cast(pa.string()).to_pylist() for cells in (paths, copy))
    for before, after in zip(*texts, strict=True):
        assert (tmp_path / "out" / after).resolve() == tmp_path / "in" / before


def test_an_extension_may_be_written_in_any_case(tmp_path):
    shards = save_shards(tmp_path)
    assert list(open_pairs(str(shards), caption="TXT").scan().captions) == CAPTIONS


def test_changed_images_change_the_fingerprint(tmp_path):
    path = save(tmp_path, "csv")
    before = open_pairs(str(path)).scan().fingerprint
    (tmp_path / "images" / "3.png").write_bytes(png(9))
    assert open_pairs(str(path)).scan().fingerprint != before


def test_one_shard_is_pairs_too(tmp_path):
    shards = save_shards(tmp_path / "s")
    scan = open_pairs(str(shards / "00001.tar")).scan()
    assert scan.ids.tolist() == ["00001/000004", "00001/000005"]
    assert list(scan.captions) == CAPTIONS[4:]


def test_memory_is_that_of_captions_not_of_images(tmp_path):
    big = np.random.default_rng(0).bytes(2_000_000)
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for i in range(20):
            add(archive, f"{i}.jpg", big)
            add(archive, f"{i}.txt", b"caption")
    pairs = open_pairs(str(tmp_path / "0.tar"))
    tracemalloc.start()
    pairs.write(tmp_path / "out", pairs.scan().captions)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6  # of 40 MB


# What goes wrong


def test_columns_are_found_by_name_or_asked_for(tmp_path):
    table = pa.table({"picture": ["a.png"], "words": ["a dog"]})
    pq.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(
        BadData, match=r"no obvious caption column. Its columns: picture, words. Next: name one"
    ):
        open_pairs(str(tmp_path / "p.parquet"))
    with pytest.raises(UnknownName, match=r"column in `caption` of .* 'word'. Did you mean 'words'"):
        open_pairs(str(tmp_path / "p.parquet"), caption="word", image="picture")


def test_paths_and_types_that_are_not_there(tmp_path):
    with pytest.raises(MissingFile, match="There are no pairs"):
        open_pairs(str(tmp_path / "p.parquet"))
    (tmp_path / "p.xlsx").touch()
    with pytest.raises(UnknownName, match="Unknown file type of image-text pairs 'xlsx'"):
        open_pairs(str(tmp_path / "p.xlsx"))
    with pytest.raises(BadData, match=r"has no .tar files"):
        open_pairs(str(tmp_path))
    with pytest.raises(InvalidArgument, match="`image` is 'jpg'; allowed: nothing for shards"):
        open_pairs(str(save_shards(tmp_path / "s")), image="jpg")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.png": b"1", "a.txt": b"x", "b.png": b"2"}, r"pair 'b' of .* has no .txt file"),
        ({"a.txt": b"x"}, r"pair 'a' of .* has no image file"),
        ({"a.txt": b"x", "a.json": b"{}"}, r"pair 'a' of .* has no image file"),
        ({"a.png": b"1", "a.txt": b"\xff\xfe"}, r"caption of 'a' in .* is not UTF-8"),
        (
            {"a.png": b"1", "a.txt": b"x", "A.TXT": b"y", "A.png": b"2", "b/a.txt": b"x"},
            "'b/a' of .* no image",
        ),
    ],
)
def test_pairs_that_are_not_whole_are_named(tmp_path, files, said):
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for name, content in files.items():
            add(archive, name, content)
    with pytest.raises(BadData, match=said):
        open_pairs(str(tmp_path / "0.tar")).scan()


def test_two_captions_of_one_pair_are_named(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for name in ("a.png", "a.txt", "a.TXT"):
            add(archive, name, b"x")
    with pytest.raises(BadData, match=r"pair 'a' of .* has two captions"):
        open_pairs(str(tmp_path / "0.tar")).scan()


def test_a_truncated_shard_is_named(tmp_path):
    shards = save_shards(tmp_path)
    whole = (shards / "00000.tar").read_bytes()
    (shards / "00000.tar").write_bytes(whole[:700])
    with pytest.raises(BadData, match=r"shard .*00000.tar' cannot be read .*whole tar archives"):
        open_pairs(str(shards)).scan()


def test_a_row_without_caption_is_named(tmp_path):
    table = pa.table({"image": [{"bytes": png(0)}, {"bytes": png(1)}], "caption": ["a", None]})
    pq.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(BadData, match=r"caption in row 1 of .* is None; allowed: a text"):
        open_pairs(str(tmp_path / "p.parquet")).scan()


def test_an_image_that_is_not_there_is_named(tmp_path):
    path = save(tmp_path, "csv")
    (tmp_path / "images" / "2.png").unlink()
    with pytest.raises(MissingFile, match=r"Example 'images/2.png' of .* cannot be read: there is no file"):
        open_pairs(str(path)).scan()
