from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from noiseproof.config.data import DataConfig
from noiseproof.core.storage.checksums import read_record
from noiseproof.pipelines.training_flow import AbstractTrainingState, end_of_log, run_training
from noiseproof.training.loop import LOG


@dataclass(eq=False, kw_only=True)
class State(AbstractTrainingState):
    tested_on: str = "a"

    @property
    def evaluation_key(self):
        return self.tested_on


@pytest.fixture
def start(tmp_path):
    """Returns a function: options -> the card and the steps that were done."""

    def run(*, is_main=True, tested_on="a", fails=False, **options):
        steps = []

        def train(state, folder):
            steps.append("train")
            (folder / "weights").write_text("w")
            return ["weights"] if is_main else []

        def evaluate(state, stages, folder):
            steps.append("evaluate")
            if fails:
                raise RuntimeError("no test set")
            (folder / "results").write_text(stages.path("weights").read_text() + state.tested_on)
            return ["results"] if is_main else []

        def describe(state):
            result = (state.out / "results").read_text()
            return {"result": result, "notes": ["a note"], "training_s": 7.0}

        state = State(
            config=DataConfig(train="photos", out=tmp_path / "out"), command="noiseproof ...", quiet=True,
            accelerator=SimpleNamespace(
                is_main_process=is_main, wait_for_everyone=lambda: steps.append("wait")
            ),
            identity={"seed": 0}, tested_on=tested_on,
        )  # fmt: skip
        card = run_training(
            state, "finetune", files=["weights", "results"], train=train, evaluate=evaluate,
            describe=describe, **options,
        )  # fmt: skip
        return card, steps

    return run


def test_a_training_is_evaluated_published_and_described(start, tmp_path):
    card, steps = start()
    assert steps == ["train", "evaluate"]
    assert (card["kind"], card["result"], card["seed"]) == ("finetune", "wa", 0)
    assert (card["notes"], card["identity"], card["command"]) == (
        ["a note"], {"seed": 0}, "noiseproof ...",
    )  # fmt: skip
    assert card["wall_s"]["training"] == 7.0  # by the log
    assert "training_s" not in card
    assert read_record(tmp_path / "out" / "card.json", next_step="") == card


def test_a_second_start_does_nothing_and_another_test_set_only_evaluates(start):
    start()
    assert start()[1] == []
    card, steps = start(tested_on="b")
    assert (card["result"], steps) == ("wb", ["evaluate"])


def test_a_process_that_only_helps_takes_part_in_the_evaluation_where_that_trains(start, tmp_path):
    assert start(is_main=False) == ({}, ["train"])
    assert start(is_main=False, trains_twice=True) == ({}, ["train", "wait", "evaluate"])
    assert not (tmp_path / "out" / "card.json").exists()


@pytest.mark.parametrize("trains_twice", [False, True])
def test_an_evaluation_that_fails_leaves_a_first_training_of_two(start, tmp_path, trains_twice):
    with pytest.raises(RuntimeError, match="no test set"):
        start(fails=True, trains_twice=trains_twice)
    assert (tmp_path / "out" / "weights").exists() == trains_twice
    assert "train" not in start(trains_twice=trains_twice)[1]


def test_the_end_of_a_log_that_is_lost_is_empty(tmp_path):
    assert end_of_log(tmp_path) == {}
    (tmp_path / LOG).write_text('{"step": 1, "wall_s": 2}\n{"step": 2, "wall_s": 3}\n')
    assert end_of_log(tmp_path) == {"step": 2, "wall_s": 3}
