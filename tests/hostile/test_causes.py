"""One small input for each cause that once ended in a traceback or in a hang."""

import errno
import json
import os
import struct
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from in_process import Refused, noiseproof

from noiseproof import LinearProbe
from noiseproof.adapt.selection import read_validations
from noiseproof.config.data import default_cache
from noiseproof.config.values import parse_overrides, read_yaml
from noiseproof.core.errors import MAX_MESSAGE, BadData, DamagedFile, InvalidArgument, UnknownName, invalid
from noiseproof.core.storage.json_text import BadJson, parse_json
from noiseproof.core.storage.yaml_text import BadYaml, parse_yaml, read_yaml_file
from noiseproof.core.system_errors import as_sentence
from noiseproof.data.formats.probabilities import read_probabilities
from noiseproof.data.sources import open_dataset
from noiseproof.export.issue_files import load_issues, write_issues
from noiseproof.features.store import load_features
from noiseproof.heads.estimators import load_head
from noiseproof.noise.class_maps import read_class_map
from noiseproof.noise.transition import read_transition
from noiseproof.pretrain.pretrain_settings import read_recipe
from noiseproof.study.recipe import load_recipe
from noiseproof.study.rows import read_rows

SCALARS = [
    ("0x_", r"line 1, column 4: '0x_' is no value of the kind 'int'"),
    ('!!int "x"', r"'x' is no value of the kind 'int'"),
    ("9" * 5000, r"'9{37}\.\.\.' is no value of the kind 'int'"),
    ("0x" + "f" * 5000, "the whole number '0xf.* has more than 64 bits"),
    ("9223372036854775808", "the whole number '9223372036854775808' has more than 64 bits"),
    ("[" * 2000, "it is nested deeper than 100 levels"),
    ("!!binary x", "the tag 'tag:yaml.org,2002:binary' is not known here"),
    ("!!python/object:os.system x", "the tag .* is not known here"),
    ('"\\ud800"', "half a character"),
    ("{x: 1, x: 2}", "line 1, column 11: the key 'x' comes twice"),
    ("<<", "no value of the kind|could not determine"),
    ("\x00", "special characters are not allowed"),
]


# --- YAML: --config, --set, recipes, class maps


@pytest.mark.parametrize(("text", "message"), SCALARS)
def test_a_scalar_that_is_none_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "f.yaml"
    path.write_text(f"a: {text}\n")
    with pytest.raises(BadYaml, match=message):
        read_yaml_file(path)
    for read in (
        lambda: read_yaml(path, argument="config"),
        lambda: read_class_map(str(path)),
        lambda: read_recipe(str(path)),
        lambda: load_recipe(path),
    ):
        with pytest.raises(InvalidArgument, match=r"not (YAML|a recipe)") as caught:
            read()
        assert len(str(caught.value)) <= MAX_MESSAGE


def test_a_value_of_set_that_is_none_is_a_mistake_in_the_list():
    mistakes = []
    parse_overrides([f"a={text}" for text, _ in SCALARS if text not in ("\x00", "<<")], {}, mistakes)
    assert len(mistakes) == len(SCALARS) - 2
    assert all("which is not YAML (line 1" in one or "half a character" in one for one in mistakes)


@pytest.mark.parametrize("text", ["2024-02-30", "2024-02-28", "1e-3", "0o9", "yes: no"])
def test_a_date_is_a_text_and_a_learning_rate_a_number(text):
    assert type(parse_yaml(text)) in (str, float, dict)


def test_a_file_that_is_not_utf_8_or_may_not_be_read_is_no_yaml(tmp_path):
    (tmp_path / "f.yaml").write_bytes(b"a: \xff")
    with pytest.raises(BadYaml, match="byte 3 is not UTF-8"):
        read_yaml_file(tmp_path / "f.yaml")
    with pytest.raises(BadYaml, match=r"it cannot be read \(No such file"):
        read_yaml_file(tmp_path / "none.yaml")


def test_a_recipe_without_training_is_refused(tmp_path):
    recipe = {
        "name": "x", "claim": "x", "source": "x", "command": "x", "minutes": 1, "hardware": "x", "needs": "x",
        "expected": "x", "backbones": ["features:"], "tasks": {"t": {"train": "t.npz"}},
        "heads": {"linear": {}},
        "noise": [],
    }  # fmt: skip
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    with pytest.raises(Refused, match=r"`noise` is .*; allowed: .*at least 1 item"):
        noiseproof(["study", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "o"), "--plan"])


# --- JSON and JSON lines


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a", "label": 9223372036854775808}', "the whole number 9223372036854775808 has more than"),
        (f'{{"text": "a", "label": {"9" * 5000}}}', "has more than 64 bits"),
        ('{"text": "\\ud800", "label": 1}', r"half a character \(a lone surrogate, '\\ud800'\)"),
        (f'{{"text": {"[" * 2000}{"]" * 2000}, "label": 1}}', "it is nested deeper than 100 levels"),
        (f'{{"text": {"[" * 100_000}', "it is nested deeper than 100 levels|no JSON"),
        ("[1]", "allowed: an object per line"),
    ],
)
def test_a_line_of_json_that_no_column_holds_is_named(tmp_path, line, message):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a", "label": 0}\n' + line + "\n")
    with pytest.raises(BadData, match=rf"Line 2 of .*{message}"):
        open_dataset(str(path))


def test_json_has_no_nan_except_where_it_is_allowed():
    with pytest.raises(BadJson, match="NaN is no number of JSON"):
        parse_json("[NaN]")
    assert np.isnan(parse_json("[NaN]", allows_nan=True)[0])
    with pytest.raises(BadJson, match="byte 0 is not UTF-8"):
        parse_json(b"\xff")


@pytest.fixture
def head(tmp_path):
    LinearProbe(max_steps=1).fit(np.eye(2, dtype=np.float32), ["a", "b"]).save(tmp_path / "h")
    facts = json.loads((tmp_path / "h.json").read_text())
    facts.pop("checksum")  # as of a file that somebody edits
    return tmp_path / "h", facts


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"classes_dtype": "<V1"}, DamagedFile, "classes_dtype: String should match"),
        ({"classes_dtype": "int64"}, DamagedFile, "is damaged"),
        ({"classes": [{}]}, DamagedFile, "classes.0"),
        ({"num_features": "2x"}, DamagedFile, "num_features: Input should be a valid integer"),
        ({"options": [1]}, DamagedFile, "options: Input should be a valid dictionary"),
        ({"options": {"epohcs": 1}}, UnknownName, r"'epohcs'\. Did you mean 'epochs'\?"),
        ({"head": "liner"}, UnknownName, r"'liner'\. Did you mean 'linear'\?"),
        ({"schema": 9}, DamagedFile, "has schema 9; this version of noiseproof reads schema 1"),
        ({"schema": True}, DamagedFile, "has schema True; this version"),
    ],
)
def test_a_head_with_one_value_changed_is_named(head, changes, error, message):
    path, facts = head
    path.with_suffix(".json").write_text(json.dumps(facts | changes))
    with pytest.raises(error, match=message):
        load_head(path)


def test_a_damaged_line_of_validations_is_named(tmp_path):
    path = tmp_path / "validation.jsonl"
    for line, message in (
        ("[]", "is damaged: it is no object"),
        ('{"step": "x", "accuracy": 1}', "step: Input should be a valid integer"),
        ('{"step": 1, "accuracy": 2}', "accuracy: Input should be less than or equal to 1"),
        ('{"schema": 2, "step": 1, "accuracy": 1}', "has schema 2; this version"),
        ("{", "it is no JSON"),
    ):
        path.write_text('{"step": 0, "accuracy": 0.5}\n' + line + "\n")
        with pytest.raises(DamagedFile, match=rf"'line 2 of .*validation.jsonl' .*{message}"):
            read_validations(path, next_step="start again")


def test_a_row_of_a_study_with_another_schema_or_type_is_named(tmp_path):
    path = tmp_path / "study.jsonl"
    row = {"row": "map", "cell": "a", "asked": "b", "backbone": "x", "layer": None, "task": "t"}
    for changes, message in (
        ({"schema": 7}, "has schema 7; this version"),
        ({}, "Field required"),
        ({"row": 1}, "1"),
    ):
        path.write_text(json.dumps(row | changes) + "\n")
        with pytest.raises(DamagedFile, match=message):
            read_rows(path)


def test_feature_manifests_with_numbers_for_texts_are_named(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"key": 1, "components": [], "shards": []}))
    with pytest.raises(DamagedFile, match=r"manifest.json' is damaged: key: Input should be a valid string"):
        load_features(tmp_path)


def test_a_summary_of_issues_that_fits_no_table_is_named(tmp_path):
    from noiseproof.detect.find_issues import find_label_issues

    features = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    write_issues(find_label_issues(features, list("ab") * 10, method="neighbours", seed=0), tmp_path)
    facts = json.loads((tmp_path / "label_issues.json").read_text())
    facts.pop("checksum")
    (tmp_path / "label_issues.json").write_text(json.dumps(facts | {"classes": [{"given_label": "z"}]}))
    with pytest.raises(
        DamagedFile, match=r"label_issues.parquet' is damaged: it does not fit label_issues.json"
    ):
        load_issues(tmp_path)


# --- Parquet


def save_table(path, label, header=None):
    table = pa.table({"text": ["a"] * 4, "label": label})
    if header is not None:
        table = table.replace_schema_metadata({"huggingface": header})
    pq.write_table(table, path)
    return str(path)


def test_damaged_pages_are_named(tmp_path):
    path = tmp_path / "t.parquet"
    save_table(path, [0, 1, 0, 1])
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)
    path.write_bytes(content)
    with pytest.raises(
        BadData, match=r"t.parquet' cannot be read as Parquet: .*Allowed: a whole Parquet file"
    ):
        open_dataset(str(path))


HEADERS = [
    b"null", b"[]", b"3", b"{", b"\xff", b'{"info": null}',
    b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": 3}}}}',
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
def test_a_hugging_face_header_of_another_form_is_passed_over(tmp_path, header):
    dataset = open_dataset(save_table(tmp_path / "t.parquet", [0, 1, 0, 1], header))
    assert dataset.class_names == ("0", "1")


def test_a_struct_as_label_is_named(tmp_path):
    with pytest.raises(
        BadData, match=r"Column 'label' .* holds struct<.*>; allowed as labels: integers or texts"
    ):
        open_dataset(save_table(tmp_path / "t.parquet", [{"a": 1}] * 4))


# --- arrays


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(4, complex), r"f.npz: labels' holds complex128; allowed: whole numbers"),
        (np.zeros(4, [("a", int)]), "holds .*; allowed: whole numbers"),
        (np.zeros(4, "M8[s]"), "holds datetime64"),
        (np.array([b"\xff"] * 4), "has the bytes .* which are not UTF-8"),
        (np.full(4, 0xD800, np.uint32).view("<U1"), "a text has a character that Unicode does not have"),
        (np.array(1), "has shape"),
        (np.zeros((4, 0), int), r"has shape \(4, 0\); allowed: one label per example, \(n,\)"),
        (np.zeros((4, 3, 2), int), r"has shape \(4, 3, 2\)"),
    ],
)
def test_labels_of_a_strange_type_are_named(tmp_path, labels, message):
    np.savez(tmp_path / "f.npz", features=np.eye(4), labels=labels)
    with pytest.raises(BadData, match=message):
        open_dataset(str(tmp_path / "f.npz"))


def test_probabilities_with_too_few_names_are_named(tmp_path):
    np.savez(tmp_path / "f.npz", features=np.eye(4), labels=[0, 1, 0, 1])
    np.savez(tmp_path / "p.npz", probs=np.ones((4, 1)), class_names=["0", "1"])
    with pytest.raises(BadData, match="has 1 columns and 2 class names; they must agree"):
        read_probabilities(tmp_path / "p.npz", open_dataset(str(tmp_path / "f.npz")))


def test_long_doubles_are_numbers(tmp_path):
    np.savez(tmp_path / "f.npz", features=np.eye(4), labels=np.arange(4).astype(np.longdouble))
    assert open_dataset(str(tmp_path / "f.npz")).class_names == ("0", "1", "2", "3")


def test_a_damaged_member_is_named(tmp_path):
    path = tmp_path / "f.npz"
    np.savez_compressed(path, features=np.random.default_rng(0).normal(size=(9, 9)), labels=np.arange(9))
    content = bytearray(path.read_bytes())
    content[80:120] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(
        BadData, match=r"f.npz' cannot be read: .* Allowed: an NPZ of numeric and text arrays"
    ):
        open_dataset(str(path))


@pytest.mark.parametrize("end", [0, 3, 9, 40, 100, 130])
def test_a_truncated_matrix_is_named(tmp_path, end):
    path = tmp_path / "m.npy"
    np.save(path, np.eye(3))
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises((BadData, InvalidArgument), match=r"m.npy' cannot be read|holds no matrix"):
        read_transition(path)


# --- names, permissions, the system


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda folder: (folder / "a").symlink_to("a") or "a/x",
            "while 'a' is a symbolic link that leads to no file",
        ),
        (lambda folder: "x" * 300, "too long|255 bytes"),
        (lambda folder: "a\udcff", "is not UTF-8"),
    ],
)
def test_an_out_folder_of_a_strange_name_is_named(tmp_path, monkeypatch, make, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("text,label\n" + "a,x\nb,y\n" * 4)
    out = make(tmp_path)
    with pytest.raises(Refused, match=message) as caught:
        noiseproof(["corrupt", "t.csv", "--noise", "symmetric:0.2", "--out", out])
    assert len(str(caught.value)) <= MAX_MESSAGE


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_names_of_files_that_are_not_utf_8_are_named(tmp_path):
    for name in (b"a", b"b"):
        folder = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118 (bytes)
        os.mkdir(folder)  # noqa: PTH102 (bytes)
        with open(os.path.join(folder, b"\xff.png"), "wb"):  # noqa: PTH118, PTH123 (bytes)
            pass
    with pytest.raises(
        InvalidArgument, match=r"A name in the folder .* is '\\udcff.png', which is not UTF-8"
    ):
        open_dataset(str(tmp_path))


def as_nobody(read):
    """The error of `read` in a process without the rights of root, as text."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setuid(65534)
            read()
            text = "no error"
        except BaseException as error:  # noqa: BLE001 (the parent reads it)
            text = f"{type(error).__name__}: {as_sentence(error) or repr(error)}"
        os.write(send, text.encode())
        os._exit(0)
    os.close(send)
    os.waitpid(child, 0)
    with os.fdopen(receive) as file:
        return file.read()


@pytest.mark.skipif(not hasattr(os, "fork") or os.getuid() != 0, reason="needs root, to give up its rights")
def test_a_file_without_permission_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,label\na,x\nb,y\n")
    open_dataset(str(path))
    path.chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:  # pytest's own, which only their owner may enter
            folder.chmod(folder.stat().st_mode | 0o055)
    assert as_nobody(lambda: open_dataset(str(path))).startswith(("BadData", "PermissionError: '"))
    assert as_nobody(lambda: read_yaml(path, argument="config")).startswith(("InvalidArgument", "BadData"))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            errno.EACCES,
            r"'x' cannot be opened \(.*\); allowed: files and folders that you may read. Next: chan",
        ),
        (errno.ELOOP, "whose symbolic links end somewhere"),
        (errno.ENAMETOOLONG, "names of at most 255 bytes"),
    ],
)
def test_what_the_system_refuses_is_a_sentence(number, message):
    sentence = as_sentence(OSError(number, os.strerror(number), "x"))
    with pytest.raises(type(sentence), match=message):
        raise sentence
    assert as_sentence(OSError("no number")) is None
    assert as_sentence(KeyError("x")) is None
    with pytest.raises(BadData, match="There is not enough memory"):
        raise as_sentence(MemoryError())


def test_without_a_home_folder_the_store_is_to_be_named(monkeypatch):
    import pwd

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("NOISEPROOF_CACHE", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(InvalidArgument, match=r"HOME is not set.*Next: set HOME, or name the folder"):
        default_cache()
    monkeypatch.setenv("NOISEPROOF_CACHE", "store")
    assert str(default_cache()) == "store"


# --- messages


def test_a_message_is_cut_in_the_middle():
    error = BadData(f"The file {'x' * 5000} is damaged. Next: make it again.")
    assert MAX_MESSAGE - 50 < len(str(error)) <= MAX_MESSAGE
    assert str(error).startswith("The file xxx")
    assert str(error).endswith("xx is damaged. Next: make it again.")
    with pytest.raises(InvalidArgument, match=r"`limit` is 'x+ \[\.\.\.\] x+'; allowed: a number") as caught:
        raise invalid("limit", "x" * 10_000, "a number")
    assert len(str(caught.value)) < 300
    assert "a int" in str(invalid("limit", 1 << 20_000, "a number"))


def test_a_tar_file_with_a_strange_header_is_named(tmp_path):
    (tmp_path / "0.tar").write_bytes(b"x" * 100 + struct.pack("412s", b""))
    with pytest.raises(BadData, match=r"The shard .* cannot be read"):
        open_dataset(str(tmp_path / "0.tar"))
