import pytest
from clouds import small_recipe

from noiseproof.study.grid import Evaluation, Grid
from noiseproof.study.recipe import Recipe


def grid(**changed):
    return Grid(Recipe(**small_recipe(**changed)))


def first(g):
    fit = next(g.fits())
    return g.asked(fit, g.evaluations(fit.task)[0])


def test_cells_are_counted_by_hand():
    # a has two evaluation sets, b one: 3 x (2 heads x 2 settings x 2 seeds x 3 shares x 2 noises)
    g = grid(
        settings={"s": {}, "t": {"epochs": 5}}, shares=[0.1, 0.5, 1.0], label_noise=["none", "symmetric:0.2"]
    )
    assert g.num_cells == 3 * 2 * 2 * 2 * 3 * 2
    assert len(list(g.fits(task="b"))) == 48
    asked = list(g.all_asked())
    assert len(asked) == len(set(asked)) == g.num_cells + 3  # and a spectrum of each set


def test_each_seed_uses_the_repeat_of_its_number():
    g = grid(backbones=[{"name": "x", "repeats": ["y", "z"]}, "w"], seeds=2)
    assert [(encoder.name, name) for encoder, name in g.backbones] == [("x", "x"), ("x", "y"), ("w", "w")]
    x, w = g.recipe.backbones
    assert {(fit.seed, fit.backbone) for fit in g.fits(encoder=x)} == {(0, "x"), (1, "y")}
    assert {(fit.seed, fit.coordinates()["backbone"]) for fit in g.fits(encoder=w)} == {(0, "w"), (1, "w")}
    assert {fit.seed for fit in g.fits(encoder=x, backbone="y")} == {1}
    assert len(list(g.all_asked())) == len(set(g.all_asked())) == g.num_cells + 3 * 3
    # A seed that the first encoder serves has the address it had without repeats.
    alone = grid(backbones=["x"], seeds=1)
    assert set(alone.all_asked()) <= set(g.all_asked())


def test_evaluation_sets_are_in_the_order_in_which_they_are_opened():
    g = grid(tasks={"a": {"train": "x", "shifts": ["blur"], "ood": ["y", "z"]}})
    assert g.evaluations("a") == [
        Evaluation("test", None), Evaluation("shift", "blur"), Evaluation("ood", "y"), Evaluation("ood", "z"),
    ]  # fmt: skip
    assert [one.domain for one in g.evaluations("a")] == ["id", "ood", "ood", "ood"]


def test_a_setting_adds_its_options_to_those_of_the_head():
    g = grid(heads={"strong": {"kind": "nmtune", "weight_svd": 0.1}}, settings={"s": {"weight_cov": 0.2}})
    variant = g.variant(next(g.fits()))
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
        return g.asked(next(g.fits()), g.evaluations("a")[1])

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
