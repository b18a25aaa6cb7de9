"""Text encoders in an ONNX file: single texts, pairs as one input, and pairs of two inputs."""

import json

import numpy as np
import pytest

from noiseproof.backbones.backbones import open_backbone
from noiseproof.core.errors import InvalidArgument
from noiseproof.heads.estimators import LinearProbe
from noiseproof.heads.saved_heads import EncoderNeed, HeadNeeds
from noiseproof.models.onnx_model import write_onnx
from noiseproof.pipelines.loading import load
from tiny_transformers import add_pooling, save_transformer

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("transformers")
TEXTS = ["a good film", "the bad plot", "not very long", "sea and sun of the film was short"]
PAIRS = list(zip(TEXTS, reversed(TEXTS), strict=True))


def model_on(name, texts, tmp_path):
    backbone = open_backbone(name)
    features = backbone.encode(backbone.stack([backbone.prepare(text) for text in texts]))
    head = LinearProbe(epochs=3).fit(np.repeat(features, 4, axis=0), np.repeat([0, 1, 1, 0], 4))
    need = EncoderNeed(**backbone.identity.model_dump(include=set(EncoderNeed.model_fields)))
    path = head.save(tmp_path / "head", needs=HeadNeeds(class_names=("no", "yes"), encoders=(need,)))
    return load(path, cache=tmp_path / "cache", engine="torch")


@pytest.mark.parametrize(("family", "texts"), [("bert", TEXTS), ("bert", PAIRS), ("roberta", TEXTS)])
def test_tokens_and_mask_give_the_probabilities_of_predict(family, texts, tmp_path):
    folder = save_transformer(tmp_path / family, family)
    model = model_on(f"hf:{folder}", texts, tmp_path)
    check = write_onnx(model, model.open(texts).dataset, tmp_path / "model.onnx")
    assert check.difference < 1e-4
    assert "input_ids" in check.input_names
    assert "attention_mask" in check.input_names
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    meta = session.get_modelmeta().custom_metadata_map
    assert json.loads(meta["class_names"]) == ["no", "yes"]

    from tokenizers import Tokenizer

    last = (texts[3],) if isinstance(texts[3], str) else texts[3]
    tokens = Tokenizer.from_str(meta["tokenizer"]).encode(*last)
    given = {
        "input_ids": np.array([tokens.ids]), "attention_mask": np.ones((1, len(tokens.ids)), np.int64),
        "token_type_ids": np.array([tokens.type_ids]),
    }  # fmt: skip
    (probs,) = session.run(None, {name: given[name] for name in check.input_names})
    expected = model.predict([texts[3]]).filter(like="prob_").to_numpy()
    assert probs == pytest.approx(expected, abs=1e-4)


def test_pairs_of_a_sentence_transformer_have_two_inputs(tmp_path):
    folder = add_pooling(save_transformer(tmp_path / "bert"))
    model = model_on(f"st:{folder}", PAIRS, tmp_path)
    check = write_onnx(model, model.open(PAIRS).dataset, tmp_path / "model.onnx")
    assert check.difference < 1e-4
    assert {"input_ids_text1", "input_ids_text2"} <= set(check.input_names)


def test_a_service_cannot_be_put_into_a_file(tmp_path):
    need = EncoderNeed(
        **open_backbone("api:some-model").identity.model_dump(include=set(EncoderNeed.model_fields))
    )
    head = LinearProbe(epochs=1).fit(np.eye(4, dtype=np.float32), [0, 1, 0, 1])
    path = head.save(tmp_path / "head", needs=HeadNeeds(class_names=("a", "b"), encoders=(need,)))
    model = load(path, cache=tmp_path / "cache")
    with pytest.raises(InvalidArgument, match="is a service"):
        write_onnx(model, model.open(TEXTS).dataset, tmp_path / "model.onnx")
