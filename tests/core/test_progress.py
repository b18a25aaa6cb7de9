import io
import sys

import pytest

from noiseproof.core import progress


class Clock:
    """Stands still unless it is moved."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "perf_counter", clock)
    return clock


def test_a_long_stage_leaves_one_line_where_nobody_watches(clock, capsys):
    with progress.progress("Reading photos", total=500, unit="image") as bar:
        clock.now += 8
        bar.update(499)
        clock.now += 2
        bar.update(1)
    assert capsys.readouterr() == ("", "Reading photos: 500 images in 10.0 s (50/s)\n")


def test_the_expected_time_is_announced_once_a_minute(clock, capsys):
    with progress.progress("Study", total=100, unit="training") as bar:
        for seconds in (10, 1, 58, 4, 59, 1):
            clock.now += seconds
            bar.update(10)
    # The first ten come before the count; then 20 in 59 s, 30 in 63 s and 40 in 122 s.
    assert capsys.readouterr().err.splitlines()[:-1] == [
        "Study: 30 of 100 trainings; about 3 min more",
        "Study: 50 of 100 trainings; about 3 min more",
    ]


def test_the_expected_time_of_a_stage_within_a_minute_is_announced_once(clock, capsys):
    """The first unit does not count: before it comes preparation, here 6 s."""
    with progress.progress("Reading photos", total=700, unit="image") as bar:
        clock.now += 4
        for _ in range(7):
            clock.now += 2
            bar.update(100)
    assert capsys.readouterr().err == (
        "Reading photos: 200 of 700 images; about 10 s more\nReading photos: 700 images in 18.0 s (39/s)\n"
    )


def test_a_short_stage_is_silent(clock, capsys):
    with progress.progress("Reading", total=3, unit="image") as bar:
        clock.now += 1.9
        bar.update(3)
    assert capsys.readouterr() == ("", "")


def test_quiet_is_silent_however_long(clock, capsys):
    with progress.progress("Reading", total=3, unit="image", quiet=True) as bar:
        clock.now += 1000
        bar.update(3)
    assert capsys.readouterr() == ("", "")


def test_no_bar_where_nobody_watches(clock, capsys):
    with progress.progress("Reading", total=10, unit="image") as bar:
        clock.now += 5
        bar.update(10)
    text = capsys.readouterr().err
    assert "\r" not in text
    assert "%" not in text


def test_a_bar_shows_on_a_terminal_after_a_while(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_SHOW_AFTER_S", 0.0)
    with progress.progress("Reading", total=4, unit="image") as bar:
        assert not bar.disable
        bar.update(2)
        bar.refresh()
    text = terminal.getvalue()
    assert "Reading" in text
    assert "2/4" in text
    assert "image/s" in text


def test_a_bar_is_delayed_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.progress("Reading", total=4, unit="image") as bar:
        bar.update(4)
    assert "Reading" not in terminal.getvalue()


def test_a_stage_that_fails_claims_nothing(clock, capsys):
    def fail():
        with progress.progress("Reading", total=3, unit="image"):
            clock.now += 10
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert capsys.readouterr().err == ""


def test_a_stage_of_nothing_is_no_division_by_zero(clock, capsys):
    with progress.progress("Reading", total=0, unit="image"):
        clock.now += 4
    assert "0 images in 4.0 s (0/s)" in capsys.readouterr().err
