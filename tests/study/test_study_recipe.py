import pytest
import yaml
from clouds import small_recipe, write_recipe

from noiseproof.core.errors import InvalidArgument, MissingFile, UnknownName
from noiseproof.study.grid import Grid
from noiseproof.study.recipe import StudyRecipe, load_recipe, recipe_path, shipped_recipes


@pytest.fixture
def written(tmp_path):
    return lambda **changed: write_recipe(tmp_path / "mine.yaml", **changed)


def test_a_file_is_read_as_it_is(written):
    recipe = load_recipe(written(noise=["none", "symmetric:0.4", "pair:0.2"], backbones=["features:"]))
    assert [one and (one.kind, one.rate) for one in recipe.noise] == [
        None, ("symmetric", 0.4), ("pair", 0.2),
    ]  # fmt: skip
    assert recipe.backbones[0].name == "features:"
    assert recipe.found == "not run yet"
    assert list(recipe.tasks) == ["a", "b"]


def test_the_command_line_wins_over_the_file(written):
    path = written(seeds=2)
    assert load_recipe(path, command_line={"seeds": 5, "limit": None}).seeds == 5
    assert load_recipe(path, overrides=["heads.nmtune.weight_svd=0.02"]).heads["nmtune"] == {
        "weight_svd": 0.02
    }
    assert load_recipe(path, overrides=["tasks.a.limit=7"]).tasks["a"].limit == 7


def test_every_mistake_is_told_at_once_with_what_was_meant(written):
    path = written(seed=3, tasks={"a": {"train": "x", "odd": []}}, shares=[0.0])
    with pytest.raises(InvalidArgument) as caught:
        load_recipe(path, overrides=["limit=0"])
    said = str(caught.value)
    assert said.startswith("4 mistakes")
    assert "`seed`: Unknown option 'seed'. Did you mean 'seeds'?" in said
    assert "`tasks.a.odd`: Unknown option 'odd'. Did you mean 'ood'? Known: clean_label, image" in said
    assert "`shares` is [0.0]; allowed: numbers above 0 and up to 1" in said
    assert "`limit` is 0; allowed:" in said


def test_an_unknown_key_of_an_encoder_or_kind_of_noise_is_reported_with_the_closest_name(written):
    encoders = [{"name": "features:", "famly": "x"}]
    with pytest.raises(InvalidArgument, match=r"Unknown option 'famly'\. Did you mean 'family'"):
        load_recipe(written(backbones=encoders))
    with pytest.raises(InvalidArgument, match=r"Unknown kind of noise 'symetric'\. Did you mean 'symmetric'"):
        load_recipe(written(noise=["symetric:0.2"]))
    with pytest.raises(InvalidArgument, match=r"`noise` is 'real:worker'; allowed: noise of labels with a"):
        load_recipe(written(noise=["real:worker"]))
    with pytest.raises(
        InvalidArgument, match=r"`noise` is 0\.2; allowed: KIND:RATE, .*For example symmetric:0\.2"
    ):
        load_recipe(written(noise=[0.2]))


@pytest.mark.parametrize(
    "changed",
    [
        {"backbones": ["features:", "features:"]},
        {"backbones": ["features:", {"name": "x", "repeats": ["y", "features:"]}]},
        {"noise": ["symmetric:0.2", "symmetric:0.20"]},
        {"shares": [0.5, 0.5]},
    ],
)
def test_an_entry_of_the_grid_that_is_there_twice_is_refused(changed):
    with pytest.raises(ValueError, match="each encoder, noise and share once"):
        StudyRecipe(**small_recipe(**changed))


def test_repeats_that_do_not_reach_for_all_seeds_are_refused():
    encoder = {"name": "x", "repeats": ["y"]}
    assert StudyRecipe(**small_recipe(backbones=[encoder], seeds=2)).backbones[0].name_for(1) == "y"
    with pytest.raises(ValueError, match=r"no repeats or at least 2 of them for 3 seeds, not 1 as 'x' has"):
        StudyRecipe(**small_recipe(backbones=[encoder], seeds=3))


def test_two_encoders_of_one_family_and_noise_are_refused():
    with pytest.raises(ValueError, match=r"not 2 of 's' with 0\.1\. Next: .*use `repeats`"):
        StudyRecipe(**small_recipe(backbones=[{"name": n, "family": "s", "noise": 0.1} for n in "xy"]))
    unknown = [{"name": name, "family": "s"} for name in "xy"]
    assert len(StudyRecipe(**small_recipe(backbones=unknown)).backbones) == 2


def test_noise_on_labels_that_are_wrong_already_is_refused(written):
    tasks = {"a": {"train": "x"}, "b": {"train": "y", "clean_label": "truth"}}
    assert load_recipe(written(tasks=tasks)).tasks["b"].clean_label == "truth"
    with pytest.raises(
        InvalidArgument,
        match=r"`noise` has 'symmetric:0.2' and task 'b' the column 'truth' as `clean_label`; allowed: "
        r"one of them.*Next: .*leave `clean_label` out",
    ):
        load_recipe(written(tasks=tasks, noise=["none", "symmetric:0.2"]))


def test_a_name_that_cannot_be_a_file_name_is_refused():
    with pytest.raises(ValueError, match=r"letters, digits.*in a name, not 'a b'"):
        StudyRecipe(**small_recipe(tasks={"a b": {"train": "x"}}))


def test_unknown_heads_and_options_are_found_before_any_work():
    with pytest.raises(
        InvalidArgument, match=r"`heads\.nmtun\+default`: Unknown head 'nmtun'. Did you mean 'nmtune'"
    ):
        Grid(StudyRecipe(**small_recipe(heads={"nmtun": {}})))
    with pytest.raises(InvalidArgument, match=r"Unknown option 'weight_sdv'. Did you mean 'weight_svd'"):
        Grid(StudyRecipe(**small_recipe(heads={"nmtune": {}}, settings={"s": {"weight_sdv": 0.1}})))


def test_toy_keys_take_the_place_of_the_others(written):
    path = written(toy={"seeds": 1, "limit": 5})
    assert (load_recipe(path).seeds, load_recipe(path, scale="toy").seeds) == (2, 1)
    assert load_recipe(path, scale="toy", command_line={"limit": 9}).limit == 9
    with pytest.raises(InvalidArgument, match=r"`scale` is 'toy'; allowed: .* full\."):
        load_recipe(written(), scale="toy")


def test_shipped_recipes_are_found_by_name_file_name_and_path():
    name = "paper1-influence"
    assert recipe_path(name) == recipe_path(f"recipes/{name}.yaml") == shipped_recipes()[name]


def test_a_recipe_that_is_not_there_is_told_with_what_was_meant(tmp_path):
    with pytest.raises(
        UnknownName, match=r"Unknown recipe 'paper1-influense'. Did you mean 'paper1-influence'"
    ):
        load_recipe("paper1-influense")
    with pytest.raises(
        MissingFile, match=r"`recipe` is 'nothing.json', which is no file. Next: check the path"
    ):
        load_recipe("nothing.json")


def test_a_file_that_is_not_yaml_is_refused(tmp_path):
    (tmp_path / "bad.yaml").write_text("name: [")
    with pytest.raises(InvalidArgument, match=r"`recipe` .* is not YAML"):
        load_recipe(tmp_path / "bad.yaml")


def test_what_is_saved_can_be_read_again(tmp_path):
    recipe = StudyRecipe(**small_recipe(noise=["none", "symmetric:0.4"]))
    (tmp_path / "saved.yaml").write_text(yaml.safe_dump(recipe.to_json()))
    assert load_recipe(tmp_path / "saved.yaml") == recipe


def test_the_smaller_of_two_limits_holds():
    tasks = {"a": {"train": "x", "limit": 100}, "b": {"train": "y"}}
    recipe = StudyRecipe(**small_recipe(tasks=tasks, limit=30))
    assert (recipe.limit_of("a"), recipe.limit_of("b")) == (30, 30)
    recipe = StudyRecipe(**small_recipe(tasks=tasks, limit=None))
    assert (recipe.limit_of("a"), recipe.limit_of("b")) == (100, None)


def test_a_toy_knows_that_it_is_one(written):
    path = written(toy={"seeds": 1})
    assert load_recipe(path, scale="toy").scale == "toy"
    assert load_recipe(path).scale == "full"
