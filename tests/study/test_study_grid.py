import pytest
from clouds import request_keys, small_recipe

from noiseproof.study.compute import num_results, requests_of
from noiseproof.study.grid import Evaluation, Grid
from noiseproof.study.measures.head_measure import HeadMeasure
from noiseproof.study.recipe import StudyRecipe


def grid(**changed):
    return Grid(StudyRecipe(**small_recipe(**changed)))


def heads(g):
    return HeadMeasure(g)


def first(g):
    return heads(g).request_key(next(heads(g).places()))


def test_cells_are_counted_by_hand():
    # a has two evaluation sets, b one: 3 x (2 heads x 2 settings x 2 seeds x 3 shares x 2 noises)
    g = grid(settings={"s": {}, "t": {"epochs": 5}}, shares=[0.1, 0.5, 1.0], noise=["none", "symmetric:0.2"])
    requests = requests_of(g)
    assert num_results(requests) == 3 * 2 * 2 * 2 * 3 * 2
    assert len([place for place in heads(g).places() if place.task == "b"]) == 48
    keys = [one.key for one in requests]
    assert len(keys) == len(set(keys)) == num_results(requests) + 3  # and a spectrum of each set


def test_each_seed_uses_the_repeat_of_its_number():
    g = grid(backbones=[{"name": "x", "repeats": ["y", "z"]}, "w"], seeds=2)
    assert [(one.name, one.name_for(seed)) for one, seed in g.repeats()] == [
        ("x", "x"), ("x", "y"), ("w", "w")
    ]  # fmt: skip
    x, w = g.recipe.backbones
    places = list(heads(g).places())
    assert {(one.seed, one.backbone) for one in places if one.encoder == x} == {(0, "x"), (1, "y")}
    assert {(one.seed, one.coordinates()["backbone"]) for one in places if one.encoder == w} == {
        (0, "w"), (1, "w"),
    }  # fmt: skip
    assert {one.seed for one in places if one.backbone == "y"} == {1}
    keys = request_keys(g.recipe)
    assert len(keys) == len(set(keys)) == len(places) + 3 * 3
    # A seed that the first encoder serves has the address it had without repeats.
    alone = grid(backbones=["x"], seeds=1)
    assert set(request_keys(alone.recipe)) <= set(keys)


def test_evaluation_sets_are_in_the_order_in_which_they_are_opened():
    g = grid(tasks={"a": {"train": "x", "shifts": ["blur"], "ood": ["y", "z"]}})
    assert g.evaluations("a") == [
        Evaluation("test", None), Evaluation("shift", "blur"), Evaluation("ood", "y"), Evaluation("ood", "z"),
    ]  # fmt: skip
    assert [one.domain for one in g.evaluations("a")] == ["id", "ood", "ood", "ood"]


def test_a_setting_adds_its_options_to_those_of_the_head():
    g = grid(heads={"strong": {"kind": "nmtune", "weight_svd": 0.1}}, settings={"s": {"weight_cov": 0.2}})
    variant = g.variant(next(heads(g).places()))
    assert variant.kind == "nmtune"
    assert variant.options["weight_svd"] == 0.1
    assert variant.options["weight_cov"] == 0.2
    assert variant.options["max_steps"] == 6


@pytest.mark.parametrize(
    "changed",
    [
        {"limit": 9},
        {"max_steps": 7},
        {"split_seed": 1},
        {"dtype": "float16"},
        {"recipe": "paper"},
        {"has_head_spectra": True},
        {"heads": {"linear": {"learning_rate": 0.5}}},
        {"tasks": {"a": {"train": "{data}/a.npz", "test_fraction": 0.5}}},
        {"tasks": {"a": {"train": "{data}/other.npz"}}},
        {"tasks": {"a": {"train": "{data}/a.npz", "test": "{data}/far.npz"}}},
    ],
    ids=str,
)
def test_whatever_decides_a_result_is_part_of_what_is_asked(changed):
    assert first(grid(**changed)) != first(grid())


def test_a_shift_is_asked_of_its_test_set():
    def asked(**changed):
        g = grid(tasks={"a": {"train": "x", "shifts": ["blur"], **changed}})
        shifted = [one for one in heads(g).places() if one.evaluation == g.evaluations("a")[1]]
        return heads(g).request_key(shifted[0])

    assert asked() != asked(test="y") != asked(test="z")


@pytest.mark.parametrize(
    "changed",
    [
        {"claim": "Something else."},
        {"found": "It is so."},
        {"seeds": 9},
        {"shares": [1.0, 0.5]},
        {"heads": {"linear": {}}},
        {"tasks": {"a": {"train": "{data}/a.npz", "ood": ["{data}/new.npz"], "metric": "matthews"}}},
        {"tables": ["models"]},
    ],
    ids=str,
)
def test_what_only_adds_to_a_study_changes_nothing_that_is_there(changed):
    assert first(grid(**changed)) == first(grid())
