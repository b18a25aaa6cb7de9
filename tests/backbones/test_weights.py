import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from noiseproof.backbones.weights import (
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
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_is_found_in_its_wrappings(tmp_path, wrapper, prefix):
    state = {prefix + name: value for name, value in made().state_dict().items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "weights.pth")
    read = read_checkpoint(tmp_path / "weights.pth")
    assert set(read) == set(made().state_dict())


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
    with pytest.raises(DamagedFile, match=f"The checkpoint '.*{name}' cannot be read, so it is damaged"):
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
    with pytest.raises(DamagedFile, match=r"header of .*x.safetensors' is damaged"):
        read_header(tmp_path / "x.safetensors")


def test_a_header_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file(made().state_dict(), path, metadata={"noiseproof": '{"schema": 9}'})
    with pytest.raises(OtherSchema, match=r"header of .*' has schema 9; .*Next: install a newer"):
        read_header(path)
