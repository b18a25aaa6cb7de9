"""Differences compare what both sides have, with the encoder that has no noise and no other."""

from dataclasses import replace

import numpy as np
import pytest
from invented import invented

from noiseproof.study.figures.study_figures import FIGURES
from noiseproof.study.study_results import differences
from noiseproof.study.tables.study_tables import TABLES

FALL = -0.2 * 0.05  # the formula of `invented`: 5 % of noise out of domain


@pytest.fixture(scope="module")
def found():
    return invented(heads={"linear": {}, "mlp": {}})


def without(found, **which):
    """The same without the cells that have all of these values."""
    lacking = np.logical_and.reduce([found.head_rows[name] == value for name, value in which.items()])
    return replace(found, head_rows=found.head_rows[~lacking])


def row_of(table, *names):
    return next(row for row in table.rows if tuple(cell.text for cell in row[: len(names)]) == names)


def test_differences_are_those_of_a_slow_loop_over_common_places(found):
    lacking = without(found, backbone="zoo:a-5", task="cifar10")
    noisy = lacking.select(lacking.encoders[1], domain="ood", head="mlp")
    clean = lacking.select(lacking.encoders[0], domain="ood", head="mlp")
    slow = {}
    for seed in range(3):
        by_task = {}
        for a in noisy.to_dict("records"):
            for b in clean.to_dict("records"):
                if (a["task"], a["set"], a["seed"]) == (b["task"], b["set"], b["seed"]) and a["seed"] == seed:
                    by_task.setdefault(a["task"], []).append(a["score"] - b["score"])
        assert {task: len(values) for task, values in by_task.items()} == {"photo": 2}
        slow[seed] = np.mean([np.mean(values) for values in by_task.values()])
    both = lacking.select(domain="ood", head="mlp")
    assert differences(both, "score", "encoder", "zoo:a-5", "zoo:a-0") == pytest.approx(slow)


def test_a_task_that_one_encoder_lacks_makes_no_difference(found):
    whole = row_of(TABLES["influence"](found), "supervised", "5 %", "mlp")
    table = TABLES["influence"](without(found, backbone="zoo:a-5", task="cifar10"))
    lacking = row_of(table, "supervised", "5 %", "mlp")
    assert whole[6].value == pytest.approx(FALL, abs=0.01)
    assert lacking[6].value == pytest.approx(FALL, abs=0.01)  # 2 points of noise in the numbers, not 4.6
    assert lacking[4].value == pytest.approx(whole[4].value, abs=0.01)
    # 4 in-domain and 3 out-of-domain sets, 3 seeds; cifar10 has one of each.
    assert any("zoo:a-5 with linear (15 of 21), zoo:a-5 with mlp (15 of 21)." in note for note in table.notes)


def test_a_head_that_lacks_the_hardest_task_is_not_ahead(found):
    table = TABLES["models"](without(found, head="linear", task="cifar10"))
    for linear, mlp in zip(table.rows[::2], table.rows[1::2], strict=True):
        assert linear[2].value > mlp[2].value  # of easier tasks
        assert not linear[2].is_best
        assert mlp[2].is_best  # 2 points above on each task that both have
    assert any("zoo:a-0 with linear (15 of 21)" in note for note in table.notes)
    assert not any("lack" in note for note in TABLES["models"](found).notes)


def test_only_the_encoder_without_noise_is_the_reference(found):
    noisy = without(found, backbone="zoo:a-0")
    spectra = noisy.spectra[noisy.spectra["backbone"] != "zoo:a-0"]
    table = TABLES["influence"](replace(noisy, spectra=spectra))
    own = row_of(table, "supervised", "5 %", "mlp")
    assert (own[4].text, own[6].text) == ("–", "–")
    assert own[3].value is not None
    assert row_of(table, "image-text", "10 %", "mlp")[6].value == pytest.approx(-0.02, abs=0.01)
    assert "No results of an encoder without noise in supervised." in " ".join(table.notes)


def solved(scores):
    """A study of two encoders, two heads, one set and three seeds with these scores."""
    found = invented(
        backbones=["a", "b"], heads={"linear": {}, "mlp": {}}, tasks={"digits": {"train": "d"}}
    )  # fmt: skip
    for (encoder, head), values in scores.items():
        for seed, value in enumerate(values):
            found.head_rows.loc[found.select(backbone=encoder, head=head, seed=seed).index, "score"] = value
    return found


def test_heads_compared_are_solved_by_hand():
    found = solved({
        ("a", "linear"): (0.5, 0.6, 0.7), ("a", "mlp"): (0.51, 0.63, 0.72),
        ("b", "linear"): (0.1, 0.2, 0.3), ("b", "mlp"): (0.11, 0.21, 0.30),
    })  # fmt: skip
    table = TABLES["heads"](found)
    assert table.columns == ("heads", "set", "in domain", "in domain, by encoder")
    assert [row[1].text for row in table.rows] == ["digits", "mean"]
    # By seed: 1, 2, 1 points; s = 0.57735, t with 2 degrees of freedom 4.30265: 1.33 +- 1.43.
    # By encoder: 2 and 0.667; s = 0.942809, t with 1 degree of freedom 12.7062: 1.33 +- 8.47.
    assert [f"{c.text} {c.spread}" for c in table.rows[0][2:]] == ["+1.33 ± 1.43", "+1.33 ± 8.47"]
    assert table.rows[0][0].text == "mlp against linear"
    assert table.rows[1][2:] == table.rows[0][2:]


def test_heads_are_compared_in_every_pair_on_every_task():
    table = TABLES["heads"](invented())
    assert list(dict.fromkeys(row[0].text for row in table.rows)) == [
        "mlp against linear", "nmtune against linear", "nmtune against mlp",
    ]  # fmt: skip
    assert [row[1].text for row in table.rows[:5]] == ["fashion", "digits", "photo", "cifar10", "mean"]
    for row in table.rows:
        expected = 0.04 if row[0].text == "nmtune against linear" else 0.02  # the formula of `invented`
        known = [cell.value for cell in row[2:] if cell.value is not None]
        assert len(known) == (2 if row[1].text in ("fashion", "digits") else 4)  # no set out of domain
        assert known == pytest.approx([expected] * len(known), abs=0.005)


def test_an_encoder_without_one_of_the_heads_is_not_compared():
    found = solved({
        ("a", "linear"): (0.5, 0.6, 0.7), ("a", "mlp"): (0.51, 0.63, 0.72),
        ("b", "linear"): (0.1, 0.2, 0.3), ("b", "mlp"): (0.11, 0.21, 0.30),
    })  # fmt: skip
    (row, _) = TABLES["heads"](without(found, backbone="b", head="mlp")).rows
    assert row[2].value == pytest.approx((0.01 + 0.03 + 0.02) / 3)
    assert row[3].spread == ""  # one encoder: nothing tells how another would do
    neither = without(without(found, backbone="b", head="mlp"), backbone="a", head="linear")
    (row, _) = TABLES["heads"](neither).rows
    assert [cell.text for cell in row[2:]] == ["–", "–"]


def test_settings_are_compared_with_the_first():
    found = invented(
        settings={"paper": {}, "other": {"epochs": 5}, "third": {"epochs": 6}}, heads={"nmtune": {}},
        tasks={"digits": {"train": "d"}},
    )  # fmt: skip
    found.head_rows["score"] = found.head_rows["setting"].map({"paper": 0.5, "other": 0.51, "third": 0.48})
    table = TABLES["settings-compared"](found)
    assert [(row[0].text, row[1].text, row[2].text) for row in table.rows] == [
        ("other against paper", "digits", "+1.00"), ("other against paper", "mean", "+1.00"),
        ("third against paper", "digits", "-2.00"), ("third against paper", "mean", "-2.00"),
    ]  # fmt: skip
    assert not TABLES["settings-compared"](invented(heads={"nmtune": {}})).rows  # nothing to compare


def test_colours_of_noise_by_noise_are_differences_on_common_places():
    found = invented(noise=["none", "symmetric:0.4"], heads={"linear": {}})
    lacking = without(found, backbone="zoo:a-20", task="cifar10")
    whole, short = (
        np.asarray(FIGURES["noise-x-noise"](one)[0].figure.axes[0].images[0].get_array())
        for one in (found, lacking)
    )
    assert short[3] == pytest.approx(whole[3], abs=0.6)  # in points; with unlike sets it would be 8
    assert short[[0, 1, 2, 4, 5]] == pytest.approx(whole[[0, 1, 2, 4, 5]])


def test_without_a_clean_encoder_noise_by_noise_has_numbers_and_no_colours():
    encoders = [{"name": f"zoo:a-{noise}", "family": "supervised", "noise": noise / 100} for noise in (5, 10)]
    found = invented(noise=["none", "symmetric:0.4"], heads={"linear": {}}, backbones=encoders)
    (drawn,) = FIGURES["noise-x-noise"](found)
    axis = drawn.figure.axes[0]
    assert np.isnan(np.asarray(axis.images[0].get_array(), float)).all()
    assert len(axis.texts) == 4
    assert {text.get_color() for text in axis.texts} != {"white"}
    assert "No results of an encoder without noise in supervised." in drawn.caption


def test_the_influence_of_pre_training_is_read_from_labels_without_noise():
    few = {"heads": {"linear": {}}, "tasks": {"digits": {"train": "d"}}}
    alone = invented(noise=["symmetric:0.6"], **few)
    both = invented(noise=["none", "symmetric:0.6"], **few)
    for table in (TABLES["influence"](both), FIGURES["influence"](both)[0]):
        notes = " ".join(table.notes) if hasattr(table, "notes") else table.caption
        assert "Only results without noise in the labels" in notes
        assert "Mean over" not in notes
    own = both.select(both.encoders[0], noise="none")["score"].mean()
    assert row_of(TABLES["influence"](both), "supervised", "0 %")[3].value == pytest.approx(own)
    _, y = FIGURES["influence"](both)[0].figure.axes[0].containers[0].lines[0].get_data()
    assert y[0] == pytest.approx(100 * own)
    # Where every result has noisy labels, those are shown.
    own = alone.select(alone.encoders[0])["score"].mean()
    table = TABLES["influence"](alone)
    assert row_of(table, "supervised", "0 %")[3].value == pytest.approx(own)
    assert not any("Only results" in note for note in table.notes)


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        (
            "models",
            ["shares of the data (10 %, 50 %)", "noise in the labels (none, pair 0.2)", "settings (s, t)"],
        ),
        ("sets-in-domain", ["shares", "noise", "settings"]),
        ("sets-out-of-domain", ["shares", "noise", "settings"]),
        ("settings", ["shares", "noise", "heads (linear, mlp)"]),
        ("influence", ["shares", "settings"]),
        ("noise-x-noise", ["shares"]),
    ],
)
def test_a_table_names_each_axis_that_it_does_not_show(name, hidden):
    found = invented(
        heads={"linear": {}, "mlp": {}}, shares=[0.1, 0.5], noise=["none", "pair:0.2"],
        settings={"s": {}, "t": {"epochs": 5}}, seeds=2, tasks={"p": {"train": "p", "ood": ["q"]}},
    )  # fmt: skip
    (note,) = [one for one in TABLES[name](found).notes if one.startswith("Mean over")]
    assert note.count("(") == len(hidden)
    assert all(one in note for one in hidden)


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("influence", ["settings"]),
        ("spectrum-and-accuracy", ["shares", "noise", "settings"]),
        ("methods", ["shares", "noise", "settings"]),
        ("noise-x-noise", ["shares", "settings"]),
    ],
)
def test_a_caption_names_each_axis_that_the_figure_does_not_show(name, hidden):
    found = invented(
        heads={"linear": {}, "mlp": {}}, shares=[0.1, 0.5], noise=["none", "pair:0.2"],
        settings={"s": {}, "t": {"epochs": 5}}, seeds=2, tasks={"p": {"train": "p", "ood": ["q"]}},
    )  # fmt: skip
    caption = FIGURES[name](found)[0].caption
    assert caption.count("Mean over") == 1
    said = caption.partition("Mean over")[2]
    assert said.count("(") == len(hidden)
    assert all(one in said for one in hidden)


def repeated(family, number):
    return {
        "name": f"{family}-{number}",
        "repeats": [f"{family}-{number}-again"],
        "family": family,
        "noise": number / 10,
    }


@pytest.mark.parametrize(
    ("backbones", "said"),
    [
        ([repeated("a", 0), repeated("a", 1)], "Each seed has encoders of its own"),
        ([{"name": "x", "noise": 0}, {"name": "y", "noise": 0.1}], "Encoders were pre-trained once"),
        (
            [
                repeated("a", 0),
                repeated("a", 1),
                *({"name": n, "family": "b", "noise": r} for n, r in (("x", 0), ("y", 0.1))),
            ],
            "Encoders of b were pre-trained once",
        ),
        (
            [repeated("a", 0), {"name": "x", "family": "a", "noise": 0.1}],
            "Some encoders were pre-trained once",
        ),
    ],
)
def test_it_is_said_of_which_encoders_intervals_tell_the_luck_of_pre_training(backbones, said):
    found = invented(
        backbones=backbones,
        seeds=2,
        heads={"linear": {}, "mlp": {}},
        tasks={"p": {"train": "p", "ood": ["q"]}},
    )
    for name in ("influence", "methods"):
        assert FIGURES[name](found)[0].caption.count(said) == 1
    for name in ("influence", "heads", "models"):
        assert any(note.startswith(said) for note in TABLES[name](found).notes)


def test_the_table_of_spectra_has_an_interval_where_an_encoder_has_repeats():
    found = invented(
        backbones=[repeated("a", 0), {"name": "x", "family": "b"}], seeds=2, tasks={"p": {"train": "p"}}
    )
    first, second = (row[1].spread for row in TABLES["spectrum"](found).rows)
    assert first == "± 0.000"  # `invented` gives all repeats the same numbers
    assert second == ""
