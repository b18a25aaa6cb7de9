import inspect
import json
import re
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from noiseproof.cli.demo import demo
from noiseproof.cli.main import app
from noiseproof.config.corrupt import CorruptConfig
from noiseproof.config.deft import DeftConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.config.extract import ExtractConfig
from noiseproof.config.finetune import FinetuneConfig
from noiseproof.config.pretrain import PretrainConfig
from noiseproof.config.run import RunConfig
from noiseproof.config.verdict import VerdictConfig
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.storage.files import locked_folder
from noiseproof.pipelines import diagnosis

VERBS = ("demo", "run", "detect", "extract", "spectrum", "verdict", "corrupt", "report", "ls")


def noiseproof(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture
def blobs(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = np.eye(3)[labels] * 4 + rng.normal(size=(60, 3))
    np.savez(tmp_path / "train.npz", features=features.astype(np.float32), labels=labels)
    return tmp_path / "train.npz"


GENERATED = {
    ("run",): RunConfig,
    ("detect",): DetectConfig,
    ("extract",): ExtractConfig,
    ("verdict",): VerdictConfig,
    ("corrupt",): CorruptConfig,
    ("adapt", "finetune"): FinetuneConfig,
    ("adapt", "deft"): DeftConfig,
    ("pretrain", "supervised"): PretrainConfig,
    ("pretrain", "image-text"): PretrainConfig,
    ("pretrain", "simclr"): PretrainConfig,
}
# Tables of settings, which only `--config` and `--set` reach, and what the verb itself decides.
NO_OPTIONS = {"meta", "phase2_settings", "objective"}


@pytest.mark.parametrize(("verb", "model"), GENERATED.items(), ids=lambda value: str(value))
def test_options_of_a_verb_are_those_of_its_configuration(verb, model):
    names = {option.name for option in options_of(*verb)} - SHARED
    assert names == (set(model.model_fields) - NO_OPTIONS) | {"data", "config", "set"}


@pytest.mark.parametrize("verb", GENERATED, ids=" ".join)
def test_options_that_are_not_given_leave_the_defaults_to_the_configuration(verb):
    assert {option.default for option in options_of(*verb) if option.name not in SHARED} == {None}


@pytest.mark.parametrize(("verb", "model"), GENERATED.items(), ids=lambda value: str(value))
def test_help_shows_the_default_of_every_option_that_has_one(verb, model):
    for option in options_of(*verb):
        field = model.model_fields.get(option.name)
        if field is not None and not field.is_required():
            assert "Default: " in option.help


SHARED = {"help", "as_json", "is_quiet"}  # of every verb, whatever its configuration


def options_of(*verb):
    command = typer.main.get_command(app)
    for name in verb:
        command = command.commands[name]
    return command.get_params(command.make_context(verb[-1], ["--out", "x"], resilient_parsing=True))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples(verb):
    result = noiseproof(verb, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"noiseproof {verb}" in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_a_sentence_of_help(verb):
    texts = [getattr(option, "help", None) for option in options_of(verb) if option.name != "help"]
    assert texts
    assert all(text and text.endswith(".") for text in texts)


def test_version_is_printed():
    import noiseproof as package

    assert noiseproof("--version").stdout.strip() == package.__version__


def test_mistakes_end_with_a_message_and_code_2(tmp_path):
    result = noiseproof("run", "--seeds", 0, "--out", tmp_path, "--set", "limt=3")
    assert result.exit_code == 2
    assert "3 mistakes" in result.stderr
    assert "`DATA` is not given" in result.stderr
    assert "Did you mean 'limit'?" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("verb", "data"), [("extract", ()), ("run", ("--train",))])
def test_a_file_as_out_is_a_mistake(tmp_path, blobs, verb, data):
    result = noiseproof(verb, *data, blobs, "--out", blobs)
    assert result.exit_code == 2
    assert f"`--out` is '{blobs}'; allowed: a folder, while '{blobs}' is a file" in result.stderr


def test_traceback_is_shown_on_request(tmp_path):
    result = noiseproof("--traceback", "run", "--out", tmp_path)
    assert isinstance(result.exception, InvalidArgument)
    result = noiseproof("run", "--out", tmp_path)
    assert isinstance(result.exception, SystemExit)


def test_interruption_says_that_the_run_goes_on(tmp_path, blobs, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(diagnosis, "spectra", interrupted)
    result = noiseproof("run", "--train", blobs, "--out", tmp_path / "run", "--cache", tmp_path / "cache")
    assert result.exit_code == 130
    assert result.stderr.strip() == "interrupted; the same command goes on where it stopped"


def test_packages_that_hide_an_interruption_in_an_error_of_theirs_are_seen_through(
    tmp_path, blobs, monkeypatch
):
    def half_imported(*arguments, **options):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error

    monkeypatch.setattr(diagnosis, "spectra", half_imported)
    result = noiseproof("run", "--train", blobs, "--out", tmp_path / "run", "--cache", tmp_path / "cache")
    assert result.exit_code == 130
    assert "goes on where it stopped" in result.stderr


def test_an_error_without_an_interruption_behind_it_stays_one(tmp_path, blobs, monkeypatch):
    def broken(*arguments, **options):
        raise ImportError("no module")

    monkeypatch.setattr(diagnosis, "spectra", broken)
    result = noiseproof("run", "--train", blobs, "--out", tmp_path / "run", "--cache", tmp_path / "cache")
    assert isinstance(result.exception, ImportError)


def test_messages_name_options_as_they_are_typed(tmp_path, blobs):
    result = noiseproof("run", "--train", blobs, "--out", tmp_path, "--max-steps", 0, "--test-fraction", 2)
    assert "`--max-steps` is 0" in result.stderr
    assert "`--test-fraction` is 2" in result.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("--corrupt", "symmetric:0.2"), "`--corrupt` is now `--noise`, such as --noise symmetric:0.2."),
        (("--label-noise=pair",), "`--label-noise` is now `--noise`, such as --noise symmetric:0.2."),
        (("--rate", "0.2"), "`--rate` is now `--noise`"),
    ],
)
def test_an_option_of_an_earlier_version_is_told_its_new_name(tmp_path, blobs, old, new):
    result = noiseproof("detect", blobs, "--out", tmp_path / "issues", *old)
    assert result.exit_code == 2
    assert new in result.stderr


def test_the_data_set_is_an_argument_or_an_option(tmp_path, blobs):
    few = ("--out", tmp_path / "run", "--cache", tmp_path / "cache", "--heads", "linear", "--max-steps", 5)
    assert noiseproof("run", blobs, *few).exit_code == 0
    assert noiseproof("run", "--train", blobs, *few).exit_code == 0
    result = noiseproof("run", blobs, "--train", "other.npz", *few)
    assert result.exit_code == 2
    assert f"The data set is '{blobs}' and --train is 'other.npz'; give one of them." in result.stderr


@pytest.mark.parametrize("verb", [("detect",), ("adapt", "finetune"), ("corrupt",)], ids=" ".join)
def test_a_file_has_options_of_every_verb_and_the_command_line_wins(tmp_path, blobs, verb):
    file = tmp_path / "options.yaml"
    file.write_text("limit: 0\nlimt: 3\nseed: 1\n")
    result = noiseproof(*verb, blobs, "--config", file, "--seed", 2, "--set", "limit=none")
    assert result.exit_code == 2
    assert "Did you mean 'limit'?" in result.stderr
    assert "`--limit` is 'none'; allowed: a valid integer" in result.stderr


def test_run_takes_the_features_that_extract_wrote(tmp_path, blobs):
    assert noiseproof("extract", blobs, "--out", tmp_path / "features").exit_code == 0
    arguments = ("run", "--train", blobs, "--out", tmp_path / "run", "--cache", tmp_path / "features")
    assert noiseproof(*arguments, "--heads", "linear", "--max-steps", 10).exit_code == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["encoder_passes"] == 0


def test_run_prints_the_table_and_where_the_report_is(tmp_path, blobs):
    out = tmp_path / "run"
    result = noiseproof(
        "run", "--train", blobs, "--out", out, "--cache", tmp_path / "cache", "--seeds", 1,
        "--heads", "linear", "--noise", "symmetric:0.1", "--max-steps", 10,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "linear" in result.stdout
    assert "5 planted wrong labels" in result.stdout
    assert f"Report: {out / 'report.html'}" in result.stdout
    (out / "report.html").unlink()
    assert noiseproof("report", out).exit_code == 0
    assert (out / "report.html").exists()


def test_extracted_features_have_a_spectrum(tmp_path, blobs):
    result = noiseproof("extract", blobs, "--out", tmp_path / "features")
    assert result.exit_code == 0, result.output
    assert "60 x 3 features are in" in result.stdout
    assert "effective rank" in noiseproof("spectrum", tmp_path / "features").stdout
    card = json.loads(noiseproof("spectrum", tmp_path / "features", "--json", "--centred").stdout)
    assert card["is_centred"] is True
    assert len(card["singular_values"]) == 3


@pytest.mark.parametrize("table", ["backbones", "detectors", "heads", "noise", "shifts", "sources"])
def test_ls_shows_a_table(table):
    result = noiseproof("ls", table)
    assert result.exit_code == 0
    assert result.stdout.strip()


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("heads", "linear    A linear classifier on frozen features, trained as in the papers."),
        ("noise", "real                  Take the labels as they were given; nothing is drawn."),
        ("shifts", "fog-N                 with a severity from 1 (mild) to 5"),
        ("sources", "parquet       A Parquet file with plain columns or with the Hugging Face image struct."),
    ],
)
def test_ls_says_what_a_name_means(table, line):
    assert line in noiseproof("ls", table).stdout.splitlines()


def test_ls_shows_the_tables():
    assert "heads" in noiseproof("ls").stdout.split()


def test_ls_of_an_unknown_table_gets_a_suggestion():
    result = noiseproof("ls", "hads")
    assert result.exit_code == 2
    assert "Unknown table 'hads'. Did you mean 'heads'?" in result.stderr


def test_command_on_the_path_starts():
    done = subprocess.run(
        [sys.executable, "-c", "from noiseproof.cli.main import app; app()", "run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "`DATA` is not given" in done.stderr


@pytest.mark.slow
def test_demo_at_toy_size(tmp_path):
    few = ("--limit", 60, "--seeds", 1, "--heads", "linear,mlp")
    result = noiseproof("demo", "--out", tmp_path / "demo", "--cache", tmp_path / "cache", *few)
    assert result.exit_code == 0, result.output
    assert "planted wrong labels" in result.stdout


def test_demo_has_a_folder_by_default():
    assert str(inspect.signature(demo).parameters["out"].default) == "runs/demo"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("spectrum", "photos/"),
            "`FEATURES` is 'photos', which holds no finished features; .* Next: 'noise",
        ),
        (("spectrum", "nowhere"), "`FEATURES` is 'nowhere', which does not exist; .*'noiseproof extract now"),
        (
            ("spectrum", "blobs.npz"),
            "`FEATURES` is 'blobs.npz', .* Next: 'noiseproof extract blobs.npz --out",
        ),
        (("spectrum", "run"), "`FEATURES` is 'run'; .* whose spectrum is in its spectrum.json"),
        (
            ("detect", "blobs.npz", "--features", "photos", "--out", "o"),
            "`--features` is 'photos', which holds",
        ),
        (("verdict", "--backbone", "features:"), "`DATA` is not given"),
        (("run", "", "--out", "o"), "`DATA` is ''"),
        (("run", "blobs.npz", "--cache", "photos", "--out", "o"), "`--cache` is 'photos'; .*'cat', which"),
        (("extract", "blobs.npz", "--out", "photos"), "`--out` is 'photos'; .*'cat', which noiseproof did"),
        (("predict", "", "blobs.npz"), "`RUN` is ''; allowed: a folder of 'noiseproof run'"),
        (("export", "", "--onnx", "m.onnx"), "`RUN` is ''; allowed: a folder of 'noiseproof run'"),
        (("spectrum", "f", "--figures", "g", "--points", "0"), "--points.*greater than or equal to 4"),
        (("review", "used"), "`FOLDER` is 'used', which another noiseproof is writing to"),
        (("review", "used", "--serve"), "`FOLDER` is 'used', which another noiseproof is writing to"),
        (("report", "used-run"), "`FOLDER` is 'used-run', which another noiseproof is writing to"),
    ],
    ids=str,
)
def test_messages_name_the_argument_as_it_was_typed(tmp_path, blobs, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    blobs.rename("blobs.npz")
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "spectrum.json").write_text("{}")
    folder = arguments[1]
    if folder.startswith("used"):
        verb = ("run", "--heads", "linear", "--max-steps", 5) if folder == "used-run" else ("detect",)
        assert noiseproof(*verb, "blobs.npz", "--out", folder, "--cache", "cache").exit_code == 0
    with locked_folder(tmp_path / folder) if folder.startswith("used") else nullcontext():
        done = noiseproof(*arguments)
    assert done.exit_code == 2
    assert re.search(message, done.stderr), done.stderr
