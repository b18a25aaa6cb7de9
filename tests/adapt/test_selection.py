import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from noiseproof.adapt.selection import LOG, Selection, Validation, best
from noiseproof.core.errors import DamagedFile
from noiseproof.training.loop import TrainingSchedule

LABELS = np.array([0, 1, 1, 0])


class Says(nn.Module):
    """Predicts the class ids it was told."""

    def __init__(self):
        super().__init__()
        self.classes = nn.Parameter(torch.zeros(4))

    def forward(self, images):
        return nn.functional.one_hot(self.classes.detach().long(), 2).float()


@pytest.fixture
def looking(tmp_path):
    """look(step, number of right answers), and the selection."""
    model = Says()

    def look(selection, step, num_right):
        answers = LABELS.copy()
        answers[num_right:] = 1 - answers[num_right:]
        model.classes.data = torch.tensor(answers, dtype=torch.float32)
        selection.validate(step)

    def start_again():
        schedule = TrainingSchedule(30, eval_steps=10)
        return Selection(tmp_path, model, lambda: [torch.zeros(4, 3, 1, 1)], LABELS, schedule)

    return look, start_again


def saved(tmp_path):
    return {
        int(path.stem.removeprefix("candidate-")): load_file(path)["classes"].tolist()
        for path in tmp_path.glob("*.safetensors")
    }


def test_the_first_of_equals_is_the_best():
    one, two, three = (
        Validation(step=step, accuracy=accuracy) for step, accuracy in ((1, 0.5), (2, 0.7), (3, 0.7))
    )
    assert best([one, two, three]) == two


def test_accuracies_are_logged_and_the_best_weights_kept(looking, tmp_path):
    look, start = looking
    selection = start()
    for step, num_right in ((10, 2), (20, 4), (30, 3)):
        look(selection, step, num_right)
    assert [each.accuracy for each in selection.validations] == [0.5, 1.0, 0.75]
    assert saved(tmp_path) == {20: LABELS.tolist()}
    assert selection.weights_file(20).is_file()
    assert (tmp_path / LOG).is_file()


def test_killed_before_the_checkpoint_of_a_better_look_the_one_before_is_still_there(looking, tmp_path):
    look, start = looking
    look(start(), 10, 3)
    look(start(), 20, 4)  # no checkpoint of step 20 was written: the training goes on from step 10
    assert set(saved(tmp_path)) == {10, 20}
    selection = start()
    look(selection, 20, 1)  # on other hardware it may come out otherwise
    assert [each.accuracy for each in selection.validations] == [0.75, 0.25]
    assert set(saved(tmp_path)) == {10}


def test_looks_after_the_checkpoint_are_forgotten_when_it_goes_on(looking):
    look, start = looking
    for step in (10, 20, 30):
        look(start(), step, 2)
    look(start(), 20, 2)
    assert [each.step for each in start().validations] == [10, 20]


def test_the_best_weights_are_those_of_the_best_validation(looking):
    look, start = looking
    for step, num_right in ((10, 2), (20, 4), (30, 3)):
        look(start(), step, num_right)
    chosen, weights = start().best_weights()
    assert (chosen, weights["classes"].tolist()) == (Validation(step=20, accuracy=1.0), LABELS.tolist())


@pytest.mark.parametrize("kept", [0, 1])
def test_a_validation_that_is_lost_stops_the_selection(looking, tmp_path, kept):
    look, start = looking
    for step in (10, 20):
        look(start(), step, 2)
    path = tmp_path / LOG
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))
    with pytest.raises(
        DamagedFile, match=rf"{LOG}' is damaged: it has {kept} validations where 2 were made.*from step 0"
    ):
        look(start(), 30, 2)
    assert len(start().validations) == kept
    with pytest.raises(DamagedFile, match=rf"{LOG}' is damaged: it has {kept} validations where 3 were made"):
        start().best_weights()


def test_lost_or_changed_weights_stop_the_selection(looking, tmp_path):
    look, start = looking
    for step in (10, 20, 30):
        look(start(), step, 2)
    path = start().weights_file(10)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DamagedFile, match=r"candidate-00000010.safetensors' is damaged: its tensors are not"):
        start().best_weights()
    path.unlink()
    with pytest.raises(DamagedFile, match=r"candidate-00000010.safetensors' is damaged: it is missing"):
        start().best_weights()
