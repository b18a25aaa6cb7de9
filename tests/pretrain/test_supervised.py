import math

import numpy as np
import pytest
import torch

from noiseproof.core.errors import InvalidArgument, UnknownName
from noiseproof.core.rng import isolated
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.pretrain.image_towers import image_tower
from noiseproof.pretrain.pretrain_settings import PretrainSettings
from noiseproof.pretrain.supervised import supervised_loss, supervised_task

declare_missing_operators()
pytest.importorskip("timm")


def settings(**values):
    base = {
        "objective": "supervised", "model": "resnet8_32px", "image_size": 32, "epochs": 1, "batch_size": 4,
        "learning_rate": 0.1,
    }  # fmt: skip
    return PretrainSettings(**(base | values))


class Fixed(torch.nn.Module):
    """Answers the same logits whatever it is shown, and keeps what it was shown."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, images):
        self.seen = images
        return self.logits[: len(images)]


LOGITS = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])
BATCH = {
    "images": torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 8),
    "given_labels": torch.tensor([0, 1, 1, 0]),
}


def loss_of(**values):
    return supervised_loss(settings(**values), num_classes=2)(Fixed(LOGITS), BATCH).item()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_cross_entropy_by_hand():
    rows = [math.log(1 + math.exp(-2)), math.log(2), math.log(1 + math.exp(-1)), math.log(1 + math.exp(2))]
    assert loss_of() == pytest.approx(sum(rows) / 4)


def test_binary_cross_entropy_by_hand():
    targets = [[1, 0], [0, 1], [0, 1], [1, 0]]
    total = 0.0
    for logits, row in zip(LOGITS.tolist(), targets, strict=True):
        for logit, target in zip(logits, row, strict=True):
            total -= math.log(sigmoid(logit) if target else 1 - sigmoid(logit))
    assert loss_of(loss="bce") == pytest.approx(total / 8)


def test_smoothed_cross_entropy_by_hand():
    """A quarter of the target spread over two classes: 7/8 for the given one, 1/8 for the other."""
    logs = [(math.log(sigmoid(a - b)), math.log(sigmoid(b - a))) for a, b in LOGITS.tolist()]
    total = 0.0
    for (zero, one), label in zip(logs, BATCH["given_labels"].tolist(), strict=True):
        total -= 7 / 8 * (one if label else zero) + 1 / 8 * (zero if label else one)
    assert loss_of(label_smoothing=0.25) == pytest.approx(total / 4)


def test_mixup_mixes_a_batch_with_its_reverse_and_its_targets_alike():
    model = Fixed(LOGITS)
    with isolated(1, "mixup"):
        value = supervised_loss(settings(mixup=1.0), num_classes=2)(model, BATCH).item()
    shares = (model.seen[:, 0, 0, 0] - torch.arange(3.0, -1, -1)) / (
        torch.arange(4.0) - torch.arange(3.0, -1, -1)
    )
    torch.testing.assert_close(shares, shares[:1].expand(4))  # one share for the whole batch
    share = shares[0].item()
    assert 0 < share < 1
    logs = torch.log_softmax(LOGITS, 1)
    one, reverse = logs[range(4), BATCH["given_labels"]], logs[range(4), BATCH["given_labels"].flip(0)]
    assert value == pytest.approx(-(share * one + (1 - share) * reverse).mean().item(), rel=1e-5)


def test_with_a_threshold_all_classes_of_a_mix_are_present():
    """A batch 0, 0, 1, 1 mixed with its reverse has both classes in every row."""
    batch = BATCH | {"given_labels": torch.tensor([0, 0, 1, 1])}
    mixing = settings(loss="bce", cutmix=1.0, mixup=1.0, target_threshold=0.01)
    with isolated(1, "mixup"):
        value = supervised_loss(mixing, num_classes=2)(Fixed(LOGITS), batch).item()
    expected = -torch.nn.functional.logsigmoid(LOGITS).mean().item()
    assert value == pytest.approx(expected, rel=1e-5)


def test_mixing_leaves_the_batch_itself_alone():
    before = BATCH["images"].clone()
    loss_of(mixup=0.2, cutmix=1.0)
    torch.testing.assert_close(BATCH["images"], before)


@pytest.mark.parametrize(
    ("values", "num_processes", "rows"),
    [({"batch_size": 5}, 1, 5), ({"batch_size": 6}, 2, 3), ({"batch_size": 12, "accumulation": 4}, 1, 3)],
)
def test_a_batch_that_cannot_be_mixed_is_refused(values, num_processes, rows):
    given = np.arange(12) % 2
    match = rf"`batch_size` is {values['batch_size']}; allowed: with mixup or cutmix, .* not {rows}"
    for mixing in ({"mixup": 0.2}, {"cutmix": 1.0}):
        with pytest.raises(InvalidArgument, match=match):
            supervised_task(
                settings(**values | mixing), given, num_classes=2, seed=0, num_processes=num_processes
            )
    supervised_task(settings(**values), given, num_classes=2, seed=0, num_processes=num_processes)


def test_the_seed_decides_the_first_weights():
    one, same, other = (image_tower(settings(), num_classes=3, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["stem.conv.weight"], other["stem.conv.weight"])


def test_the_small_network_keeps_all_pixels_in_its_stem_and_has_128_features():
    model = image_tower(settings(), num_classes=10, seed=0)
    assert model.stem(torch.zeros(1, 3, 32, 32)).shape == (1, 16, 32, 32)
    assert model.num_features == 128
    assert sum(p.numel() for p in model.parameters()) < 310_000


def test_an_unknown_model_gets_near_names():
    with pytest.raises(UnknownName, match=r"Unknown timm model 'resnet8_32'. Did you mean 'resnet8_32px'"):
        image_tower(settings(model="resnet8_32"), num_classes=2, seed=0)
