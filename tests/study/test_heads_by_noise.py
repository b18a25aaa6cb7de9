"""Each head against the first one, noise by noise."""

import numpy as np
import pytest
from invented import invented

from noiseproof.study.tables.study_tables import TABLES

NOISES = ["none", "pair:0.4"]
HEADS = {"linear": {}, "mlp": {}, "nmtune": {}}


def small(**changed):
    values = {
        "heads": HEADS, "noise": NOISES, "backbones": ["a"], "tasks": {"digits": {"train": "d"}},
        "settings": {"s": {}, "t": {"epochs": 5}},
    }  # fmt: skip
    return invented(**values | changed)


def test_differences_by_hand():
    found = small(heads={"linear": {}, "mlp": {}}, settings={"s": {}})
    scores = {
        ("none", "linear"): (0.5, 0.6, 0.7), ("none", "mlp"): (0.51, 0.63, 0.72),
        ("pair:0.4", "linear"): (0.3, 0.3, 0.3), ("pair:0.4", "mlp"): (0.29, 0.27, 0.28),
    }  # fmt: skip
    for (noise, head), values in scores.items():
        for seed, value in enumerate(values):
            found.head_rows.loc[found.select(noise=noise, head=head, seed=seed).index, "score"] = value
    table = TABLES["heads-by-noise"](found)
    assert table.columns == ("encoder", "setting", "head", "none", "pair 0.4", "mean")
    (row,) = table.rows
    # 1, 3, 2 points: 2 +- 4.30265 x 1 / sqrt(3); minus 1, 3, 2; the mean is 0 in every seed.
    assert [f"{cell.text} {cell.spread}" for cell in row[3:]] == ["+2.0 ± 2.5", "-2.0 ± 2.5", "+0.0 ± 0.0"]
    assert [cell.text for cell in row[:3]] == ["a", "s", "mlp"]


def test_differences_are_those_of_a_slow_loop():
    found = small(backbones=["a", "b"])
    table = TABLES["heads-by-noise"](found)
    cells = found.head_rows.to_dict("records")
    assert len(table.rows) == 2 * 2 * 2  # encoders, settings, heads but the first
    for encoder, setting, head, *values in table.rows:
        for noise, cell in zip([*NOISES, None], values, strict=True):
            differences = [
                own["score"] - other["score"]
                for own in cells
                for other in cells
                if (own["backbone"], own["setting"], own["head"]) == (encoder.text, setting.text, head.text)
                and other["head"] == "linear"
                and noise in (None, own["noise"])
                and all(own[key] == other[key] for key in ("backbone", "setting", "noise", "seed"))
            ]
            assert len(differences) == (3 if noise else 6)
            assert cell.value == pytest.approx(np.mean(differences))


def test_one_head_has_nothing_to_be_compared_with():
    assert not TABLES["heads-by-noise"](small(heads={"linear": {}})).rows
