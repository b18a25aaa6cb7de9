"""`detect` and `run` take labels that people decided as right, and learn from them about the others."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from blobs import save_blobs

from noiseproof.cli.outcome import print_detection
from noiseproof.config.apply import ApplyConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, DamagedFile, InvalidArgument, OtherSchema
from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.apply import apply
from noiseproof.pipelines.detect import detect
from noiseproof.pipelines.review import rate_lines
from noiseproof.pipelines.reviewed.kept_page import decided_ids
from noiseproof.report.headline import headlines
from noiseproof.report.run_folder import load_run

NAMES = ("ant", "bee", "cat")
N = 300


@pytest.fixture
def noisy(tmp_path):
    """Clouds of features; every tenth label is wrong. Returns the file and the true labels."""
    path = save_blobs(tmp_path / "train.npz", n=N, seed=1, spread=1.5)
    arrays = dict(np.load(path))
    truth = arrays["labels"].copy()
    arrays["labels"] = np.where(np.arange(N) % 10 == 0, (truth + 1) % 3, truth)
    np.savez(path, **arrays)
    return path, truth


@pytest.fixture
def found(tmp_path, noisy):
    def run(**options):
        own = {"train": str(noisy[0]), "out": tmp_path / "issues", "cache": tmp_path / "cache"}
        return detect(load_config(DetectConfig, options=own | options))

    return run


def decide(path, rows, truth, *, word=None):
    """Right decisions on these rows."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["example_id", "decision", "label", "who", "when"])
        out.writerows(
            [f"train/{row}", word or "relabel", NAMES[truth[row]] if word is None else "", "ann", ""]
            for row in rows
        )
    return path


def read_page_data(page):
    text = page.read_text().partition('<script type="application/json" id="data">')[2]
    return json.loads(text.partition("</script>")[0])


def order_of(folder):
    return pd.read_parquet(folder / "label_issues.parquet")["row"].to_numpy()


def test_decided_labels_are_not_flagged_again_and_count_as_known(found, tmp_path, noisy, capsys):
    first = found()
    flagged = np.flatnonzero(first.issues.is_issue)
    rows = order_of(tmp_path / "issues")[:60]
    decide(tmp_path / "issues" / "decisions.csv", rows, noisy[1])
    result = found()
    assert not result.issues.is_issue[rows].any()
    assert (result.issues.suspicion[rows] == 0).all()
    assert result.issues.given_labels.tolist() == first.issues.given_labels.tolist()
    assert result.issues.suggested_labels[rows].tolist() == noisy[1][rows].tolist()
    reviewed, is_wrong = result.card["reviewed"], np.arange(N) % 10 == 0
    assert reviewed["num_checked"] == 60
    assert reviewed["num_wrong"] == is_wrong[rows].sum()
    checked = np.intersect1d(flagged, rows)
    assert (reviewed["num_flagged"], reviewed["num_flagged_wrong"]) == (len(checked), is_wrong[checked].sum())
    assert reviewed["basis"] == "suspicion"
    assert reviewed["rate"]["low"] <= 0.1 <= reviewed["rate"]["high"]
    left = is_wrong.sum() - is_wrong[rows].sum()
    assert reviewed["next_wrong"]["low"] <= left <= reviewed["next_wrong"]["high"] + 1
    print_detection(result)
    said = " ".join(capsys.readouterr().out.split())
    assert "60 labels are checked: 30 were wrong." in said
    assert "which were not drawn at random. To be sure, check a sample" in said
    assert "Of the next 100 labels by suspicion about" in said


def test_decisions_on_the_given_labels_change_what_the_others_are_compared_with(found, tmp_path, noisy):
    before = found()
    rows = np.flatnonzero(np.arange(N) % 10 == 0)[:29]
    file = decide(tmp_path / "mine.csv", rows, noisy[1])
    after = found(decisions=[file], out=tmp_path / "again")
    last = np.flatnonzero(np.arange(N) % 10 == 0)[29]
    assert after.issues.suspicion[last] >= before.issues.suspicion[last]
    assert after.issues.noise_rate == pytest.approx(0.1, abs=0.02)
    assert after.card["reviewed"]["rate"] is None  # fewer than 50


def test_a_named_file_is_kept_in_the_folder_and_known_at_the_next_start(found, tmp_path, noisy):
    issues = tmp_path / "issues"
    first = found(decisions=[decide(tmp_path / "mine.csv", [0, 1], noisy[1])])
    assert first.card["reviewed"]["num_checked"] == 2
    assert [one["example_id"] for one in read_page_data(first.review)["decisions"]] == ["train/0", "train/1"]
    table = (issues / "label_issues.parquet").read_bytes()
    again = found()
    assert again.card["reviewed"] == first.card["reviewed"]
    assert (issues / "label_issues.parquet").read_bytes() == table
    other = decide(tmp_path / "other.csv", [1, 2], noisy[1], word="exclude")
    third = found(decisions=[other])
    assert third.card["reviewed"]["num_checked"] == 3
    kept = pd.read_csv(issues / "decisions.csv")
    assert kept["decision"].tolist() == ["relabel", "relabel", "exclude", "exclude"]  # two of train/1
    assert len(read_page_data(third.review)["decisions"]) == 3
    assert found().card["reviewed"] == third.card["reviewed"]


def test_a_search_in_a_part_of_the_data_keeps_decisions_about_the_others(found, tmp_path, noisy):
    found(decisions=[decide(tmp_path / "mine.csv", range(N), noisy[1])])
    some = found(limit=60, decisions=[decide(tmp_path / "other.csv", [0], noisy[1], word="exclude")])
    assert some.card["reviewed"]["num_checked"] == 60
    assert set(pd.read_csv(tmp_path / "issues" / "decisions.csv")["example_id"]) == {
        f"train/{row}" for row in range(N)
    }
    assert found().card["reviewed"]["num_checked"] == N


def test_decisions_by_row_numbers_do_not_count_for_other_rows(found, tmp_path, noisy):
    path, truth = noisy
    found(decisions=[str(decide(tmp_path / "mine.csv", range(0, 60, 10), truth))])
    assert not any("row numbers" in note for note in found().card["notes"])
    arrays = dict(np.load(path))
    longer = {name: np.concatenate([each[:1], each]) for name, each in arrays.items() if len(each) == N}
    np.savez(path, **(arrays | longer))
    changed = found(label="labels")
    (note,) = (one for one in changed.card["notes"] if "do not count" in one)
    assert note == (
        "5 decisions in decisions.csv do not count, since they are about data that changed: 'train/10' is "
        "another example now (ids are row numbers; if not, empty its `content`) and 4 more. Next: decide "
        "again, or delete these rows."
    )
    assert changed.card["reviewed"]["num_checked"] == 1
    assert len(pd.read_csv(tmp_path / "issues" / "decisions.csv")) == 6


@pytest.mark.parametrize("is_numbered", [True, False])
def test_a_folder_with_the_search_in_other_data_is_refused(found, tmp_path, noisy, is_numbered):
    path, truth = noisy
    arrays = dict(np.load(path))
    ids = {} if is_numbered else {"ids": np.array([f"a{row}" for row in range(N)])}
    np.savez(path, **arrays, **ids)
    issues = tmp_path / "issues"
    found()
    decide(issues / "decisions.csv", [0], truth)
    kept = {name: (issues / name).read_bytes() for name in ("decisions.csv", "label_issues.parquet")}
    other = {"ids": np.array([f"b{row}" for row in range(N)])} if ids else {}
    np.savez(path, **(arrays | {"features": arrays["features"] + 1}), **other)
    with pytest.raises(InvalidArgument, match=r"`out` is .*issues'; .* of 300 examples, of which .* has 0; "):
        found()
    run_again = {"train": str(path), "out": issues, "cache": tmp_path / "cache", "heads": "linear"}
    (issues / "detection.json").unlink()
    with pytest.raises(InvalidArgument, match="they and their decisions would be lost"):
        pipeline.run(load_config(RunConfig, options=run_again))
    assert {name: (issues / name).read_bytes() for name in kept} == kept
    grow = {name: np.concatenate([arrays[name][1:], arrays[name][:9] + 1]) for name in ("features", "labels")}
    new = {"ids": np.array([f"a{row}" for row in range(1, N + 9)])} if ids else {}
    np.savez(path, **(arrays | grow | {"labels": np.resize(truth, N + 8)}), **new)
    grown = found()
    (note,) = (one for one in grown.card["notes"] if "decisions.csv" in one)
    expected = "is another example now" if is_numbered else "examples that the data do not have: 'train/0'"
    assert expected in note


def test_a_refused_file_leaves_the_kept_decisions_as_they_are(found, tmp_path, noisy):
    issues = tmp_path / "issues"
    found(decisions=[decide(tmp_path / "mine.csv", [0, 1], noisy[1])])
    before = (issues / "decisions.csv").read_bytes()
    file = decide(tmp_path / "bob.csv", [0], noisy[1], word="exclude")
    file.write_text(file.read_text().replace("ann", "bob"))
    with pytest.raises(BadData, match="People disagree on 1 example"):
        found(decisions=[file])
    assert (issues / "decisions.csv").read_bytes() == before


def test_a_drawn_sample_tells_the_rate_without_any_assumption(found, tmp_path, noisy, capsys):
    issues = tmp_path / "issues"
    found()
    assert read_page_data(issues / "review.html")["drawn"] == []
    found(rate_sample=60)
    form = pd.read_csv(issues / "rate_sample.csv", encoding="utf-8-sig", keep_default_na=False)
    assert form.columns.tolist() == [
        "example_id", "given_label", "suggested_label", "decision", "label", "who", "when",
    ]  # fmt: skip
    rows = [int(each.split("/")[1]) for each in form["example_id"]]
    record = (issues / "rate_sample.json").read_bytes()
    page = read_page_data(issues / "review.html")
    assert [page["ids"][rank] for rank in page["drawn"]] == form["example_id"].tolist()
    decide(issues / "decisions.csv", rows[1:], noisy[1])
    assert found(rate_sample=60).card["reviewed"]["basis"] == "suspicion"  # the first draw is open
    decide(issues / "decisions.csv", rows[:-1], noisy[1])
    half_done = found(rate_sample=60).card["reviewed"]
    assert half_done["basis"] == "sample"
    assert 30 <= half_done["num_draws"] < 60
    decide(issues / "decisions.csv", rows, noisy[1])
    done = found(rate_sample=60)
    assert (issues / "rate_sample.json").read_bytes() == record
    reviewed = done.card["reviewed"]
    assert (reviewed["basis"], reviewed["num_draws"]) == ("sample", 60)
    assert reviewed["rate"]["low"] <= 0.1 <= reviewed["rate"]["high"]
    print_detection(done)
    printed = capsys.readouterr().out.splitlines()
    line = next(
        one for one in printed if "by a sample of 60 drawn labels; this replaces the detector's" in one
    )
    assert not any("estimated noise rate" in one for one in printed)
    share = json.loads((issues / "label_issues.json").read_text())["share_wrong"]
    assert done.card["noise_rate"] == share
    assert (share["basis"], share["rate"]) == ("sample", reviewed["rate"]["value"])
    assert share["replaces"]["rate"] == pytest.approx(done.issues.noise_rate)
    assert rate_lines(issues) == [line]  # whatever the search knew
    options = {"folder": issues, "out": tmp_path / "cleaned"}
    assert list(apply(load_config(ApplyConfig, options=options)).rate) == [line]
    decide(issues / "decisions.csv", rows[:10], noisy[1])
    assert "30 tell how many of all labels are wrong" in rate_lines(issues)[0]


def test_what_was_decided_before_the_draw_is_counted_exactly(found, tmp_path, noisy):
    found()
    issues = tmp_path / "issues"
    first = order_of(issues)[:40]
    decide(issues / "decisions.csv", first, noisy[1])
    found(rate_sample=40)
    form = pd.read_csv(issues / "rate_sample.csv", encoding="utf-8-sig")
    rows = {int(each.split("/")[1]) for each in form["example_id"]}
    assert not rows & set(first.tolist())
    decide(issues / "decisions.csv", [*first, *sorted(rows)], noisy[1])
    reviewed = found().card["reviewed"]
    assert reviewed["basis"] == "sample"
    assert reviewed["rate"]["value"] == pytest.approx(0.1, abs=0.01)
    assert "by a sample of 40 drawn labels" in rate_lines(issues)[0]
    for left, missing in ((first[1:], 1), (first[2:], 2)):
        decide(issues / "decisions.csv", [*left, *sorted(rows)], noisy[1])
        (line,) = rate_lines(issues)
        ids = ", ".join(f"'train/{row}'" for row in sorted(first[:missing]))
        have, them = ("has", "it") if missing == 1 else ("have", "them")
        assert line == (
            "The sample does not tell how many of all labels are wrong: decisions from before it was drawn "
            f"count, too, and {ids} {have} none any more. Next: decide on {them} again."
        )


def test_a_second_sample_and_a_changed_one_are_refused(found, tmp_path):
    found(rate_sample=40)
    with pytest.raises(InvalidArgument, match=r"`rate_sample` is 50.*has a sample of 40"):
        found(rate_sample=50)
    with pytest.raises(InvalidArgument, match="rate_sample"):
        found(rate_sample=5)
    record = tmp_path / "issues" / "rate_sample.json"
    record.write_text(record.read_text().replace("train/", "train/1", 1))
    decide(tmp_path / "issues" / "decisions.csv", [0], np.zeros(N, int))
    options = {"folder": tmp_path / "issues", "out": tmp_path / "cleaned"}
    applied = load_config(ApplyConfig, options=options)
    with pytest.raises(DamagedFile, match="draw again with --rate-sample"):
        found()
    with pytest.raises(DamagedFile, match="draw again with --rate-sample"):
        apply(applied)
    record.write_text('{"schema": 1, "data_fingerprint": "", "decided_before": [], "drawn": [], "q": []}')
    with pytest.raises(OtherSchema, match=r"has schema 1; this version.*reads schema 2.*Next: delete rate_"):
        apply(applied)
    assert not (tmp_path / "cleaned" / "train.npz").exists()


def test_a_budget_is_a_form_of_the_first_undecided_labels(found, tmp_path, noisy):
    result = found(budget=5)
    ids = pd.read_csv(result.forms[0], encoding="utf-8-sig")["example_id"].tolist()
    rows = order_of(tmp_path / "issues")
    assert ids == [f"train/{row}" for row in rows[:5]]
    decide(tmp_path / "issues" / "decisions.csv", rows[:5], noisy[1])
    again = pd.read_csv(found(budget=5).forms[0], encoding="utf-8-sig")["example_id"].tolist()
    assert not set(ids) & set(again)


def test_a_cleaned_copy_has_the_decided_labels_and_the_suggested_ones(found, tmp_path, noisy):
    found()
    row = int(order_of(tmp_path / "issues")[0])
    decide(tmp_path / "issues" / "decisions.csv", [row], noisy[1], word="keep")
    result = found(export=["cleaned-relabel"])
    arrays = np.load(result.exports["cleaned-relabel"])
    assert arrays["labels"][row] == arrays["original_label"][row]
    changed = np.flatnonzero(arrays["labels"] != arrays["original_label"])
    assert changed.tolist() == np.flatnonzero(result.issues.is_issue).tolist()


def test_decisions_of_other_data_are_refused_by_name_and_passed_over_in_the_folder(found, tmp_path, noisy):
    file = decide(tmp_path / "mine.csv", [0], noisy[1])
    file.write_text(file.read_text().replace("train/0", "strange/0"))
    with pytest.raises(BadData, match="decides on 'strange/0'"):
        found(decisions=[file])
    found()
    (tmp_path / "issues" / "decisions.csv").write_text(file.read_text())
    assert found().card["reviewed"] is None


def test_an_edited_table_of_suggestions_needs_its_folder(found, tmp_path):
    table = found().folder / "label_issues.csv"
    edited = tmp_path / "edited.csv"
    edited.write_bytes(table.read_bytes())
    with pytest.raises(BadData, match="give it to 'noiseproof apply' with that folder"):
        found(decisions=[edited])


def test_a_run_learns_from_the_decided_labels_and_leaves_out_the_excluded_ones(tmp_path, noisy):
    path, truth = noisy
    base = {
        "train": str(path), "out": tmp_path / "run", "cache": tmp_path / "cache", "heads": "linear",
        "seeds": 1, "max_steps": 5,
    }  # fmt: skip
    rows = np.flatnonzero(np.arange(N) % 10 == 0)
    file = decide(tmp_path / "mine.csv", rows[:-2], truth)
    with file.open("a") as out:
        out.write(f"train/{rows[-2]},exclude,,ann,\ntrain/{rows[-1]},relabel,dog,ann,\n")
    with pytest.raises(BadData, match="no class of the data"):
        pipeline.run(load_config(RunConfig, options=base | {"decisions": [file]}))
    options = base | {"decisions": [file], "allow_new_class": True}
    result = pipeline.run(load_config(RunConfig, options=options))
    assert sum(card["num_examples"] for card in result.card["data"]) == N - 1
    assert result.card["data"][0]["class_names"] == [*NAMES, "dog"]
    assert any("labels of train.npz (held out);" in note for note in result.card["notes"])
    assert result.card["reviewed"]["num_checked"] == 30
    issues = pd.read_parquet(tmp_path / "run" / "label_issues.parquet").set_index("row")
    assert not issues.loc[rows, "is_issue"].any()
    assert any("30 labels are checked: 30 were wrong." in line for line in headlines(load_run(result.folder)))
    assert "; 30 labels are decided" in result.report.read_text()
    assert len(pd.read_csv(result.folder / "decisions.csv")) == 30
    assert decided_ids(result.folder) == {f"train/{row}" for row in rows}
