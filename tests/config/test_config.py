from pathlib import Path

import pytest

from noiseproof.adapt.finetune_settings import MetaSettings
from noiseproof.config.apply import ApplyConfig
from noiseproof.config.corrupt import CorruptConfig
from noiseproof.config.deft import DeftConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.config.extract import ExtractConfig
from noiseproof.config.finetune import FinetuneConfig
from noiseproof.config.pretrain import PretrainConfig
from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.config.verdict import VerdictConfig
from noiseproof.core.errors import InvalidArgument, MissingFile
from noiseproof.noise.spec import Noise

NEEDED = {"train": "photos/", "out": "runs/a"}


@pytest.fixture
def config_file(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return path

    return write


def test_defaults_hold_where_nothing_is_said():
    config = load_config(RunConfig, options=NEEDED)
    assert (config.seeds, config.test_fraction, config.ood) == (None, 0.2, ())
    assert config.heads == {name: {"noise_tolerant": "auto"} for name in ("linear", "nmtune")}


@pytest.mark.parametrize("recipe", ["paper", "released"])
def test_a_recipe_of_a_paper_has_all_heads_as_they_are(recipe, config_file):
    plain = {"linear": {}, "mlp": {}, "nmtune": {}}
    assert load_config(RunConfig, options=NEEDED | {"recipe": recipe}).heads == plain
    assert load_config(RunConfig, options=NEEDED, overrides=[f"recipe={recipe}"]).heads == plain
    assert RunConfig(train="a.csv", out="o", recipe=recipe).heads == plain
    changed = ["heads.mlp.dropout=0.5"]
    assert load_config(RunConfig, options=NEEDED | {"recipe": recipe}, overrides=changed).heads == (
        plain | {"mlp": {"dropout": 0.5}}
    )


def test_heads_that_are_named_are_plain():
    assert load_config(RunConfig, options=NEEDED | {"heads": "linear,nmtune"}).heads == {
        "linear": {}, "nmtune": {},
    }  # fmt: skip


def test_file_wins_over_defaults_and_command_line_over_file(config_file):
    file = config_file("train: a.csv\nout: o\nseeds: 7\nlimit: 10\n")
    config = load_config(RunConfig, file, overrides=["limit=20"], options={"seeds": 1, "test": None})
    assert (config.train, config.seeds, config.limit) == ("a.csv", 1, 20)


def test_option_and_set_with_different_values_are_a_mistake():
    with pytest.raises(InvalidArgument, match="`seeds` is 2 and --set seeds=4; give one of them"):
        load_config(RunConfig, options=NEEDED | {"seeds": 2}, overrides=["seeds=4"])


def test_option_and_set_with_the_same_value_are_fine():
    assert load_config(RunConfig, options=NEEDED | {"seeds": 2}, overrides=["seeds=2"]).seeds == 2


def test_only_the_first_equals_sign_divides():
    config = load_config(RunConfig, options=NEEDED, overrides=["label=a=b=c"])
    assert config.label == "a=b=c"


def test_numbers_with_an_exponent_are_numbers(config_file):
    file = config_file("heads:\n  nmtune:\n    weight_svd: 1e-3\n")
    config = load_config(RunConfig, file, overrides=["heads.nmtune.weight_mse=2E-2"], options=NEEDED)
    assert config.heads["nmtune"] == {"weight_svd": pytest.approx(1e-3), "weight_mse": pytest.approx(2e-2)}


def test_set_reaches_one_option_of_one_default_head():
    config = load_config(RunConfig, options=NEEDED, overrides=["heads.nmtune.weight_svd=0.02"])
    tolerant = {"noise_tolerant": "auto"}
    assert config.heads == {"linear": tolerant, "nmtune": tolerant | {"weight_svd": pytest.approx(0.02)}}


def test_set_adds_a_variant_of_a_head():
    config = load_config(
        RunConfig,
        options=NEEDED | {"heads": "linear"},
        overrides=["heads.strong.kind=nmtune", "heads.strong.weight_svd=1"],
    )
    assert config.heads == {"linear": {}, "strong": {"kind": "nmtune", "weight_svd": 1}}


def test_set_of_a_head_that_is_not_in_the_run_is_a_mistake():
    with pytest.raises(InvalidArgument, match=r"head of this run 'nmtun'. Did you mean 'nmtune'\?"):
        load_config(RunConfig, options=NEEDED, overrides=["heads.nmtun.weight_svd=1"])


def test_picking_heads_keeps_the_options_the_file_has_for_them(config_file):
    file = config_file("heads: {nmtune: {weight_svd: 0.5}, mlp: {}}\n")
    config = load_config(RunConfig, file, options=NEEDED | {"heads": "linear,nmtune"})
    assert config.heads == {"linear": {}, "nmtune": {"weight_svd": 0.5}}


def test_null_takes_back_what_the_file_says(config_file):
    file = config_file("test: held.csv\n")
    assert load_config(RunConfig, file, overrides=["test=null"], options=NEEDED).test is None


def test_noise_is_one_text():
    noise = load_config(RunConfig, options=NEEDED | {"noise": "symmetric:0.2"}).noise
    assert noise == Noise("symmetric", 0.2)


@pytest.mark.parametrize(
    ("name", "value"), [("corrupt", "symmetric:0.2"), ("label_noise", "symmetric"), ("rate", 0.2)]
)
def test_a_key_of_an_earlier_version_is_told_its_new_name(config_file, name, value):
    with pytest.raises(InvalidArgument, match=f"`{name}` is now `noise`, such as noise=symmetric:0.2"):
        load_config(RunConfig, config_file(f"{name}: {value}\n"), options=NEEDED)


def test_unknown_option_gets_a_suggestion(config_file):
    with pytest.raises(InvalidArgument, match=r"`test_fracton`: Unknown option .* 'test_fraction'\?"):
        load_config(RunConfig, config_file("test_fracton: 0.3\n"), options=NEEDED)


def test_unknown_part_gets_a_suggestion_with_its_path():
    options = NEEDED | {"backbone": "zoo:resnet8-simclr"}
    with pytest.raises(InvalidArgument, match=r"`meta.per_clas`: Unknown option .* 'per_class'\?"):
        load_config(FinetuneConfig, options=options, overrides=["meta.per_clas=4"])


def test_set_of_a_part_makes_the_whole():
    options = NEEDED | {"backbone": "zoo:resnet8-simclr"}
    config = load_config(FinetuneConfig, options=options, overrides=["meta.per_class=4"])
    assert config.meta == MetaSettings(per_class=4)


def test_all_mistakes_come_at_once(config_file):
    file = config_file("sedes: 3\nviews: 5\nrecipe: papr\n")
    with pytest.raises(InvalidArgument) as caught:
        load_config(RunConfig, file, overrides=["broken", "test_fraction=1.5"], options={"train": "a"})
    message = str(caught.value)
    assert message.startswith("6 mistakes")
    missing = "`out` is not given; needed: output folder"
    for part in ("sedes", "`views` is 5; allowed: 1 or 2", "papr", "broken", "1.5", missing):
        assert part in message


@pytest.mark.parametrize("override", ["seeds", "=3", "a..b=1"])
def test_set_without_key_and_value_is_a_mistake(override):
    with pytest.raises(InvalidArgument, match=r"allowed: key=value or key.subkey=value"):
        load_config(RunConfig, options=NEEDED, overrides=[override])


def test_set_below_a_plain_value_is_a_mistake():
    with pytest.raises(InvalidArgument, match=r"`train.x`: 'train' is 'photos/' and has no parts"):
        load_config(RunConfig, options=NEEDED, overrides=["train.x=1"])


def test_set_with_a_value_that_is_not_yaml_is_a_mistake():
    with pytest.raises(InvalidArgument, match="`--set label` has the value '\\[', which is not YAML"):
        load_config(RunConfig, options=NEEDED, overrides=["label=["])


def test_missing_file_is_named():
    with pytest.raises(MissingFile, match=r"`config` is 'nowhere.yaml', which is no file"):
        load_config(RunConfig, "nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "is not YAML"), ("- a", "holds a list; allowed: `option: value` lines")]
)
def test_file_that_holds_no_options_is_refused(config_file, text, message):
    with pytest.raises(InvalidArgument, match=message):
        load_config(RunConfig, config_file(text), options=NEEDED)


def test_key_that_is_no_word_is_refused(config_file):
    with pytest.raises(InvalidArgument, match="`3` is not a name of an option"):
        load_config(RunConfig, config_file("3: 4\n"), options=NEEDED)


def test_name_of_a_head_must_fit_a_file_name():
    with pytest.raises(InvalidArgument, match=r"in a head's name, not '../mine'"):
        load_config(RunConfig, options=NEEDED | {"heads": {"../mine": {"kind": "mlp"}}})


def test_cache_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NOISEPROOF_CACHE", str(tmp_path))
    assert load_config(RunConfig, options=NEEDED).cache == tmp_path


def test_configuration_survives_its_own_json():
    config = load_config(RunConfig, options=NEEDED | {"ood": ["a", "b"], "noise": "symmetric:0.2"})
    assert RunConfig(**config.model_dump(mode="json")) == config


@pytest.mark.parametrize("heads", [",", "", " , "])
def test_no_head_at_all_is_a_mistake(heads):
    said = f"`heads` is '{heads}'; allowed: one name or more, such as 'linear,mlp'"
    with pytest.raises(InvalidArgument, match=said):
        load_config(RunConfig, options=NEEDED | {"heads": heads})


@pytest.mark.parametrize("option", ["out", "cache"])
@pytest.mark.parametrize("below", ["", "/deeper/still"])
def test_a_file_where_a_folder_belongs_is_a_mistake(tmp_path, option, below):
    (tmp_path / "taken").write_text("not a folder")
    said = f"`{option}` is '.*taken{below}'; allowed: a folder, while '.*taken' is a file"
    with pytest.raises(InvalidArgument, match=said):
        load_config(RunConfig, options=NEEDED | {option: tmp_path / f"taken{below}"})


@pytest.mark.parametrize("model", [ApplyConfig, CorruptConfig, ExtractConfig, DetectConfig])
def test_the_output_is_a_folder_in_every_verb(tmp_path, model):
    (tmp_path / "taken").write_text("not a folder")
    own = {"folder": "issues"} if model is ApplyConfig else {"train": "photos/", "noise": "symmetric:0.2"}
    own = {name: value for name, value in own.items() if name in model.model_fields}
    with pytest.raises(InvalidArgument, match=r"`out` is '.*taken'; allowed: a folder, while"):
        load_config(model, options=own | {"out": tmp_path / "taken"})


@pytest.mark.parametrize(
    ("model", "own"),
    [
        (PretrainConfig, {"test": "b", "objective": "simclr"}),
        (DeftConfig, {}),
        (VerdictConfig, {"backbone": "zoo:resnet8-noise0", "out": None}),
    ],
)
def test_the_store_is_a_folder_in_every_verb(tmp_path, model, own):
    (tmp_path / "taken").write_text("not a folder")
    with pytest.raises(InvalidArgument, match=r"`cache` is '.*taken'; allowed: a folder, while"):
        load_config(model, options=NEEDED | own | {"cache": tmp_path / "taken"})


def test_the_same_mistake_is_told_once():
    with pytest.raises(InvalidArgument) as caught:
        load_config(
            RunConfig, options=NEEDED | {"seeds": 2}, overrides=["seeds=0", "seeds=0", "broken", "broken"]
        )
    message = str(caught.value)
    assert message.startswith("2 mistakes")
    assert message.count("`seeds` is 2 and --set seeds=0; give one of them") == 1
    assert message.count("broken") == 1


def test_labels_are_not_measured_against_themselves():
    with pytest.raises(InvalidArgument, match="`clean_label` is 'y', as `label` is; allowed: another column"):
        load_config(RunConfig, options=NEEDED | {"label": "y", "clean_label": "y"})
