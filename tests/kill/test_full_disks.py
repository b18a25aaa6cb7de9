"""A full disk or quota ends a command with one sentence; with space it goes on to the results of a whole run.

`python tests/kill/by_hand.py full`, `quota` and `tmpfs` try every point.
"""

import numpy as np
import pytest
from harness import different, explained, finished

_CREATES = ("open", "mkdir", "rename")
_QUICK = ("corrupt", "corrupt-captions", "detect", "pack", "apply")
_DEAR = ("run", "extract", "report", "finetune-elr", "pretrain-simclr", "review", "predict", "export")


@pytest.mark.parametrize("name", [*_QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in _DEAR)])
def test_without_space_a_command_ends_with_one_sentence_and_goes_on_with_some(server, wholes, tmp_path, name):
    inputs, whole, results = wholes(name)
    folder = inputs.parent / "out"
    largest = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    short = server.start(name, inputs, tmp_path / "out", max_bytes=largest * 9 // 10)
    assert short.code == 2, short.printed
    assert explained(short.printed), short.printed
    assert "The largest file size that is allowed in" in short.printed
    points = [number for number, label in enumerate(whole.labels, 1) if label.split()[0] in _CREATES]
    seed = 7  # `by_hand.py` draws others
    point = int(np.random.default_rng(seed).choice(points[: len(points) // 2]))
    full = server.start(name, inputs, tmp_path / "out", full_from=point)
    assert full.code in (0, 2), full.printed  # 0 where there was little left to do
    assert full.code == 0 or explained(full.printed), f"event {point}: {full.printed}"
    assert not different(finished(server, name, inputs, tmp_path / "out"), results), f"event {point}"
