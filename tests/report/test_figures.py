import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from noiseproof.core.records import SpectrumCard
from noiseproof.report import figures
from noiseproof.report.run_folder import SetSpectra, load_run

pytestmark = pytest.mark.draws

OPTIONS = {
    "plain": {},
    "one seed, no out-of-domain set, truth unknown": {"seeds": (0,), "ood": (), "knows_truth": False},
    "many sets": {"ood": tuple(f"set {i}" for i in range(13)), "seeds": (0, 1)},
    "names with signs": {
        "ood": ("$x_1$ & <b>", "_hidden", "a long name " * 20),
        "heads": {"a<b>&$": 0, "_b": 0},
    },
}


def all_figures(run):
    return [
        figures.accuracy_figure(run.results),
        figures.spectrum_figure(run.spectra),
        figures.suspicion_figure(run.issues),
    ]


def words(svg):
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def spectra(values, role="train"):
    values = np.array(values, float)
    card = SpectrumCard(50, len(values), values, 1.0, 1.0, 2.0, False)
    return SetSpectra("set", role, card, card)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("name", OPTIONS)
def test_figures_are_xml_with_distinct_ids(fake_run, name):
    drawn = all_figures(load_run(fake_run(**OPTIONS[name])))
    assert len(drawn) == 3
    for svg in drawn:
        assert ET.fromstring(svg).get("role") == "img"
    ids = [found for svg in drawn for found in set(re.findall(r'\bid="([^"]*)"', svg))]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(fake_run):
    run = load_run(fake_run())
    assert all_figures(run) == all_figures(run)


def test_drawing_leaves_the_settings_of_the_process_alone(fake_run):
    before = dict(mpl.rcParams)
    all_figures(load_run(fake_run()))
    assert dict(mpl.rcParams) == before


def test_bars_carry_their_names_and_values(fake_run):
    run = load_run(fake_run())
    shown = words(figures.accuracy_figure(run.results))
    for word in (
        "linear",
        "mlp",
        "nmtune",
        "photo (held out)",
        "art_painting",
        "mean out of domain",
        "In domain",
    ):
        assert word in shown
    values = [
        row.metrics["accuracy"] for row in run.results if row.key[0] == "mlp" and row.set_name == "sketch"
    ]
    assert f"{100 * np.mean(values):.1f}" in shown


def test_one_out_of_domain_set_has_no_mean_bar(fake_run):
    shown = words(figures.accuracy_figure(load_run(fake_run(ood=("sketch",))).results))
    assert "sketch" in shown
    assert "mean out of domain" not in shown


def test_signs_in_names_are_shown_and_never_read_as_mathematics(fake_run):
    shown = words(figures.accuracy_figure(load_run(fake_run(ood=("$x_1$ & <b>", "s"))).results))
    assert "$x_1$ & <b>" in shown


def test_the_histogram_is_split_where_the_truth_is_known(fake_run):
    issues = load_run(fake_run()).issues
    num_wrong = int((issues["given_label"] != issues["clean_label"]).sum())
    assert f"wrong ({num_wrong})" in words(figures.suspicion_figure(issues))
    assert f"all labels ({len(issues)})" in words(
        figures.suspicion_figure(issues.drop(columns="clean_label"))
    )


@pytest.mark.slow_but_first
@pytest.mark.parametrize(("num_values", "titles"), [(1, 1), (20, 1), (21, 2), (500, 2), (501, 3)])
def test_the_spectrum_shows_only_groups_that_hold_values(num_values, titles):
    shown = words(figures.spectrum_figure([spectra(np.linspace(2, 1, num_values))]))
    assert [word in shown for word in ("top 20", "20 to 500", "beyond 500")] == [i < titles for i in range(3)]


def test_zeros_of_a_spectrum_are_left_out():
    drawn = figures.spectrum_figure([spectra([3, 1, 0, 0])])
    assert drawn == figures.spectrum_figure([spectra([3, 1])])
    assert drawn != figures.spectrum_figure([spectra([3, 1, 0.1, 0.1])])


def test_a_spectrum_of_zeros_has_a_legend_entry_and_no_line():
    alone = figures.spectrum_figure([spectra([3, 1])])
    both = figures.spectrum_figure([spectra([3, 1]), spectra([0, 0], "ood")])
    assert {"set, train", "set, ood"} <= set(words(both))
    assert both.count("<use ") == alone.count("<use ") + 1  # the marker in the legend
    assert "nan" not in both


def test_many_spectra_share_a_legend_entry_per_role():
    many = [spectra([3, 1]), *(spectra([3, 1], "ood") for _ in range(12))]
    assert "ood (12 sets)" in words(figures.spectrum_figure(many))


def test_long_names_are_cut_in_the_middle():
    assert figures.shortened("abcdefghij", 7) == "abc…hij"
    assert figures.shortened("two\nlines") == "two lines"
    assert len(figures.shortened("x" * 100)) == 26
