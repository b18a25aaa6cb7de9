"""Roles of the columns of a table: named by the user, or found by name when only one fits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from noiseproof.core.errors import BadData, invalid
from noiseproof.core.registry import unknown_name
from noiseproof.core.storage.json_text import BadJson, parse_json
from noiseproof.data.classes import is_text, type_name
from noiseproof.data.request import Request

LABEL_NAMES = ("label", "labels", "class", "target", "category", "y")
SCORE_NAMES = ("score", "scores", "similarity")  # where no column has a name of `LABEL_NAMES`
IMAGE_NAMES = ("image", "img", "file_name", "filename", "path", "filepath", "image_path")
TEXT_NAMES = ("text", "sentence", "review", "content")
PAIR_NAMES = (
    ("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis"),
    ("question", "sentence"), ("text1", "text2"),
)  # fmt: skip
ID_NAMES = ("example_id", "id")
FEATURE_NAMES = (
    "features", "feature", "embeddings", "embedding", "x", "emb", "vectors", "vector", "representations",
)  # fmt: skip
_LEAST_BESIDE_TEXTS = 8  # numbered columns; fewer are rather marks of annotators
Kind = Literal["image", "text", "features"]


@dataclass(frozen=True)
class Columns:
    """The columns of a table that matter.

    Attributes:
        label: the given labels.
        content: images, texts or features; the first column of features that are in several; `None` in a
            table of labels only.
        kind: what `content` is.
        clean_label: the true labels, where the user named a column.
        example_id: the ids, where the table has such a column.
        features: a column of lists of numbers, or one column for each number, in their order.
        second: the second texts, where examples are pairs of texts.
    """

    label: str
    content: str | None
    kind: Kind
    clean_label: str | None
    example_id: str | None
    features: tuple[str, ...] = ()
    second: str | None = None


def choose_columns(schema: pa.Schema, request: Request) -> Columns:
    """The columns a table is read by.

    Raises:
        UnknownName: an option names a column that is not there.
        BadData: none or several columns fit by name; the columns and the option are listed.
    """
    for option in ("label", "image", "clean_label"):
        _check_exists(getattr(request, option), schema, option, request.name)
    names = LABEL_NAMES if _named(schema, LABEL_NAMES) else SCORE_NAMES
    label = find_column(schema, request.label, names, option="label", owner=request.name)
    content, kind, features = _content(schema, request, {label, request.clean_label})
    first, second = (*content, None, None)[:2]
    if label in content or request.clean_label in content:
        raise BadData(
            f"Column {first!r} of {request.name!r} holds the labels; allowed as examples: another column. "
            "Next: name it with `image` or `text`, or the labels with `label`."
        )
    return Columns(label, first, kind, request.clean_label, id_column(schema), features, second)


def content_columns(schema: pa.Schema, request: Request) -> tuple[tuple[str, ...], Kind, tuple[str, ...]]:
    """Columns of the examples of a table whose labels do not matter: content, kind, and columns of features.

    Raises:
        UnknownName: an option names a column that is not there.
        BadData: none or several columns fit by name; the columns and the option are listed.
    """
    _check_exists(request.image, schema, "image", request.name)
    return _content(schema, request, set(_named(schema, LABEL_NAMES)))


def id_column(schema: pa.Schema) -> str | None:
    """The column of the ids, if the table has one."""
    return next(iter(_named(schema, ID_NAMES)), None)


def find_column(
    schema: pa.Schema, named: str | None, usual: Sequence[str], *, option: str, owner: str
) -> str:
    """The column that the user named with an option, else the only one with a usual name, capitals or not.

    Raises:
        UnknownName: there is no column of the name given.
        BadData: none or several columns have a usual name.
    """
    _check_exists(named, schema, option, owner)
    return named or _only(_named(schema, usual), schema, option, option, owner)


def _check_exists(named: str | None, schema: pa.Schema, option: str, owner: str) -> None:
    if named is not None and named not in schema.names:
        raise unknown_name(f"column in `{option}` of {owner!r}:", named, schema.names)


def declared_classes(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """Class names that the Hugging Face header of a table declares for an integer column."""
    header = (schema.metadata or {}).get(b"huggingface")
    if header is None:
        return None
    try:
        value = parse_json(header)
    except BadJson:
        return None  # as without a header
    for key in ("info", "features", column):
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, dict) or value.get("_type") != "ClassLabel":
        return None
    names = value.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names) or None


def _content(
    schema: pa.Schema, request: Request, labels: set[str | None]
) -> tuple[tuple[str, ...], Kind, tuple[str, ...]]:
    """Column of the examples (two of pairs of texts, none of labels only), kind, and columns of features.

    Images win over features, and those over texts.
    """
    if request.image and request.text:
        raise BadData(
            f"`image` is {request.image!r} and `text` is {request.text!r}; allowed: one of the two, since an "
            "encoder reads either. Next: leave one out."
        )
    if request.image:
        return (request.image,), "image", ()
    if request.text:
        return _named_texts(schema, request.text, request.name), "text", ()
    pictures = [field.name for field in schema if _holds_bytes(field.type)]
    if len(pictures) == 1:  # encoded images in the table leave no doubt, whatever else is there
        return (pictures[0],), "image", ()
    images = pictures or _named(schema, IMAGE_NAMES)
    pairs = [pair for names in PAIR_NAMES if len(pair := _named(schema, names)) == len(names)]
    if len(pairs) == 1 and not images and all(is_text(schema.field(name).type) for name in pairs[0]):
        return tuple(pairs[0]), "text", ()
    features = () if images else _feature_columns(schema, labels, request.name)
    if features:
        return (features[0],), "features", features
    texts = _named(schema, TEXT_NAMES)
    if request.may_lack_examples and not images and not texts:
        return (), "features", ()
    if not images and not texts:
        _check_features(schema, request.name)
    only = _only(images + texts, schema, "image or text", "image` or `text", request.name)
    return (only,), "image" if only in images else "text", ()


def _check_features(schema: pa.Schema, owner: str) -> None:
    """Raise `BadData` where a column that is named like features holds something nested that is none."""
    for name in _named(schema, FEATURE_NAMES):
        kind = schema.field(name).type
        if pa.types.is_nested(kind):
            raise BadData(
                f"Column {name!r} of {owner!r} holds {type_name(kind)}; allowed as features: a list of "
                "numbers in every row. Next: write the features of each example as one list."
            )


def _named_texts(schema: pa.Schema, named: str, owner: str) -> tuple[str, ...]:
    """The column of texts that the user named, or two with a comma between them."""
    if named in schema.names:
        return (named,)
    names = tuple(name.strip() for name in named.split(","))
    if len(names) > 2 or len(set(names)) < len(names):
        raise invalid("text", named, "a column of texts, or two for pairs of texts: FIRST,SECOND")
    for name in names:
        _check_exists(name, schema, "text", owner)
    return names


def _feature_columns(schema: pa.Schema, labels: set[str | None], owner: str) -> tuple[str, ...]:
    """The column of lists of numbers, or the columns `e0`, `e1`, ... of single numbers; empty without any.

    Raises:
        BadData: several columns of lists, or several families of numbered columns, may be the features.
    """
    lists = [field.name for field in schema if _holds_numbers(field.type) and field.name not in labels]
    usual = [name for name in lists if name.lower() in FEATURE_NAMES]
    least = _LEAST_BESIDE_TEXTS if _named(schema, TEXT_NAMES) else 2
    families = [each for each in _numbered(schema, labels) if len(each) >= least]
    longest = max(map(len, families), default=0)
    found: list[tuple[str, ...]] = [(name,) for name in usual or lists]
    found = found or [each for each in families if len(each) == longest]
    if len(found) > 1:
        names = ", ".join(each[0] for each in found)
        raise BadData(
            f"{owner!r} has several columns that may be the features ({names}); allowed: one column of "
            "lists, or one family such as e0, e1, ... Next: leave the others out, or name a column with "
            "`image` or `text`."
        )
    return found[0] if found else ()


def _numbered(schema: pa.Schema, labels: set[str | None]) -> list[tuple[str, ...]]:
    """Families of columns with one name and numbers without a gap from 0 or 1, in the order of numbers."""
    families: dict[str, dict[int, str]] = {}
    for name in schema.names:
        found = re.fullmatch(r"(.*?)(0|[1-9]\d*)", name)
        if found and name not in labels:
            families.setdefault(found[1], {})[int(found[2])] = name
    return [
        tuple(columns[number] for number in sorted(columns))
        for columns in families.values()
        if min(columns) <= 1 and max(columns) - min(columns) + 1 == len(columns)
    ]


def _holds_numbers(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_list and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def _holds_bytes(kind: pa.DataType) -> bool:
    return _is_binary(kind) or (_is_image_struct(kind) and kind.get_field_index("bytes") >= 0)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def check_holds_images(schema: pa.Schema, column: str, owner: str) -> None:
    """Raise `BadData` if a column holds neither paths nor encoded images."""
    kind = schema.field(column).type
    cells = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (is_text(cells) or _is_binary(cells) or _is_image_struct(cells)):
        raise BadData(
            f"Column {column!r} of {owner!r} holds {type_name(kind)}; allowed as `image`: paths, encoded "
            "bytes, or a struct of bytes and path. Next: name another column with `image`."
        )


def _is_image_struct(kind: pa.DataType) -> bool:
    """Whether cells are structs of encoded bytes, a path or both, as Hugging Face has them."""
    if not pa.types.is_struct(kind):
        return False
    fields = {field.name: field.type for field in kind}
    encoded, path = (fields.get(name, pa.null()) for name in ("bytes", "path"))
    is_known = _is_binary(encoded) or pa.types.is_null(encoded), is_text(path) or pa.types.is_null(path)
    return all(is_known) and not (pa.types.is_null(encoded) and pa.types.is_null(path))


def _named(schema: pa.Schema, names: Sequence[str]) -> list[str]:
    """Columns with these names, capitals or not, in the order of `names`."""
    return [column for name in names for column in schema.names if column.lower() == name]


def _only(found: list[str], schema: pa.Schema, what: str, option: str, owner: str) -> str:
    if len(found) == 1:
        return found[0]
    problem = (
        f"several columns that may be the {what} ({', '.join(found)})"
        if found
        else f"no obvious {what} column"
    )
    raise BadData(
        f"{owner!r} has {problem}. Its columns: {', '.join(schema.names)}. Next: name one with `{option}`."
    )
