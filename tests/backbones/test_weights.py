import argparse
import pickle
import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from noiseproof.backbones.checkpoints.weights import (
    WeightsHeader,
    hash_weights,
    load_exactly,
    read_checkpoint,
    read_header,
    write_weights,
)
from noiseproof.core.errors import (
    BadData,
    CheckpointMismatch,
    DamagedFile,
    InvalidArgument,
    MissingFile,
    OtherSchema,
)
from noiseproof.core.torchvision_ops import declare_missing_operators


def made(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_the_hash_depends_on_every_value_name_and_shape():
    model = made()
    before = hash_weights(model)
    assert hash_weights(made()) == before
    assert hash_weights(nn.Sequential(model)) != before
    with torch.no_grad():
        model[0].weight[2, 1] += 1e-6
    assert hash_weights(model) != before


def test_the_hash_does_not_depend_on_the_memory_layout():
    model = nn.Conv2d(3, 4, 3)
    before = hash_weights(model)
    assert hash_weights(model.to(memory_format=torch.channels_last)) == before


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_a_state_dict_is_found_in_its_wrappings(tmp_path, wrapper, prefix):
    state = {prefix + name: value for name, value in made().state_dict().items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "weights.pth")
    read = read_checkpoint(tmp_path / "weights.pth")
    assert set(read) == set(made().state_dict())


@pytest.mark.parametrize("ema", ["state_dict_ema", "model_ema"])
def test_averaged_weights_are_taken_as_timm_takes_them(tmp_path, ema):
    declare_missing_operators()
    load_state_dict = pytest.importorskip("timm.models").load_state_dict
    file = tmp_path / "last.pth.tar"
    torch.save({"state_dict": made().state_dict(), ema: made(seed=1).state_dict()}, file)
    ours, timms = read_checkpoint(file), load_state_dict(str(file))
    assert {name: value.tolist() for name, value in ours.items()} == {
        name: value.tolist() for name, value in timms.items()
    }
    assert ours["0.weight"].tolist() == made(seed=1).state_dict()["0.weight"].tolist()


def test_without_averaged_weights_those_of_the_last_step_are_taken(tmp_path):
    torch.save({"state_dict": made().state_dict(), "state_dict_ema": None}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth")["0.weight"].tolist() == made()[0].weight.tolist()


def test_a_checkpoint_that_timm_saves_is_read(tmp_path):
    """With the options of the training in an argparse.Namespace, the optimizer, and averaged weights."""
    declare_missing_operators()
    utils = pytest.importorskip("timm.utils")
    model, averaged = made(), utils.ModelEmaV3(made(seed=1))
    options = argparse.Namespace(model="resnet50", lr=0.1, out=None, betas=[0.9, 0.99])
    saver = utils.CheckpointSaver(
        model, torch.optim.SGD(model.parameters(), lr=0.1), args=options, model_ema=averaged,
        checkpoint_dir=str(tmp_path), recovery_dir=str(tmp_path),
    )  # fmt: skip
    saver.save_checkpoint(0, metric=71.5)
    assert {each.name for each in tmp_path.glob("*.tar")} >= {"last.pth.tar", "model_best.pth.tar"}
    for name in ("last.pth.tar", "model_best.pth.tar"):
        load_exactly(fresh := made(seed=2), read_checkpoint(tmp_path / name), source=name)
        assert hash_weights(fresh) == hash_weights(averaged.module)


@pytest.mark.parametrize("name", ["weights.PTH", "model.Pth.Tar", "weights.SafeTensors"])
def test_capitals_in_a_suffix_are_allowed(tmp_path, name):
    path, state = tmp_path / name, made().state_dict()
    save_file(state, path) if name.endswith("Tensors") else torch.save(state, path)
    assert set(read_checkpoint(path)) == set(state)
    assert read_header(path) == WeightsHeader()


def test_a_namespace_with_code_in_it_is_refused(tmp_path):
    torch.save({"state_dict": {}, "args": argparse.Namespace(run=Malicious())}, tmp_path / "weights.pth")
    with pytest.raises(BadData, match="is a pickle with more than tensors"):
        read_checkpoint(tmp_path / "weights.pth")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torch_script_archive_is_named(tmp_path):
    torch.jit.save(torch.jit.trace(made().eval(), torch.zeros(1, 3)), tmp_path / "traced.pt")
    with pytest.raises(BadData, match=r"traced.pt' is a TorchScript archive.*allowed: a state dict\. Next"):
        read_checkpoint(tmp_path / "traced.pt")


def test_parts_that_only_the_user_can_choose_from_are_named(tmp_path):
    state = made().state_dict()
    torch.save({"student": state, "teacher": state, "epoch": 3}, tmp_path / "dino.pth")
    with pytest.raises(BadData, match=r"It has 'student' \(7 weights\), 'teacher' .*save the one you want"):
        read_checkpoint(tmp_path / "dino.pth")


def test_a_weight_with_and_without_a_wrapper_is_refused(tmp_path):
    state = made().state_dict()
    torch.save(state | {"module.0.bias": state["0.bias"] + 1}, tmp_path / "two.pth")
    with pytest.raises(BadData, match=r"two.pth' has '0.bias' twice, with and without module\. or _orig_mod"):
        read_checkpoint(tmp_path / "two.pth")


@pytest.mark.parametrize("prefix", ["model.", "encoder_q.", "teacher.backbone."])
def test_a_common_prefix_is_named(prefix):
    state = {prefix + name: value for name, value in made().state_dict().items()}
    state |= {"queue": torch.zeros(3), f"{prefix}projector.weight": torch.zeros(2)}
    with pytest.raises(
        CheckpointMismatch, match=rf"after the prefix '{re.escape(prefix)}'\. Next: save these"
    ):
        load_exactly(made(), state, source="x.pth")


def test_names_that_no_prefix_explains_get_other_advice():
    with pytest.raises(CheckpointMismatch, match="Next: name the architecture these weights were trained"):
        load_exactly(made(), {"a.0.weight": torch.zeros(4, 3), "b.x": torch.zeros(1)}, source="x.pth")


def test_both_formats_give_the_same_weights(tmp_path):
    torch.save(made().state_dict(), tmp_path / "weights.pth")
    save_file(made().state_dict(), tmp_path / "weights.safetensors")
    models = [made(seed=1), made(seed=2)]
    for model, name in zip(models, ("weights.pth", "weights.safetensors"), strict=True):
        load_exactly(model, read_checkpoint(tmp_path / name), source=name)
    assert hash_weights(models[0]) == hash_weights(models[1]) == hash_weights(made())


class Malicious:
    def __reduce__(self):
        return (pytest.fail, ("the pickle ran code",))


@pytest.mark.parametrize("content", [{"weight": Malicious()}, made()], ids=["malicious", "whole model"])
def test_a_pickle_with_more_than_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(
        BadData, match=r"weights.pth' is a pickle with more than tensors.*allowed: tensors only"
    ):
        read_checkpoint(tmp_path / "weights.pth")


def test_a_plain_pickle_is_refused(tmp_path):
    (tmp_path / "weights.bin").write_bytes(pickle.dumps({"weight": Malicious()}))
    with pytest.raises((BadData, DamagedFile), match=r"weights.bin'"):
        read_checkpoint(tmp_path / "weights.bin")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_truncated_checkpoint_is_named(tmp_path, name):
    path = tmp_path / name
    torch.save(made().state_dict(), path) if name.endswith("pth") else save_file(made().state_dict(), path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DamagedFile, match=f"{name}' (is damaged: it )?cannot be read"):
        read_checkpoint(path)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(MissingFile, match=r"weights.pth' does not exist. Next: check the path"):
        read_checkpoint(tmp_path / "weights.pth")
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(
        InvalidArgument, match=r"`checkpoint` is '.*weights.h5'; allowed: a file that ends in"
    ):
        read_checkpoint(tmp_path / "weights.h5")
    torch.save({"epoch": 3}, tmp_path / "weights.pth")
    with pytest.raises(BadData, match=r"weights.pth' holds no state dict"):
        read_checkpoint(tmp_path / "weights.pth")


def test_weights_that_do_not_fit_list_every_kind_of_mismatch():
    state = made().state_dict()
    state["2.extra"] = state.pop("0.bias")
    state["0.weight"] = torch.zeros(4, 5)
    before = hash_weights(model := made())
    with pytest.raises(CheckpointMismatch) as caught:
        load_exactly(model, state, source="x.pth")
    assert (
        "1 missing: 0.bias; 1 unexpected: 2.extra; 1 of another shape: 0.weight (4, 5) instead of (4, 3)"
        in str(caught.value)
    )
    assert "'x.pth' do not fit the model (7 keys)" in str(caught.value)
    assert hash_weights(model) == before


def test_only_dropped_layers_may_differ():
    state = made().state_dict() | {"head.weight": torch.zeros(1), "header": torch.zeros(1)}
    with pytest.raises(CheckpointMismatch, match="1 unexpected: header"):
        load_exactly(made(), state, source="x.pth", dropped=["head"])


def test_batch_counters_may_be_absent():
    state = {name: value for name, value in made().state_dict().items() if "num_batches" not in name}
    load_exactly(model := made(seed=1), state, source="x.pth")
    assert hash_weights(model) == hash_weights(made())


def test_a_header_is_read_back_and_files_of_others_have_none(tmp_path):
    header = WeightsHeader(prefix="a.")
    write_weights(tmp_path / "ours.safetensors", made(), header=header)
    save_file(made().state_dict(), tmp_path / "theirs.safetensors")
    torch.save(made().state_dict(), tmp_path / "theirs.pth")
    assert read_header(tmp_path / "ours.safetensors") == header
    assert read_header(tmp_path / "theirs.safetensors") == WeightsHeader()
    assert read_header(tmp_path / "theirs.pth") == WeightsHeader()


def test_a_header_that_is_no_json_is_damaged(tmp_path):
    save_file(made().state_dict(), tmp_path / "x.safetensors", metadata={"noiseproof": "{"})
    with pytest.raises(DamagedFile, match=r"x.safetensors' is damaged"):
        read_header(tmp_path / "x.safetensors")


def test_a_header_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file(made().state_dict(), path, metadata={"noiseproof": '{"schema": 9}'})
    with pytest.raises(OtherSchema, match=r"header of .*' has schema 9; .*Next: install a newer"):
        read_header(path)
