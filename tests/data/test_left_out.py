"""Examples without a label and files that cannot be read: all are named, or left out with their reasons."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_sources import make_folder, png

from noiseproof.core.errors import BadData, InvalidArgument, MissingFile
from noiseproof.data.sources import open_dataset


def table(folder, kind: str, labels: list) -> str:
    path = folder / f"t.{kind}"
    texts = [f"text {row}" for row in range(len(labels))]
    if kind == "csv":
        rows = (f"{text},{'' if label is None else label}" for text, label in zip(texts, labels, strict=True))
        path.write_text("\n".join(["text,label", *rows]) + "\n")
    elif kind == "jsonl":
        rows = ({"text": text, "label": label} for text, label in zip(texts, labels, strict=True))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "parquet":
        pq.write_table(pa.table({"text": texts, "label": labels}), path)
    else:
        values = np.array([np.nan if each is None else each for each in labels])
        np.savez(path, features=np.eye(len(labels)), labels=values)
    return str(path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "npz"])
@pytest.mark.parametrize("labels", [[1, None, 10, 2, None], [True, None, False, True, None]])
def test_examples_without_a_label_are_left_out_and_named(tmp_path, kind, labels):
    if kind == "npz" and labels[0] is True:
        labels = [1.0, None, 0.0, 1.0, None]
    name = table(tmp_path, kind, labels)
    with pytest.raises(BadData, match=r"missing in row 1 of .*; 2 such rows of 5, .*--missing-label skip"):
        open_dataset(name)
    dataset = open_dataset(name, missing_label="skip")
    assert dataset.ids.tolist() == ["t/0", "t/2", "t/3"]
    column = "labels" if kind == "npz" else "label"
    assert dataset.skipped == {"t/1": f"no label in {column!r}", "t/4": f"no label in {column!r}"}
    shown = [dataset.class_names[label] for label in dataset.given_labels]
    assert shown == [str(int(label) if kind == "npz" else label) for label in labels if label is not None]


@pytest.mark.parametrize("blank", ["", "   ", '""'])
def test_blanks_are_no_label(tmp_path, blank):
    (tmp_path / "t.csv").write_text(f"text,label\na,x\nb,{blank}\nc,y\n")
    assert list(open_dataset(str(tmp_path / "t.csv"), missing_label="skip").skipped) == ["t/1"]


def test_an_example_without_a_true_label_is_left_out_too(tmp_path):
    (tmp_path / "t.csv").write_text("text,label,truth\na,x,x\nb,x,\nc,,y\n")
    dataset = open_dataset(str(tmp_path / "t.csv"), label="label", clean_label="truth", missing_label="skip")
    assert dataset.skipped == {"t/1": "no label in 'truth'", "t/2": "no label in 'label'"}


def test_no_labels_at_all_are_an_error_in_both_cases(tmp_path):
    (tmp_path / "t.csv").write_text("text,label\na,\nb,\n")
    with pytest.raises(BadData, match="2 such rows of 2"):
        open_dataset(str(tmp_path / "t.csv"), missing_label="skip")


def test_class_ids_with_gaps_keep_their_names(tmp_path):
    labels = np.array([1, np.nan, 0])
    np.savez(tmp_path / "f.npz", features=np.eye(3), labels=labels, class_names=["cat", "dog"])
    dataset = open_dataset(str(tmp_path / "f.npz"), missing_label="skip")
    assert [dataset.class_names[label] for label in dataset.given_labels] == ["dog", "cat"]


def test_minus_one_is_no_missing_label(tmp_path):
    np.savez(tmp_path / "f.npz", features=np.eye(3), labels=[1, -1, 0], class_names=["cat", "dog"])
    with pytest.raises(BadData, match=r"Label -1 in row 1 .* outside the classes; allowed: 0 to 1"):
        open_dataset(str(tmp_path / "f.npz"), missing_label="skip")


def test_another_word_for_missing_label_is_refused(tmp_path):
    from noiseproof.data import sources

    unchecked = getattr(sources.open_dataset, "__wrapped__", sources.open_dataset)
    while hasattr(unchecked, "__wrapped__"):
        unchecked = unchecked.__wrapped__
    with pytest.raises(InvalidArgument, match="`missing_label` is 'drop'; allowed: raise, skip"):
        unchecked("sklearn:digits", missing_label="drop")


# --- files that cannot be read


def test_all_missing_files_are_named_at_once(tmp_path):
    (tmp_path / "a.png").write_bytes(png((5, 5, 5)))
    (tmp_path / "t.csv").write_text("path,label\na.png,0\ngone.png,1\nlost.png,1\n")
    with pytest.raises(MissingFile, match=r"2 examples of .* cannot be read: 'gone.png' .*; 'lost.png' "):
        open_dataset(str(tmp_path / "t.csv"))


def test_long_lists_of_unreadable_files_are_counted(tmp_path):
    rows = "".join(f"{number}.png,{number % 2}\n" for number in range(30))
    (tmp_path / "t.csv").write_text(f"path,label\n{rows}")
    with pytest.raises(MissingFile, match=r"30 examples .*'11.png' .* and 18 more\. Allowed") as caught:
        open_dataset(str(tmp_path / "t.csv"))
    assert "'12.png'" not in str(caught.value)


def test_skipped_files_come_with_their_reasons(tmp_path):
    root = make_folder(tmp_path)
    (tmp_path / "photos" / "cat" / "bad.png").write_bytes(b"no image")
    (tmp_path / "photos" / "cat" / "empty.png").write_bytes(b"")
    assert open_dataset(root, on_error="skip").skipped == {
        "cat/bad.png": "8 bytes that are no image of a known format",
        "cat/empty.png": "the image is empty (0 bytes)",
    }
