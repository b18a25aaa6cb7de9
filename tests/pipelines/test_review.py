"""The review page of folders of `detect` and `run`, and the verb that writes and serves it."""

import http.client
import json
import sys
import threading
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest
from blobs import save_blobs
from typer.testing import CliRunner

from noiseproof.cli.main import app
from noiseproof.config.detect import DetectConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, MissingFile
from noiseproof.decisions.decision_files import read_decisions, write_decisions
from noiseproof.decisions.record import Decision, ReviewedExamples
from noiseproof.decisions.settle import undisputed
from noiseproof.export.issue_files import load_issues
from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.detect import detect
from noiseproof.pipelines.review import serve_page, write_page
from noiseproof.pipelines.reviewed.kept_page import REVIEW
from noiseproof.review.review_page import read_page


@pytest.fixture
def searched(tmp_path, blobs):
    """A function from changed options to a finished folder of `detect`."""

    def make(**changed):
        options = {"train": str(blobs), "out": tmp_path / "issues", "cache": tmp_path / "cache"}
        detect(load_config(DetectConfig, options=options | {"noise": "symmetric:0.1"} | changed))
        return tmp_path / "issues"

    return make


def test_the_page_is_written_anew_with_the_same_bytes(searched, tmp_path):
    folder = searched()
    before = (folder / REVIEW).read_bytes()
    (folder / REVIEW).unlink()
    assert write_page(folder).read_bytes() == before
    searched()  # nothing is done again
    assert (folder / REVIEW).read_bytes() == before


def test_a_deleted_page_comes_back_and_another_method_keeps_the_identity(searched):
    folder = searched()
    before = read_page(folder / REVIEW)
    (folder / REVIEW).unlink()
    searched()
    assert read_page(folder / REVIEW) == before
    searched(method="neighbours")
    assert read_page(folder / REVIEW).identity == before.identity
    assert b'"method":"neighbours"' in (folder / REVIEW).read_bytes()
    searched(noise="symmetric:0.2")
    assert read_page(folder / REVIEW).identity != before.identity


def test_probabilities_alone_make_a_page_without_a_map(searched, tmp_path):
    np.savez(tmp_path / "p.npz", probs=np.full((90, 3), 1 / 3), class_names=["ant", "bee", "cat"])
    folder = searched(probs=tmp_path / "p.npz")
    assert b'"places":null' in (folder / REVIEW).read_bytes()
    assert write_page(folder).is_file()


def test_a_run_has_the_page_of_its_training_examples(configured):
    config = configured()
    pipeline.run(config)
    before = (config.out / REVIEW).read_bytes()
    assert len(read_page(config.out / REVIEW).ids) == 90
    result = CliRunner().invoke(app, ["review", str(config.out)])
    assert result.exit_code == 0, result.output
    assert (config.out / REVIEW).read_bytes() == before


def turned(coordinates):
    return coordinates[:, 1::-1]  # in place of UMAP: the map of PCA, turned over


def test_a_map_by_umap_is_made_where_it_is_wanted_and_served_until_another_is(searched, monkeypatch):
    folder = searched()
    pca = (folder / REVIEW).read_bytes()
    assert b"noiseproof review FOLDER --map umap" in pca
    monkeypatch.setattr("noiseproof.pipelines.review.load_umap", lambda: None)
    monkeypatch.setattr("noiseproof.review.surroundings.umap_plane", turned)
    result = CliRunner().invoke(app, ["review", str(folder), "--map", "umap"])
    assert result.exit_code == 0, result.output
    umap = (folder / REVIEW).read_bytes()
    assert umap != pca
    assert b"Made by UMAP" in umap
    seen = []

    def look_and_stop(server):
        seen.append(read_page(folder / REVIEW).kind_of_map)
        threading.Thread(target=server.shutdown).start()

    for wanted in (None, "umap", "pca"):
        serve_page(folder, kind_of_map=wanted, on_start=look_and_stop)
    assert seen == ["umap", "umap", "pca"]
    assert (folder / REVIEW).read_bytes() == pca


def test_a_map_that_cannot_be_made_leaves_the_page(searched, tmp_path, monkeypatch):
    folder = searched()
    before = (folder / REVIEW).read_bytes()
    monkeypatch.setitem(sys.modules, "umap", None)
    result = CliRunner().invoke(app, ["review", str(folder), "--map", "umap"])
    assert result.exit_code == 2
    assert "pip install 'noiseproof[umap]'" in result.output
    np.savez(tmp_path / "p.npz", probs=np.full((90, 3), 1 / 3), class_names=["ant", "bee", "cat"])
    assert (folder / REVIEW).read_bytes() == before
    monkeypatch.setattr("noiseproof.pipelines.review.load_umap", lambda: None)
    judged = searched(probs=tmp_path / "p.npz")
    with pytest.raises(BadData, match=r"judged by given probabilities, and `map` = 'umap'.*Next: detect"):
        write_page(judged, kind_of_map="umap")


def test_data_that_has_changed_is_refused(searched, blobs, tmp_path):
    folder = searched()
    before = (folder / REVIEW).read_bytes()
    save_blobs(blobs, n=60, seed=1)
    with pytest.raises(BadData, match=r"has changed since its labels were judged.*Next: start"):
        write_page(folder)
    assert (folder / REVIEW).read_bytes() == before


def test_other_folders_are_refused(searched, tmp_path):
    with pytest.raises(MissingFile, match="no label_issues"):
        write_page(tmp_path / "nothing")
    folder = searched()
    (folder / "detection.json").unlink()
    with pytest.raises(MissingFile, match=r"neither detection\.json nor run\.json"):
        write_page(folder)


def serve(folder, row):
    """Serve the page until it has received this decision."""

    def post_and_stop(server):
        def act():
            address = urlsplit(server.url)
            connection = http.client.HTTPConnection(address.netloc, timeout=5)
            headers = {"Origin": f"http://{address.netloc}", "Content-Type": "application/json"}
            connection.request("POST", f"{address.path}decisions", json.dumps(row), headers)
            assert connection.getresponse().status == 200
            server.shutdown()

        threading.Thread(target=act).start()

    return serve_page(folder, on_start=post_and_stop)


def test_decisions_of_a_server_are_on_disk_and_in_the_page(searched):
    folder = searched()
    example_id = read_page(folder / REVIEW).ids[0]
    row = {
        "example_id": example_id,
        "decision": "exclude",
        "label": "",
        "who": "A",
        "when": "2100-11-30T17:00:00Z",
    }
    table, other = folder / "decisions.csv", read_page(folder / REVIEW).ids[1]
    write_decisions(table, [Decision(example_id, "unsure", who="A"), Decision(other, "unsure", who="B")])
    assert serve(folder, row) == table
    decisions = read_decisions(table, ReviewedExamples.of_issues(load_issues(folder)))
    assert [replace(one, when="") for one in decisions[:1]] == [Decision(other, "unsure", who="B")]
    assert decisions[0].time is not None
    assert decisions[1:] == [Decision(**row)]
    assert json.dumps(example_id).encode() + b',"decision":"exclude"' in (folder / REVIEW).read_bytes()
    searched(method="neighbours")  # a page that is made anew has them, too
    assert b'"decision":"exclude"' in (folder / REVIEW).read_bytes()


def test_what_is_decided_on_the_page_counts_before_a_row_without_a_time(searched):
    folder = searched()
    first, second, third = read_page(folder / REVIEW).ids[:3]
    write_decisions(folder / "decisions.csv", [
        Decision(first, "unsure", who="B"), Decision(second, "unsure"), Decision(third, "unsure", who="B"),
        Decision(third, "exclude", who="C"),
    ])  # fmt: skip
    for example_id, who in ((first, "A"), (second, "A")):
        row = {"example_id": example_id, "decision": "exclude", "label": "", "who": who}
        assert serve(folder, row | {"when": "2100-01-01T00:00:00Z"}) == folder / "decisions.csv"
    counting = undisputed(read_decisions(folder / "decisions.csv", examples_of(folder)))
    assert {one.example_id: one.decision for one in counting} == {first: "exclude", second: "exclude"}
    data = (folder / REVIEW).read_bytes()
    assert data.count(b'"decision":"exclude"') == 2  # a tie is shown as undecided
    assert CliRunner().invoke(app, ["review", str(folder)]).exit_code == 0


def examples_of(folder):
    return ReviewedExamples.of_issues(load_issues(folder))


def test_decisions_that_were_all_taken_back_are_gone_from_page_and_table(searched):
    folder = searched()
    example_id = read_page(folder / REVIEW).ids[0]
    row = {"example_id": example_id, "decision": "exclude", "label": "", "who": "A"}
    assert serve(folder, row | {"when": "2026-11-30T17:00:00Z"}) == folder / "decisions.csv"
    assert serve(folder, row | {"decision": "", "when": "2026-11-30T17:01:00Z"}) is None
    assert not (folder / "decisions.csv").exists()
    assert b'"decisions":[]' in (folder / REVIEW).read_bytes()
