import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from noiseproof.cli.main import app
from noiseproof.config.corrupt import CorruptConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, InvalidArgument, MissingFile, UnknownName
from noiseproof.core.storage.marks import claim
from noiseproof.data.examples import as_array
from noiseproof.data.sources import open_dataset
from noiseproof.noise.class_maps import read_class_map
from noiseproof.noise.manifest import load_manifest
from noiseproof.noise.spec import NOISE_KINDS
from noiseproof.noise.transition import read_transition
from noiseproof.pipelines.corrupt import corrupt
from noiseproof.pipelines.inputs.encoding import aligned_features


def noiseproof(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def contents(folder):
    """Name -> bytes of the visible files of a folder."""
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")}


def corrupted(data, noise, out, **more):
    return corrupt(CorruptConfig(train=str(data), noise=noise, out=out, **more))


@pytest.fixture
def blobs(tmp_path):
    """Features with two columns of labels, of which the second is wrong in 10 of 60 rows."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    worker = labels.copy()
    worker[:10] = (worker[:10] + 1) % 3
    features = (np.eye(3)[labels] * 4 + rng.normal(size=(60, 3))).astype(np.float32)
    names = np.array(["ant", "bee", "cat"])
    path = tmp_path / "train.npz"
    np.savez(path, features=features, labels=names[labels], worker=names[worker])
    return path


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name, base in {"dark": 60, "light": 190}.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.clip(base + rng.normal(0, 25, (6, 5, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("kind", ["symmetric", "symmetric_inclusive", "pair", "instance"])
def test_corrupt_writes_a_manifest_and_a_table(kind, tmp_path, blobs):
    result = noiseproof("corrupt", blobs, "--noise", f"{kind}:0.2", "--seed", 3, "--out", tmp_path / "n")
    assert result.exit_code == 0, result.output
    found = load_manifest(tmp_path / "n")
    assert (found.kind, found.seed, found.asked_rate, found.class_names) == (
        kind,
        3,
        0.2,
        ("ant", "bee", "cat"),
    )
    for text in (kind, "20.00 %", f"{100 * found.realised_rate:.2f} %", "By class", "bee", found.sha256[:16]):
        assert text in result.stdout
    assert ("by example" in result.stdout) == (kind == "instance")


def test_published_noise_reads_pixels(tmp_path, photos):
    result = noiseproof("corrupt", photos, "--noise", "instance_ptd:0.4", "--out", tmp_path / "n")
    assert result.exit_code == 0, result.output
    assert "entropy of targets, by example" in result.stdout
    assert load_manifest(tmp_path / "n").example_entropy_nats is not None


def test_maps_and_matrices_come_from_files(tmp_path, blobs):
    (tmp_path / "map.yaml").write_text("bee: cat\n")
    corrupted(blobs, f"asymmetric:{tmp_path / 'map.yaml'}:0.5", tmp_path / "n")
    assert load_manifest(tmp_path / "n").transition.tolist() == [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]]
    np.save(tmp_path / "t.npy", [[1, 0, 0], [0.25, 0.75, 0], [0, 0, 1]])
    corrupted(blobs, f"asymmetric:{tmp_path / 't.npy'}", tmp_path / "m")
    assert load_manifest(tmp_path / "m").transition.tolist() == [[1, 0, 0], [0.25, 0.75, 0], [0, 0, 1]]


def test_real_noise_is_one_column_against_another(tmp_path, blobs):
    result = noiseproof(
        "corrupt", blobs, "--noise", "real:worker", "--label", "labels", "--out", tmp_path / "n"
    )
    assert result.exit_code == 0, result.output
    found = load_manifest(tmp_path / "n")
    assert found.flipped.sum() == 10
    assert found.realised_rate == pytest.approx(1 / 6)


def test_real_noise_needs_true_labels(tmp_path, blobs):
    with pytest.raises(
        InvalidArgument, match=r"`label` is None; allowed: the column of the true labels beside noise real:wo"
    ):
        corrupted(blobs, "real:worker", tmp_path / "n")
    with pytest.raises(InvalidArgument, match=r"`clean_label` is 'labels', as `label` is"):
        load_config(
            CorruptConfig,
            options={"train": str(blobs), "noise": "real:worker", "out": "n", "label": "labels"},
            overrides=["clean_label=labels"],
        )


def test_noise_on_stored_features_follows_their_ids(tmp_path, photos):
    assert noiseproof("extract", "sklearn:digits", "--limit", 1, "--out", tmp_path / "one").exit_code == 0
    dataset = open_dataset(str(photos))
    with pytest.raises(BadData, match=r"have no example 'dark/0.png' of .*noiseproof extract"):
        aligned_features(tmp_path / "one", dataset)


def test_noise_on_stored_features_of_the_same_data(tmp_path, blobs):
    assert noiseproof("extract", blobs, "--out", tmp_path / "f").exit_code == 0
    asked = ("--noise", "instance:0.3")
    assert (
        noiseproof("corrupt", blobs, *asked, "--features", tmp_path / "f", "--out", tmp_path / "a").exit_code
        == 0
    )
    assert noiseproof("corrupt", blobs, *asked, "--out", tmp_path / "b").exit_code == 0
    assert load_manifest(tmp_path / "a").sha256 == load_manifest(tmp_path / "b").sha256


# Training on a manifest


def run_on(blobs, tmp_path, *more):
    few = ("--heads", "linear", "--seeds", 1, "--max-steps", 5, "--cache", tmp_path / "cache")
    return noiseproof("run", blobs, "--label", "labels", "--out", tmp_path / "run", *few, *more)


def test_a_run_trains_on_the_labels_of_a_manifest(tmp_path, blobs):
    import json

    asked = ("--noise", "pair:0.5")
    assert noiseproof("corrupt", blobs, "--label", "labels", *asked, "--out", tmp_path / "n").exit_code == 0
    result = run_on(blobs, tmp_path, "--noise-manifest", tmp_path / "n")
    assert result.exit_code == 0, result.output
    assert "planted wrong labels" in result.stdout
    noise = json.loads((tmp_path / "run" / "run.json").read_text())["data"][0]["label_noise"]
    manifest = load_manifest(tmp_path / "n")
    assert (noise["kind"], noise["asked_rate"], noise["seed"]) == ("pair", 0.5, 0)
    assert noise["realised_rate"] == pytest.approx(manifest.realised_rate, abs=0.1)  # of the training part


@pytest.mark.parametrize(
    "changed",
    [("--noise", "symmetric:0.3"), ("--seed", 1), ("--noise", "pair:0.2"), ("--label", "worker")],
)
def test_noise_of_other_options_is_not_written_over(tmp_path, blobs, changed):
    command = ["corrupt", blobs, "--noise", "symmetric:0.2", "--seed", 0, "--label", "labels"]
    out = ("--out", tmp_path / "n")
    assert noiseproof(*command, *out).exit_code == 0
    before = contents(tmp_path / "n")
    result = noiseproof(*command, *changed, *out)
    assert result.exit_code == 2
    assert "`--out` is" in result.stderr
    assert "has a finished noise with other settings (" in result.stderr
    assert "allowed: a new folder, or the same settings. Next: give another --out" in result.stderr
    assert contents(tmp_path / "n") == before
    assert noiseproof(*command, *out).exit_code == 0  # the same noise again
    assert contents(tmp_path / "n") == before


@pytest.mark.parametrize("content", ["{}", "[1]", "no json", '{"sha256": "of somebody"}'])
def test_a_noise_json_of_another_program_is_not_written_over(tmp_path, blobs, content):
    (tmp_path / "noise.json").write_text(content)
    with pytest.raises(InvalidArgument, match=r"'noise.json' and 1 more, which noiseproof did not write"):
        corrupted(blobs, "symmetric:0.2", tmp_path)
    assert (tmp_path / "noise.json").read_text() == content
    assert not list(tmp_path.glob("*.parquet"))


def test_a_manifest_of_other_data_is_refused(tmp_path, blobs, photos):
    assert noiseproof("corrupt", photos, "--noise", "symmetric:0.5", "--out", tmp_path / "n").exit_code == 0
    result = run_on(blobs, tmp_path, "--noise-manifest", tmp_path / "n")
    assert result.exit_code == 2
    assert "has the classes dark, light" in result.stderr


def test_a_manifest_and_a_kind_exclude_each_other(tmp_path, blobs):
    result = run_on(blobs, tmp_path, "--noise-manifest", tmp_path / "n", "--noise", "symmetric:0.2")
    assert result.exit_code == 2
    assert "`--noise-manifest` is" in result.stderr
    assert "either `--noise` or `--noise-manifest`" in result.stderr


@pytest.mark.parametrize("noise", ["instance:0.3", "asymmetric:{folder}/map.yaml:0.3"])
def test_a_run_injects_every_kind(tmp_path, blobs, noise):
    (tmp_path / "map.yaml").write_text("ant: bee\n")
    config = tmp_path / "c.yaml"
    config.write_text(f"noise: {noise.format(folder=tmp_path)}\n")
    result = run_on(blobs, tmp_path, "--config", config)
    assert result.exit_code == 0, result.output
    assert "planted wrong labels" in result.stdout


# Captions


@pytest.fixture
def pairs(tmp_path):
    (tmp_path / "pairs").mkdir()
    lines = ["image,caption"]
    for i in range(12):
        Image.new("RGB", (4, 4), (i * 20, 0, 0)).save(tmp_path / "pairs" / f"{i}.png")
        lines.append(f"{i}.png,caption {i}")
    (tmp_path / "pairs" / "p.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "pairs" / "p.csv"


def test_captions_are_swapped_in_a_copy_beside_a_manifest(tmp_path, pairs):
    result = noiseproof("corrupt", pairs, "--noise", "captions:0.5", "--out", tmp_path / "noisy")
    assert result.exit_code == 0, result.output
    assert "50.00 %" in result.stdout
    manifest = load_manifest(tmp_path / "noisy")
    assert manifest.flipped.sum() == 6
    copy = [line.split(",")[1] for line in (tmp_path / "noisy" / "p.csv").read_text().splitlines()[1:]]
    assert copy == manifest.given.tolist()
    first = (tmp_path / "noisy" / "p.csv").read_text().splitlines()[1].split(",")[0]
    assert (tmp_path / "noisy" / first).resolve() == pairs.parent / "0.png"


def test_a_copy_that_was_cut_short_leaves_the_one_before_whole(tmp_path, pairs, monkeypatch):
    from noiseproof.data.pairs.pair_tables import TextPairs

    corrupted(pairs, "captions:0.5", tmp_path / "noisy")

    before = contents(tmp_path / "noisy")

    def cut_short(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(TextPairs, "write", cut_short)
    with pytest.raises(KeyboardInterrupt):
        corrupted(pairs, "captions:0.5", tmp_path / "noisy", seed=1)
    assert contents(tmp_path / "noisy") == before
    assert load_manifest(tmp_path / "noisy").seed == 0


def test_the_first_copy_that_is_cut_short_has_no_manifest(tmp_path, pairs, monkeypatch):
    from noiseproof.pipelines import corrupt as flow

    def cut_short(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(flow, "write_manifest", cut_short)
    with pytest.raises(KeyboardInterrupt):
        corrupted(pairs, "captions:0.5", tmp_path / "noisy")
    with pytest.raises(MissingFile, match=r"has no noise.json"):
        load_manifest(tmp_path / "noisy")


def test_a_copy_replaces_an_earlier_copy_and_nothing_else(tmp_path, pairs):
    out = tmp_path / "noisy"
    out.mkdir()
    (out / "p.csv").write_text("precious\n")
    for _ in range(2):  # before anything is written, and however often it is tried
        with pytest.raises(
            InvalidArgument, match=r"`out` is .*It has 'p.csv', which noiseproof did not write\. Next: name"
        ):
            corrupted(pairs, "captions:0.5", out)
        assert (out / "p.csv").read_text() == "precious\n"
    (out / "p.csv").unlink()
    corrupted(pairs, "captions:0.5", out)
    other = pairs.rename(pairs.with_name("q.csv"))
    corrupted(other, "captions:0.5", out)
    assert [path.name for path in out.glob("*.csv")] == ["q.csv"]
    assert len(list(out.glob("[!.]*"))) == 3
    (out / "notes.txt").touch()
    with pytest.raises(InvalidArgument, match=r"It has notes.txt, which would count as pairs"):
        corrupted(other, "captions:0.5", out)
    assert load_manifest(out).flipped.sum() == 6


def test_captions_are_never_written_over_the_originals(pairs):
    with pytest.raises(InvalidArgument, match=r"`out` is .*; allowed: a new or empty folder, or one that"):
        corrupted(pairs, "captions:0.5", pairs.parent)
    claim(pairs.parent / "ours")
    moved = pairs.rename(pairs.parent / "ours" / pairs.name)
    with pytest.raises(InvalidArgument, match=r"`out` is .*; allowed: a folder other than that of"):
        corrupted(moved, "captions:0.5", moved.parent)


def test_too_few_captions_are_told(tmp_path, pairs):
    result = noiseproof("corrupt", pairs, "--noise", "captions:0.08", "--out", tmp_path / "noisy")
    assert result.exit_code == 2
    said = "`rate` is 0.08; allowed: a share of the 12 captions that is none, or two or more"
    assert said in result.stderr


def test_a_manifest_of_captions_is_none_of_labels(tmp_path, pairs, blobs):
    corrupted(pairs, "captions:0.5", tmp_path / "noisy")
    result = run_on(blobs, tmp_path, "--noise-manifest", tmp_path / "noisy")
    assert result.exit_code == 2
    assert "which is of captions; allowed: one of labels" in result.stderr


# What the command line takes


def test_unknown_kinds_get_a_suggestion(tmp_path, blobs):
    result = noiseproof("corrupt", blobs, "--noise", "caption:0.1", "--out", tmp_path / "n")
    assert result.exit_code == 2
    assert "Unknown kind of noise 'caption'. Did you mean 'captions'?" in result.stderr
    listed = noiseproof("ls", "noise").stdout.splitlines()
    assert [line.split()[0] for line in listed[: len(NOISE_KINDS)]] == list(NOISE_KINDS)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--label", "x"), ("--clean-label", "x"), ("--text", "x"), ("--limit", "4"), ("--features", "f")],
)
def test_options_of_labels_mean_nothing_for_captions(tmp_path, pairs, option, value):
    asked = ("--noise", "captions:0.5", option, value)
    result = noiseproof("corrupt", pairs, *asked, "--out", tmp_path / "noisy")
    assert result.exit_code == 2
    assert f"`{option}` is '{value}'; allowed: only with noise of labels. Next: leave" in result.stderr


def test_captions_need_a_rate_and_labels_no_caption(tmp_path, pairs, blobs):
    result = noiseproof("corrupt", pairs, "--noise", "captions", "--out", tmp_path / "n")
    assert "`--noise` is 'captions'; allowed: KIND:RATE" in result.stderr
    symmetric = ("--noise", "symmetric:0.1", "--caption", "x")
    result = noiseproof("corrupt", blobs, *symmetric, "--out", tmp_path / "n")
    assert "`--caption` is 'x'; allowed: only with noise captions:RATE. Next: leave" in result.stderr


def test_maps_by_name_and_from_files(tmp_path):
    assert read_class_map("cifar10") == "cifar10"
    (tmp_path / "map.yaml").write_text("cat: dog\n3: 4\n")
    assert read_class_map(str(tmp_path / "map.yaml")) == {"cat": "dog", 3: 4}
    (tmp_path / "map.json").write_text('{"cat": "dog"}')
    assert read_class_map(str(tmp_path / "map.json")) == {"cat": "dog"}
    (tmp_path / "map.yaml").write_text("cat: dog: 3: ]")
    with pytest.raises(InvalidArgument, match=r"`class_map` is '.*map.yaml'; allowed: a YAML or JSON file"):
        read_class_map(str(tmp_path / "map.yaml"))
    with pytest.raises(UnknownName, match=r"Unknown class map 'cifar'.*Or name a YAML file of class: class"):
        read_class_map("cifar")


def test_a_file_that_is_no_map_is_told(tmp_path):
    (tmp_path / "list.yaml").write_text("- cat\n")
    with pytest.raises(InvalidArgument, match="allowed: a file that maps class names or ids"):
        read_class_map(str(tmp_path / "list.yaml"))


def test_matrices_are_read_from_both_kinds_of_file(tmp_path):
    np.save(tmp_path / "t.npy", np.eye(2))
    assert read_transition(tmp_path / "t.npy").tolist() == np.eye(2).tolist()
    (tmp_path / "t.txt").write_text("1 0\n0 1\n")
    assert read_transition(tmp_path / "t.txt").tolist() == np.eye(2).tolist()
    (tmp_path / "t.txt").write_text("1 x\n")
    with pytest.raises(InvalidArgument, match="holds no matrix of numbers"):
        read_transition(tmp_path / "t.txt")
    with pytest.raises(MissingFile, match=r"`transition` is .*, which is no file"):
        read_transition(tmp_path / "absent.npy")


def test_an_unknown_class_in_a_map_is_told(tmp_path, blobs):
    (tmp_path / "map.yaml").write_text("bee: wasp\n")
    with pytest.raises(UnknownName, match=r"Unknown class in `class_map`: 'wasp'.*Known: ant, bee, cat"):
        corrupted(blobs, f"asymmetric:{tmp_path / 'map.yaml'}:0.2", tmp_path / "n")


# Examples as numbers


def test_images_become_raw_pixels(photos):
    dataset = open_dataset(str(photos))
    pixels = as_array(dataset)
    assert (pixels.shape, pixels.dtype) == ((20, 6, 5, 3), np.uint8)
    assert np.array_equal(pixels[7], np.asarray(dataset.examples[7]))


def test_images_of_several_sizes_are_told(photos):
    Image.new("RGB", (9, 6)).save(photos / "light" / "99.png")
    with pytest.raises(BadData, match=r"several sizes: 'light/99.png' is 9 x 6 pixels, the first 5 x 6"):
        as_array(open_dataset(str(photos)))


def test_texts_are_no_numbers(tmp_path):
    (tmp_path / "t.csv").write_text("text,label\na,x\nb,y\n")
    with pytest.raises(BadData, match=r"holds texts, which are no numbers; allowed: images of one size"):
        as_array(open_dataset(str(tmp_path / "t.csv")))
