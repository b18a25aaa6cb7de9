"""Tables of detectors from rows that never ran, checked against sums by hand."""

import math
from dataclasses import replace

import pytest
from clouds import small_recipe

from noiseproof.evaluate.detection import DetectionMetrics
from noiseproof.study.figures.study_figures import FIGURES
from noiseproof.study.grid import Grid
from noiseproof.study.measures.detector_measure import DetectorMeasure
from noiseproof.study.measures.measure import RowRequest
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.rows import DetectionRow
from noiseproof.study.study_results import collect_results
from noiseproof.study.tables.detector_tables import ARENA_TABLES

METRICS = DetectionMetrics(
    precision=0.5, recall=0.4, f1=0.44, clean_precision=0.9, clean_recall=0.95, clean_f1=0.92, auroc=0.8,
    average_precision=0.6, precision_at_1=1.0, precision_at_5=0.9, precision_at_10=0.8, rate_error=-0.05,
    transition_error=0.1, calibration_error=0.02, num_flagged=20, num_wrong=25,
)  # fmt: skip
TASKS = {
    "people": {"train": "{data}/p.npz", "label": "x", "clean_label": "y", "noise": ["none"]},
    "clouds": {"train": "{data}/a.npz"},
}
SETTINGS = {
    "tasks": TASKS,
    "noise": ["symmetric:0.2", "symmetric:0.4"],
    "heads": {},
    "seeds": 3,
    "detectors": {"auto": {}, "aum": {}, "same": {"method": "leave_one_out"}, "cleanlab-5-fold": {}},
}
# Average precision by place, in the order of the seeds; of one entry nothing was drawn.
PRECISION = {
    ("people", None): {"auto": [0.7], "aum": [0.6, 0.62, 0.64], "same": [0.7], "cleanlab-5-fold": [0.75]},
    ("clouds", 0.2): {
        "auto": [0.90, 0.92, 0.94], "aum": [0.70, 0.72, 0.68], "same": [0.90, 0.92, 0.94],
        "cleanlab-5-fold": [0.80, 0.83, 0.83],
    },
    ("clouds", 0.4): {
        "auto": [0.8, 0.8, 0.8], "aum": [0.7, 0.6, 0.8], "same": [0.8, 0.8, 0.8],
        "cleanlab-5-fold": [0.5, 0.85, 0.9],
    },
}  # fmt: skip
SECONDS = {"auto": 2.0, "aum": 1.0, "same": 2.0, "cleanlab-5-fold": 8.0}


def invented_rows(recipe, *, but=()):
    measure = DetectorMeasure(Grid(recipe))
    for place in measure.places():
        key = (place.task, None if place.noise is None else place.noise.rate)
        asked, values = measure.request_key(place), PRECISION[key][place.detector]
        if (key, place.detector) in but:
            continue
        seconds = SECONDS[place.detector] * (4 if key[0] == "people" else 1)
        yield RowRequest(measure, place, asked, asked).row(
            DetectionRow, method="m", num_examples=100,
            realised_rate=key[1] or 0.16, wall_s=2 * seconds, cpu_s=seconds, notes=[],
            **(METRICS.to_json() | {"average_precision": values[place.seed]}),
            accuracy_all=0.7 + 0.01 * place.seed, accuracy_selected=0.75 + 0.01 * place.seed,
            accuracy_relabelled=None if place.detector == "aum" else 0.6,
        )  # fmt: skip


def found_of(*, but=(), **changed):
    recipe = StudyRecipe(**small_recipe(**(SETTINGS | changed)))
    return collect_results(invented_rows(recipe, but=but), recipe)


@pytest.fixture(scope="module")
def found():
    return found_of()


def shown(table):
    return [[f"{cell.text} {cell.spread}".strip() for cell in row] for row in table.rows]


def test_summary_by_hand(found):
    table = ARENA_TABLES["arena-summary"](found)
    assert table.columns == ("set", "labels", "wrong", "auto", "aum", "same", "cleanlab-5-fold")
    # Of three values m - d, m, m + d the half width is 4.3027 d / sqrt(3).
    wide = f"± {4.30265 * 2 / math.sqrt(3):.1f}"
    assert shown(table) == [
        ["people", "as given", "16.0", "70.0", f"62.0 {wide}", "70.0", "75.0"],
        ["clouds", "symmetric 0.2", "20.0", f"92.0 {wide}", f"70.0 {wide}", f"92.0 {wide}", "82.0 ± 4.3"],
        ["clouds", "symmetric 0.4", "40.0", "80.0 ± 0.0", "70.0 ± 24.8", "80.0 ± 0.0", "75.0 ± 54.1"],
        # People and clouds weigh the same: (70 + (92 + 80) / 2) / 2.
        ["mean", "", "–", "78.0 ± 1.2", "66.0 ± 6.6", "78.0 ± 1.2", "76.8 ± 14.6"],
    ]
    assert any("ran once" in note for note in table.notes)


def test_best_is_who_is_ahead_of_all_that_say_something_else(found):
    table = ARENA_TABLES["arena-summary"](found)
    best = [[cell.is_best for cell in row[3:]] for row in table.rows]
    # As given there is one seed, at 0.4 the peer wavers; what "auto" chose shares the place with it.
    assert best == [[False] * 4, [True, False, True, False], [False] * 4, [False] * 4]


def test_best_of_the_mean_is_by_all_settings():
    without_peer = {name: SETTINGS["detectors"][name] for name in ("auto", "aum", "same")}
    table = ARENA_TABLES["arena-summary"](found_of(detectors=without_peer))
    # auto less aum is 12.5, 14 and 9.5; in the last setting alone it is 10, 20 and 0.
    assert [cell.is_best for cell in table.rows[-2][3:]] == [False, False, False]
    assert [cell.is_best for cell in table.rows[-1][3:]] == [True, False, True]


def test_kinds_of_noise_by_hand(found):
    table = ARENA_TABLES["arena-kinds"](found)
    rows = {tuple(row[:2]): dict(zip(table.columns, row, strict=True)) for row in shown(table)}
    assert len(rows) == 2 * 4
    assert rows["as given", "auto"]["average precision"] == "70.0"
    # Of both rates: 85, 86 and 87.
    assert rows["symmetric", "auto"]["average precision"] == f"86.0 ± {4.30265 / math.sqrt(3):.1f}"
    assert rows["symmetric", "cleanlab-5-fold"]["CPU s"] == "8.00"


def test_first_against_the_others_by_hand(found):
    table = ARENA_TABLES["arena-compared"](found)
    assert table.columns == (
        "detectors", "settings", "won", "clearly", "lost", "clearly", "mean difference", "time",
    )  # fmt: skip
    rows = {row[0]: row[1:] for row in shown(table)}
    assert rows["auto less aum"][:5] == ["3", "3", "1", "0", "0"]
    assert rows["auto less same"][:5] == ["3", "0", "0", "0", "0"]
    assert rows["auto less cleanlab-5-fold"][:5] == ["3", "2", "1", "1", "0"]
    # Half of people, -5, and of the mean of clouds, 10 and 5.
    assert rows["auto less cleanlab-5-fold"][5].startswith("+1.25 ±")
    assert [rows[f"auto less {name}"][6] for name in ("aum", "same", "cleanlab-5-fold")] == [
        "0.5", "1.0", "4.0",
    ]  # fmt: skip


def test_differences_by_setting(found):
    rows = shown(ARENA_TABLES["arena-differences"](found))
    assert rows[0] == ["people", "as given", "+10.0", "+0.0", "-5.0"]  # of the seed that both have
    assert rows[1][2].startswith("+22.0 ±")
    assert rows[1][4].startswith("+10.0 ±")


def test_the_arena_has_every_metric_of_every_detector(found):
    table = ARENA_TABLES["arena"](found)
    assert len(table.rows) == 3 * 4
    row = dict(zip(table.columns, shown(table)[7], strict=True))
    assert row == {
        "set": "clouds", "labels": "symmetric 0.2", "detector": "cleanlab-5-fold",
        "average precision": "82.0 ± 4.3", "AUROC": "80.0 ± 0.0", "precision": "50.0 ± 0.0",
        "recall": "40.0 ± 0.0", "F1": "44.0 ± 0.0", "clean precision": "90.0 ± 0.0",
        "clean recall": "95.0 ± 0.0", "at 1 %": "100.0 ± 0.0", "at 5 %": "90.0 ± 0.0",
        "at 10 %": "80.0 ± 0.0", "rate error": "-5.0 ± 0.0", "transition error": "10.0 ± 0.0",
        "calibration error": "2.0 ± 0.0", "s": "16.00", "CPU s": "8.00",
    }  # fmt: skip


def test_downstream_by_hand(found):
    rows = shown(ARENA_TABLES["downstream"](found))
    wide = f"± {4.30265 / math.sqrt(3):.1f}"
    assert rows[4][:4] == ["clouds", "symmetric 0.2", "auto", f"71.0 {wide}"]
    assert rows[4][4:] == [f"76.0 {wide}", "60.0 ± 0.0", "+5.0 ± 0.0", f"-11.0 {wide}"]
    assert rows[5][5] == rows[5][7] == "–"


def test_what_lacks_is_told_and_the_rest_is_shown():
    found = found_of(but=[(("people", None), "aum")])
    table = ARENA_TABLES["arena-summary"](found)
    assert shown(table)[0][4] == "–"
    assert "Results are missing: people, as given: aum." in table.notes
    rows = {row[0]: row[1:] for row in shown(ARENA_TABLES["arena-compared"](found))}
    assert rows["auto less aum"][:2] == ["2", "2"]


def test_only_where_nothing_is_drawn_the_first_seed_stands_for_the_others(found):
    rows = found.detections
    few = replace(found, detections=rows[(rows["noise"] != "symmetric:0.4") | (rows["seed"] == 0)])
    before, after = (shown(ARENA_TABLES["arena-summary"](one))[-1] for one in (found, few))
    assert "±" in before[3]
    assert after[3] == "77.5"  # of the one seed that has every setting: (70 + (90 + 80) / 2) / 2


def test_labels_without_a_mistake_have_nothing_to_find():
    found = found_of(tasks={"clouds": {"train": "{data}/a.npz"}}, seeds=1)
    found.detections.loc[found.detections["noise"] == "symmetric:0.4", "num_wrong"] = 0
    assert [row[1] for row in shown(ARENA_TABLES["arena-summary"](found))] == ["symmetric 0.2", ""]
    assert len(ARENA_TABLES["arena"](found).rows) == 2 * 4


@pytest.mark.parametrize("name", ARENA_TABLES)
def test_every_table_is_rectangular(name, found):
    table = ARENA_TABLES[name](found)
    assert table.rows
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_the_figure_has_a_panel_per_set_and_a_line_per_detector(found):
    (drawn,) = FIGURES["detectors"](found)
    (axis,) = [axis for axis in drawn.figure.axes if axis.get_visible()]
    assert drawn.name == "detectors-symmetric"
    assert drawn.caption.endswith(".")
    assert axis.get_title(loc="left") == "clouds"
    lines = {line.get_label(): line for line in axis.containers}
    assert set(lines) == {"auto", "aum", "same", "cleanlab-5-fold"}
    assert list(lines["auto"].lines[0].get_ydata()) == pytest.approx([92, 80])


def test_many_detectors_are_drawn_in_several_figures_with_the_first_in_each():
    names = {f"d{i}": {"method": "leave_one_out"} for i in range(8)}
    PRECISION["clouds", 0.2].update({name: [0.5, 0.6, 0.7] for name in names})
    changed = {"tasks": {"clouds": TASKS["clouds"]}, "noise": ["symmetric:0.2"]}
    SECONDS.update(dict.fromkeys(names, 1.0))
    drawn = FIGURES["detectors"](found_of(**changed, detectors={"auto": {}} | names))
    assert [one.name for one in drawn] == ["detectors-symmetric-1", "detectors-symmetric-2"]
    lines = [[line.get_label() for line in one.figure.axes[0].containers] for one in drawn]
    assert lines == [["auto", *list(names)[:6]], ["auto", "d6", "d7"]]


def test_a_mean_is_not_of_those_settings_alone_in_which_there_is_a_value(found):
    """Where nothing is flagged there is no precision: that of the others would be of something else."""
    rows = list(invented_rows(StudyRecipe(**small_recipe(**SETTINGS))))
    first = next(place for place, row in enumerate(rows) if row.noise_rate == 0.2 and row.detector == "aum")
    rows[first] = replace(rows[first], precision=None)
    table = ARENA_TABLES["arena-kinds"](collect_results(rows, found.recipe))
    shown_rows = {tuple(row[:2]): dict(zip(table.columns, row, strict=True)) for row in shown(table)}
    assert shown_rows["symmetric", "aum"]["precision"] == "–"
    assert shown_rows["symmetric", "auto"]["precision"] == "50.0 ± 0.0"
