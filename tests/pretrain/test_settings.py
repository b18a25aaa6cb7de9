import re

import pytest
import yaml

from noiseproof.backbones.bundled.zoo_cards import zoo_card
from noiseproof.config.pretrain import PretrainConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import InvalidArgument, MissingFile, UnknownName
from noiseproof.pretrain.pretrain_settings import read_recipe, recipe_names

SMALL = "pretrain-resnet8-cifar10"


def resolve(recipe, *, objective, **options):
    """The settings of a command that names this recipe."""
    overrides = options.pop("overrides", ())
    given = {"recipe": recipe, "objective": objective, "train": "a", "test": "b", "out": "c", **options}
    return load_config(PretrainConfig, options=given, overrides=overrides).settings


def test_shipped_recipes_are_known_and_counted():
    assert len(recipe_names()) == 8
    assert SMALL in recipe_names()


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_resolves_and_names_its_command_and_cost(name):
    recipe = read_recipe(name)
    settings = resolve(name, objective=recipe.settings["objective"])
    assert recipe.command.startswith(f"noiseproof pretrain {settings.objective} ")
    assert f" --recipe {name} " in recipe.command
    assert recipe.cost
    assert recipe.expected
    assert recipe.source


@pytest.mark.parametrize(
    ("recipe", "card"),
    [
        (SMALL, "resnet8-noise0"),
        ("pretrain-resnet8-minilm-cifar10", "resnet8-clip-noise0"),
        ("pretrain-resnet8-simclr-cifar10", "resnet8-simclr"),
    ],
)
def test_recipes_of_the_zoo_say_what_its_cards_found(recipe, card):
    found = zoo_card(card).result[1]
    said = read_recipe(recipe).expected
    assert re.search(rf"{found:.3f}|{found:.4f}", said), (found, said)
    assert "measured" in read_recipe(recipe).cost


def test_a_recipe_of_another_objective_is_refused():
    with pytest.raises(InvalidArgument, match=r"is for 'noiseproof pretrain supervised', not 'simclr'"):
        resolve(SMALL, objective="simclr")


def test_later_sources_win():
    settings = resolve(SMALL, objective="supervised", model="resnet18", overrides=["epochs=3"])
    assert (settings.model, settings.epochs, settings.batch_size) == ("resnet18", 3, 128)


def test_a_number_may_be_written_with_an_exponent():
    assert resolve(SMALL, objective="supervised", overrides=["learning_rate=1e-3"]).learning_rate == 1e-3


def test_unknown_recipe_gets_a_suggestion():
    with pytest.raises(UnknownName, match=r"Did you mean 'pretrain-resnet8-cifar10'"):
        read_recipe("pretrain-resnet8-cifar")


def test_a_recipe_file_that_is_not_there_is_named():
    with pytest.raises(MissingFile, match=r"`recipe` is 'no.yaml', which is no file"):
        read_recipe("no.yaml")


def test_mistakes_in_a_recipe_are_listed_together(tmp_path):
    values = read_recipe(SMALL).model_dump()
    values["settings"] |= {"epoch": 3, "batch_size": 0}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(InvalidArgument, match=r"(?s)2 mistakes.*`batch_size` is 0.*Did you mean 'epochs'"):
        resolve(str(path), objective="supervised")


def test_a_file_that_is_no_recipe_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("title: x\n")
    with pytest.raises(InvalidArgument, match=r"is no recipe of pre-training: `command` is missing"):
        read_recipe(str(path))
    path.write_text("- x\n")
    with pytest.raises(InvalidArgument, match=r"is not a recipe"):
        read_recipe(str(path))


def test_an_override_without_a_value_is_refused():
    with pytest.raises(InvalidArgument, match=r"`--set` is 'epochs'; allowed: key=value or key.subkey=value"):
        resolve(SMALL, objective="supervised", overrides=["epochs"])


@pytest.mark.parametrize(
    ("override", "needed"),
    [
        ("randaugment=rand-m7", "reading stream"),
        ("crop_share=0.5", "reading stream"),
        ("workers=2", "reading stream"),
        ("least_scale=0.2", "reading stream or objective simclr"),
        ("temperature=0.1", "objective simclr"),
        ("projection_dim=8", "objective simclr"),
        ("colour_strength=1", "objective simclr"),
        ("lock_text=false", "objective image-text"),
        ("target_threshold=0.1", "loss bce"),
    ],
)
def test_settings_that_mean_nothing_are_named(override, needed):
    name = override.partition("=")[0]
    with pytest.raises(
        InvalidArgument, match=rf"`{name}` is .*, which means nothing without {needed}; allowed"
    ):
        resolve(SMALL, objective="supervised", overrides=[override])


def test_settings_of_other_objectives_and_optimisers_are_named():
    recipe = "pretrain-resnet8-simclr-cifar10"
    overrides = ["mixup=0.2", "padding=2", "momentum=0.5"]
    message = r"(?s)3 mistakes.*`mixup`.* `momentum`.*sgd or lars.* `padding`"
    with pytest.raises(InvalidArgument, match=message) as caught:
        resolve(recipe, objective="simclr", overrides=overrides)
    assert "without reading memory and objective supervised or image-text" in str(caught.value)


def test_a_setting_may_be_given_its_default_where_it_means_nothing():
    assert resolve(SMALL, objective="supervised", overrides=["temperature=0.5"]).temperature == 0.5


@pytest.mark.parametrize("override", ["epochs=1", "warmup_epochs=10"])
def test_a_warm_up_has_to_end_before_the_training_does(override):
    with pytest.raises(
        InvalidArgument, match=r"`warmup_epochs` is .*; allowed: less than the \d+ of `epochs`"
    ):
        resolve(SMALL, objective="supervised", overrides=[override])
