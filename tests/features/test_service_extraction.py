"""Extraction through an embedding service: what was answered is kept and never asked again."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.services import client as client_module
from noiseproof.backbones.services.pace import Pace
from noiseproof.backbones.services.settings import ServiceSettings
from noiseproof.core.errors import BadData, DamagedFile, ServiceError
from noiseproof.core.records import Dataset
from noiseproof.features.drift import LARGEST_DRIFT, PROBE_TEXTS
from noiseproof.features.extract import extract
from noiseproof.features.kept_answers import KeptAnswers

sys.path.append(str(Path(__file__).parents[1] / "backbones"))
from loopback_service import cheap_embeddings, loopback_service

pytest.importorskip("httpx2")
NUM_PROBES = len(PROBE_TEXTS)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(client_module, "Pace", lambda limit: Pace(limit, sleep=lambda seconds: False))


@pytest.fixture
def service():
    with loopback_service() as running:
        yield running


def dataset_of(texts, name="reviews"):
    return Dataset(
        name=name, kind="text", examples=texts, ids=np.arange(len(texts)), given_labels=None, class_names=(),
        fingerprint=hashlib.sha256(json.dumps(texts).encode()).hexdigest(),
    )  # fmt: skip


TEXTS = [f"review {number} " + "word " * (number % 7) for number in range(50)]


def run(service, store, texts=TEXTS, *, at_once=4, **options):
    backbone = open_backbone(service.name, service=ServiceSettings(requests_at_once=at_once))
    options = {"shard_rows": 20, "batch_size": 4, "quiet": True} | options
    return extract(dataset_of(texts), backbone, store=store, **options)


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_features_are_those_of_the_service_in_the_order_of_the_data(service, tmp_path):
    stored = run(service, tmp_path)
    np.testing.assert_array_equal(np.asarray(stored.features), cheap_embeddings(TEXTS))
    assert stored.num_encoded == 50
    assert set(service.answered.values()) == {1}
    assert service.num_texts == 50 + NUM_PROBES
    assert all(len(body["input"]) <= 4 for _, body in service.asked)
    assert not list(tmp_path.rglob("*.answers"))


def test_finished_features_need_no_service(service, tmp_path):
    run(service, tmp_path)
    with loopback_service() as gone:
        pass
    gone.url = service.url
    before = len(service.asked)
    assert run(gone, tmp_path).num_encoded == 0
    assert len(service.asked) == before


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_run_that_fails_goes_on_with_what_was_not_answered(service, tmp_path, at_once):
    answers = iter([None] * 9)
    service.choose_fault = lambda: next(answers, "400")
    with pytest.raises(
        ServiceError,
        match=r"answered 400.*Of the 50 texts to embed \d+ are answered and kept in .*asks for the others",
    ) as caught:
        run(service, tmp_path, at_once=at_once)
    answered = sum(service.answered.values()) - NUM_PROBES
    assert f" {answered} are answered" in str(caught.value)
    assert 20 <= answered < 50
    service.choose_fault = lambda: None
    stored = run(service, tmp_path, at_once=at_once)
    np.testing.assert_array_equal(np.asarray(stored.features), cheap_embeddings(TEXTS))
    counts = [count for text, count in service.answered.items() if text not in PROBE_TEXTS]
    assert set(counts) == {1}
    assert not list(tmp_path.rglob("*.answers"))


def test_a_storm_of_failures_ends_complete_and_nothing_is_asked_twice(service, tmp_path):
    draw = random.Random(0)
    service.choose_fault = lambda: draw.choice(["429", "500", "half", None, None, None, None])
    stored = run(service, tmp_path, batch_size=1)
    np.testing.assert_array_equal(np.asarray(stored.features), cheap_embeddings(TEXTS))
    assert set(service.answered.values()) == {1}
    assert len(service.asked) > 60


def test_answers_that_were_damaged_are_asked_again_and_others_are_not(service, tmp_path):
    answers = iter([None] * 4)
    service.choose_fault = lambda: next(answers, "400")
    with pytest.raises(ServiceError):
        run(service, tmp_path, at_once=1)
    (path,) = tmp_path.rglob("*.answers")
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 3
    damaged = json.loads(lines[1])
    damaged["rows"][0] += 1
    path.write_bytes(lines[0] + json.dumps(damaged).encode() + b"\n" + lines[2] + b'{"rows": [1')
    service.choose_fault = lambda: None
    service.answered.clear()
    stored = run(service, tmp_path, at_once=1)
    np.testing.assert_array_equal(np.asarray(stored.features), cheap_embeddings(TEXTS))
    assert sum(service.answered.values()) == 50 - 8 + NUM_PROBES


def test_answers_of_another_feature_set_are_passed_over(tmp_path):
    rows, features = np.arange(3), np.ones((3, 2), np.float32)
    KeptAnswers(tmp_path / "a", "key").add(rows, features)
    assert KeptAnswers(tmp_path / "a", "key").rows.tolist() == [0, 1, 2]
    assert KeptAnswers(tmp_path / "a", "other").features is None
    for line in (b"{}", b"[]", b"1", b"nonsense", b'{"rows": 1, "features": "", "sha256": ""}', b"\xff"):
        (tmp_path / "b").write_bytes(line + b"\n")
        assert len(KeptAnswers(tmp_path / "b", "key").rows) == 0


def test_a_shard_whose_answers_are_all_there_needs_no_request(service, tmp_path, monkeypatch):
    from noiseproof.features import extract as module

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_shard", killed)
        with pytest.raises(KeyboardInterrupt):
            run(service, tmp_path, TEXTS[:20])
    stored = run(service, tmp_path, TEXTS[:20])
    np.testing.assert_array_equal(np.asarray(stored.features), cheap_embeddings(TEXTS[:20]))
    assert sum(service.answered.values()) == 20 + 2 * NUM_PROBES


def test_an_empty_text_is_named_before_anything_is_sent(service, tmp_path):
    with pytest.raises(BadData, match=r"Example 30 of 'reviews' cannot be read: the text is empty"):
        run(service, tmp_path, [*TEXTS[:30], "  ", *TEXTS[30:]])
    assert not service.asked


def test_one_failure_ends_the_other_requests(service, tmp_path):
    service.choose_fault = lambda: "401" if len(service.asked) > 3 else None
    with pytest.raises(ServiceError, match="answered 401"):
        run(service, tmp_path, batch_size=1)
    assert len(service.asked) <= 3 + 4


def test_pairs_are_sent_as_two_texts(service, tmp_path):
    pairs = [(f"question {row}", f"answer {row}" * (1 + row % 3)) for row in range(9)]
    stored = run(service, tmp_path, pairs)
    u, v = (cheap_embeddings([pair[side] for pair in pairs]) for side in (0, 1))
    expected = np.concatenate([u, v, np.abs(u - v), u * v], axis=1)
    np.testing.assert_array_equal(np.asarray(stored.features), expected)
    assert max(len(body["input"]) for _, body in service.asked) == 4


# Drift


def turned(angle):
    """A service whose vectors are turned by an angle."""

    def embed(texts):
        rows = cheap_embeddings(texts)
        first, second = rows[:, 0].copy(), rows[:, 1].copy()
        rows[:, 0] = np.cos(angle) * first - np.sin(angle) * second
        rows[:, 1] = np.sin(angle) * first + np.cos(angle) * second
        return rows

    return embed


@pytest.mark.parametrize(
    ("embed", "problem"),
    [
        (turned(0.3), r"embeddings of the same texts differ by \d+.\d% \(allowed: 3%\)"),
        (lambda texts: 1.1 * cheap_embeddings(texts), r"differ by 10.0%"),
        (lambda texts: cheap_embeddings(texts)[:, :5], r"it gives 5 numbers a text, 8 before"),
        (lambda texts: -cheap_embeddings(texts), r"differ by 200.0%"),
    ],
)
def test_a_service_that_changed_stops_the_run(service, tmp_path, embed, problem):
    run(service, tmp_path)
    service.embed = embed
    with pytest.raises(
        ServiceError, match=rf"has changed since this store was begun.*{problem}.*Next: start a new"
    ):
        run(service, tmp_path, TEXTS[:10])
    assert not list(tmp_path.rglob("*.answers"))
    run(service, tmp_path / "new", TEXTS[:10])


def test_rounding_is_no_drift(service, tmp_path):
    run(service, tmp_path)
    service.embed = lambda texts: cheap_embeddings(texts).astype(np.float16).astype(np.float32)
    run(service, tmp_path, TEXTS[:10])
    service.embed = turned(LARGEST_DRIFT / 3)
    run(service, tmp_path, TEXTS[:11])


def test_a_damaged_record_of_a_service_is_no_drift(service, tmp_path):
    run(service, tmp_path)
    (record,) = tmp_path.glob(".services/*.json")
    whole = record.read_text()
    value = json.loads(whole)
    value["embeddings"][0][0] += 0.001
    record.write_text(json.dumps(value))
    with pytest.raises(DamagedFile, match=r"its contents are not those of its checksum. Next: delete"):
        run(service, tmp_path, TEXTS[:10])
    record.write_text(whole[:100])
    with pytest.raises(DamagedFile, match=r"is damaged.*Next: delete"):
        run(service, tmp_path, TEXTS[:10])


# Kills


@pytest.mark.parametrize("at_once", [1, 3])
def test_an_answer_is_on_disk_before_another_request_takes_its_place(service, tmp_path, monkeypatch, at_once):
    """However slow the disk is."""
    add, num_kept, not_kept = KeptAnswers.add, [], []

    def slow_add(self, rows, features):
        time.sleep(0.005)
        add(self, rows, features)
        num_kept.append(len(rows))

    def count():
        not_kept.append(sum(service.answered[text] for text in TEXTS) - sum(num_kept))

    monkeypatch.setattr(KeptAnswers, "add", slow_add)
    service.choose_fault = count
    run(service, tmp_path, at_once=at_once, batch_size=1)
    assert len(not_kept) == len(TEXTS) + 1  # the probe
    assert max(not_kept) <= at_once - 1


PROGRAM = """
import sys
sys.path[:0] = {paths}
from test_service_extraction import run, TEXTS
from loopback_service import LoopbackService
service = LoopbackService()
service.url = sys.argv[1]
run(service, sys.argv[2], at_once=1, batch_size=1)
"""


@pytest.mark.slow  # starts Python
def test_a_killed_run_asks_for_nothing_that_was_answered(service, tmp_path):
    """Killed from within the server, at the request after so many answers."""
    paths = [
        str(Path(__file__).parents[0]),
        str(Path(__file__).parents[1]),
        str(Path(__file__).parents[1] / "backbones"),
    ]
    program = textwrap.dedent(PROGRAM).format(paths=paths)
    processes = []

    def kill_now():
        if len(service.asked) == 30:
            processes[0].send_signal(signal.SIGKILL)
            return "hang"
        return None

    service.choose_fault = kill_now
    processes.append(
        subprocess.Popen([sys.executable, "-c", program, service.url, str(tmp_path)], env=os.environ)
    )
    assert processes[0].wait(timeout=120) == -signal.SIGKILL
    answered = dict(service.answered)
    assert len(answered) == 28 + NUM_PROBES
    service.hang.set()
    service.answered.clear()
    stored = run(service, tmp_path)
    np.testing.assert_array_equal(np.asarray(stored.features), cheap_embeddings(TEXTS))
    assert set(service.answered) - set(PROBE_TEXTS) == set(TEXTS) - set(answered)
