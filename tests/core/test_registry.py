import subprocess
import sys

import pytest

from noiseproof.core.errors import UnknownName
from noiseproof.core.registry import Registry, unknown_name

TABLE = Registry("fruit", {"pear": "math:sqrt", "apple": "math:floor", "peach": "no.such.module:thing"})


def test_a_known_name_is_loaded():
    import math

    assert TABLE.load("apple") is math.floor


def test_names_keep_the_order_of_the_table():
    assert TABLE.names == ("pear", "apple", "peach")


def test_the_nearest_name_and_all_known_ones_are_told():
    with pytest.raises(
        UnknownName, match=r"^Unknown fruit 'aple'\. Did you mean 'apple'\? Known: apple, peach, pear\.$"
    ):
        TABLE.load("aple")


def test_nothing_near_means_no_suggestion():
    assert str(unknown_name("fruit", "zzz", ["pear"])) == "Unknown fruit 'zzz'. Known: pear."


def test_next_step_ends_the_message():
    told = unknown_name("fruit", "zzz", ["pear", "apple"], "Next: see `noiseproof ls`.")
    assert str(told) == "Unknown fruit 'zzz'. Known: apple, pear. Next: see `noiseproof ls`."


def test_a_table_is_a_copy_that_later_changes_do_not_reach():
    builders = {"pear": "math:sqrt"}
    table = Registry("fruit", builders)
    builders["apple"] = "math:floor"
    assert table.names == ("pear",)


def test_a_builder_is_imported_when_it_is_asked_for():
    code = (
        "import sys; from noiseproof.core.registry import Registry\n"
        "table = Registry('x', {'a': 'fractions:Fraction'})\n"
        "before = 'fractions' in sys.modules; table.load('a'); print(before, 'fractions' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
