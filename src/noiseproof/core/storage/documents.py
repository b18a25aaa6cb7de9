"""JSON documents that noiseproof writes and reads again: a model each, with the number of its schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from noiseproof.core.errors import OtherSchema, shortened, shown
from noiseproof.core.storage.checksums import damaged, unsealed
from noiseproof.core.storage.json_text import BadJson, parse_json
from noiseproof.core.storage.regular_files import read_regular


class Document(BaseModel):
    """A JSON object in a file, whose key `schema` numbers its layout.

    `SCHEMA` rises when a file of before could be misread. Files without the key are of schema 1: they were
    written before layouts were numbered. Documents are written by `checksums.write_record`.
    """

    model_config = ConfigDict(frozen=True)
    SCHEMA: ClassVar[int] = 1

    def to_json(self) -> dict[str, Any]:
        """Plain values, as in the file."""
        return {"schema": self.SCHEMA} | self.model_dump(mode="json", by_alias=True)


START_AGAIN = "delete it and start the same command again"
D = TypeVar("D", bound=Document)


def read_document(path: Path, model: type[D], *, next_step: str) -> D:
    """The document in a file.

    Args:
        path: of the file, which exists.
        model: what the file holds.
        next_step: how a file that cannot be used is replaced, for messages; starts with a verb.

    Raises:
        OtherSchema: another version of noiseproof wrote it.
        DamagedFile: it is not such a document.
    """
    return parse_document(read_regular(path), model, source=str(path), next_step=next_step)


def parse_document(content: bytes | str, model: type[D], *, source: str, next_step: str) -> D:
    """The document in this text; `source` names it in messages, see `read_document`."""
    try:
        value = parse_json(content)
    except BadJson as error:
        raise damaged(source, describe_problem(error), next_step) from error
    return validate_document(value, model, source=source, next_step=next_step)


def validate_document(value: Any, model: type[D], *, source: str, next_step: str) -> D:
    """The document in this parsed JSON, see `parse_document`."""
    value = unsealed(value, source=source, next_step=next_step)
    check_schema(value, model.SCHEMA, source=source, next_step=next_step)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise damaged(source, describe_problem(error), next_step) from error


def check_schema(value: Any, schema: int, *, source: str, next_step: str) -> None:
    """Raise `OtherSchema` if an object was written with another schema than this version reads."""
    found = value.get("schema", 1) if isinstance(value, Mapping) else schema
    if found == schema and type(found) is int:  # neither True nor 1.0
        return
    is_newer = isinstance(found, int) and found > schema
    raise OtherSchema(
        f"{source!r} has schema {shown(found)}; this version of noiseproof reads schema {schema}. "
        f"Next: {'install a newer noiseproof, or ' if is_newer else ''}{next_step}."
    )


def describe_problem(error: Exception) -> str:
    """One line: the first field that is wrong, or the error."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "document"
        return f"{shortened(place, most=100, tail=20)}: {shortened(first['msg'], most=300)}"
    text = str(error) if isinstance(error, BadJson) else f"{type(error).__name__}: {error}"
    return shortened(text.partition("\n")[0], most=400)
