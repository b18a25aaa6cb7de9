"""Features of a text do not depend on the texts that it is encoded with, to the last bit."""

import hashlib
import json

import numpy as np
import pytest

from noiseproof.backbones.backbones import open_backbone
from noiseproof.core.records import Dataset
from noiseproof.data.sources import open_dataset
from noiseproof.features.extract import extract
from tiny_transformers import WORDS, add_pooling, save_transformer

pytest.importorskip("transformers")
import torch

on_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels of a GPU depend on the number of rows")


def dataset_of(examples):
    return Dataset(
        name="texts", kind="text", examples=examples, ids=np.arange(len(examples)), given_labels=None,
        class_names=(), fingerprint=hashlib.sha256(json.dumps(examples).encode()).hexdigest(),
    )  # fmt: skip


def check_random_companions(backbone, examples, store, *, engine, num_draws):
    """Extract all examples, then random ones in random order, calls and shards; all bytes must be equal."""
    rng = np.random.default_rng(0)
    options = {"engine": engine, "quiet": True, "num_workers": 2}
    together = np.asarray(extract(dataset_of(examples), backbone, store=store, **options).features)
    for size in [1, *rng.integers(2, len(examples) + 1, num_draws).tolist()]:
        rows = rng.permutation(len(examples))[:size]
        stored = extract(
            dataset_of([examples[row] for row in rows]), backbone, store=store,
            batch_size=int(rng.integers(1, 12)), shard_rows=int(rng.integers(1, size + 1)), **options,
        )  # fmt: skip
        assert stored.manifest.engine == engine
        np.testing.assert_array_equal(np.asarray(stored.features), together[rows])


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(1)
    return [" ".join(rng.choice(WORDS, 1 + row % 23)) for row in range(60)]


@on_cpu
@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_companions_change_no_bit(texts, tmp_path, family, engine):
    backbone = open_backbone(f"hf:{save_transformer(tmp_path / family, family)}")
    check_random_companions(backbone, texts, tmp_path / "store", engine=engine, num_draws=6)


@on_cpu
def test_companions_of_a_pair_change_no_bit(texts, tmp_path):
    folder = add_pooling(save_transformer(tmp_path / "bert"))
    pairs = list(zip(texts, texts[::-1], strict=True))
    for name in (f"hf:{folder}", f"st:{folder}"):
        check_random_companions(
            open_backbone(name), pairs, tmp_path / "store", engine="onnxruntime", num_draws=4
        )


@on_cpu
@pytest.mark.slow  # a real encoder
@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_companions_change_no_bit_of_a_real_encoder(tmp_path, shared_data, engine):
    table = open_dataset(str(shared_data / "sst2/train.parquet"))
    sentences = [table.examples[row] for row in range(160)]
    sentences += [" ".join(sentences[row : row + 2 + row % 6]) for row in range(0, 80, 8)]
    backbone = open_backbone("bundled:minilm-l6")
    check_random_companions(backbone, sentences, tmp_path, engine=engine, num_draws=3)
