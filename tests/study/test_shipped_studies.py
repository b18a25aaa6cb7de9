"""Recipes are claims: each says what it claims, and each is run at toy size."""

import pytest

from noiseproof.data.shifts.shifts import shift_names
from noiseproof.data.sources import PREFIXES, SOURCES
from noiseproof.study.compute import num_results, requests_of
from noiseproof.study.figures.study_figures import FIGURES
from noiseproof.study.grid import Grid
from noiseproof.study.recipe import NOT_RUN, load_recipe, shipped_recipes
from noiseproof.study.study import run_study
from noiseproof.study.tables.study_tables import TABLES

RECIPES = list(shipped_recipes())
PAPERS = {"paper1": "arXiv:2309.17002", "paper2": "arXiv:2104.08984", "paper3": "arXiv:2409.19696"}
QUICK = {"paper1-influence", "paper2-tolerant-human", "paper3-adaptation"}  # run before every commit
every_recipe = pytest.mark.parametrize("name", RECIPES)


def test_all_recipes_are_there():
    of_paper_1 = (
        "ablation-architecture", "ablation-loss", "influence", "nmtune-released", "nmtune-weights", "nmtune",
        "noisy-downstream", "portraits", "practical-models", "runtime", "spectrum", "text", "text-noise",
        "text-pairs", "text-smollm2",
    )  # fmt: skip
    of_paper_2 = ("asymmetric", "by-heart", "symmetric", "tolerant-human", "tolerant")
    of_paper_3 = ("arena", "arena-text", "adaptation", "detection", "tuning")
    names = {"paper1": of_paper_1, "paper2": of_paper_2, "paper3": of_paper_3}
    assert {f"{paper}-{one}" for paper, own in names.items() for one in own} == set(RECIPES)
    assert {name.split("-")[0] for name in QUICK} == set(names)
    assert set(RECIPES) >= QUICK


@every_recipe
def test_a_recipe_says_what_it_claims_and_how_to_check_it(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.command.startswith(f"noiseproof study {name} ")
    assert PAPERS[name.split("-")[0]] in recipe.source or recipe.source.startswith("Ours")
    assert recipe.claim.endswith(".")
    assert len(recipe.expected) > 40
    assert recipe.found == NOT_RUN or any(sign.isdigit() for sign in recipe.found)
    assert set(recipe.tables) <= set(TABLES)
    assert set(recipe.figures) <= set(FIGURES)
    assert recipe.seeds >= 3
    assert num_results(requests_of(Grid(recipe))) > 0


@pytest.mark.parametrize("name", [name for name in RECIPES if load_recipe(name).small])
def test_the_small_scale_asks_the_same_of_fewer_images(name):
    full, small = load_recipe(name), load_recipe(name, scale="small")
    assert small.scale == "small"
    assert small.limit is not None
    assert full.limit is None
    assert full.tunings.keys() == small.tunings.keys()
    assert full.backbones == small.backbones
    assert num_results(requests_of(Grid(small))) <= num_results(requests_of(Grid(full)))


@every_recipe
def test_data_sets_of_a_recipe_have_names_that_can_be_opened(name):
    for task in load_recipe(name).tasks.values():
        for spec in (task.train, task.test, *task.ood):
            while spec is not None and spec.startswith("shift:"):
                _, kind, spec = spec.split(":", 2)
                assert kind in shift_names()
            if spec is not None:
                prefix, colon, _ = spec.partition(":")
                assert prefix in PREFIXES if colon else spec.rpartition(".")[2] in SOURCES.names


def test_models_of_the_paper_are_models_of_timm():
    from noiseproof.backbones.images.timm_models import import_timm

    timm = import_timm("this test")
    names = [one.name for one in load_recipe("paper1-practical-models").backbones]
    assert len(names) == 5
    for name in names:
        assert timm.is_model_pretrained(name.removeprefix("timm:")), name


def test_the_sets_of_the_paper_are_those_of_the_suites():
    from noiseproof.data.suites.suites import suite_set

    recipe = load_recipe("paper1-practical-models")
    assert sum(not task.ood for task in recipe.tasks.values()) == 14
    assert sum(len(task.ood) for task in recipe.tasks.values()) == 2 * 3
    for name, task in recipe.tasks.items():
        row = suite_set(name)
        assert (task.train, task.test) == (f"suite:{name}/train", f"suite:{name}/test")
        assert {"train", "test"} <= row.splits.keys()
        assert task.metric == row.metric


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Recipes on the same images with the same encoders extract their features once."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in RECIPES]
)
def test_a_recipe_runs_at_toy_size(name, tmp_path, cache):
    recipe = load_recipe(name, scale="toy")
    result = run_study(recipe, out=tmp_path / "out", cache=cache)
    assert not result.outcome.failures
    assert result.results.num_results == num_results(requests_of(Grid(recipe)))
    written = {path.stem for path in (tmp_path / "out" / "tables").glob("*.tex")}
    assert written == set(recipe.tables)
    assert bool(list((tmp_path / "out").glob("figures/*.png"))) == bool(recipe.figures)
