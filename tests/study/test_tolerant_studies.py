"""The recipes that chose and tested noise-tolerant NMTune."""

import pytest

from noiseproof.study.grid import Grid
from noiseproof.study.measures.head_measure import HeadMeasure
from noiseproof.study.recipe import load_recipe

RECIPES = ["paper2-tolerant", "paper2-tolerant-human"]
every_recipe = pytest.mark.parametrize("name", RECIPES)


@every_recipe
def test_tolerant_and_plain_heads_differ_in_one_option(name):
    recipe = load_recipe(name)
    grid = Grid(recipe)
    specs = {
        (one.head, one.setting): grid.variant(one).build([0])[0].spec().training
        for one in HeadMeasure(grid).places()
    }
    assert len(specs) == 4 * 2
    for setting in recipe.settings:
        assert specs["tolerant", setting].noise_tolerant
        assert not specs["nmtune", setting].noise_tolerant
    assert next(iter(recipe.heads)) == "linear"  # what the others are compared with


def test_noise_and_labels_by_people_are_in_studies_of_their_own():
    noises = {one and (one.kind, one.rate) for one in load_recipe("paper2-tolerant").noise}
    rates = {("symmetric", rate) for rate in (0.2, 0.4, 0.6, 0.8)}
    assert noises == {None, *rates, ("pair", 0.45), ("instance", 0.2), ("instance", 0.4)}
    (task,) = load_recipe("paper2-tolerant-human").tasks.values()
    assert (task.label, task.clean_label) == ("human_label_random1", "label")
