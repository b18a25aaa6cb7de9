import json

import pytest

from noiseproof.core.errors import DamagedFile
from noiseproof.core.storage.checksums import check_file, read_record, sealed, to_line, unsealed, write_record
from noiseproof.core.storage.files import hash_file

AGAIN = {"next_step": "make it again"}
RECORD = {"name": "ant", "share": 0.1, "of": {1: (2, 3), 10: None, 9: "é"}, "tiny": 5e-324, "-": -0.0}
PLAIN = json.loads(json.dumps(RECORD))


def test_a_record_comes_back_without_its_checksum(tmp_path):
    path = tmp_path / "record.json"
    for record, plain in ((RECORD, PLAIN), ([RECORD, {}], [PLAIN, {}])):
        write_record(path, record)
        assert read_record(path, **AGAIN) == plain
    assert unsealed(json.loads(to_line(RECORD)), source="line 3", **AGAIN) == PLAIN
    assert "\n" not in to_line(RECORD)


def test_spaces_and_the_order_of_keys_do_not_count(tmp_path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(dict(reversed(sealed(RECORD).items()))))
    assert read_record(path, **AGAIN) == PLAIN


def test_the_checksum_is_the_one_worked_out_by_hand():
    # printf '{"a": 1}' | sha256sum
    assert sealed({"a": 1}) == {"a": 1, "checksum": "f9d86028c6e0d64e"}


def test_a_record_without_a_checksum_is_read_as_it_is():
    assert unsealed({"a": 1}, source="a", **AGAIN) == {"a": 1}
    assert unsealed("a", source="a", **AGAIN) == "a"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "aNt"}, {"share": 0.30000000000000004}, {"new": 1}, {"-": 0}, {"checksum": "0" * 16},
        {"checksum": None}, {"of": {}},
    ],
)  # fmt: skip
def test_changed_contents_are_refused(change, tmp_path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(sealed(RECORD) | change))
    with pytest.raises(DamagedFile, match=r"record.json' is damaged: its contents.*Next: make it again\."):
        read_record(path, **AGAIN)


def test_a_checksum_whose_name_changed_is_refused():
    with pytest.raises(DamagedFile, match=r"'a' is damaged: the name of its checksum has changed"):
        unsealed({"a": 1, "checkrum": "f9d86028c6e0d64e"}, source="a", **AGAIN)
    assert unsealed({"checks": 1, "new": 2}, source="a", **AGAIN) == {"checks": 1, "new": 2}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(content, tmp_path):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"record.json' is damaged: .*Next: make it again\."):
        read_record(path, **AGAIN)


def test_a_file_is_compared_with_its_hash(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"a picture")
    check_file(path, hash_file(path), **AGAIN)
    check_file(path, None, **AGAIN)
    with pytest.raises(DamagedFile, match=r"picture.png' is damaged: its SHA-256.*Next: make it again\."):
        check_file(path, "0" * 64, **AGAIN)
