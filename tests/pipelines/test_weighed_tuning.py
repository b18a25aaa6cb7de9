"""Fine-tuning with weights that Meta-Weight-Net learns."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from changed import changed
from noiseproof import FinetuneConfig
from noiseproof.adapt.finetune_settings import MetaSettings
from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.core.records import LabelledDataset
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.pipelines.finetune import finetune as finetune_aloud
from noiseproof.robust.forward_mode import FusedBatchNorm
from noiseproof.robust.meta_gradient import NetworkStep, _load_forward_mode
from noiseproof.robust.meta_set import held_out_meta_set
from tiny_images import image_folder

declare_missing_operators()
pytest.importorskip("timm")
pytest.importorskip("accelerate")
finetune = partial(finetune_aloud, quiet=True)
SMALL = {"epochs": 2, "batch_size": 4, "padding": 1, "validation": 0.2, "learning_rate": 0.05}


@pytest.fixture
def config(tmp_path):
    train, test = image_folder(tmp_path / "train"), image_folder(tmp_path / "test", per_class=4, seed=1)
    return FinetuneConfig(
        train=train, out=tmp_path / "out", backbone="zoo:resnet8-simclr", test=test,
        noise="symmetric:0.25", meta=MetaSettings(per_class=2), **SMALL,
    )  # fmt: skip


def test_the_card_says_which_examples_were_clean_and_what_the_others_weigh(config):
    card = finetune(config)
    num_clean = card["meta"]["num_examples"]
    assert num_clean == 2 * len(card["train"]["class_names"])
    assert card["train"]["num_examples"] + card["validation"]["num_examples"] + num_clean == 24
    weights = card["weights"]
    assert sum(weights["weight_histogram"]) == 4  # of the last batch
    assert 0 < weights["mean_weight"] < 1
    assert weights["weight_gradient_norm"] > 0
    assert weights["skipped_steps"] == 0


def test_checked_examples_of_ones_own_are_taken_whole(config, tmp_path):
    checked = image_folder(tmp_path / "checked", per_class=3, seed=2)
    card = finetune(changed(config, meta=None, meta_set=checked, noise=None))
    assert card["meta"]["num_examples"] == 3 * len(card["train"]["class_names"])
    assert card["train"]["num_examples"] + card["validation"]["num_examples"] == 24


def copied(source, folder, *, keep=lambda path: True):
    """A folder of copies of some of the images, under other names."""
    for number, path in enumerate(sorted(Path(source).rglob("*.png"))):
        if keep(path):
            (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
            (folder / path.parent.name / f"copy{number}.png").write_bytes(path.read_bytes())
    return str(folder)


@pytest.mark.parametrize("reading", ["memory", "stream"])
@pytest.mark.parametrize("role", ["train", "test"])
def test_checked_examples_are_none_to_learn_from_or_to_test_on(config, tmp_path, role, reading):
    meta_set = copied(getattr(config, role), tmp_path / "copies")
    with pytest.raises(
        BadData, match=rf"The meta set shares \d+ examples? with '{role}', for example '.*png'; allowed"
    ):
        finetune(changed(config, meta=None, meta_set=meta_set, reading=reading))


def test_checked_examples_are_none_to_select_by(config, tmp_path):
    """One image is enough, and where it ends up in the split does not matter."""
    first = sorted(Path(config.train).rglob("*.png"))[0]
    meta = Path(image_folder(tmp_path / "checked", per_class=3, seed=2))
    (meta / first.parent.name / "other.png").write_bytes(first.read_bytes())
    with pytest.raises(BadData, match="The meta set shares 1 example with 'train'"):
        finetune(changed(config, meta=None, meta_set=str(meta)))


def test_other_images_of_the_same_names_are_other_images(config, tmp_path):
    checked = image_folder(tmp_path / "checked", per_class=3, seed=2)
    streamed = changed(config, reading="stream", workers=0, meta=None, meta_set=checked)
    assert finetune(streamed)["meta"]["num_examples"] > 0


def test_a_limit_leaves_the_checked_examples_whole_and_the_card_has_all_settings(config, tmp_path):
    checked = image_folder(tmp_path / "checked", per_class=5, seed=2)
    card = finetune(changed(config, noise=None, limit=16, meta=None, meta_set=checked))
    assert card["meta"]["num_examples"] == 5 * len(card["train"]["class_names"])
    assert card["config"]["meta"]["update_every"] == 1


def test_lora_and_mixed_precision_are_refused_with_it(config):
    with pytest.raises(
        InvalidArgument, match="`precision` is 'bfloat16'; allowed: float32 with Meta-Weight-Net"
    ):
        finetune(changed(config, tune="lora", precision="bfloat16"))


@pytest.mark.parametrize("tune", ["full", "bias", "last-blocks:1", "head"])
def test_mixed_precision_goes_with_every_other_way_to_tune(config, tune):
    brief = changed(config, epochs=1, tune=tune, precision="bfloat16")
    assert finetune(brief)["weights"]["skipped_steps"] == 0


def test_without_true_labels_there_is_nothing_to_take(config):
    with pytest.raises(BadData, match="The true labels of 'train' are not known"):
        finetune(changed(config, noise=None))


def test_a_loss_that_sees_more_than_one_example_is_refused_before_any_work(config):
    with pytest.raises(InvalidArgument, match="a loss of one example at a time"):
        finetune(changed(config, loss="peer"))
    assert not list(Path(config.out).glob("*.jsonl"))


def test_a_training_whose_log_was_lost_still_ends(config):
    finetune(config)
    for name in ("log.jsonl", "training.json", "card.json"):
        (Path(config.out) / name).unlink()
    assert finetune(config)["num_steps"] > 0


def test_a_stopped_training_ends_with_the_same_weights(config, tmp_path, monkeypatch):
    whole = changed(config, checkpoint_steps=3, eval_epochs=10.0)
    finetune(whole)
    steps = 0

    class Stopped(Exception):
        pass

    learn = NetworkStep.slopes

    def stopping(self, *args, **kwargs):
        nonlocal steps
        steps += 1
        if steps == 5:
            raise Stopped
        return learn(self, *args, **kwargs)

    other = changed(whole, out=tmp_path / "other")
    monkeypatch.setattr(NetworkStep, "slopes", stopping)
    with pytest.raises(Stopped):
        finetune(other)
    monkeypatch.setattr(NetworkStep, "slopes", learn)
    assert (Path(other.out) / ".stages/waiting/checkpoint.safetensors").exists()
    finetune(other)
    one, two = (load_file(Path(each.out) / "last.safetensors") for each in (whole, other))
    assert all(torch.equal(one[name], two[name]) for name in one)
    logs = [(Path(each.out) / "log.jsonl").read_text().splitlines()[-1] for each in (whole, other)]
    assert len({json.loads(log)["mean_weight"] for log in logs}) == 1


def test_the_meta_set_has_the_true_labels_and_no_example_of_the_rest():
    rng = np.random.default_rng(0)
    clean = np.repeat(np.arange(3), 10)
    ids = np.array([str(i) for i in range(30)])
    data = LabelledDataset(
        "d", "features", list(rng.normal(size=(30, 2)).astype(np.float32)), ids,
        (clean + 1) % 3, ("a", "b", "c"), "f", clean_labels=clean,
    )  # fmt: skip
    meta, rest = held_out_meta_set(data, per_class=4, seed=0)
    assert np.bincount(meta.given_labels).tolist() == [4, 4, 4]
    assert {int(each) for each in meta.ids} | set(rest.tolist()) == set(range(30))
    assert len(rest) == 18
    assert (meta.given_labels == clean[meta.ids.astype(int)]).all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_batch_norm_in_forward_mode_is_what_torch_gives(layout):
    """Against torch's own decomposition, and against a difference quotient."""
    _load_forward_mode()
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)).double()
    images = torch.randn(5, 3, 6, 6, dtype=torch.float64).to(memory_format=layout)
    names, values = zip(*network.named_parameters(), strict=True)
    along = tuple(torch.randn_like(value) for value in values)

    def outputs(*moved):
        state = dict(zip(names, moved, strict=True)) | {k: v.clone() for k, v in network.named_buffers()}
        return torch.func.functional_call(network, state, (images,))

    at = tuple(value.detach() for value in values)
    _, expected = torch.func.jvp(outputs, at, along)
    with FusedBatchNorm(), torch.autograd.forward_ad.dual_level():
        dual = [torch.autograd.forward_ad.make_dual(*pair) for pair in zip(at, along, strict=True)]
        found = torch.autograd.forward_ad.unpack_dual(outputs(*dual)).tangent
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    h = 1e-6
    ahead, behind = (outputs(*(v + sign * h * d for v, d in zip(at, along, strict=True))) for sign in (1, -1))
    torch.testing.assert_close(found, (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-7)
