"""scikit-learn's own checks, all of them, on every head."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# In a process of its own: the checks hand constructors values of every type, which the run-time type
# checker of this suite would rightly refuse.
_SCRIPT = """
import json, sys, warnings
import noiseproof
from sklearn.utils.estimator_checks import check_estimator
warnings.simplefilter("ignore")
head = getattr(noiseproof, sys.argv[1])(**json.loads(sys.argv[2]))
results = check_estimator(head, on_fail=None, on_skip=None)
print(json.dumps([[r["check_name"], r["status"], str(r["exception"])] for r in results]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "options"),
    [
        *((head, {}) for head in ("LinearProbe", "MLPProbe", "NMTune", "CoTeaching", "DivideMix")),
        ("NMTune", {"noise_tolerant": True}),
    ],
)
def test_passes_every_check_of_scikit_learn(head, options):
    child = subprocess.run(
        [sys.executable, "-c", _SCRIPT, head, json.dumps(options)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"SCIPY_ARRAY_API": "1"},  # else the array API check is skipped
    )
    results = json.loads(child.stdout.splitlines()[-1])
    assert len(results) >= 50
    assert [result for result in results if result[1] != "passed"] == []
