import math

import pytest
import torch

from noiseproof.adapt.objective import classification_loss, per_example_loss
from noiseproof.errors import UnknownName


def test_the_loss_of_a_batch_is_the_mean_over_its_examples():
    """Two examples of two classes at even odds lose ln 2 each, one at 3 : 1 loses ln 4 / 3 or ln 4."""
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    batch = {"images": logits, "given_labels": torch.tensor([1, 0], dtype=torch.int32)}
    loss = classification_loss(per_example_loss("cross_entropy", {}))
    expected = (math.log(2) + math.log(4 / 3)) / 2
    assert float(loss(torch.nn.Identity(), batch)) == pytest.approx(expected)


def test_an_unknown_loss_is_named():
    with pytest.raises(UnknownName, match=r"Unknown loss 'cross_entropi'. Did you mean 'cross_entropy'"):
        per_example_loss("cross_entropi", {})


def test_an_option_the_loss_does_not_have_is_named():
    with pytest.raises(UnknownName, match=r"Unknown option of the loss 'cross_entropy': 'q'"):
        per_example_loss("cross_entropy", {"q": 0.7})
