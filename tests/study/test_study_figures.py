import numpy as np
import pytest
from invented import invented

from noiseproof.evaluate.protocol import Interval
from noiseproof.report.style import png, svg
from noiseproof.study.figures.study_figures import FIGURES

pytestmark = pytest.mark.draws


@pytest.fixture(scope="module")
def found():
    tasks = {"digits": {"train": "d"}, "photo": {"train": "p", "ood": ["q"]}}
    return invented(
        shares=[0.5, 1.0], noise=["none", "symmetric:0.2", "symmetric:0.4", "pair:0.4"], tasks=tasks,
    )  # fmt: skip


@pytest.fixture(scope="module")
def portrayed():
    encoders = [{"name": f"zoo:a-{n}", "family": "supervised", "noise": n / 100} for n in (0, 20)]
    return invented(
        backbones=encoders, tasks={"digits": {"train": "d"}}, noise=["none", "symmetric:0.4"],
        figures=list(FIGURES),
    )  # fmt: skip


def lines(axis):
    return [container for container in axis.containers if container.get_label() != "_nolegend_"]


def test_all_figures_of_the_paper_are_there():
    assert set(FIGURES) == {
        "influence", "spectrum-and-accuracy", "methods", "noise-x-noise", "singular-values", "feature-maps",
        "curvature", "label-noise", "detectors",
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "detectors"])
def test_every_figure_says_what_it_shows(name, portrayed):
    drawn = FIGURES[name](portrayed)
    assert drawn
    assert len({one.name for one in drawn}) == len(drawn)
    for one in drawn:
        assert one.caption.endswith(".")
        assert one.description


@pytest.mark.parametrize("name", FIGURES)
def test_without_encoders_of_known_noise_there_is_no_figure(name):
    assert FIGURES[name](invented(backbones=["features:"], tasks={"digits": {"train": "d"}})) == []


def test_the_same_numbers_give_the_same_bytes():
    def bytes_of():
        found = invented(tasks={"digits": {"train": "d"}}, heads={"linear": {}}, seeds=2)
        (one,) = FIGURES["influence"](found)
        return svg(one.figure, one.name, one.description), png(one.figure)

    assert bytes_of() == bytes_of()


@pytest.mark.parametrize("name", ["influence", "label-noise", "methods"])
def test_an_axis_of_shares_ends_where_shares_end(name, monkeypatch):
    """Three seeds of which one is far off have an interval that reaches beyond 100 %."""
    monkeypatch.setattr("noiseproof.study.figures.curves.over_seeds", lambda *_: Interval(0.97, 0.2, (0.97,)))
    (drawn, *_) = FIGURES[name](invented(tasks={"digits": {"train": "d"}}, noise=["none", "pair:0.4"]))
    axes = [axis for axis in drawn.figure.axes if axis.get_ylabel().endswith("in %")]
    assert axes
    for axis in axes:
        low, high = axis.get_ylim()
        assert 60 < low < 77
        assert 100 < high <= 101


def test_influence_has_a_line_per_share_with_the_means(found):
    (drawn,) = FIGURES["influence"](found)
    axis = drawn.figure.axes[0]
    assert [line.get_label() for line in lines(axis)] == ["50 % of the data", "100 % of the data"]
    x, y = lines(axis)[1].lines[0].get_data()
    assert x.tolist() == [0, 5, 10, 20, 30, 50]
    own = found.select(found.encoders[2], domain="id", head="linear", share=1.0, noise="none")
    assert y[2] == pytest.approx(100 * own["score"].groupby(own["task"]).mean().mean())


def test_spectrum_and_accuracy_has_a_point_per_encoder_and_set(found):
    (drawn,) = FIGURES["spectrum-and-accuracy"](found)
    in_domain = drawn.figure.axes[0]
    points = [p.get_offsets() for p in in_domain.collections if len(p.get_offsets())]
    assert len(points) == 6 * 2
    assert points[0][0][0] == pytest.approx(3.0)  # SVE that was invented for digits and no noise


def test_methods_have_a_line_per_head_in_four_panels(found):
    (drawn,) = FIGURES["methods"](found)
    assert len(drawn.figure.axes) == 2 * 4
    assert [line.get_label() for line in lines(drawn.figure.axes[0])] == ["linear", "mlp", "nmtune"]
    assert [axis.get_ylabel() for axis in drawn.figure.axes[:4]] == [
        "F1 in %",
        "SVE (nats)",
        "F1 in %",
        "LSVR",
    ]
    _, y = lines(drawn.figure.axes[1])[0].lines[0].get_data()
    assert y.tolist() == pytest.approx([4.5, 4.55, 4.6, 4.7, 4.8, 5.0])


def test_methods_without_spectra_of_heads_have_two_panels():
    (drawn,) = FIGURES["methods"](invented(has_head_spectra=False, tasks={"p": {"train": "p", "ood": ["q"]}}))
    assert len(drawn.figure.axes) == 2 * 2


def test_noise_by_noise_has_a_figure_per_head_and_a_panel_per_kind(found):
    drawn = FIGURES["noise-x-noise"](found)
    assert [one.name for one in drawn] == [f"noise-x-noise-{head}" for head in ("linear", "mlp", "nmtune")]
    panels = [axis for axis in drawn[0].figure.axes if axis.images]
    assert [axis.get_title(loc="left") for axis in panels] == [
        "supervised, symmetric", "supervised, pair", "image-text, symmetric", "image-text, pair",
    ]  # fmt: skip
    differences = np.asarray(panels[0].images[0].get_array())
    assert differences.shape == (6, 3)  # none, 0.2, 0.4
    assert (differences[0] == 0).all()
    assert len({axis.images[0].get_clim() for axis in panels}) == 1


def test_singular_values_have_a_figure_per_family_and_set(found):
    drawn = FIGURES["singular-values"](found)
    assert len(drawn) == 2 * 3
    assert all(one.is_detail for one in drawn)
    assert len(drawn[0].figure.axes[0].lines) == 6


def test_there_is_a_map_per_encoder_task_and_noise(portrayed):
    drawn = FIGURES["feature-maps"](portrayed)
    assert [one.name for one in drawn] == [
        f"feature-map-zoo-a-{rate}-digits-{noise}" for rate in (0, 20) for noise in ("none", "symmetric-0.4")
    ]
    assert all(one.is_detail for one in drawn)
    assert "4 of the 9 examples of digits (held out), labels with symmetric 0.4 noise" in drawn[1].caption
    points = drawn[1].figure.axes[0].collections[0].get_offsets()
    assert points.tolist() == [[0, 1], [2, 3], [1, 1], [2, 2]]


def test_curvature_has_means_over_seeds_and_a_figure_of_ranks_per_encoder(portrayed):
    drawn = FIGURES["curvature"](portrayed)
    assert [one.name for one in drawn] == [
        "curvature-none", "curvature-symmetric-0.4", "curvature-zoo-a-0-digits", "curvature-zoo-a-20-digits",
    ]  # fmt: skip
    largest, trace = drawn[0].figure.axes
    assert [line.get_label() for line in lines(largest)] == ["linear", "mlp", "nmtune"]
    assert lines(largest)[0].lines[0].get_ydata().tolist() == pytest.approx([3.0, 3.2])  # seeds 0, 1 and 2
    assert lines(trace)[0].lines[0].get_ydata().tolist() == pytest.approx([9.0, 9.6])
    names = [line.get_label() for line in drawn[2].figure.axes[0].get_lines()]
    assert names[:4] == ["linear", "mlp", "nmtune", "linear, symmetric 0.4"]


def test_curvature_of_encoders_of_unknown_noise_has_ranks_only():
    found = invented(backbones=["features:"], tasks={"digits": {"train": "d"}}, figures=["curvature"])
    assert [one.name for one in FIGURES["curvature"](found)] == ["curvature-features-digits"]
