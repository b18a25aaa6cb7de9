"""A cleaned copy is the data set again, but for the rows that were flagged."""

import csv
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from judged import judged, save_images

import noiseproof
from noiseproof.core.errors import BadData, InvalidArgument

IMAGES = ["pics/a,1.png", 'pics/b "2".png', "pics/ç 3.png", "pics/d.png"]
ANIMALS = {"given": (0, 0, 1, 1), "suggested": (0, 1, 1, 0), "names": ("cat", "dog")}
ROWS = [
    {"image": image, "species": label, "note": f"n, {row}\nx"}
    for row, (image, label) in enumerate(zip(IMAGES, ["cat", "cat", "dog", "dog"], strict=True))
]


@pytest.fixture
def home(tmp_path):
    save_images(tmp_path / "data", IMAGES)
    return tmp_path


def save_table(folder, suffix, rows=ROWS):
    path = folder / f"train.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.DictWriter(file, list(rows[0]), delimiter="," if suffix == "csv" else "\t")
            out.writeheader()
            out.writerows(rows)
    return path


def cleaned(path, home, way="relabel", *, issues=None, **columns):
    dataset = noiseproof.open_dataset(str(path), **columns)
    issues = judged(dataset.ids, **ANIMALS) if issues is None else issues
    (copy,) = noiseproof.export_issues(
        issues, home / "out" / f"clean{path.suffix}", format=f"cleaned-{way}", data=str(path), **columns
    )
    return dataset, noiseproof.open_dataset(str(copy), **columns), copy


def shown(dataset):
    return [dataset.class_names[label] for label in dataset.given_labels]


def table_of(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t"))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_relabelled_table_is_the_table_with_other_labels_where_flagged(home, suffix):
    before, after, copy = cleaned(save_table(home / "data", suffix), home, label="species")
    assert shown(after) == ["cat", "dog", "dog", "cat"]
    assert after.ids.tolist() == before.ids.tolist()
    assert after.fingerprint == before.fingerprint  # so nothing is encoded again
    rows = table_of(copy)
    assert [row["original_label"] for row in rows] == ["cat", "cat", "dog", "dog"]
    assert [row["note"] for row in rows] == [row["note"] for row in ROWS]
    assert {row["image"][:8] for row in rows} == {"../data/"}
    np.testing.assert_array_equal(np.asarray(after.examples[2]), np.asarray(before.examples[2]))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_with_flagged_rows_dropped_has_the_others_as_they_were(home, suffix):
    before, after, _ = cleaned(save_table(home / "data", suffix), home, "drop", label="species")
    assert after.ids.tolist() == before.ids[[0, 2]].tolist()
    assert shown(after) == ["cat", "dog"]


NUMBERED = [
    {"image": image, "label": label, "label_name": name}
    for image, label, name in zip(IMAGES, [7, 7, 3, 3], ["cat", "cat", "dog", "dog"], strict=True)
]


def test_integer_labels_with_a_column_of_names_agree_afterwards(home):
    path = save_table(home / "data", "parquet", NUMBERED)
    issues = judged(IMAGES, given=(1, 1, 0, 0), suggested=(1, 0, 0, 0), names=("dog", "cat"))
    _, after, copy = cleaned(path, home, issues=issues)
    assert shown(after) == ["cat", "dog", "dog", "dog"]
    assert [(row["label"], row["label_name"], row["original_label"]) for row in table_of(copy)] == [
        (7, "cat", 7), (3, "dog", 7), (3, "dog", 3), (3, "dog", 3)
    ]  # fmt: skip


def test_numbers_beside_judged_names_agree_afterwards(home):
    path = save_table(home / "data", "parquet", NUMBERED)
    issues = judged(IMAGES, given=(0, 0, 1, 1), suggested=(0, 1, 1, 1), names=("cat", "dog"))
    _, _, copy = cleaned(path, home, issues=issues, label="label_name")
    assert [(row["label"], row["label_name"], row["original_label"]) for row in table_of(copy)] == [
        (7, "cat", "cat"), (3, "dog", "cat"), (3, "dog", "dog"), (3, "dog", "dog")
    ]  # fmt: skip


def test_class_names_in_the_header_of_a_parquet_file_stay(home):
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    header = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table({"image": IMAGES, "label": [0, 0, 1, 1]}).replace_schema_metadata(header)
    pq.write_table(table, home / "data" / "train.parquet")
    _, after, _ = cleaned(home / "data" / "train.parquet", home)
    assert shown(after) == ["cat", "dog", "dog", "cat"]


def test_labels_that_look_like_numbers_or_truth_values_keep_their_type(home):
    rows = [
        {"image": image, "label": label}
        for image, label in zip(IMAGES, [True, True, False, False], strict=True)
    ]
    path = save_table(home / "data", "jsonl", rows)
    issues = judged(IMAGES, given=(1, 1, 0, 0), suggested=(1, 0, 0, 0), names=("False", "True"))
    _, _, copy = cleaned(path, home, issues=issues)
    assert [row["label"] for row in table_of(copy)] == [True, False, False, False]


def test_a_table_with_ids_of_its_own_gets_no_second_column_of_them(home):
    rows = [{"id": k, **row} for k, row in enumerate(ROWS)]
    _, after, copy = cleaned(save_table(home / "data", "csv", rows), home, label="species")
    assert "example_id" not in table_of(copy)[0]
    assert after.ids.tolist() == ["0", "1", "2", "3"]


def test_rows_that_were_not_judged_stay(home):
    path = save_table(home / "data", "csv")
    issues = judged(IMAGES[1:3], given=(0, 1), suggested=(1, 1), names=("cat", "dog"))
    _, after, _ = cleaned(path, home, issues=issues, label="species")
    assert shown(after) == ["cat", "dog", "dog", "dog"]


def test_a_second_cleaning_loses_no_label_of_the_first(home):
    _, _, copy = cleaned(save_table(home / "data", "csv"), home, label="species")
    once = noiseproof.open_dataset(str(copy), label="species")
    issues = judged(once.ids, given=(0, 1, 1, 0), suggested=(0, 0, 1, 0), names=("cat", "dog"))
    (again,) = noiseproof.export_issues(
        issues, home / "again.csv", format="cleaned-relabel", data=str(copy), label="species"
    )
    assert [row["species"] for row in table_of(again)] == ["cat", "cat", "dog", "cat"]
    assert [row["original_label"] for row in table_of(again)] == ["cat", "cat", "dog", "dog"]
    assert [row["original_label_2"] for row in table_of(again)] == ["cat", "dog", "dog", "cat"]
    assert noiseproof.open_dataset(str(again), label="species").examples[3].size == (8, 8)


def test_labels_made_wrong_on_purpose_are_the_ones_that_were_judged(home):
    """Otherwise a cleaned copy would have the truth where the detector missed a wrong label."""
    issues = judged(IMAGES, given=(1, 0, 1, 1), suggested=(1, 1, 1, 1), names=("cat", "dog"))
    _, after, copy = cleaned(save_table(home / "data", "csv"), home, issues=issues, label="species")
    assert shown(after) == ["dog", "dog", "dog", "dog"]
    assert [row["original_label"] for row in table_of(copy)] == ["dog", "cat", "dog", "dog"]


def test_class_folders_become_a_table_of_paths(home):
    names = ["cat/a,1.png", 'cat/b "2".png', "dog/ç 3.png", "dog/d\nx.png"]
    save_images(home / "photos", names)
    dataset = noiseproof.open_dataset(str(home / "photos"))
    issues = judged(dataset.ids, **ANIMALS)
    for way, labels in (("relabel", ["cat", "dog", "dog", "cat"]), ("drop", ["cat", "dog"])):
        (copy,) = noiseproof.export_issues(
            issues, home / "out" / f"{way}.csv", format=f"cleaned-{way}", data=str(home / "photos")
        )
        after = noiseproof.open_dataset(str(copy))
        assert shown(after) == labels
        assert set(after.ids) <= set(dataset.ids)
        assert after.examples[0].size == (8, 8)
    assert noiseproof.open_dataset(str(home / "out" / "relabel.csv")).fingerprint == dataset.fingerprint


@pytest.mark.parametrize("labels", [["cat", "cat", "a longer word", "dog"], [5, 5, 9, 7]])
def test_an_archive_keeps_its_other_arrays(home, labels):
    path = home / "data" / "f.npz"
    np.savez(path, features=np.eye(4, dtype=np.float32), labels=labels, extra=np.arange(4), scale=2.0)
    dataset = noiseproof.open_dataset(str(path))
    given = dataset.given_labels
    suggested = given.copy()
    suggested[0] = given[2]
    issues = judged(dataset.ids, given=given, suggested=suggested, names=dataset.class_names)
    _, after, copy = cleaned(path, home, issues=issues)
    assert shown(after) == [str(labels[k]) for k in (2, 1, 2, 3)]
    assert after.ids.tolist() == dataset.ids.tolist()
    with np.load(copy) as arrays:
        assert arrays["original_label"].tolist() == labels
        assert arrays["labels"].dtype == np.array(labels).dtype
        assert float(arrays["scale"]) == 2.0
    _, after, copy = cleaned(path, home / "2", "drop", issues=issues)
    assert after.ids.tolist() == dataset.ids[1:].tolist()
    with np.load(copy) as arrays:
        assert arrays["extra"].tolist() == [1, 2, 3]


def test_refusals_name_what_is_wrong(home):
    path = save_table(home / "data", "csv")
    out = home / "clean.csv"
    options = {"format": "cleaned-relabel", "data": str(path), "label": "species"}
    strange = judged(IMAGES, given=(0, 0, 1, 1), suggested=(2, 0, 1, 1), names=("cat", "dog", "horse"))
    with pytest.raises(BadData, match="has no class 'horse'; allowed: issues in the labels of this data set"):
        noiseproof.export_issues(strange, out, **options)
    with pytest.raises(BadData, match="has no example 'stranger'"):
        noiseproof.export_issues(judged([*IMAGES[:3], "stranger"], **ANIMALS), out, **options)
    with pytest.raises(InvalidArgument, match=r"allowed: a name that ends in '\.csv'"):
        noiseproof.export_issues(judged(IMAGES, **ANIMALS), home / "clean.parquet", **options)
    all_wrong = judged(IMAGES, given=(0, 0, 1, 1), suggested=(1, 1, 0, 0), names=("cat", "dog"))
    with pytest.raises(BadData, match="dropping them would leave nothing"):
        noiseproof.export_issues(all_wrong, out, **options | {"format": "cleaned-drop"})
    with pytest.raises(InvalidArgument, match="allowed: a cleaned copy of a table"):
        noiseproof.export_issues(judged(), out, format="cleaned-drop", data="sklearn:digits")
    assert not out.exists()


def test_pandas_reads_a_cleaned_parquet_file_without_dropped_rows(home):
    pd.DataFrame(ROWS).to_parquet(home / "data" / "train.parquet")
    _, _, copy = cleaned(home / "data" / "train.parquet", home, "drop", label="species")
    assert pd.read_parquet(copy)["species"].tolist() == ["cat", "dog"]
