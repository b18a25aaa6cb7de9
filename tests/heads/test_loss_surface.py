import numpy as np
import pytest
import torch

from noiseproof.core.errors import BadData
from noiseproof.heads.estimators import HEADS
from noiseproof.heads.loss_surface import class_ids_of, loss_surface


def fitted(name, **options):
    rng = np.random.default_rng(0)
    labels = np.array(["ant", "bee", "cat"])[np.arange(45) % 3]
    features = (np.eye(3, 6)[np.arange(45) % 3] * 2 + rng.normal(size=(45, 6))).astype(np.float32)
    return HEADS[name](epochs=3, seed=0, **options).fit(features, labels), features, labels


@pytest.mark.parametrize("name", HEADS)
def test_loss_is_the_cross_entropy_of_what_the_head_predicts(name):
    head, features, labels = fitted(name)
    parameters, summed = loss_surface(head)
    numbers = class_ids_of(head, labels)
    loss = summed(parameters, torch.from_numpy(features).double(), torch.from_numpy(numbers))
    probs = head.predict_proba(features)[np.arange(len(labels)), numbers]
    assert float(loss) == pytest.approx(-np.log(probs).sum(), rel=1e-5)


def test_running_statistics_are_no_parameters():
    head, features, labels = fitted("mlp", batch_norm=True)
    parameters, summed = loss_surface(head)
    assert not any("running" in name for name in parameters)
    loss = summed(
        parameters, torch.from_numpy(features).double(), torch.from_numpy(class_ids_of(head, labels))
    )
    assert float(loss) > 0


def test_a_label_the_head_does_not_know_is_named():
    head, _, _ = fitted("linear")
    with pytest.raises(
        BadData, match=r"label 'dog' in row 1 is not a class of the head; allowed: ant, bee, cat"
    ):
        class_ids_of(head, np.array(["ant", "dog"]))
