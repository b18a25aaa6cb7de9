"""One text per noise: what it means, how it is written, and that it means the same in every verb."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noiseproof.core.errors import InvalidArgument, UnknownName
from noiseproof.noise.class_maps import CLASS_MAPS
from noiseproof.noise.kinds import KINDS
from noiseproof.noise.spec import FORMS, NOISE_KINDS, Noise

WITH_RATE = [kind for kind in NOISE_KINDS if kind not in ("asymmetric", "real")]


def test_noise_is_of_labels_or_of_captions():
    assert (*KINDS.names, "captions") == NOISE_KINDS
    assert len(WITH_RATE) == 6


@pytest.mark.parametrize("kind", WITH_RATE)
@given(rate=st.floats(0, 1))
def test_any_rate_survives_its_text(kind, rate):
    noise = Noise(kind, rate)
    assert Noise.parse(str(noise)) == noise
    assert Noise.parse(f"{kind}:{rate!r}") == noise


@pytest.mark.parametrize("class_map", [*CLASS_MAPS, "maps/own.yaml", "C:/maps/own.yaml", "map.json"])
@given(rate=st.floats(0, 1))
def test_a_map_and_any_rate_survive_their_text(class_map, rate):
    noise = Noise("asymmetric", rate, class_map)
    assert Noise.parse(str(noise)) == noise
    assert Noise.parse(f"asymmetric:{class_map}:{rate!r}") == noise


FORMS_AND_PARTS = {
    "symmetric:0.2": (Noise("symmetric", 0.2), "symmetric 20 %"),
    "symmetric_inclusive:0": (Noise("symmetric_inclusive", 0.0), "symmetric_inclusive 0 %"),
    "pair:1": (Noise("pair", 1.0), "pair 100 %"),
    "instance:0.025": (Noise("instance", 0.025), "instance 2.5 %"),
    "instance_ptd:1e-05": (Noise("instance_ptd", 1e-5), "instance_ptd 0.001 %"),
    "captions:0.1": (Noise("captions", 0.1), "captions 10 %"),
    "asymmetric:cifar10:0.4": (Noise("asymmetric", 0.4, "cifar10"), "asymmetric (cifar10) 40 %"),
    "asymmetric:a/map.yaml:0.4": (Noise("asymmetric", 0.4, "a/map.yaml"), "asymmetric (map.yaml) 40 %"),
    "asymmetric:a/t.npy": (Noise("asymmetric", None, "a/t.npy"), "asymmetric (t.npy)"),
    "real:worker_1": (Noise("real", column="worker_1"), "real (worker_1)"),
    "real:label: second": (Noise("real", column="label: second"), "real (label: second)"),
}


@pytest.mark.parametrize(("text", "parts"), FORMS_AND_PARTS.items(), ids=FORMS_AND_PARTS)
def test_every_form_is_read_written_and_titled(text, parts):
    noise, title = parts
    assert Noise.parse(text) == noise
    assert str(noise) == text
    assert noise.title == title


def test_every_kind_has_a_form():
    assert {noise.kind for noise, _ in FORMS_AND_PARTS.values()} == set(NOISE_KINDS)


MALFORMED = [
    "symmetric", "symmetric:", "symmetric:half", "symmetric:0.2:0.3", "symmetric:20%", "captions",
    "captions:", "asymmetric", "asymmetric:", "asymmetric:0.4", "asymmetric::0.4", "asymmetric:cifar10",
    "asymmetric:cifar10:", "asymmetric:cifar10:much", "real", "real:",
]  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED)
def test_another_form_is_refused_with_all_that_are_allowed(text):
    with pytest.raises(InvalidArgument) as caught:
        Noise.parse(text)
    assert str(caught.value) == f"`noise` is {text!r}; allowed: {FORMS}. For example symmetric:0.2."


@pytest.mark.parametrize("text", ["", ":", ":0.2", "0.2", "symetric:0.2", "Symmetric:0.2", "labels:0.2"])
def test_an_unknown_kind_is_refused_with_those_there_are(text):
    with pytest.raises(UnknownName) as caught:
        Noise.parse(text)
    message = str(caught.value)
    assert message.startswith(f"Unknown kind of noise {text.partition(':')[0]!r}.")
    assert f"Known: {', '.join(sorted(NOISE_KINDS))}" in message
    assert message.endswith(f"Allowed: {FORMS}.")
    assert ("Did you mean 'symmetric'" in message) == (text.lower().startswith("sym"))


@pytest.mark.parametrize("form", ["symmetric:{}", "captions:{}", "asymmetric:cifar10:{}"])
@pytest.mark.parametrize("rate", ["1.01", "-0.1", "20", "nan", "inf"])
def test_a_rate_that_is_no_share_is_refused(form, rate):
    with pytest.raises(InvalidArgument, match=rf"`noise` is {float(rate)}; allowed: a share between 0 and 1"):
        Noise.parse(form.format(rate))


def test_a_matrix_has_rates_of_its_own():
    with pytest.raises(
        InvalidArgument,
        match=r"`noise` is 'asymmetric:t.npy:0.2'; allowed: asymmetric:t.npy. The matrix has its own rates",
    ):
        Noise.parse("asymmetric:t.npy:0.2")


def test_parts_of_a_key():
    assert Noise.parse("pair:0.5").to_json() == {"kind": "pair", "rate": 0.5, "class_map": None}
    assert Noise.parse("real:worker").to_json() == {
        "kind": "real", "rate": None, "class_map": None, "column": "worker"
    }  # fmt: skip


# The same text in every verb


ID, LABEL, WORKER = np.arange(60), np.arange(60) % 3, (np.arange(60) + (np.arange(60) < 10)) % 3
NAMES = np.array(["ant", "bee", "cat"])


@pytest.fixture
def data(tmp_path):
    """Features with two columns of labels, a map, a matrix; the name of the data set."""
    rng = np.random.default_rng(0)
    features = (np.eye(3)[LABEL] * 4 + rng.normal(size=(60, 3))).astype(np.float32)
    np.savez(tmp_path / "d.npz", features=features, label=NAMES[LABEL], worker=NAMES[WORKER])
    (tmp_path / "map.yaml").write_text("bee: cat\n")
    np.save(tmp_path / "t.npy", [[0.5, 0.5, 0], [0, 1, 0], [0, 0.25, 0.75]])
    return str(tmp_path / "d.npz")


def labels_of_corrupt(values):
    from noiseproof.config.corrupt import CorruptConfig
    from noiseproof.pipelines.corrupt import corrupt

    return corrupt(CorruptConfig(**values)).noisy.given


def labels_of_run(values):
    from noiseproof.config.run import RunConfig
    from noiseproof.pipelines.inputs.inputs import open_parts

    return open_parts(RunConfig(**values, test=values["train"], test_label="label")).train.given_labels


def labels_of_detect(values):
    from noiseproof.config.detect import DetectConfig
    from noiseproof.pipelines.inputs.judged import open_part

    return open_part(DetectConfig(**values)).given_labels


def labels_of_finetune(values):
    from noiseproof.config.finetune import FinetuneConfig
    from noiseproof.pipelines.inputs.inputs import open_parts

    config = FinetuneConfig(**values, test=values["train"], test_label="label", backbone="zoo:resnet8-noise0")
    return open_parts(config).train.given_labels


def labels_of_deft(values):
    from noiseproof.config.deft import DeftConfig
    from noiseproof.pipelines.inputs.inputs import open_parts

    config = DeftConfig(**values, test=values["train"], test_label="label")
    return open_parts(config).train.given_labels


def labels_of_pretrain(values):
    pytest.importorskip("accelerate")
    from noiseproof.config.pretrain import PretrainConfig
    from noiseproof.pipelines.pretrain import _prepare
    from noiseproof.training.loop import accelerator_for

    config = PretrainConfig(
        **values, test=values["train"], objective="supervised", model="resnet18", image_size=32, epochs=1,
        batch_size=8, learning_rate=0.1,
    )  # fmt: skip
    return _prepare(config, accelerator_for("float32"), command="", quiet=True).targets.given


VERBS = [labels_of_run, labels_of_detect, labels_of_finetune, labels_of_deft, labels_of_pretrain]
TEXTS = [
    "symmetric:0.3", "symmetric_inclusive:0.3", "pair:0.2", "asymmetric:{folder}/map.yaml:0.5",
    "asymmetric:{folder}/t.npy", "instance:0.3", "real:worker",
]  # fmt: skip
WITHOUT_RATE = ("asymmetric:{folder}/t.npy", "real:worker")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("verb", VERBS)
def test_the_same_text_makes_the_same_labels_wrong_in_every_verb(data, tmp_path, text, verb):
    noise = text.format(folder=tmp_path)
    values = {"train": data, "label": "label", "noise": noise, "out": tmp_path / "out", "seed": 4}
    expected = labels_of_corrupt(values)
    assert (expected != LABEL).any()
    assert verb(values).tolist() == expected.tolist()


@pytest.mark.parametrize("text", [text for text in TEXTS if text not in WITHOUT_RATE])
def test_the_same_text_makes_the_same_labels_wrong_in_a_study(data, tmp_path, text):
    from noiseproof.study.grid import Grid, Place
    from noiseproof.study.measures.material import Locations, open_task
    from noiseproof.study.recipe import StudyRecipe

    noise = text.format(folder=tmp_path)
    recipe = StudyRecipe(
        name="mine", claim="c", source="s", command="c", minutes=1, hardware="h", needs="n", expected="e",
        backbones=["features:"], tasks={"d": {"train": data, "test": data, "label": "label"}},
        heads={"linear": {}}, tables=[], noise=[noise],
    )  # fmt: skip
    task = open_task(Grid(recipe), "d", Locations(None, tmp_path, tmp_path))
    found = task.training_data(Place(recipe.backbones[0], "d", seed=4, noise=recipe.noise[0]))
    values = {"train": data, "label": "label", "noise": noise, "out": tmp_path / "out", "seed": 4}
    assert found.given_labels[np.argsort(found.rows)].tolist() == labels_of_corrupt(values).tolist()


@pytest.mark.parametrize("text", WITHOUT_RATE)
def test_a_study_sorts_by_rate_and_so_needs_one(text):
    from noiseproof.config.values import validate
    from noiseproof.study.recipe import StudyRecipe

    with pytest.raises(InvalidArgument, match=r"`noise` is '.*'; allowed: noise of labels with a rate, such"):
        validate(StudyRecipe, {"noise": [text]}, [], file=None)


def test_a_configuration_saves_the_text_and_reads_it_again(data, tmp_path):
    from noiseproof.config.run import RunConfig

    config = RunConfig(train=data, out=Path("x"), noise="asymmetric:cifar10:0.4")
    assert config.noise == Noise("asymmetric", 0.4, "cifar10")
    saved = config.model_dump(mode="json")
    assert saved["noise"] == "asymmetric:cifar10:0.4"
    assert RunConfig(**saved).noise == config.noise
    assert RunConfig(train=data, out=Path("x")).model_dump(mode="json")["noise"] is None


def test_noise_that_is_no_text_is_refused():
    from noiseproof.config.run import RunConfig
    from noiseproof.config.values import load_config

    with pytest.raises(InvalidArgument, match=r"`noise` is 0.2; allowed: KIND:RATE"):
        load_config(RunConfig, options={"train": "a", "out": "b", "noise": 0.2})
