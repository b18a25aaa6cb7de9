from dataclasses import replace

import pytest
from invented import invented

from noiseproof.report.renderers import to_csv, to_latex, to_markdown
from noiseproof.study.tables.detector_tables import ARENA_TABLES
from noiseproof.study.tables.study_tables import TABLES

OF_HEADS = [name for name in TABLES if name not in ARENA_TABLES]


@pytest.fixture(scope="module")
def found():
    return invented(noise=["none", "symmetric:0.4"], settings={"one": {}, "two": {"epochs": 5}})


def shown(table):
    return [[f"{cell.text} {cell.spread}".strip() for cell in row] for row in table.rows]


def mean(cells):
    return f"{100 * cells['score'].groupby(cells['task']).mean().mean():.1f}"


def test_all_tables_of_the_paper_are_there():
    assert set(TABLES) == {
        "models", "pretraining", "sets-in-domain", "sets-out-of-domain", "runtime", "settings",
        "settings-compared", "heads", "influence", "spectrum", "noise-x-noise", "heads-by-noise",
        "encoders-by-noise",
    } | set(ARENA_TABLES)  # fmt: skip


@pytest.mark.slow_but_first
@pytest.mark.parametrize("name", OF_HEADS)
def test_every_table_is_rectangular_and_can_be_written(name, found):
    table = TABLES[name](found)
    assert table.rows
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert to_markdown(table).count("\n") >= len(table.rows) + 2
    assert to_csv(table).count("\n") == len(table.rows) + 1
    assert to_latex(table).count(r"\\") == len(table.rows) + 1


@pytest.mark.slow_but_first
@pytest.mark.parametrize("name", OF_HEADS)
def test_every_table_of_results_that_lack_is_still_a_table(name, found):
    cells = found.head_rows[found.head_rows["task"] != "digits"]
    lacking = replace(found, head_rows=cells[cells["seed"] == 0])
    table = TABLES[name](lacking)
    assert {len(row) for row in table.rows} == {len(table.columns)}
    if name in ("models", "sets-in-domain", "influence"):
        assert "Without digits, which could not be computed." in table.notes
        assert not any("±" in cell.spread for row in table.rows for cell in row)


def test_models_by_heads_in_and_out_of_domain(found):
    table = TABLES["models"](found)
    assert table.columns == (
        "encoder", "head", "acc. in domain", "F1 in domain", "acc. out of domain", "F1 out of domain",
    )  # fmt: skip
    assert len(table.rows) == 9 * 3
    own = found.head_rows[(found.head_rows["backbone"] == "zoo:a-20") & (found.head_rows["head"] == "mlp")]
    row = next(r for r in shown(table) if r[:2] == ["zoo:a-20", "mlp"])
    assert row[2].startswith(mean(own[own["domain"] == "id"]) + " ±")
    assert row[4].startswith(mean(own[own["domain"] == "ood"]) + " ±")


def test_only_a_head_that_is_clearly_ahead_is_bold(found):
    table = TABLES["models"](found)
    assert all(row[2].is_best == (row[1].text == "nmtune") for row in table.rows)  # 2 points apart, noise 0.4
    level = invented(heads={"linear": {}, "same": {"kind": "linear"}}, tasks={"d": {"train": "d"}})
    for value in ("score", "macro_f1"):
        level.head_rows[value] = level.head_rows["seed"].map({0: 0.5, 1: 0.6, 2: 0.7})
    assert not any(cell.is_best for row in TABLES["models"](level).rows for cell in row)


def test_accuracy_of_pre_training_by_noise_and_family(found):
    table = TABLES["pretraining"](found)
    assert table.columns == ("noise", "supervised", "image-text")
    assert shown(table)[0] == ["0 %", "90.0", "90.0"]
    assert shown(table)[1] == ["5 %", "87.5", "–"]


def test_sets_in_domain_have_a_column_each_and_the_mean(found):
    table = TABLES["sets-in-domain"](found)
    assert table.columns == ("encoder", "head", "fashion", "digits", "photo", "cifar10", "mean")
    own = found.select(found.encoders[0], head="linear", domain="id")
    assert shown(table)[0][3].startswith(f"{100 * own[own['task'] == 'digits']['score'].mean():.1f}")
    assert shown(table)[0][-1].startswith(mean(own))


def test_sets_out_of_domain_are_means_by_training_set(found):
    table = TABLES["sets-out-of-domain"](found)
    assert table.columns == ("encoder", "head", "photo", "cifar10", "mean")
    own = found.select(found.encoders[0], head="linear", domain="ood", task="photo")
    assert set(own["set"]) == {"q", "r"}
    assert shown(table)[0][2].startswith(f"{100 * own['score'].mean():.1f}")


def test_settings_by_noise_and_family(found):
    table = TABLES["settings"](found)
    assert table.columns[:2] == ("setting", "noise")
    assert [row[:2] for row in shown(table)[:3]] == [["one", "0 %"], ["one", "5 %"], ["one", "10 %"]]
    assert len(table.rows) == 2 * 6
    assert shown(table)[1][-1] == "–"  # no image-text encoder with 5 %


def test_the_clean_encoder_differs_from_itself_by_nothing(found):
    table = TABLES["influence"](found)
    clean = [row for row in shown(table) if row[1] == "0 %"]
    assert len(clean) == 2 * 3
    assert all(row[4] == row[6] == "+0.0 ± 0.0" for row in clean)
    worst = next(
        row for row in table.rows if [cell.text for cell in row[:3]] == ["supervised", "50 %", "linear"]
    )
    assert worst[6].value == pytest.approx(-0.1, abs=0.01)  # the formula: -0.2 x 0.5 out of domain


def test_runtime_adds_up(found):
    table = TABLES["runtime"](found)
    assert table.columns == ("set", "features, once", "linear", "mlp", "nmtune")
    # A head takes 1, 2 or 3 s: times 9 encoders, 2 noises, 2 settings; features 2 s for each encoder and set.
    rows = {row[0]: row[1:] for row in shown(table)}
    assert rows["digits"] == ["18.00", "36.00", "72.00", "108.00"]
    assert rows["all"] == ["72.00", "144.00", "288.00", "432.00"]


def test_a_data_set_that_several_tasks_use_is_encoded_once(found):
    # As with PACS: the out-of-domain set of one task is the training set of another.
    shared = {"photo": {"x p": 1.0}, "cifar10": {"x p": 1.0, "x c": 4.0}, "digits": {"x d": 0.5}}
    spectra = found.spectra[(found.spectra["backbone"] == "zoo:a-0") & (found.spectra["task"] != "fashion")]
    spectra = spectra.assign(encode_s=[shared[task] for task in spectra["task"]])
    table = TABLES["runtime"](replace(found, spectra=spectra))
    rows = {row[0]: row[1] for row in shown(table)}
    assert (rows["photo"], rows["cifar10"], rows["digits"], rows["all"]) == ("1.00", "5.00", "0.50", "5.50")


def test_features_that_were_in_the_store_have_no_time(found):
    seconds = zip(found.spectra["task"], found.spectra["encode_s"], strict=True)
    spectra = found.spectra.assign(
        encode_s=[dict.fromkeys(own) if task == "photo" else own for task, own in seconds]
    )
    rows = {row[0]: row[1] for row in shown(TABLES["runtime"](replace(found, spectra=spectra)))}
    assert (rows["photo"], rows["all"], rows["digits"]) == ("–", "–", "18.00")


def test_noise_by_noise_has_a_column_per_noise_in_the_labels(found):
    table = TABLES["noise-x-noise"](found)
    assert table.columns == ("head", "encoder", "setting", "none", "symmetric 0.4")
    assert len(table.rows) == 3 * 9 * len(found.values("setting"))
    row = table.rows[0]
    assert row[3].value - row[4].value == pytest.approx(0.3 * 0.4**2, abs=0.01)


def test_latex_of_special_signs():
    from noiseproof.report.tables import Cell, Table

    table = Table("100 %", ("a_b", "n"), ((Cell("x & y"), Cell("1.0", "± 0.2", 1.0, is_best=True)),))
    text = to_latex(table)
    assert r"a\_b & n \\" in text
    assert r"x \& y & \textbf{1.0 $\pm$ 0.2} \\" in text
    assert text.startswith("% 100 %\n")
    assert r"\begin{tabular}{lr}" in text
