import json
from typing import ClassVar

import pytest

from noiseproof.core.errors import DamagedFile, OtherSchema
from noiseproof.core.storage.documents import Document, parse_document, read_document


class Recipe(Document):
    SCHEMA: ClassVar[int] = 2

    name: str
    minutes: int


class Label(Document):
    name: str


NEXT = "make it again"


def write(path, value):
    path.write_text(json.dumps(value))
    return path


def test_a_document_comes_back_as_it_was_written(tmp_path):
    soup = Recipe(name="soup", minutes=20)
    assert soup.to_json() == {"schema": 2, "name": "soup", "minutes": 20}
    assert read_document(write(tmp_path / "soup.json", soup.to_json()), Recipe, next_step=NEXT) == soup


def test_a_document_without_a_number_is_of_schema_1(tmp_path):
    path = write(tmp_path / "a.json", {"name": "soup", "minutes": 20})
    assert read_document(path, Label, next_step=NEXT) == Label(name="soup")
    with pytest.raises(
        OtherSchema, match=r"a.json' has schema 1; this version of noiseproof reads schema 2. Next: make it"
    ):
        read_document(path, Recipe, next_step=NEXT)


def test_a_newer_schema_asks_for_a_newer_version(tmp_path):
    path = write(tmp_path / "a.json", {"schema": 3, "other": "layout"})
    with pytest.raises(OtherSchema, match=r"schema 3; .*Next: install a newer noiseproof, or make it again"):
        read_document(path, Recipe, next_step=NEXT)
    assert issubclass(OtherSchema, DamagedFile)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "it is no JSON: Expecting property name"),
        ("[]", "document: Input should be a valid dictionary or instance of Recipe"),
        ('{"schema": 2, "name": "soup"}', "minutes: Field required"),
        ('{"schema": 2, "name": "soup", "minutes": "long"}', "minutes: Input should be a valid integer"),
        (b"\xff\xfe\x00", "byte 0 is not UTF-8"),
    ],
)
def test_anything_else_is_damaged(content, reason):
    with pytest.raises(DamagedFile, match=f"'soup.json' is damaged: .*({reason}).*Next: make it again."):
        parse_document(content, Recipe, source="soup.json", next_step=NEXT)
