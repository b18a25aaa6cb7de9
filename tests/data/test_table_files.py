"""Columns, labels, class names and ids of CSV, JSON lines and Parquet."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_sources import COLOURS, IMAGE_STRUCT, pictures, png

from noiseproof.core.errors import BadData, MissingFile, UnknownName
from noiseproof.data.formats.parquet_files import ParquetReader
from noiseproof.data.sources import open_dataset


@pytest.fixture
def write_csv(tmp_path):
    def write(text: str, name: str = "reviews.csv", encoding: str = "utf-8") -> str:
        (tmp_path / name).write_text(text, encoding=encoding)
        return str(tmp_path / name)

    return write


@pytest.fixture
def write_parquet(tmp_path):
    def write(columns: dict, metadata: dict | None = None, **options) -> str:
        table = pa.table(columns)
        if metadata is not None:
            table = table.replace_schema_metadata(metadata)
        pq.write_table(table, tmp_path / "table.parquet", **options)
        return str(tmp_path / "table.parquet")

    return write


def hf_header(**names: list[str]) -> dict[bytes, bytes]:
    features = {column: {"names": said, "_type": "ClassLabel"} for column, said in names.items()}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


# --- ids


def test_paths_of_images_are_ids_where_no_two_are_alike(write_csv, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(png((9, 8, 7)))
    assert list(open_dataset(write_csv("path,label\na.png,0\nb.png,1\n")).ids) == ["a.png", "b.png"]
    twice = open_dataset(write_csv("path,label\na.png,0\na.png,1\n", name="twice.csv"))
    assert list(twice.ids) == ["twice/0", "twice/1"]
    partly = open_dataset(write_csv("path,label\na.png,0\n,1\nb.png,0\n", name="partly.csv"), on_error="skip")
    assert list(partly.ids) == ["a.png", "b.png"]
    named = open_dataset(write_csv("id,path,label\nx,a.png,0\ny,b.png,1\n", name="named.csv"))
    assert list(named.ids) == ["x", "y"]


# --- columns


@pytest.mark.parametrize("label", ["label", "labels", "class", "target", "category", "y", "Label"])
@pytest.mark.parametrize("text", ["text", "sentence", "review", "content", "Text"])
def test_conventional_columns_are_found(write_csv, label, text):
    dataset = open_dataset(write_csv(f"{text},{label},length\ngood,pos,4\nbad,neg,3\n"))
    assert (dataset.kind, list(dataset.examples)) == ("text", ["good", "bad"])
    assert dataset.class_names == ("neg", "pos")


@pytest.mark.parametrize("image", ["image", "img", "file_name", "filename", "path", "filepath", "image_path"])
def test_conventional_image_columns_are_found(write_csv, tmp_path, image):
    (tmp_path / "a b.png").write_bytes(png((9, 8, 7)))
    dataset = open_dataset(write_csv(f"{image},y\na b.png,0\n"))
    assert dataset.kind == "image"
    assert dataset.examples[0].getpixel((0, 0)) == (9, 8, 7)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("text,word", "no obvious label column. Its columns: text, word. Next: name one with `label`"),
        ("text,label,class", r"may be the label \(label, class\)\. .* Next: name one with `label`"),
        ("words,label", "no obvious image or text column.* Next: name one with `image` or `text`"),
        ("text,review,label", r"may be the image or text \(text, review\)"),
        ("file_name,text,label", r"may be the image or text \(file_name, text\)"),
    ],
)
def test_unclear_columns_are_listed_with_the_option(write_csv, header, said):
    with pytest.raises(BadData, match=said):
        open_dataset(write_csv(f"{header}\n" + ",".join("abc"[: header.count(",") + 1]) + "\n"))


def test_options_settle_what_is_unclear(write_csv):
    name = write_csv("text,review,label,class\na,b,0,x\nc,d,1,x\n")
    dataset = open_dataset(name, text="review", label="class", clean_label="class")
    assert list(dataset.examples) == ["b", "d"]
    assert dataset.class_names == ("x",)


@pytest.mark.parametrize("option", ["label", "image", "text", "clean_label"])
def test_a_column_that_is_not_there_gets_a_suggestion(write_csv, option):
    name = write_csv("text,label\na,0\n")
    with pytest.raises(
        UnknownName, match=rf"`{option}` of .* 'lable'\. Did you mean 'label'\? Known: label, text"
    ):
        open_dataset(name, **{option: "lable"})


def test_image_and_text_at_once_are_refused(write_csv):
    with pytest.raises(BadData, match="`image` is 'path' and `text` is 'text'; allowed: one of the two"):
        open_dataset(write_csv("text,path,label\na,b,0\n"), image="path", text="text")


def test_two_columns_of_one_name_are_refused(write_csv):
    with pytest.raises(BadData, match="two columns of one name: text, text, label"):
        open_dataset(write_csv("text,text,label\na,b,0\n"))


def test_a_column_of_another_type_is_refused(write_parquet):
    name = write_parquet({"text": [1, 2], "image": [0.5, 0.6], "label": [0, 1]})
    with pytest.raises(BadData, match=r"Column 'text' .* holds int64; allowed as `text`: strings"):
        open_dataset(name, text="text")
    with pytest.raises(BadData, match=r"Column 'image' .* holds double; allowed as `image`: paths"):
        open_dataset(name, image="image")


# --- labels and class names


def test_integer_classes_are_sorted_as_numbers(write_csv):
    dataset = open_dataset(write_csv("text,label\na,10\nb,9\nc,2\nd,10\n"))
    assert dataset.class_names == ("2", "9", "10")
    assert dataset.given_labels.tolist() == [2, 1, 0, 2]


def test_numbers_with_leading_zeros_are_names(write_csv):
    assert open_dataset(write_csv("text,label\na,10\nb,09\n")).class_names == ("09", "10")


def test_the_word_na_is_a_label(write_csv):
    assert open_dataset(write_csv("text,label\ngood,NA\nnull,yes\n")).class_names == ("NA", "yes")


@pytest.mark.parametrize(
    ("labels", "class_names"),
    [
        ([True, False, True], ("False", "True")),
        ([1.0, 0.0, 1.0], ("0", "1")),
        (pa.array([1, 0, 1], pa.uint8()), ("0", "1")),
        (pa.array(["b", "a", "b"]).dictionary_encode(), ("a", "b")),
        (pa.array(["b", "a", "b"], pa.large_string()), ("a", "b")),
    ],
)
def test_labels_of_other_types_are_understood(write_parquet, labels, class_names):
    dataset = open_dataset(write_parquet({"text": ["x", "y", "z"], "label": labels}))
    assert dataset.given_labels.tolist() == [1, 0, 1]
    assert dataset.class_names == class_names


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a", None, "b", None], r"missing in row 1 .*\(column 'label'; 2 such rows"),
        (["a", "b", "", "b"], "missing in row 2"),
        ([0, 1, 0, None], "missing in row 3"),
        ([0.0, 1.0, float("nan"), 1.0], "missing in row 2"),
        ([[0], [1], [0, 1], [1]], r"holds list<.*>; allowed as labels: integers or texts"),
    ],
)
def test_labels_that_are_none_are_refused(write_parquet, labels, said):
    with pytest.raises(BadData, match=said):
        open_dataset(write_parquet({"text": list("abcd"), "label": labels}))


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
@pytest.mark.parametrize("num_classes", [4, 21])
def test_fractions_are_read_alike_from_parquet_and_csv(write_parquet, tmp_path, kind, num_classes):
    """A few are names of classes, such as versions; many are scores."""
    values = [1 + k / 10 for k in range(num_classes)] * 2
    texts = [f"word {row}" for row in range(len(values))]
    parquet = write_parquet({"text": texts, "label": pa.array(values, kind)})
    lines = [
        f"{text},{value:g}" if value != 1 else f"{text},1.0"
        for text, value in zip(texts, values, strict=True)
    ]
    (tmp_path / "same.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    opened = []
    for name in (parquet, str(tmp_path / "same.csv")):
        if num_classes > 20:
            with pytest.raises(BadData, match="has 21 different numbers with fractions as labels, such as"):
                open_dataset(name)
        else:
            opened.append(open_dataset(name))
        scores = open_dataset(name, task="auto").scores
        np.testing.assert_array_equal(scores, np.round(values, 1))
    assert all(one.class_names == ("1.0", "1.1", "1.2", "1.3") for one in opened)
    assert all(one.given_labels.tolist() == [*range(num_classes)] * 2 for one in opened)


def test_a_sibling_column_names_integer_classes(write_parquet):
    name = write_parquet(
        {
            "text": list("abcd"),
            "label": [3, 5, 5, 3],
            "label_name": ["frog", "cat", "cat", "frog"],
            "human_label": [5, 5, 5, 3],
        }
    )
    assert open_dataset(name).class_names == ("frog", "cat")
    human = open_dataset(name, label="human_label", clean_label="label")
    assert human.class_names == ("frog", "cat")
    assert human.given_labels.tolist() == [1, 1, 1, 0]
    assert human.clean_labels.tolist() == [0, 1, 1, 0]


def test_a_sibling_column_names_classes_of_a_csv_file(write_csv):
    assert open_dataset(write_csv("text,y,y_name\na,1,no\nb,0,yes\n")).class_names == ("yes", "no")


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "a", "a"], ["a", "b", None]])
def test_names_that_are_not_one_to_one_are_left_aside(write_parquet, names):
    dataset = open_dataset(write_parquet({"text": list("xyz"), "label": [0, 1, 1], "label_name": names}))
    assert dataset.class_names == ("0", "1")


def test_names_of_other_classes_are_left_aside(write_parquet):
    columns = {"text": list("xy"), "label": [0, 1], "label_name": ["a", "b"], "stars": [4, 5]}
    assert open_dataset(write_parquet(columns), label="stars").class_names == ("4", "5")


def test_the_hugging_face_header_names_classes(write_parquet):
    header = hf_header(label=["ant", "bee", "cow"])
    columns = {"text": list("xyz"), "label": [2, 0, 2], "again": [0, 0, 2]}
    name = write_parquet(columns, header)
    assert open_dataset(name).class_names == ("ant", "cow")
    assert open_dataset(name, label="again").class_names == ("ant", "cow")


def test_minus_one_among_declared_classes_is_a_missing_label(write_parquet):
    name = write_parquet({"text": list("xyz"), "label": [0, -1, 1]}, hf_header(label=["a", "b"]))
    with pytest.raises(BadData, match=r"The label is missing in row 1 .* 1 such rows of 3"):
        open_dataset(name)
    assert open_dataset(name, missing_label="skip").given_labels.tolist() == [0, 1]


def test_a_label_outside_the_declared_classes_is_named(write_parquet):
    name = write_parquet({"text": list("xyz"), "label": [0, 2, 1]}, hf_header(label=["a", "b"]))
    with pytest.raises(BadData, match=r"Label 2 in row 1 .* outside the classes; allowed: 0 to 1"):
        open_dataset(name)


def test_given_and_clean_labels_share_their_classes(write_csv):
    name = write_csv("text,label,truth\na,cat,dog\nb,cat,emu\n")
    dataset = open_dataset(name, clean_label="truth")
    assert dataset.class_names == ("cat", "dog", "emu")
    assert (dataset.given_labels.tolist(), dataset.clean_labels.tolist()) == ([0, 0], [1, 2])


def test_given_and_clean_labels_of_two_kinds_are_refused(write_csv):
    with pytest.raises(BadData, match=r"columns label, truth of .* mix numbers and texts"):
        open_dataset(write_csv("text,label,truth\na,0,dog\n"), clean_label="truth")


# --- ids


def test_ids_are_rows_of_the_table_by_default(write_csv):
    assert open_dataset(write_csv("text,label\na,0\nb,1\n")).ids.tolist() == ["reviews/0", "reviews/1"]


@pytest.mark.parametrize("column", ["id", "example_id"])
def test_an_id_column_is_used(write_csv, column):
    assert open_dataset(write_csv(f"text,label,{column}\na,0,007\nb,1,x\n")).ids.tolist() == ["007", "x"]


def test_duplicate_ids_are_refused(write_csv):
    with pytest.raises(BadData, match=r"duplicate ids: .*'x'"):
        open_dataset(write_csv("text,label,id\na,0,x\nb,1,x\n"))


def test_a_missing_id_is_named_by_row(write_parquet):
    with pytest.raises(BadData, match=r"id is missing in row 1 .* \(column 'id'\)"):
        open_dataset(write_parquet({"text": ["a", "b"], "label": [0, 1], "id": ["x", None]}))


# --- files


def test_quotes_newlines_and_byte_order_marks_of_csv_are_understood(write_csv):
    dataset = open_dataset(write_csv('text,label\n"a, ""b""\nc",0\n', encoding="utf-8-sig"))
    assert list(dataset.examples) == ['a, "b"\nc']


def test_a_tsv_file_is_split_at_tabs(write_csv):
    assert list(open_dataset(write_csv("text\tlabel\na, b\t0\n", "a.tsv")).examples) == ["a, b"]


def test_blank_lines_of_json_are_passed_over_and_words_stay_words(write_csv):
    name = write_csv('{"text": "2020-01-01", "y": 1}\n\n{"text": "no", "y": 0}\n', "a.jsonl")
    assert list(open_dataset(name).examples) == ["2020-01-01", "no"]


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("", "a.csv", "cannot be read as a table: .*[Ee]mpty"),
        ("text,label\na,0\nb\n", "a.csv", "cannot be read as a table: .*Expected 2 columns, got 1"),
        ("text,label\n", "a.csv", "is empty"),
        ("", "a.jsonl", "is empty"),
        ('{"text": "a", "y": 0}\n{"text"\n', "a.jsonl", "Line 2 of .* is no JSON"),
        ("[1, 2]\n", "a.jsonl", r"Line 1 of .* holds \[1, 2\]; allowed: an object per line"),
        ('{"text": "a", "y": 0}\n{"text": "b", "y": "c"}\n', "a.jsonl", "Column 'y' of .* mixes types"),
        ("not parquet", "a.parquet", r"a\.parquet' cannot be read as Parquet: .*[^.]\. Allowed: a whole"),
    ],
)
def test_broken_files_are_refused(write_csv, text, name, said):
    with pytest.raises(BadData, match=said):
        open_dataset(write_csv(text, name))


def test_a_csv_file_that_is_not_utf8_is_refused(write_csv):
    with pytest.raises(BadData, match=r"is not UTF-8 text: line 2 has the byte 0xe7"):
        open_dataset(write_csv("text,label\nça,0\n", encoding="latin-1"))


def test_a_csv_header_that_is_not_utf8_is_refused(write_csv):
    with pytest.raises(BadData, match=r"reviews\.csv' .*UTF-8"):
        open_dataset(write_csv("çava,label\na,0\n", encoding="latin-1"))


def test_json_lines_that_are_not_utf8_are_refused(write_csv):
    path = write_csv('{"text": "ça", "label": 0}\n', "a.jsonl", encoding="latin-1")
    with pytest.raises(BadData, match=r"a\.jsonl' is not UTF-8 text: line 1 has the byte 0xe7"):
        open_dataset(path)


def test_a_missing_image_file_is_named(write_csv):
    with pytest.raises(MissingFile, match=r"Example 'gone.png' of .*: there is no file '.*gone\.png'"):
        open_dataset(write_csv("path,label\ngone.png,0\n"))


# --- words of empty cells

WORDS = ["nan", "NaN", "N/A", "null", "None", "<NA>", " NA ", "NaT", "?"]


@pytest.mark.parametrize("word", WORDS)
def test_words_of_empty_cells_stay_texts_with_a_note(write_csv, word):
    dataset = open_dataset(write_csv(f"text,label\nnone of it works,0\n{word},1\nnull and void,0\nfine,1\n"))
    assert list(dataset.examples)[1] == word
    (note,) = dataset.notes
    assert note.startswith("Texts of /")
    assert note.endswith(
        f"reviews.csv that read like empty cells, and are encoded as they are: 1 ({word!r} in 'reviews/1'). "
        "Next: where a text is missing, leave the cell empty, and the example out (--on-error skip)."
    )


def test_the_first_words_of_empty_cells_are_named_and_the_others_counted(write_parquet):
    texts = [f"good {row} bad" for row in range(12)] + ["nan"] * 7
    (note,) = open_dataset(write_parquet({"text": texts, "label": [0, 1] * 9 + [0]})).notes
    assert "and are encoded as they are: 7 ('nan' in 'table/12', " in note
    assert "'nan' in 'table/16' and 2 more). Next: where a text is missing" in note


def test_a_word_of_an_empty_cell_in_a_pair_is_noted(write_csv):
    rows = "question1,question2,label\nwhy?,how so,0\nwhere,nan,1\nwho,he,0\nwhen,now,1\n"
    (note,) = open_dataset(write_csv(rows)).notes
    assert "'nan' in 'reviews/1'" in note


def test_texts_that_are_mostly_words_of_empty_cells_are_refused(write_csv):
    rows = "text,label\nnan,0\nN/A,1\nnan,0\ngood,1\n"
    with pytest.raises(
        BadData, match=r"Most texts of '.*reviews.csv' read like empty cells: 3 \('nan' in .*, of 4 texts"
    ):
        open_dataset(write_csv(rows))


# --- Parquet


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([{"bytes": b, "path": "x.png"} for b in pictures()], IMAGE_STRUCT),
        pa.array(pictures(), pa.binary()),
        pa.array(pictures(), pa.large_binary()),
        pa.array([f"{row}.png" for row in range(4)]),
        pa.array([{"bytes": None, "path": f"{row}.png"} for row in range(4)], IMAGE_STRUCT),
    ],
)
def test_images_may_be_structs_bytes_or_paths(tmp_path, write_parquet, cells):
    for row, content in enumerate(pictures()):
        (tmp_path / f"{row}.png").write_bytes(content)
    dataset = open_dataset(write_parquet({"image": cells, "label": [0, 1, 0, 1]}))
    assert [image.getpixel((0, 0)) for image in dataset.examples] == list(COLOURS)


BYTES = [
    pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int8(), pa.binary()), pa.string_view()
]  # fmt: skip


@pytest.mark.parametrize("kind", BYTES)
def test_bytes_that_spell_texts_are_texts_in_every_column(write_parquet, kind):
    """Hive, Impala and old Spark write texts so, without a mark that they are UTF-8."""
    columns = {
        "id": ["a", "b", "c", "d"],
        "text": ["good", "größe", "BMW is a car", "P6 is a size"],
        "label": ["x", "y", "x", "y"],
    }
    as_bytes = {name: pa.array(texts, pa.string()).cast(kind) for name, texts in columns.items()}
    found = open_dataset(write_parquet(as_bytes))
    plain = open_dataset(write_parquet(columns))
    assert list(found.examples) == columns["text"]
    assert (found.kind, found.class_names) == ("text", ("x", "y"))
    assert found.ids.tolist() == columns["id"]
    assert found.fingerprint == plain.fingerprint
    named = open_dataset(write_parquet(as_bytes | {"other": as_bytes["id"]}), text="text")
    assert list(named.examples) == columns["text"]


def test_bytes_that_spell_texts_are_found_by_the_name_of_their_column(write_parquet):
    texts = pa.array([b"good", None, b"bad"])
    assert open_dataset(write_parquet({"review": texts, "y": [0, 1, 0]}), on_error="skip").kind == "text"
    with pytest.raises(BadData, match=r"no obvious image or text column. Its columns: payload, y"):
        open_dataset(write_parquet({"payload": texts, "y": [0, 1, 0]}))
    pairs = {"sentence1": pa.array([b"a", b"b"]), "sentence2": pa.array([b"c", b"d"]), "y": [0, 1]}
    assert open_dataset(write_parquet(pairs)).examples[0] == ("a", "c")


def test_bytes_that_are_paths_lead_to_images(tmp_path, write_parquet):
    for row, content in enumerate(pictures()):
        (tmp_path / f"{row}.png").write_bytes(content)
    paths = pa.array([f"{row}.png".encode() for row in range(4)])
    dataset = open_dataset(write_parquet({"image": paths, "label": [0, 1, 0, 1]}))
    assert [image.getpixel((0, 0)) for image in dataset.examples] == list(COLOURS)
    assert dataset.ids.tolist() == [f"{row}.png" for row in range(4)]


def test_encoded_images_that_are_ascii_stay_images(write_parquet):
    grey = b"P2\n1 1\n255\n7\n"
    assert open_dataset(write_parquet({"text": pa.array([grey, grey]), "label": [0, 1]})).kind == "image"


def test_a_later_text_that_is_not_utf8_is_named(write_parquet):
    texts = pa.array([b"good"] * 200 + [b"\xff\xfe"])
    name = write_parquet({"text": texts, "label": [0] * 201})
    with pytest.raises(BadData, match=r"Example 'table/200' of .* cannot be read: the text is not UTF-8"):
        open_dataset(name)
    assert len(open_dataset(name, on_error="skip")) == 200
    labels = pa.array([b"a"] * 200 + [b"\xff"])
    with pytest.raises(BadData, match=r"column 'label' .*not UTF-8"):
        open_dataset(write_parquet({"text": ["good"] * 201, "label": labels}))


def test_encoded_images_win_over_columns_of_paths_and_texts(write_parquet):
    columns = {
        "photo": pa.array(pictures(), pa.binary()),
        "path": list("abcd"),
        "text": list("abcd"),
        "y": [0] * 4,
    }
    assert open_dataset(write_parquet(columns)).examples[1].getpixel((0, 0)) == (0, 255, 0)


def test_the_same_rows_have_the_same_fingerprint_however_they_are_stored(write_csv, write_parquet):
    parquet = open_dataset(write_parquet({"text": ["a", "b"], "label": ["x", "y"]}))
    csv = open_dataset(write_csv("text,label\na,x\nb,y\n", name="table.csv"))
    assert parquet.ids.tolist() == csv.ids.tolist()
    assert parquet.fingerprint == csv.fingerprint


@pytest.mark.parametrize("block_bytes", [1, 200, 1 << 20])
@pytest.mark.parametrize("row_group_size", [1, 7, 50])
def test_rows_are_found_in_any_order_whatever_the_blocks(write_parquet, block_bytes, row_group_size):
    texts = [f"text {row}" for row in range(50)]
    path = write_parquet({"text": texts, "label": [0] * 50}, row_group_size=row_group_size)
    reader = ParquetReader(Path(path), "text", block_bytes=block_bytes)
    order = np.random.default_rng(0).permutation(50)
    assert [reader.read(int(row)) for row in order] == [texts[row] for row in order]
    assert [reader.read(row) for row in range(50)] == texts


def test_only_a_few_blocks_are_kept(write_parquet):
    path = Path(write_parquet({"text": ["x" * 1000] * 400, "label": [0] * 400}, row_group_size=400))
    reader = ParquetReader(path, "text", block_bytes=1)
    for row in range(400):
        reader.read(row)
        assert sum(map(len, reader._kept.values())) <= 4


def test_threads_read_the_same_rows(write_parquet):
    texts = [f"text {row}" for row in range(500)]
    dataset = open_dataset(write_parquet({"text": texts, "label": [0] * 500}, row_group_size=64))
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(dataset.examples.__getitem__, range(500))) == texts


def test_cifar10_opens_with_human_labels_and_names(shared_data):
    dataset = open_dataset(
        str(shared_data / "cifar10" / "train.parquet"), label="human_label_random1", clean_label="label"
    )
    assert len(dataset) == 50_000
    assert dataset.class_names[6] == "frog"
    assert (dataset.given_labels != dataset.clean_labels).mean() == pytest.approx(0.172, abs=0.001)
    assert dataset.examples[49_999].size == (32, 32)


def test_sst2_opens_as_text(shared_data):
    dataset = open_dataset(str(shared_data / "sst2" / "dev.parquet"))
    assert (dataset.kind, len(dataset), dataset.examples[0]) == ("text", 872, "one long string of cliches")


def test_labels_of_a_file_that_arrow_reads_in_pieces_stay_in_order(write_csv):
    # Over 1 MiB the reader works in blocks, each with its own first label.
    labels = ["late" if row >= 5000 else "early" for row in range(10_000)]
    filler = "x" * 300
    name = write_csv("text,label\n" + "".join(f"{row} {filler},{y}\n" for row, y in enumerate(labels)))
    dataset = open_dataset(name)
    assert [dataset.class_names[label] for label in dataset.given_labels] == labels
    assert dataset.examples[9999].startswith("9999 x")


def test_cifar100_opens_by_its_fine_labels(write_parquet):
    """As the hub has it: two columns of labels, a hundred and twenty names."""
    columns = {
        "img": [{"bytes": png((shade, 0, 0)), "path": None} for shade in (1, 2, 3)],
        "fine_label": [99, 0, 41],
        "coarse_label": [14, 4, 0],
    }
    fine, coarse = [f"fine {number}" for number in range(100)], [f"coarse {number}" for number in range(20)]
    name = write_parquet(columns, hf_header(fine_label=fine, coarse_label=coarse))
    dataset = open_dataset(name, label="fine_label")
    named = [dataset.class_names[label] for label in dataset.given_labels]
    assert named == ["fine 99", "fine 0", "fine 41"]
    with pytest.raises(BadData, match=r"Its columns: img, fine_label, coarse_label. Next: name one"):
        open_dataset(name)
