"""1,000 damaged inputs of every format in CI, 100 before each commit; `fuzz.py` runs more by hand."""

import pytest
from formats import FORMATS
from fuzz import Failure, bound_memory, example, fuzz, read_undamaged, run_input, without_drawing

SEED, PARTS, COUNT = 7, 10, 1000


@pytest.mark.slow_but_first
@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_input_ends_in_one_sentence(part):
    outcomes, failures = fuzz(range(part, COUNT, PARTS), SEED)
    assert not failures, "\n\n".join(map(str, failures))
    assert len(outcomes) == COUNT // PARTS
    refused = sum(bool(one.message) for one in outcomes)
    assert refused > len(outcomes) / 4  # else the damage does nothing


@pytest.mark.parametrize("name", FORMATS)
def test_the_example_itself_is_read(name, tmp_path):
    with without_drawing():
        message = read_undamaged(name, tmp_path)
    # Configurations name data that does not exist, so that nothing is trained.
    assert not message or message.startswith("The data set 'none.npz' does not exist")


def test_the_same_number_is_the_same_input(tmp_path):
    with without_drawing(), bound_memory():
        first, again = (run_input(5, SEED, tmp_path / "input") for _ in range(2))
    assert first == again


def test_a_traceback_and_a_long_message_are_failures(tmp_path, monkeypatch):
    def fails(folder):
        raise KeyError(folder.name)

    name = next(iter(FORMATS))
    example(name)
    monkeypatch.setitem(
        FORMATS, name, FORMATS[name].__class__(FORMATS[name].files, ("*",), FORMATS[name].damage, fails)
    )
    with pytest.raises(Failure, match=r"input 0 of seed 7 .*a traceback: KeyError: 'input'"):
        run_input(0, SEED, tmp_path / "input")
