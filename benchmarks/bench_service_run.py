"""A run through an embedding service that is killed, overloaded and dead for a while, against the encoder.

Usage: python benchmarks/bench_service_run.py --train T.parquet --test T.parquet --ood O.parquet [--limit N]

The service runs on this machine, in this process, with the bundled MiniLM behind it. `noiseproof run` asks it
in processes of its own: the first is killed while answers come; the second meets a storm of 429; the third
finds the service dead and stops with what it has; the fourth ends. Metrics are compared with those of
`bundled:minilm-l6`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests" / "backbones"))
from loopback_service import loopback_service

from noiseproof.backbones.backbones import open_backbone
from noiseproof.features.drift import PROBE_TEXTS

_STORM = 60  # answers 429


def minilm() -> Any:
    """The bundled encoder, texts of one request as one batch."""
    backbone = open_backbone("bundled:minilm-l6")
    return lambda texts: backbone.encode(backbone.stack([backbone.prepare(text) for text in texts]))


def start(options: list[str], out: Path, backbone: str, cache: Path) -> subprocess.Popen[str]:
    """`noiseproof run` in a process of its own."""
    command = [sys.executable, "-m", "noiseproof", "run", *options, "--out", str(out), "--backbone", backbone]
    return subprocess.Popen([*command, "--cache", str(cache)], stderr=subprocess.PIPE, text=True)


def results(out: Path) -> dict[tuple[str, int, str], dict[str, float]]:
    """Metrics by head, seed and set."""
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    return {
        (row["head"], row["seed"], row["set"]): {k: v for k, v in row.items() if isinstance(v, float)}
        for row in rows
    }


def wait_for_requests(service: Any, number: int) -> None:
    """Wait until the service has received so many."""
    while len(service.asked) < number:
        time.sleep(0.02)


def compare(ours: dict[Any, dict[str, float]], theirs: dict[Any, dict[str, float]]) -> None:
    """Print the largest differences of the metrics of two runs."""
    assert ours.keys() == theirs.keys()
    gaps = [abs(ours[key][name] - theirs[key][name]) for key in ours for name in ours[key]]
    accuracy = [abs(ours[key]["accuracy"] - theirs[key]["accuracy"]) for key in ours]
    print(f"{len(ours)} rows; largest difference of accuracy {max(accuracy):.2g}, of any {max(gaps):.2g}")


def main() -> None:
    """Print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "test", "ood"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--bundled-cache", type=Path, default=None)
    given = parser.parse_args()
    options = [f"--{name}={getattr(given, name)}" for name in ("train", "test", "ood")]
    options += [f"--limit={given.limit}"] if given.limit else []
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    begin, embed = time.perf_counter(), minilm()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)

        def through(service: Any) -> subprocess.Popen[str]:
            return start(options, home / "service", service.name, home / "cache")

        with loopback_service(embed) as service:
            running = through(service)
            wait_for_requests(service, 12)
            running.send_signal(signal.SIGKILL)
            running.wait()
            print(f"killed after {len(service.asked)} requests, {service.answered.total()} texts answered")
            storm = iter(range(_STORM))
            service.choose_fault = lambda: "429" if next(storm, None) is not None else None
            running = through(service)
            wait_for_requests(service, len(service.asked) + _STORM + 20)
        _, told = running.communicate()  # the service is gone
        print(f"dead service: exit {running.returncode}; {' | '.join(told.strip().splitlines()[-4:])}")
        with loopback_service(embed, port=int(service.url.split(":")[2].split("/")[0])) as again:
            running = through(again)
            running.communicate()
        answered = service.answered + again.answered
        twice = sum(count > 1 for text, count in answered.items() if text not in PROBE_TEXTS)
        print(f"last start: exit {running.returncode}; {len(answered)} texts, answered twice: {twice}")
        cache = given.bundled_cache or home / "bundled-cache"
        start(options, home / "bundled", "bundled:minilm-l6", cache).communicate()
        compare(results(home / "service"), results(home / "bundled"))
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
