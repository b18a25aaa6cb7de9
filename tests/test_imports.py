import subprocess
import sys
from pathlib import Path

import pytest

import noiseproof

SOURCE = Path(noiseproof.__file__).parent
HEAVY = ("torch", "matplotlib", "sklearn", "pandas", "timm", "torchvision", "onnxruntime", "transformers")


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["noiseproof", "noiseproof.cli.main"])
def test_import_loads_nothing_heavy(module):
    loaded = run_python(f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])")
    assert loaded.split() == []


STATE = """
import logging, numpy, torch
def state():
    seeds = str(numpy.random.get_state()), torch.initial_seed()
    return logging.root.handlers[:], logging.root.level, torch.get_num_threads(), *seeds
before = state()
import noiseproof.pipelines.run, noiseproof.cli.main
print(before == state())
"""


@pytest.mark.slow
def test_import_touches_neither_logging_nor_seeds_nor_threads():
    assert run_python(STATE).strip() == "True"


def test_every_public_name_is_there():
    assert len(noiseproof.__all__) >= 10
    for name in noiseproof.__all__:
        assert getattr(noiseproof, name) is not None
    assert dir(noiseproof) == sorted(noiseproof.__all__)


def test_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nmtune'"):
        _ = noiseproof.nmtune


def test_nothing_seeds_but_rng():
    offenders = [
        path.name
        for path in SOURCE.rglob("*.py")
        for call in ("np.random.seed(", "torch.manual_seed(", "random.seed(")
        if call in path.read_text()
    ]
    assert offenders == []


def test_files_keep_the_size_budget():
    import ast

    too_long = {}
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        num_lines = len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            body = getattr(node, "body", None)
            first = body[0] if isinstance(body, list) and body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                num_lines -= first.end_lineno - first.lineno + 1
        if num_lines > 300:
            too_long[path.name] = num_lines
    assert too_long == {}
