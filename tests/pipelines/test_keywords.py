"""Flows that are called with the fields of their configuration."""

import numpy as np
import pytest

import noiseproof
from noiseproof import RunConfig
from noiseproof.core.errors import InvalidArgument
from noiseproof.pipelines.corrupt import corrupt
from noiseproof.pipelines.detect import detect


@pytest.fixture
def clouds(tmp_path):
    labels = np.arange(60) % 3
    features = 4 * np.eye(3, 5)[labels] + np.random.default_rng(0).normal(size=(60, 5))
    np.savez(tmp_path / "clouds.npz", features=features.astype(np.float32), labels=labels)
    return {"train": str(tmp_path / "clouds.npz"), "out": tmp_path / "out"}


def test_a_run_takes_the_fields_of_its_configuration(clouds, tmp_path):
    said = []
    options = clouds | {"cache": tmp_path / "cache", "heads": "linear", "seeds": 2}
    named = noiseproof.run(**options, say=said.append, command="mine")
    assert (len(named.rows), named.card["command"]) == (2, "mine")
    configured = noiseproof.run(RunConfig(**options | {"out": tmp_path / "other", "heads": ["linear"]}))
    assert [row.metrics for row in configured.rows] == [row.metrics for row in named.rows]


def test_detect_and_corrupt_do_too(clouds, tmp_path):
    found = detect(**clouds, cache=tmp_path / "cache")
    assert found.summary.num_examples == 60
    done = corrupt(train=clouds["train"], noise="symmetric:0.5", out=tmp_path / "noise")
    assert done.noisy.realised_rate == 0.5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"trian": "x"}, r"`trian`: Unknown option 'trian'. Did you mean 'train'\?"),
        ({"seeds": "many"}, r"`seeds` is 'many'; allowed: a valid integer"),
        ({"train": None}, r"`train` is not given"),
        ({"noise": "symetric:0.1"}, "symmetric"),
    ],
)
def test_mistakes_are_those_of_the_configuration(clouds, changed, message):
    with pytest.raises(InvalidArgument, match=message):
        noiseproof.run(**clouds | changed)


@pytest.mark.parametrize("wrong", ["photos/", {"train": "x"}, 3])
def test_another_object_than_a_configuration_is_refused(wrong):
    with pytest.raises(InvalidArgument, match=r"allowed: a RunConfig, or its fields .* Next: run\(train"):
        noiseproof.run(wrong)


def test_a_configuration_and_keywords_are_one_too_many(clouds):
    with pytest.raises(InvalidArgument, match="run got a configuration and seeds; allowed: one of the two"):
        noiseproof.run(RunConfig(**clouds), seeds=2)
