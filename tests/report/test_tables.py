import pytest

from noiseproof.evaluate.metrics import METRICS, ClassMetrics
from noiseproof.evaluate.results import ResultRow
from noiseproof.report import tables
from noiseproof.report.run_folder import DetectionCard, load_run


def row(head, seed, set_name, accuracy, per_class=None):
    domain = "id" if set_name == "test" else "ood"
    return ResultRow(head, seed, set_name, domain, 10, dict.fromkeys(METRICS, accuracy), per_class or {})


def grid(values, seeds=(0, 1, 2)):
    """{(head, set): accuracies per seed} -> rows."""
    return [row(head, seed, name, found[seed]) for (head, name), found in values.items() for seed in seeds]


def texts(table):
    return [[cell.text for cell in cells] for cells in table.rows]


STEADY = grid(
    {
        ("linear", "test"): [0.9, 0.9, 0.9],
        ("linear", "art"): [0.4, 0.4, 0.4],
        ("linear", "sketch"): [0.2, 0.2, 0.2],
        ("nmtune", "test"): [0.8, 0.9, 1.0],
        ("nmtune", "art"): [0.5, 0.51, 0.52],
        ("nmtune", "sketch"): [0.1, 0.2, 0.3],
    }
)


def test_results_have_a_column_per_set_the_mean_and_the_gap():
    table = tables.results_table(STEADY)
    assert table.columns == ("head", "test", "art", "sketch", "OOD mean", "gap")
    assert texts(table) == [
        ["linear", "90.0", "40.0", "20.0", "30.0", "60.0"],
        ["nmtune", "90.0", "51.0", "20.0", "35.5", "54.5"],
    ]
    assert table.rows[1][2].spread == "± 2.5"  # 4.303 * .01 / sqrt 3


def test_only_a_lead_that_the_seeds_show_is_bold():
    best = [[cell.is_best for cell in cells] for cells in tables.results_table(STEADY).rows]
    assert best == [[False] * 6, [False, False, True, False, False, False]]
    assert tables.RULE_FOR_BOLD in tables.results_table(STEADY).notes


def test_with_one_seed_there_is_no_spread_no_bold_and_a_note():
    rows = grid({("linear", "test"): [0.5], ("mlp", "test"): [0.9]}, seeds=(0,))
    table = tables.results_table(rows)
    assert not any(cell.spread or cell.is_best for cells in table.rows for cell in cells)
    assert table.notes == (tables.ONE_SEED,)


def test_one_head_is_never_called_best():
    table = tables.results_table(grid({("linear", "test"): [0.5, 0.6, 0.7]}))
    assert not any(cell.is_best for cells in table.rows for cell in cells)
    assert tables.RULE_FOR_BOLD not in table.notes


def test_many_sets_become_rows():
    rows = grid({("linear", name): [0.5, 0.5, 0.5] for name in ["test", *(f"ood {i}" for i in range(11))]})
    table = tables.results_table(rows)
    assert table.columns == ("set", "linear")
    assert [cells[0].text for cells in table.rows][-3:] == ["ood 10", "OOD mean", "gap"]


def test_a_set_a_head_was_not_evaluated_on_is_a_dash():
    rows = [row("linear", 0, "test", 0.5), row("mlp", 0, "test", 0.6), row("mlp", 0, "art", 0.6)]
    assert texts(tables.results_table(rows))[0] == ["linear", "50.0", tables.NONE, tables.NONE]


def test_all_metrics_have_a_row_per_head_and_domain():
    table = tables.metrics_table(STEADY)
    assert [(cells[0].text, cells[1].text) for cells in table.rows] == [
        (head, domain) for head in ("linear", "nmtune") for domain in ("in domain", "out of domain")
    ]
    assert [cell.text for cell in table.rows[0][2:]] == ["90.0"] * 3 + ["0.900"] * 3


def test_detection_shows_undefined_numbers_as_dashes():
    found = DetectionCard(
        precision=0.5, recall=None, f1=None, auroc=None, average_precision=0.25, num_flagged=1200, num_wrong=0
    )
    assert [cells[1].text for cells in tables.detection_table(found).rows] == [
        "0", "1,200", "50.0 %", tables.NONE, tables.NONE, "0.250", tables.NONE,
    ]  # fmt: skip


def test_classes_are_means_over_seeds_in_and_out_of_domain():
    def classes(accuracy):
        return {"cat": ClassMetrics(4, accuracy, None, accuracy), "dog": ClassMetrics(0, None, None, None)}

    rows = [row("mlp", seed, name, 0.5, classes(value)) for seed in (0, 1) for name, value in
            [("test", 0.5 + seed / 10), ("art", 0.2), ("sketch", 0.4)]]  # fmt: skip
    table = tables.class_table(rows, head="mlp")
    assert table.columns == ("class", "examples", "accuracy", "precision", "F1", "accuracy OOD")
    assert texts(table) == [
        ["cat", "4", "55.0", tables.NONE, "55.0", "30.0"],
        ["dog", "0", *[tables.NONE] * 4],
    ]
    assert table.rows[0][2].value == pytest.approx(0.55)


def test_spectrum_has_raw_and_centred_side_by_side(fake_run):
    run = load_run(fake_run())
    table = tables.spectrum_table(run.spectra)
    assert len(table.rows) == 4
    assert table.rows[0][3].value == run.spectra[0].raw.entropy_nats
    assert table.rows[0][8].value == run.spectra[0].centred.effective_rank
