import numpy as np
import pytest
from blobs import save_blobs
from PIL import Image

from noiseproof.core.errors import BadData, InvalidArgument, UnknownName
from noiseproof.pipelines.inputs.data_notes import notes
from noiseproof.pipelines.inputs.inputs import open_parts, short_name


def save_table(path, columns, num_rows=12):
    """A table whose label columns all hold the same; its images stay unread."""
    lines = [",".join(["file_name", *columns])]
    for row in range(num_rows):
        Image.new("RGB", (8, 8), (20 * row, 0, 0)).save(path.with_name(f"{row}.png"))
        lines.append(",".join([f"{row}.png", *(["cat", "dog"][row % 2] for _ in columns)]))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("/data/cifar10/test.parquet", "test.parquet"),
        ("torchvision:CIFAR10/test", "CIFAR10/test"),
        ("idx:/usr/share/datasets/fashion-mnist/test", "fashion-mnist/test"),
        ("suite:dtd/test", "dtd/test"),
        ("shift:fog-3:/data/cifar10/test.parquet", "test.parquet + fog-3"),
        ("shift:blur:shift:fog-3:sklearn:digits", "digits + fog-3 + blur"),
    ],
)
def test_tables_name_data_sets_without_their_folders(name, short):
    assert short_name(name) == short


def test_corrupted_copies_are_out_of_domain_sets_under_either_spelling(configured, tmp_path):
    train = save_table(tmp_path / "t.csv", ["label"])
    parts = open_parts(configured(train=train, test=train, ood=[f"shift:fog-3:{train}"], shifts=["fog-3"]))
    shifted, named = parts.tests[1:]
    assert short_name(named.name) == shifted.name == "t.csv + fog-3"
    assert shifted.dataset.fingerprint == named.dataset.fingerprint


def test_views_are_of_the_training_part_only(configured, tmp_path):
    train = save_table(tmp_path / "t.csv", ["label"])
    parts = open_parts(configured(train=train, ood=[], views=2), views=2)
    assert len({view.fingerprint for view in parts.views}) == 2
    for view in parts.views:
        assert view.ids.tolist() == parts.train.dataset.ids.tolist()
        assert len(view) < len(parts.train.whole)
        assert view in parts.to_extract


def test_note_says_that_an_evaluation_set_is_the_training_set(configured, blobs):
    said = f"{blobs} #2 has the same examples as the training set: it tests nothing new."
    for changed in ({"test": str(blobs), "ood": []}, {"ood": [str(blobs)]}):
        config = configured(**changed)
        assert said in notes(config, open_parts(config))
    config = configured()
    assert not any("nothing new" in note for note in notes(config, open_parts(config)))


def test_note_says_that_two_evaluation_sets_are_one(configured, other_blobs):
    config = configured(ood=[str(other_blobs), str(other_blobs)])
    assert any(
        "same examples as" in note and "count it twice" in note for note in notes(config, open_parts(config))
    )


def test_notes_say_whose_true_labels_are_not_known(configured, tmp_path):
    train = save_table(tmp_path / "t.csv", ["label", "true"])
    other = save_table(tmp_path / "other.csv", ["label"])
    known = {"train": train, "label": "label", "noise": None, "ood": []}
    config = configured(**known, clean_label="true")
    assert notes(config, open_parts(config)) == []
    test = save_table(tmp_path / "test.csv", ["label", "true"])
    config = configured(**known, clean_label="true", test=test)
    assert not any("not known" in note for note in notes(config, open_parts(config)))
    config = configured(**{**known, "ood": [other]}, test=test, clean_label="true", test_label="label")
    unknown = "The true labels of the evaluation sets are not known: accuracy is against labels as given."
    assert unknown in notes(config, open_parts(config))
    config = configured(**{**known, "noise": "symmetric:0.5"})
    assert notes(config, open_parts(config)) == [  # one note: two would contradict each other
        "Your own labels count as right: in training, the ones before noise was injected; in the evaluation "
        "sets, the ones that accuracy is measured against. Whether they are right is not known."
    ]


def test_noise_on_top_of_labels_that_are_wrong_already_is_refused(configured):
    with pytest.raises(InvalidArgument, match=r"`noise` and `clean_label` are both given; allowed: one"):
        configured(clean_label="labels")


def test_features_of_another_width_are_refused_before_any_work(configured, tmp_path):
    np.savez(tmp_path / "wide.npz", features=np.ones((4, 9)), labels=np.array(["ant", "bee"] * 2))
    with pytest.raises(BadData, match=r"wide.npz' has features of width 9, the training set '.*' of width 8"):
        open_parts(configured(ood=[str(tmp_path / "wide.npz")]))


@pytest.mark.parametrize("role", ["test", "ood"])
def test_true_labels_that_a_test_set_lacks_name_the_option(configured, tmp_path, role):
    (tmp_path / "other").mkdir()
    train = save_table(tmp_path / "t.csv", ["label", "true"])
    other = save_table(tmp_path / "other" / "t.csv", ["label"])
    changed = {
        "train": train,
        "ood": [],
        "noise": None,
        "label": "label",
        "clean_label": "true",
        role: other,
    }
    with pytest.raises(UnknownName, match=r"'true'.* Next: --test-label with the name .*--test-label auto"):
        open_parts(configured(**changed))
    assert open_parts(configured(**changed, test_label="auto")).tests[-1].given_labels.tolist() == [0, 1] * 6


def test_true_labels_are_no_option_of_a_folder_of_classes(configured, tmp_path):
    train = save_table(tmp_path / "t.csv", ["label", "true"])
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / name / "a.png")
    changed = {"train": train, "ood": [], "label": "label", "clean_label": "true", "noise": None}
    with pytest.raises(InvalidArgument, match=r"`label` is 'true'; .* Next: --test-label .* auto to find it"):
        open_parts(configured(**changed, test=str(tmp_path / "photos")))


def test_an_evaluation_set_may_have_fewer_classes(configured, tmp_path):
    save_blobs(tmp_path / "few.npz", n=2, seed=0)
    parts = open_parts(configured(ood=[str(tmp_path / "few.npz")]))
    assert parts.tests[-1].given_labels.tolist() == [0, 1]
