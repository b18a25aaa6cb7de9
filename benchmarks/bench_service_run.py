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
from loopback_service import encoder_of_texts, loopback_service

from noiseproof.features.drift import PROBE_TEXTS

_STORM_S = 15  # of answers 429


def start(options: list[str], out: Path, backbone: str, cache: Path) -> subprocess.Popen[str]:
    """`noiseproof run` in a process of its own, which leaves its last lines in a pipe."""
    command = [sys.executable, "-m", "noiseproof", "run", *options, "--out", str(out), "--backbone", backbone]
    return subprocess.Popen(
        [*command, "--cache", str(cache)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def results(out: Path) -> dict[tuple[str, int, str], dict[str, float]]:
    """Metrics by head, seed and set."""
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    return {
        (row["head"], row["seed"], row["set"]): {k: v for k, v in row.items() if isinstance(v, float)}
        for row in rows
    }


def wait_for_requests(service: Any, number: int, running: subprocess.Popen[str]) -> None:
    """Wait until the service has received so many, as long as the process runs that sends them."""
    while len(service.asked) < number and running.poll() is None:
        time.sleep(0.02)


def compare(ours: dict[Any, dict[str, float]], theirs: dict[Any, dict[str, float]]) -> None:
    """Print the largest differences of the metrics of two runs."""
    assert ours.keys() == theirs.keys()
    for head in dict.fromkeys(head for head, _, _ in ours):
        keys = [key for key in ours if key[0] == head]
        gaps = [abs(ours[key][name] - theirs[key][name]) for key in keys for name in ours[key]]
        accuracy = [abs(ours[key]["accuracy"] - theirs[key]["accuracy"]) for key in keys]
        print(
            f"{head}: {len(keys)} rows; largest difference of accuracy {max(accuracy):.2g}, of any metric "
            f"{max(gaps):.2g}"
        )


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
    begin, embed = time.perf_counter(), encoder_of_texts("bundled:minilm-l6")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)

        def through(service: Any) -> subprocess.Popen[str]:
            return start(options, home / "service", service.name, home / "cache")

        with loopback_service(embed) as service:
            running = through(service)
            wait_for_requests(service, 12, running)
            running.send_signal(signal.SIGKILL)
            running.wait()
            print(f"killed after {len(service.asked)} requests, {service.answered.total()} texts answered")
            end_s, before = time.perf_counter() + _STORM_S, len(service.asked)
            service.choose_fault = lambda: "429" if time.perf_counter() < end_s else None
            running = through(service)
            while time.perf_counter() < end_s:
                time.sleep(0.02)
            refused = len(service.asked) - before
            wait_for_requests(service, len(service.asked) + 12, running)
            print(f"{refused} requests refused in a storm of {_STORM_S} s; the next are answered")
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
