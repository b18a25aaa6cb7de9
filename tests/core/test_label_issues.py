"""What people see of label issues in Python."""

import numpy as np
import pytest

from noiseproof.core.records import LabelIssues


def issues(num_wrong=2, **changed):
    given = np.array(["cat", "cat", "cat", "dog", "dog", "dog"])
    suspicion = np.where(np.arange(6) < num_wrong, 0.9, 0.1)
    values = {
        "ids": np.array([f"{n}<b>.jpg" for n in range(6)]), "given_labels": given,
        "suggested_labels": np.where(suspicion > 0.5, "dog", given), "suspicion": suspicion,
        "is_issue": suspicion > 0.5, "method": "transition", "joint": np.array([[1.0, 0], [2, 3]]),
        "classes": np.array(["cat", "dog"]), "notes": ("A note.",), "noise_rate_low": 0.25,
        "noise_rate_high": 0.5,
    }  # fmt: skip
    return LabelIssues(**values | changed)


@pytest.mark.parametrize(("num_wrong", "verb"), [(0, "look"), (1, "looks"), (2, "look")])
def test_it_is_short(num_wrong, verb):
    expected = f"LabelIssues({num_wrong} of 6 labels {verb} wrong, method 'transition')"
    assert repr(issues(num_wrong)) == expected


def test_the_summary_has_rate_classes_and_notes():
    lines = issues().summary().splitlines()
    head = (
        "2 of 6 labels look wrong (method transition, share of wrong labels 33.3%, between 25.0% and 50.0%)"
    )
    assert lines[0] == head
    assert lines[1].split() == ["given_label", "num_examples", "num_issues", "noise_rate", "mostly_is"]
    assert lines[2].split() == ["cat", "3", "2", "0.667", "dog"]
    assert lines[3:] == ["A note."]


def test_without_a_range_and_issues_it_says_less():
    found = issues(0, notes=(), noise_rate_low=None, joint=np.diag([3.0, 3])).summary()
    assert found == "0 of 6 labels look wrong (method transition, share of wrong labels 0.0%)"


def test_a_notebook_shows_a_table_without_markup_of_the_data():
    page = issues()._repr_html_()
    assert page.startswith("<p>2 of 6 labels look wrong (transition)</p><table")
    assert "0&lt;b&gt;.jpg" in page
    assert page.index("0&lt;b") < page.index("5&lt;b")
