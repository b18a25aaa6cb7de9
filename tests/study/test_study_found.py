import numpy as np
import pandas as pd
import pytest
from invented import invented, invented_recipe, invented_rows

from noiseproof.study.study_results import collect_results, over_seeds, per_seed, select


@pytest.fixture(scope="module")
def found():
    return invented(shares=[0.5, 1.0], noise=["none", "symmetric:0.4"])


def test_means_are_solved_by_hand():
    rows = [  # seed, task, set, value
        (0, "a", 0, 0.2), (0, "a", 1, 0.4), (0, "b", 2, 0.9),
        (1, "a", 0, 0.4), (1, "a", 1, 0.6), (1, "b", 2, 0.5),
        (2, "a", 0, 0.4), (2, "b", 2, 0.5),
    ]  # fmt: skip
    cells = pd.DataFrame(rows, columns=["seed", "task", "set", "score"])
    # Sets of a task first: ((0.2 + 0.4) / 2 + 0.9) / 2 = 0.6; seed 2 lacks a place and is left out.
    assert per_seed(cells, "score") == pytest.approx({0: 0.6, 1: 0.5})
    assert over_seeds(cells, "score").mean == pytest.approx(0.55)


def test_means_equal_those_of_a_slow_loop(found):
    encoder = found.encoders[3]
    cells = found.select(encoder, domain="ood", head="mlp", noise="none")
    rows = [row for _, row in cells.iterrows()]
    slow = {}
    for seed in range(3):
        tasks = []
        for task in ("photo", "cifar10"):
            # Two sets of photo and one of cifar10, each with two shares of the data.
            scores = [row["score"] for row in rows if (row["seed"], row["task"]) == (seed, task)]
            assert len(scores) == {"photo": 4, "cifar10": 2}[task]
            tasks.append(np.mean(scores))
        slow[seed] = np.mean(tasks)
    assert per_seed(cells, "score") == pytest.approx(slow)


def test_a_value_that_was_not_asked_for_has_no_mean():
    without = invented(has_head_spectra=False)
    assert over_seeds(without.head_rows, "entropy_nats") is None
    assert over_seeds(without.head_rows.head(0), "score") is None


def test_encoders_of_a_family_come_from_clean_to_noisy(found):
    assert [one.noise for one in found.noisy("supervised")] == [0, 0.05, 0.1, 0.2, 0.3, 0.5]
    assert found.families == found.noisy_families == ["supervised", "image-text"]
    assert found.domains == ["id", "ood"]


def test_selection_by_place(found):
    cells = found.select(found.encoders[0], task="photo", share=0.5, noise="symmetric:0.4", seed=1)
    assert len(cells) == 3 * 3  # heads x evaluation sets
    assert set(cells["pretraining_noise"]) == {0.0}


def test_the_score_is_the_metric_of_the_task():
    found = invented(tasks={"digits": {"train": "d", "metric": "mean_per_class_accuracy"}})
    assert (found.head_rows["score"] == found.head_rows["mean_per_class_accuracy"]).all()


def test_repeats_of_an_encoder_are_one_encoder():
    encoder = {"name": "zoo:a-0", "repeats": ["zoo:a-1", "zoo:a-2"], "family": "supervised", "noise": 0.0}
    found = invented(backbones=[encoder, "zoo:b"])
    assert [one.title for one in found.encoders] == ["zoo:a-0", "zoo:b"]
    own = found.select(found.encoders[0])
    assert set(zip(own["backbone"], own["seed"], strict=True)) == {
        ("zoo:a-0", 0), ("zoo:a-1", 1), ("zoo:a-2", 2)
    }  # fmt: skip
    assert len(per_seed(own, "score")) == 3
    assert len(select(found.spectra, found.encoders[0])) == 3 * len(select(found.spectra, found.encoders[1]))


def test_a_spectrum_is_averaged_over_the_sets_of_a_task_first():
    found = invented()
    # Out of domain: `invented` gives photo's sets 2 + 2.3 / 3 and 2 + 2.6 / 3, and cifar10's 2 + 3.3 / 3.
    by_hand = ((2.3 + 2.6) / 2 + 3.3) / 2 / 3 + 2
    mean = over_seeds(select(found.spectra, found.encoders[0], domain="ood"), "largest_ratio")
    assert mean.mean == pytest.approx(by_hand)
    assert mean.half_width is None  # one encoder
    assert over_seeds(select(found.spectra, domain="nowhere"), "largest_ratio") is None


def test_a_spectrum_of_repeats_has_an_interval_over_them():
    encoder = {"name": "a", "repeats": ["b", "c"], "noise": 0.0}
    found = invented(backbones=[encoder], tasks={"digits": {"train": "d"}})
    mean = over_seeds(found.spectra.assign(entropy_nats=(3.0, 3.3, 3.6)), "entropy_nats")
    # s = 0.3 and t for 2 degrees of freedom = 4.302653
    assert (mean.mean, mean.half_width) == pytest.approx((3.3, 4.302653 * 0.3 / 3**0.5))


def test_the_accuracy_of_pre_training_is_that_of_the_recipe_or_the_card():
    from noiseproof.backbones.bundled.zoo_cards import zoo_card

    names = ["zoo:resnet8-noise0", "zoo:resnet8-noise5"]
    of_cards = [zoo_card(name.removeprefix("zoo:")).result[1] for name in names]
    repeated = {"name": names[0], "repeats": names[1:], "noise": 0.0}
    found = invented(backbones=[repeated, "features:"], seeds=2, tasks={"digits": {"train": "d"}})
    assert found.pretraining_accuracy(found.encoders[0]) == pytest.approx(np.mean(of_cards))
    assert found.pretraining_accuracy(found.encoders[1]) is None
    # It can be changed in the recipe without computing anything: the rows do not hold it.
    rows = invented_rows(found.recipe)
    changed = [{**repeated, "accuracy": 0.5}, "features:"]
    again = collect_results(rows, invented_recipe(backbones=changed, seeds=2))
    assert again.pretraining_accuracy(again.encoders[0]) == 0.5
    assert not any("pretraining_accuracy" in row.to_json() for row in rows)
