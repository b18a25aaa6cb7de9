import hashlib
import json
import pickletools

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from noiseproof import LinearProbe, MLPProbe, NMTune
from noiseproof.core.errors import CheckpointMismatch, DamagedFile, InvalidArgument, MissingFile, UnknownName
from noiseproof.heads import saved_heads
from noiseproof.heads.estimators import load_head
from rewritten import rewritten

HEADS = [
    LinearProbe(epochs=2, seed=1),
    MLPProbe(epochs=2, batch_norm=True, hidden_layers=2, dropout=0.1),
    NMTune(epochs=2, residual=True, num_singular_values=3, max_steps=20),
]


def blobs():
    labels = np.arange(40) % 4
    return np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32) + np.eye(4, 5)[labels] * 3, labels


def saved(tmp_path, head=HEADS[0]):
    features, labels = blobs()
    return head.fit(features, labels), head.save(tmp_path / "head")


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
@pytest.mark.parametrize("names", [[3, 1, 2, 0], ["d", "a", "c", "b"], [0.0, 1.0, 5.0, 3.0]])
def test_round_trip_keeps_every_bit(head, names, tmp_path):
    features, labels = blobs()
    head.fit(features, np.array(names)[labels])
    path = head.save(tmp_path / "deep" / "head")
    assert path == tmp_path / "deep" / "head.safetensors"
    for name in ("head", "head.safetensors"):
        back = load_head(tmp_path / "deep" / name)
        assert type(back) is type(head)
        assert back.get_params() == head.get_params()
        assert back.classes_.tolist() == head.classes_.tolist()
        assert back.classes_.dtype == head.classes_.dtype
        assert back.predict_proba(features).tobytes() == head.predict_proba(features).tobytes()
        assert back.predict(features).tolist() == head.predict(features).tolist()
    assert type(head).load(path).get_params() == head.get_params()


def test_a_name_with_dots_is_kept(tmp_path):
    head, _ = saved(tmp_path)
    assert head.save(tmp_path / "nmtune-lr0.01").name == "nmtune-lr0.01.safetensors"
    assert load_head(tmp_path / "nmtune-lr0.01").n_features_in_ == 5


def test_labels_that_are_python_strings_are_kept(tmp_path):
    features, labels = blobs()
    names = np.array(["zebra", "ant", "é", ""], dtype=object)[labels]
    head = LinearProbe(epochs=1).fit(features, names)
    back = load_head(head.save(tmp_path / "head"))
    assert back.predict(features).tolist() == head.predict(features).tolist()


def test_options_of_numpy_types_are_kept(tmp_path):
    features, labels = blobs()
    head = MLPProbe(epochs=2).set_params(learning_rate=np.float32(0.5))
    head.fit(features, labels)
    head.epochs = np.int64(2)  # as a grid search sets it
    back = load_head(head.save(tmp_path / "head"))
    assert (back.epochs, back.learning_rate) == (2, 0.5)


def test_files_hold_no_pickle(tmp_path):
    _, path = saved(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["head.json", "head.safetensors"]
    content = path.read_bytes()
    assert not content.startswith((b"\x80", b"PK"))
    with pytest.raises(ValueError, match=r"opcode|pickle"):
        list(pickletools.genops(content))
    assert set(load_file(path)) == {"classify.weight", "classify.bias"}
    assert json.loads(path.with_suffix(".json").read_text())["head"] == "linear"


def test_same_head_is_the_same_bytes(tmp_path):
    _, one = saved(tmp_path / "one")
    _, other = saved(tmp_path / "other")
    assert one.read_bytes() == other.read_bytes()
    assert one.with_suffix(".json").read_bytes() == other.with_suffix(".json").read_bytes()


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_missing_file_is_named(suffix, tmp_path):
    _, path = saved(tmp_path)
    path.with_suffix(suffix).unlink()
    with pytest.raises(MissingFile, match=rf"head\{suffix}' does not exist"):
        load_head(path)


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_truncated_file_is_named(keep, tmp_path):
    _, path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DamagedFile, match=r"head\.safetensors' is damaged: .*Next: fit and save it again"):
        load_head(path)


def test_an_altered_number_is_noticed(tmp_path):
    _, path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DamagedFile, match=r"head\.safetensors' is damaged: its SHA-256"):
        load_head(path)


@pytest.mark.parametrize("text", ["", "{", "\xff\xfe"])
def test_a_json_that_cannot_be_read_is_named(text, tmp_path):
    _, path = saved(tmp_path)
    path.with_suffix(".json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DamagedFile, match="is damaged"):
        load_head(path)


@pytest.mark.parametrize("text", ["{}", "[]", '{"head": "linear"}', "3"])
def test_a_json_that_describes_no_head_is_named(text, tmp_path):
    _, path = saved(tmp_path)
    path.with_suffix(".json").write_text(text)
    with pytest.raises(DamagedFile, match=r"head\.json' is damaged: .*(Field required|valid dictionary)"):
        load_head(path)


def test_a_checkpoint_that_does_not_fit_lists_its_keys(tmp_path):
    _, path = saved(tmp_path)
    tensors = load_file(path)
    del tensors["classify.bias"]
    save_file(tensors | {"reshape.surprise": tensors["classify.weight"][:2].clone()}, path)
    rewritten(path.with_suffix(".json"), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(
        CheckpointMismatch,
        match=r"does not fit LinearProbe: missing \['classify\.bias'\], unexpected \['reshape\.surprise'\]",
    ):
        load_head(path)


def test_a_checkpoint_of_other_shapes_lists_both(tmp_path):
    _, path = saved(tmp_path)
    rewritten(path.with_suffix(".json"), num_features=6)
    with pytest.raises(
        CheckpointMismatch, match=r"other shapes \['classify\.weight \(4, 5\) for \(4, 6\)'\]"
    ):
        load_head(path)


def test_an_unknown_head_is_answered_with_the_known_ones(tmp_path):
    _, path = saved(tmp_path)
    rewritten(path.with_suffix(".json"), head="nmtun")
    with pytest.raises(UnknownName, match=r"Unknown head 'nmtun'\. Did you mean 'nmtune'"):
        load_head(path)


def test_load_on_another_class_says_what_it_found(tmp_path):
    _, path = saved(tmp_path)
    with pytest.raises(InvalidArgument, match=r"allowed: a saved NMTune\. The file holds a head 'linear'"):
        NMTune.load(path)


def test_labels_that_json_cannot_hold_are_refused(tmp_path):
    head, _ = saved(tmp_path)
    head.classes_ = np.array([("a",), None, 1, 2], dtype=object)
    with pytest.raises(InvalidArgument, match=r"`classes_` is .*allowed: strings or numbers"):
        head.save(tmp_path / "other")
    assert not (tmp_path / "other.safetensors").exists()


def test_a_head_saved_over_another_is_never_a_mixture(tmp_path, monkeypatch):
    """A crash between the two files is noticed, not loaded."""
    features, labels = blobs()
    _, path = saved(tmp_path)
    other = LinearProbe(epochs=2, seed=9).fit(features, labels)
    monkeypatch.setattr(saved_heads, "write_record", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        other.save(path)
    with pytest.raises(DamagedFile, match=r"head.safetensors' is damaged: its SHA-256"):
        load_head(path)


def test_a_head_of_another_schema_is_told_what_to_do(tmp_path):
    _, path = saved(tmp_path)
    rewritten(path.with_suffix(".json"), schema=0)
    with pytest.raises(DamagedFile, match=r"has schema 0; this version .* reads schema 1\. Next: fit"):
        load_head(path)


def test_names_of_columns_are_kept(tmp_path):
    features, labels = blobs()
    frame = pd.DataFrame(features, columns=list("abcde"))
    head = LinearProbe(epochs=1).fit(frame, labels)
    back = load_head(head.save(tmp_path / "head"))
    assert back.predict(frame).tolist() == head.predict(frame).tolist()
    with pytest.raises(ValueError, match="same order as they were in fit"):
        back.predict(frame[list("edcba")])


def test_a_name_too_few_is_damage(tmp_path):
    _, path = saved(tmp_path)
    rewritten(path.with_suffix(".json"), feature_names=["a"])
    with pytest.raises(DamagedFile, match=r"head\.json' has 1 names of columns for 5 columns"):
        load_head(path)
