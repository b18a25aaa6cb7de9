"""From pre-training under five rates of noise to the tables of a study: no claim, all is reported."""

import pytest

from noiseproof.config.pretrain import PretrainConfig
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.pipelines.pretrain import pretrain
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.study import run_study
from noiseproof.study.study_results import over_seeds, select

declare_missing_operators()
pytest.importorskip("timm")
pytest.importorskip("accelerate")
pytestmark = pytest.mark.draws
RATES = (0.0, 0.05, 0.1, 0.2, 0.3)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """An encoder per rate, pre-trained on scikit-learn's digits for a few steps."""
    found = {}
    for rate in RATES:
        out = tmp_path_factory.mktemp("encoders") / f"noise{rate}"
        config = PretrainConfig(
            objective="supervised", model="resnet8_32px", image_size=16, epochs=1, batch_size=64,
            learning_rate=0.1, train="sklearn:digits", test="sklearn:digits", out=out, limit=300,
            noise=f"symmetric:{rate}" if rate else None,
        )  # fmt: skip
        card = pretrain(config, quiet=True)
        assert card["noise"]["realised_rate"] == pytest.approx(rate)
        found[rate] = out / "model.safetensors"
    return found


@pytest.mark.slow
def test_five_rates_of_noise_are_carried_to_tables_with_intervals(encoders, tmp_path):
    backbones = [
        {"name": f"timm:resnet8_32px@{path}", "label": f"{100 * rate:g} %", "family": "digits", "noise": rate}
        for rate, path in encoders.items()
    ]
    recipe = StudyRecipe(
        name="a17", claim="As found.", source="nobody", command="none", minutes=1, hardware="2 cores",
        needs="nothing", expected="as found", backbones=backbones, seeds=3, max_steps=20, limit=200,
        tasks={"digits": {"train": "sklearn:digits", "shifts": ["blur", "contrast"]}},
        heads={"linear": {}, "mlp": {}, "nmtune": {}}, has_head_spectra=True,
        tables=["models", "influence", "heads", "spectrum"], figures=["influence", "methods"],
    )  # fmt: skip
    result = run_study(recipe, out=tmp_path / "study", cache=tmp_path / "cache")
    assert result.outcome.failures == {}
    found = result.results
    assert len(found.head_rows) == len(RATES) * 3 * 3 * 3  # encoders x heads x seeds x sets
    assert [one.noise for one in found.encoders] == list(RATES)
    for encoder in found.encoders:
        for head in ("linear", "mlp", "nmtune"):
            for domain in ("id", "ood"):
                interval = over_seeds(found.select(encoder, head=head, domain=domain), "score")
                assert interval.half_width is not None
                assert 0 <= interval.mean <= 1
        assert over_seeds(select(found.spectra, encoder, domain="id"), "entropy_nats").mean > 0
        assert over_seeds(select(found.spectra, encoder, domain="ood"), "largest_ratio").mean > 0
    # Other weights, other features: the noise reached the encoders.
    assert len(
        {over_seeds(select(found.spectra, one, domain="id"), "entropy_nats").mean for one in found.encoders}
    ) == len(RATES)
    influence = (tmp_path / "study" / "tables" / "influence.md").read_text()
    assert all(f"| {100 * rate:g} % | nmtune |" in influence for rate in RATES)
    assert (tmp_path / "study" / "figures" / "methods.png").stat().st_size > 10_000
