import json

import pandas as pd
import pytest

from noiseproof.core.errors import DamagedFile, MissingFile, OtherSchema
from noiseproof.core.storage.files import hash_file
from noiseproof.report.run_folder import load_run
from rewritten import rewritten


def change_json(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_a_run_folder_is_read_whole(fake_run):
    run = load_run(fake_run())
    assert run.card.train.set_name == "photo"
    assert [entry.role for entry in run.spectra] == ["train", "test", "ood", "ood"]
    assert len(run.results) == 3 * 3 * 3
    assert run.issues["suspicion"].is_monotonic_decreasing
    assert len(run.suspects) == 48
    assert all(suspect.image for suspect in run.suspects)


def test_without_thumbnails_the_suspects_come_from_the_issues(fake_run):
    run = load_run(fake_run(kind="features"))
    assert len(run.suspects) == 48
    assert run.suspects[0].example_id == run.issues["example_id"][0]
    assert run.suspects[0].image is None


def test_integer_ids_and_labels_are_accepted(fake_run):
    path = fake_run(kind="features")
    frame = pd.read_parquet(path / "label_issues.parquet")
    numbers = frame.assign(example_id=range(len(frame)), given_label=1, suggested_label=2)
    numbers.to_parquet(path / "label_issues.parquet")
    assert str(load_run(path).suspects[0].given_label) == "1"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(
        MissingFile, match=r"No run folder at '.*nowhere'\. Next: start `noiseproof run` with --out"
    ):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["run.json", "results.jsonl", "spectrum.json", "label_issues.parquet"])
def test_a_missing_file_is_named(fake_run, name):
    path = fake_run()
    (path / name).unlink()
    with pytest.raises(MissingFile, match=rf"has no '{name}'\. Next: start the run again"):
        load_run(path)


@pytest.mark.parametrize("name", ["run.json", "spectrum.json", "label_issues.parquet", "thumbnails.json"])
def test_a_truncated_file_is_named(fake_run, name):
    path = fake_run()
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedFile, match=rf"{name}' is (damaged|not what a run writes): .*Next: delete it"):
        load_run(path)


def test_a_field_that_is_missing_is_named(fake_run):
    path = fake_run()
    change_json(path / "run.json", lambda card: card["backbone"].pop("dim"))
    with pytest.raises(DamagedFile, match=r"run\.json' is damaged: backbone\.dim: Field required"):
        load_run(path)


def test_a_spectrum_without_values_is_named(fake_run):
    path = fake_run()
    change_json(path / "spectrum.json", lambda entries: entries[0]["raw"].pop("singular_values"))
    with pytest.raises(
        DamagedFile, match=r"spectrum\.json' is damaged: raw\.singular_values: Field required"
    ):
        load_run(path)


def test_a_spectrum_of_a_newer_version_is_named(fake_run):
    path = fake_run()
    change_json(path / "spectrum.json", lambda entries: entries[0].update(schema=7))
    with pytest.raises(OtherSchema, match=r"spectrum.json' has schema 7; .* reads schema 1. Next: install a"):
        load_run(path)


def test_a_card_of_an_older_version_is_named(fake_run):
    path = fake_run()
    change_json(path / "run.json", lambda card: card.pop("schema"))  # as version 0.1 wrote it
    with pytest.raises(OtherSchema, match=r"run.json' has schema 1; .* reads schema 2. Next: delete it and"):
        load_run(path)


def test_missing_columns_are_named(fake_run):
    path = fake_run()
    frame = pd.read_parquet(path / "label_issues.parquet")
    frame.drop(columns="suspicion").to_parquet(path / "label_issues.parquet")
    with pytest.raises(
        DamagedFile, match=r"label_issues\.parquet' is not .* columns \['suspicion'\] are missing"
    ):
        load_run(path)


def test_results_without_a_whole_row_are_an_error(fake_run):
    path = fake_run()
    (path / "results.jsonl").write_text("")
    with pytest.raises(DamagedFile, match=r"results\.jsonl' is not what a run writes: .*no row"):
        load_run(path)


def test_a_missing_thumbnail_is_named(fake_run):
    path = fake_run()
    (path / "thumbnails" / "00003.png").unlink()
    with pytest.raises(MissingFile, match=r"has no 'thumbnails/00003\.png'"):
        load_run(path)


def test_a_thumbnail_that_is_no_png_is_named(fake_run):
    path = fake_run()
    (path / "thumbnails" / "00003.png").write_text("<svg onload='alert(1)'/>")
    with pytest.raises(DamagedFile, match=r"00003\.png' is not what a run writes: .*no PNG image"):
        load_run(path)


def test_a_thumbnail_outside_the_folder_is_not_read(fake_run, tmp_path):
    path = fake_run()
    change_json(path / "thumbnails.json", lambda entries: entries[0].update(file="../../secret.png"))
    (tmp_path / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\nsecret")
    with pytest.raises(DamagedFile, match=r"'../../secret\.png' is no path inside the folder"):
        load_run(path)


RESULTS = (
    "results.jsonl", "spectrum.json", "label_issues.parquet", "thumbnails.json", "thumbnails/00000.png",
)  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_that_is_not_the_one_on_the_card_is_named(fake_run, name):
    path = fake_run()
    rewritten(path / "run.json", files={each: hash_file(path / each) for each in RESULTS})
    load_run(path)
    content = (path / name).read_bytes()
    (path / name).write_bytes(content + b" ")
    with pytest.raises(DamagedFile, match=rf"{name}' is damaged: its SHA-256 .*Next: delete it and"):
        load_run(path)
    (path / name).unlink()
    with pytest.raises(MissingFile, match=rf"has no '{name}'"):
        load_run(path)


def test_a_card_that_was_changed_is_named(fake_run):
    path = fake_run()
    rewritten(path / "run.json")
    text = (path / "run.json").read_text()
    (path / "run.json").write_text(text.replace('"encoder_passes": ', '"encoder_passes": 1'))
    with pytest.raises(DamagedFile, match=r"run.json' is damaged: its contents are not those of its"):
        load_run(path)
