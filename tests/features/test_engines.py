import sys
import warnings

import numpy as np
import pytest
import torch
from tiny_encoders import CountingBackbone, image_backbone
from torch import nn

from noiseproof.core.errors import InvalidArgument, MissingExtra, UnknownName
from noiseproof.features.engines import (
    LARGEST_DIFFERENCE,
    Engine,
    choose_engine,
    largest_difference,
    onnx_engine,
    torch_engine,
)

on_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="ONNX Runtime is the default on a CPU only")


def pixels(num_rows=8):
    return np.random.default_rng(0).integers(0, 256, (num_rows, 16, 16, 3), dtype=np.uint8)


class OnlyUnderTracing(nn.Module):
    """A network whose exported graph is not what it computes."""

    def forward(self, images):
        features = images.mean(dim=(2, 3))
        return features * 1.001 if torch.jit.is_tracing() else features


class NotExportable(nn.Module):
    def forward(self, images):
        return torch.linalg.svdvals(images.mean(dim=1))


@on_cpu
def test_onnxruntime_is_the_default_and_agrees():
    backbone = image_backbone()
    engine = choose_engine(backbone, pixels())
    assert engine.name == "onnxruntime"
    assert engine.is_parallel
    assert engine.agreement <= LARGEST_DIFFERENCE
    assert engine.note is None


@pytest.mark.parametrize("num_rows", [1, 2, 3, 4])
def test_a_short_call_gives_the_same_bytes_as_a_full_one(num_rows):
    engine = onnx_engine(image_backbone().module, pixels(1))
    np.testing.assert_array_equal(engine.encode(pixels(num_rows)), engine.encode(pixels(4))[:num_rows])


@pytest.mark.parametrize(
    ("num_tokens", "num_rows"), [(1, 64), (8, 64), (9, 56), (100, 5), (256, 2), (9999, 2)]
)
def test_calls_have_about_as_many_tokens_whatever_the_length_of_the_texts(num_tokens, num_rows):
    engine = Engine("onnxruntime", np.array, 64, is_parallel=True, tokens_per_call=512)
    assert engine.rows_of_length(num_tokens) == num_rows


def test_engines_give_the_same_features():
    backbone = image_backbone()
    expected = backbone.encode(pixels(4))
    for engine in (onnx_engine(backbone.module, pixels(1)), torch_engine(backbone.module)):
        features = engine.encode(pixels(4))
        assert features.dtype == np.float32
        assert largest_difference(features, expected) < 1e-5


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
@pytest.mark.parametrize(
    ("encoder", "reason"),
    [(OnlyUnderTracing(), "features differ by 1.0e-03 relative"), (NotExportable(), "cannot be exported")],
    ids=["other features", "not exportable"],
)
@on_cpu
def test_an_engine_that_cannot_be_trusted_is_replaced_by_torch(engine, encoder, reason):
    backbone = image_backbone(encoder)
    with pytest.warns(UserWarning, match=f"'tiny' runs on PyTorch, not ONNX Runtime: .*{reason}"):
        chosen = choose_engine(backbone, pixels(), engine=engine)
    assert chosen.name == "torch"
    assert reason in chosen.note
    np.testing.assert_allclose(chosen.encode(pixels()), backbone.encode(pixels()), rtol=1e-6)


@on_cpu
def test_without_onnxruntime_auto_is_torch_and_asking_for_it_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.warns(UserWarning, match="`onnxruntime` is not installed"):
        assert choose_engine(image_backbone(), pixels()).name == "torch"
    with pytest.raises(MissingExtra, match=r"needs the package `onnxruntime`.*noiseproof\[vision\]"):
        choose_engine(image_backbone(), pixels(), engine="onnxruntime")


@on_cpu
def test_a_module_is_exported_once_and_compared_each_time(monkeypatch):
    backbone = image_backbone()
    first = choose_engine(backbone, pixels())
    monkeypatch.setattr(torch.onnx, "export", lambda *args, **kwargs: pytest.fail("exported again"))
    again = choose_engine(backbone, pixels()[::-1][:3])
    assert again.encode is first.encode
    assert again.agreement != first.agreement


def test_exporting_is_silent(capfd):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        onnx_engine(image_backbone().module, pixels(1))
    assert caught == []
    assert capfd.readouterr() == ("", "")


@on_cpu
def test_attention_of_torch_is_exported_in_parts_and_is_whole_afterwards():
    class Attentive(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

        def forward(self, images):
            rows = images.mean(1)
            return self.attention(rows, rows, rows, need_weights=False)[0].mean(1)

    backbone = image_backbone(Attentive())
    engine = choose_engine(backbone, pixels())
    assert engine.name == "onnxruntime"
    assert engine.agreement < LARGEST_DIFFERENCE
    assert torch.backends.mha.get_fastpath_enabled()


def test_bfloat16_is_near_float32_and_runs_on_torch():
    backbone = image_backbone()
    engine = choose_engine(backbone, pixels(), precision="bfloat16")
    assert engine.name == "torch"
    difference = largest_difference(engine.encode(pixels()), backbone.encode(pixels()))
    assert 1e-6 < difference < 2e-2


def test_bfloat16_on_onnxruntime_is_refused():
    with pytest.raises(InvalidArgument, match="`precision` is 'bfloat16'; allowed: 'float32' with engine"):
        choose_engine(image_backbone(), pixels(), engine="onnxruntime", precision="bfloat16")


def test_unknown_engine_and_precision_name_the_nearest():
    with pytest.raises(UnknownName, match=r"Unknown engine 'onnx'. Did you mean 'onnxruntime'\?"):
        choose_engine(image_backbone(), pixels(), engine="onnx")
    with pytest.raises(UnknownName, match=r"Unknown precision 'float16'. Did you mean 'bfloat16'\?"):
        choose_engine(image_backbone(), pixels(), precision="float16")


def test_a_backbone_without_a_module_encodes_itself():
    backbone = CountingBackbone()
    engine = choose_engine(backbone, pixels())
    assert (engine.name, engine.is_parallel) == ("backbone", False)
    assert engine.encode(pixels(3)).shape == (3, 5)


def test_difference_is_the_worst_row_by_hand():
    reference = np.array([[3.0, 4.0], [1.0, 0.0]], dtype=np.float32)
    ours = np.array([[3.0, 4.5], [1.0, 0.2]], dtype=np.float32)
    assert largest_difference(ours, reference) == pytest.approx(0.2)  # rows: 0.5 / 5 and 0.2 / 1
    assert np.isnan(largest_difference(ours * np.nan, reference))
