import json

import numpy as np
import pytest
from typer.testing import CliRunner

from noiseproof import open_dataset
from noiseproof.backbones.bundled.packed import PackedNoise
from noiseproof.backbones.bundled.zoo_cards import zoo_card
from noiseproof.cli.main import app
from noiseproof.config.values import load_config
from noiseproof.config.verdict import VerdictConfig, parse_references
from noiseproof.core.errors import InvalidArgument
from noiseproof.diagnose.signature import signature
from noiseproof.pipelines import verdict as verdicts

RATES = {"zoo:a": 0.0, "zoo:b": 0.1, "zoo:c": 0.3, "zoo:d": 0.5}


def features_under(rate, seed, n=300, d=12):
    examples = np.random.default_rng(0).normal(size=(n, d))
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    return (examples * np.arange(1, d + 1) ** -(1.2 - rate) + 2 * np.eye(d)[0]) @ basis


@pytest.fixture
def encoders(monkeypatch):
    """Encoders that are known by name: the four above, one of 20 %, one of another width."""
    made = {name: features_under(rate, seed) for seed, (name, rate) in enumerate(RATES.items())}
    made |= {"mine": features_under(0.2, 9), "wide": features_under(0.2, 9, d=20)}
    asked = []

    def signature_of(dataset, backbone, *, store, layer=None, num_draws, seed):
        asked.append(backbone)
        return signature(made[backbone], seed=seed, num_draws=20)

    def width_of(dataset, backbone, *, store, layer=None):
        return made[backbone].shape[1]

    monkeypatch.setattr(verdicts, "signature_of", signature_of)
    monkeypatch.setattr(verdicts, "width_of", width_of)
    return asked


@pytest.fixture
def photos(tmp_path):
    np.savez(tmp_path / "d.npz", features=np.eye(8, dtype=np.float32), labels=np.arange(8) % 2)
    return tmp_path / "d.npz"


def noiseproof(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def asked_for(references=RATES):
    return [part for name, rate in references.items() for part in ("--reference", f"{name}={rate}")]


def test_the_verdict_is_printed_with_all_spectra(encoders, photos):
    result = noiseproof("verdict", photos, "--backbone", "mine", *asked_for())
    assert result.exit_code == 0, result.output
    assert encoders == ["zoo:a", "zoo:b", "zoo:c", "zoo:d", "mine"]
    for text in (
        "Spectra on this data set",
        "distance",
        "Pre-trained under about",
        "95 % interval",
    ):
        assert text in result.stdout


def test_what_cannot_be_told_is_said(encoders, photos):
    result = noiseproof("verdict", photos, "--backbone", "wide", *asked_for())
    assert result.exit_code == 0, result.output
    assert "Cannot tell: its features have width 20, those of the known encoders 12" in result.stdout


def test_an_encoder_has_no_say_about_itself(encoders, photos):
    rates = RATES | {"mine": 0.2}
    result = noiseproof("verdict", photos, "--backbone", "mine", *asked_for(rates))
    assert result.exit_code == 0, result.output
    assert "itself" in result.stdout
    assert "Most alike: mine" not in result.stdout
    alone = noiseproof("verdict", photos, "--backbone", "mine", *asked_for())
    assert result.stdout.splitlines()[-1] == alone.stdout.splitlines()[-1]


def test_everything_as_json(encoders, photos):
    found = json.loads(noiseproof("verdict", photos, "--backbone", "mine", "--json", *asked_for()).stdout)
    assert found["low"] <= 0.2 <= found["high"]
    assert found["nearest"] in RATES


def test_known_encoders_are_those_of_the_zoo_by_default(encoders, photos, monkeypatch):
    known = zoo_card("resnet8-noise0")

    def card(objective, rate):
        return known.model_copy(
            update={"objective": objective, "noise": PackedNoise(kind="symmetric", asked_rate=rate)}
        )

    cards = {name[4:]: card("supervised", rate) for name, rate in RATES.items()}
    cards["pairs"] = card("image-text", 0.1)
    monkeypatch.setattr(verdicts, "zoo_names", lambda: tuple(cards))
    monkeypatch.setattr(verdicts, "zoo_card", cards.__getitem__)
    assert verdicts.zoo_rates() == RATES
    assert noiseproof("verdict", photos, "--backbone", "mine").exit_code == 0
    assert encoders[-1] == "mine"


@pytest.mark.parametrize("text", ["zoo:a", "zoo:a=", "=0.1", "zoo:a=many"])
def test_a_reference_without_a_rate_is_refused(text):
    with pytest.raises(InvalidArgument, match=r"`references` is .*; allowed: BACKBONE=RATE, such as"):
        parse_references([text])
    with pytest.raises(InvalidArgument, match=r"`references` is .*; allowed: BACKBONE=RATE, such as"):
        load_config(VerdictConfig, options={"train": "a", "backbone": "b", "references": [text]})


def test_references_are_read_at_the_last_sign():
    assert parse_references(["timm:a@b=c.safetensors=0.3"]) == {"timm:a@b=c.safetensors": 0.3}
    with pytest.raises(InvalidArgument, match=r"`reference zoo:a` is 3.0; allowed: a share"):
        parse_references(["zoo:a=3"])
    with pytest.raises(InvalidArgument, match="allowed: every encoder once"):
        parse_references(["zoo:a=0.1", "zoo:a=0.2"])


def test_an_encoder_is_extracted_once_and_drawn(tmp_path, photos):
    found = verdicts.signature_of(
        open_dataset(str(photos)), "features:", store=tmp_path / "cache", num_draws=4, seed=0
    )
    assert (found.num_examples, found.dim, len(found.shares)) == (8, 8, 5)
