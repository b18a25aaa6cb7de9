import math
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from noiseproof.core.checks import Range, allowed_values, check_arguments, check_entries
from noiseproof.core.errors import InvalidArgument, UnknownName


class Settings(BaseModel):
    kind: Literal["one", "two"] = "one"
    count: int = Field(default=1, ge=1)
    share: float = Field(default=0.5, gt=0, le=1)
    free: float = 0.0


def test_the_bounds_of_settings_are_ranges():
    assert allowed_values(Settings) == {
        "kind": ("one", "two"),
        "count": Range(1.0, is_whole=True),
        "share": Range(0.0, 1.0, excludes_low=True),
        "free": Range(-math.inf),
    }


ALLOWED = {"count": Range(1.0, is_whole=True), "kind": ("one", "two"), "is_on": bool, "matrix": "a matrix"}


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("count", 0, "a whole number >= 1"),
        ("count", None, "a whole number >= 1"),
        ("kind", "three", "one or two"),
        ("is_on", 1, "True or False"),
    ],
)
def test_one_table_checks_arguments_and_entries(name, value, allowed):
    with pytest.raises(InvalidArgument, match=rf"`{name}` is {value!r}; allowed: {allowed}"):
        check_arguments({name: value}, ALLOWED)
    with pytest.raises(
        InvalidArgument, match=rf"`o\['{name}'\]` is {value!r}; allowed: {allowed} for the loss"
    ):
        check_entries("o", {name: value}, ALLOWED, owner="the loss")


def test_none_phrases_and_unlisted_arguments_pass():
    check_arguments({"count": None, "kind": "two", "other": -1}, ALLOWED, may_be_none=("count",))
    with pytest.raises(InvalidArgument, match="a whole number >= 1, or None"):
        check_arguments({"count": 0}, ALLOWED, may_be_none=("count",))
    check_entries("o", {"matrix": 3, "is_on": True}, ALLOWED, owner="the loss")


def test_an_entry_that_does_not_exist_gets_a_suggestion():
    with pytest.raises(UnknownName, match=r"Unknown option of the loss 'coutn'\. Did you mean 'count'"):
        check_entries("o", {"coutn": 1}, ALLOWED, owner="the loss")
    with pytest.raises(UnknownName, match=r"It has none\. Next: leave `o` out"):
        check_entries("o", {"count": 1}, {}, owner="the loss")
