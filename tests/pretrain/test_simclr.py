import math

import numpy as np
import pytest
import torch
from PIL import Image

from noiseproof.config.pretrain import PretrainConfig
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.pipelines.pretrain import _batches, _prepare
from noiseproof.pretrain.simclr import WithProjection, nt_xent, simclr_task
from noiseproof.training.loop import accelerator_for
from noiseproof.training.order import Share

declare_missing_operators()


def slow_nt_xent(first, second, temperature):
    """Equation 1 of the paper, word for word: a loop over i, a loop over k != i."""
    views = [row / np.linalg.norm(row) for row in np.concatenate([first, second]).astype(np.float64)]
    n, total = len(first), 0.0
    for i, view in enumerate(views):
        j = (i + n) % (2 * n)
        below = sum(math.exp(view @ other / temperature) for k, other in enumerate(views) if k != i)
        total -= math.log(math.exp(view @ views[j] / temperature) / below)
    return total / (2 * n)


@pytest.mark.parametrize(("b", "d", "temperature"), [(1, 3, 0.5), (2, 1, 0.5), (5, 4, 0.1), (16, 8, 1.0)])
def test_nt_xent_is_what_the_slow_loop_says(b, d, temperature):
    rng = np.random.default_rng(b)
    first, second = rng.normal(size=(2, b, d))
    ours = nt_xent(torch.from_numpy(first), torch.from_numpy(second), temperature=temperature)
    assert ours.item() == pytest.approx(slow_nt_xent(first, second, temperature), rel=1e-9, abs=1e-12)


def test_two_images_on_two_axes_by_hand():
    """Each view: its twin at cosine 1, two others at 0, so -ln(e^2 / (e^2 + 2)) at temperature 1/2."""
    axes = torch.eye(2)
    expected = -math.log(math.exp(2) / (math.exp(2) + 2))
    assert nt_xent(axes, 3 * axes, temperature=0.5).item() == pytest.approx(expected)


def test_one_image_alone_has_nothing_to_tell_apart():
    assert nt_xent(torch.ones(1, 3), torch.tensor([[0.0, 1.0, 0.0]])).item() == pytest.approx(0, abs=1e-6)


def test_a_tiny_temperature_overflows_nothing():
    rows = torch.eye(4, requires_grad=True)
    loss = nt_xent(rows, rows.flip(0), temperature=1e-4)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(rows.grad).all()


def test_swapping_the_two_views_changes_nothing():
    first, second = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0)).unbind()
    torch.testing.assert_close(nt_xent(first, second), nt_xent(second, first))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(InvalidArgument, match=r"`temperature` is .* allowed: a number above 0"):
        nt_xent(torch.eye(2), torch.eye(2), temperature=temperature)


def test_only_the_projection_is_wider_than_the_encoder():
    model = WithProjection(torch.nn.Flatten(), dim=12, projection_dim=5)
    assert model(torch.zeros(3, 3, 2, 2)).shape == (3, 5)
    assert model.encoder(torch.zeros(3, 3, 2, 2)).shape == (3, 12)


def flat_views(tmp_path, reading, share):
    """Views of images of one colour, whose colour no crop and no flip can change."""
    for name, colour in (("red", (200, 40, 40)), ("green", (40, 200, 40))):
        (tmp_path / name).mkdir(exist_ok=True)
        for number in range(8):
            Image.new("RGB", (40, 40), colour).save(tmp_path / name / f"{number}.png")
    config = PretrainConfig(
        objective="simclr", model="resnet8_32px", image_size=32, epochs=1, batch_size=8, learning_rate=0.1,
        reading=reading, train=str(tmp_path), test=str(tmp_path), out=tmp_path / "out",
        **({"workers": 0} if reading == "stream" else {}),
    )  # fmt: skip
    state = _prepare(config, accelerator_for("float32"), command="", quiet=True)
    batches = _batches(state, simclr_task(config.settings, seed=0))
    (batch,) = batches.iterate(range(1), share)
    return torch.cat([batch["images_0"], batch["images_1"]])


@pytest.mark.parametrize("reading", ["memory", "stream"])
def test_both_ways_of_reading_change_colours(tmp_path, reading):
    pytest.importorskip("timm")
    pytest.importorskip("accelerate")
    views = flat_views(tmp_path, reading, Share())
    colours = {tuple(view.mean((1, 2)).mul(50).round().tolist()) for view in views}
    assert len(colours) > 8


def test_two_processes_that_stream_see_what_one_sees(tmp_path):
    pytest.importorskip("timm")
    pytest.importorskip("accelerate")
    whole = flat_views(tmp_path, "stream", Share())
    for rank in (0, 1):
        part = flat_views(tmp_path, "stream", Share(rank, 2))
        torch.testing.assert_close(part, whole[rank::2])
