"""Of decisions that disagree, the later or the most frequent one counts; otherwise they are refused."""

from datetime import UTC, datetime

import pytest

from noiseproof.core.errors import BadData
from noiseproof.decisions.record import Decision
from noiseproof.decisions.settle import settle, undisputed, with_times

NINE, TEN = "2026-11-30T09:00:00Z", "2026-11-30T10:00:00+00:00"


def decision(label, who="", when="", word="relabel"):
    return Decision("x", word, label, who, when)


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        ([decision("a", "ann", TEN), decision("b", "ann", NINE)], "a"),
        ([decision("a", "ann", NINE), decision("b", "bob", TEN)], "b"),
        ([decision("a", "ann", TEN), decision("b", "bob", "2026-11-30T10:30:00+01:00")], "a"),
        ([decision("a", "ann", NINE), decision("b", "ann", NINE)], "b"),
        ([decision("a", "", NINE), decision("b", "", TEN)], "b"),
        ([decision("a", "ann"), decision("b", "ann")], "b"),
        ([decision("a", "ann"), decision("b", "bob"), decision("a", "cid")], "a"),
        ([decision("a", "ann", TEN), decision("b", "bob"), decision("b", "cid")], "b"),
        ([decision("a", "ann"), decision("a", "bob", word="accept")], "a"),
        (
            [decision("a", "ann"), decision("", "bob", word="exclude"), decision("", "cid", word="exclude")],
            "",
        ),
    ],
)
def test_the_decision_that_counts(given, counts):
    settled = settle(given)
    assert settled.counting["x"].label == counts
    timed = with_times(given, datetime(2026, 11, 30, 12, tzinfo=UTC))
    assert all(one.time for one in timed)
    assert settle(timed).counting["x"].label == counts
    later = decision("c", "eve", "2026-11-30T13:00:00Z")
    assert settle([*timed, later]).counting["x"] == later
    assert len(settled.all) == len(given)


@pytest.mark.parametrize(
    "given",
    [
        [decision("a", "ann"), decision("b", "bob")],
        [decision("a"), decision("b")],
        [decision("a", "ann", TEN), decision("b", "bob")],
        [decision("", "ann", word="exclude"), decision("", "bob", word="unsure")],
    ],
)
def test_as_many_for_one_as_for_another_is_refused(given):
    with pytest.raises(BadData, match="People disagree on 1 example"):
        settle(given)
    assert undisputed(given) == []
    assert with_times(given, datetime(2026, 11, 30, 12, tzinfo=UTC)) == given


def test_notes_name_the_rule_and_repeats_count_once():
    assert settle([decision("a", "ann"), decision("a", "ann")]).all == (decision("a", "ann"),)
    assert settle([decision("a", "ann"), decision("a", "bob")]).notes == ()
    (note,) = settle([decision("a", "ann"), decision("b", "bob"), decision("a", "cid")]).notes
    assert note == (
        "Decisions on 1 example disagree (x); the label that most people chose counts, and all are in "
        "decisions.csv."
    )
