"""Every command and every piece of Python in the documents is run, at toy size."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN_BY_CI = {"make test", "make demo", "make check", "noiseproof demo"}


def blocks(document: Path) -> list[tuple[str, str]]:
    """(language, text) of every fenced block that names a language."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)


def is_run(document: Path) -> bool:
    texts = [text for language, text in blocks(document) if language in ("console", "python")]
    return any(line not in RUN_BY_CI for text in texts for line in text.splitlines())


RUNNABLE = [document for document in DOCUMENTS if is_run(document)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Documents that talk about the same images extract their features once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def toy_folder(tmp_path, cache, monkeypatch):
    """What the documents talk about: photos/, phone/, train.csv, reviews.csv, features.npz, ...; small."""
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOISEPROOF_CACHE", str(cache))
    rows = []
    for folder in ("photos", "phone"):
        for name, base in {"dark": 60, "light": 190}.items():
            (tmp_path / folder / name).mkdir(parents=True)
            for number in range(6):
                pixels = np.clip(base + rng.normal(0, 25, (24, 24, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / folder / name / f"{number}.png")
                rows += [f"{folder}/{name}/{number}.png,{name}"] if folder == "photos" else []
    decisions = ["example_id,decision,label,who,when", "dark/0.png,keep,,Ada,2026-11-30T12:00:00Z"]
    (tmp_path / "decisions.csv").write_text("\n".join([*decisions, "light/1.png,exclude,,Ada,"]) + "\n")
    (tmp_path / "train.csv").write_text("\n".join(["image,species", *rows]) + "\n")
    pairs = [f"{row.split(',')[0]},picture {number}" for number, row in enumerate(rows)]
    (tmp_path / "pairs.csv").write_text("\n".join(["image,caption", *pairs]) + "\n")
    for name in ("reviews", "tweets"):
        texts = [f"a {word} film {row},{word}" for row, word in enumerate(["good", "bad"] * 8)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *texts]) + "\n")
    for name in ("similar", "more_similar"):
        texts = [f"text {row},another {row % 5},{row / 4:.2f}" for row in range(16)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["sentence1,sentence2,score", *texts]) + "\n")
    texts = [f"text {row},another {row},{'ab'[row % 2]}" for row in range(16)]
    (tmp_path / "pairs_of_texts.csv").write_text("\n".join(["first,second,label", *texts]) + "\n")
    labels = np.arange(60) % 3
    features = np.eye(3)[labels] + rng.normal(scale=0.2, size=(60, 3))
    np.savez(tmp_path / "features.npz", features=features.astype(np.float32), labels=labels)
    return tmp_path


def test_documents_are_found():
    assert len(DOCUMENTS) >= 8
    assert len(RUNNABLE) >= 6


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_make_targets_in_documents_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line for path in DOCUMENTS for _, text in blocks(path) for line in text.splitlines()}
    wanted = {line.split()[1] for line in named if line.startswith("make ")}
    assert wanted
    assert wanted <= targets


@pytest.mark.slow
@pytest.mark.parametrize("document", RUNNABLE, ids=lambda path: path.name)
def test_commands_and_python_of_a_document_run(document, toy_folder, capsys):
    from noiseproof.cli.main import app

    names: dict[str, object] = {}
    for language, text in blocks(document):
        if language == "yaml" and (named := re.match(r"# (\S+\.yaml)\n", text)):
            (toy_folder / named[1]).write_text(text)
        elif language == "yaml" and "backbones:" in text:
            (toy_folder / f"{yaml.safe_load(text)['name']}.yaml").write_text(text)
        elif language == "yaml" and "train:" in text:
            (toy_folder / "run.yaml").write_text(text)
        elif language == "python":
            exec(compile(text, str(document), "exec"), names)
            assert capsys.readouterr().out or "print" not in text
        elif language == "console":
            for line in text.splitlines():
                if line not in RUN_BY_CI:
                    program, *arguments = shlex.split(line)
                    assert program == "noiseproof"
                    if arguments[0] == "run" and "--max-steps" not in arguments:
                        arguments += ["--max-steps", "20"]  # the commands are tested, not what heads learn
                    result = CliRunner().invoke(app, arguments)
                    assert result.exit_code == 0, f"{line}\n{result.output}"
