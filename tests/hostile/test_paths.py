"""No path from a file leaves the file's folder: names with `..`, absolute names, links out of the folder."""

import json

import numpy as np
import pytest

from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import DamagedFile, InvalidArgument
from noiseproof.core.storage.files import append_lines, hash_file
from noiseproof.core.storage.inner_paths import check_inner_path, inner_path
from noiseproof.features.shards import open_shard, write_shard
from noiseproof.features.store import load_features, store_key, write_manifest
from noiseproof.noise.kinds import corrupt_labels
from noiseproof.noise.manifest import load_manifest
from noiseproof.noise.manifest import write_manifest as write_noise
from noiseproof.pipelines.outputs.output_folders import only_process_in
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.pipelines.run_heads.heads import head_variants
from noiseproof.report.run_folder import Suspect, _with_image
from noiseproof.study.rows import StudyLog

OUTSIDE = [
    "../precious.txt", "heads/../../precious.txt", "..", ".", "./a", "", "/etc/passwd", "a//b", "a/",
    "..\\precious.txt", "heads\\..\\..\\precious.txt", "\\precious.txt", "C:\\precious.txt", "c:precious.txt",
    "a\0b", "heads/..",
]  # fmt: skip
INSIDE = [
    "a",
    "heads/linear-seed0.json",
    "..a",
    "a..",
    ".hidden/b",
    "größe/ä.png",
    "a b",
    "x" * 300,
    "-",
    "~",
]


@pytest.fixture
def home(tmp_path):
    """A folder from somebody else, beside a file and a folder of the user."""
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "00000.png").write_bytes(b"\x89PNG\r\n\x1a\nmine")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def nothing_of_the_user_changes(home):
    yield
    assert (home.parent / "precious.txt").read_text() == "mine"
    assert {path.name for path in (home.parent / "outside").iterdir()} == {"00000.png"}


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_leave_the_folder_are_refused(home, name):
    with pytest.raises(ValueError, match="is no path inside the folder of the record"):
        check_inner_path(name)
    with pytest.raises(DamagedFile, match=r"names a file of another folder: .*Next: use a folder"):
        inner_path(home, name)


@pytest.mark.parametrize("name", INSIDE)
def test_names_in_the_folder_are_allowed(home, name):
    assert inner_path(home, name) == home / name


def test_links_count_by_where_they_lead(home):
    (home / "in").mkdir()
    (home / "to-in").symlink_to("in")
    (home / "out").symlink_to(home.parent / "outside")
    (home / "up").symlink_to("..")
    (home / "circle").symlink_to("circle")
    (home / "nowhere").symlink_to(home.parent / "nowhere")
    (home.parent / "by-link").symlink_to(home)
    assert inner_path(home, "to-in/a") == home / "to-in/a"
    assert inner_path(home.parent / "by-link", "to-in/a").parent.name == "to-in"  # the folder may be a link
    for name in ("out", "out/00000.png", "up/precious.txt", "circle", "circle/a", "nowhere"):
        with pytest.raises(DamagedFile, match=r"by a symbolic link; allowed: files in the folder\. Next"):
            inner_path(home, name)


# --- stages


def marker(home, *files, name="a"):
    """A marker that lists these files, with their hashes where they exist."""
    paths = {file: home / file.replace("\0", "") for file in files}
    hashes = {file: hash_file(path) if path.is_file() else "0" * 64 for file, path in paths.items()}
    (home / ".stages").mkdir(exist_ok=True)
    values = {
        "schema": 3,
        "key": "k",
        "parts": {},
        "title": name,
        "wall_s": 0,
        "files": hashes,
        "made_with": {},
    }
    (home / ".stages" / f"{name}.json").write_text(json.dumps(values))


def work(folder):
    (folder / "b.txt").write_text("new")
    return ["b.txt"]


@pytest.mark.parametrize("file", OUTSIDE)
@pytest.mark.parametrize("name", ["a", "stale"])
def test_markers_that_list_files_elsewhere_delete_nothing(home, name, file):
    marker(home, file, name=name)
    stages = Stages(home)
    stages.check_free(["b.txt"])
    stages.once("a", depends_on=1, make=work)
    stages.publish()
    assert (home / "b.txt").read_text() == "new"


def test_marker_reaches_no_file_by_a_link(home):
    (home / "thumbnails").symlink_to(home.parent / "outside")
    marker(home, "thumbnails/00000.png")
    stages = Stages(home)
    stages.once("a", depends_on=1, make=work)
    stages.publish()
    assert (home / "b.txt").read_text() == "new"


def test_leftovers_are_not_swept_through_a_link(home):
    (home / ".stages").mkdir()
    (home / "thumbnails").symlink_to(home.parent / "outside")
    stages = Stages(home)
    stages.once("a", depends_on=1, make=work)
    stages.publish()


def thumbnail(folder):
    (folder / "thumbnails").mkdir()
    (folder / "thumbnails" / "00000.png").write_text("new")
    return ["thumbnails/00000.png"]


def test_results_are_not_published_through_a_link(home):
    (home / ".stages").mkdir()
    (home / "thumbnails").symlink_to(home.parent / "outside")
    stages = Stages(home)
    stages.once("a", depends_on=1, make=thumbnail)
    with pytest.raises(DamagedFile, match="leads out of"):
        stages.publish()


@pytest.mark.parametrize("link", [".stages", ".stages/waiting", ".stages/waiting/heads"])
def test_stages_are_not_kept_through_a_link(home, link):
    (home / link).parent.mkdir(parents=True, exist_ok=True)
    (home / link).symlink_to(home.parent / "outside")
    with pytest.raises(DamagedFile, match="by a symbolic link"):
        Stages(home)


def test_locks_and_logs_are_no_links_to_other_files(home):
    for name in (".lock", "study.jsonl"):
        (home / name).symlink_to("../precious.txt")
    with pytest.raises(DamagedFile, match="leads out of"), only_process_in(home):
        pass
    with pytest.raises(DamagedFile, match="leads out of"):
        StudyLog(home)
    with pytest.raises(DamagedFile, match="leads out of"):
        append_lines(home / "study.jsonl", ["{}"])


# --- other records


@pytest.mark.parametrize("file", OUTSIDE)
def test_shards_of_a_feature_manifest_lie_beside_it(home, file):
    manifest = features_in(home)
    manifest["shards"][0]["file"] = file
    manifest.pop("checksum", None)  # who makes such a folder makes its checksums, too
    (home / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedFile, match="is no path inside the folder of the record"):
        load_features(home)


def test_shards_are_no_links_out_of_the_store(home):
    features_in(home)
    (home / "part-00000.safetensors").replace(home.parent / "shard")
    (home / "part-00000.safetensors").symlink_to("../shard")
    with pytest.raises(DamagedFile, match="safetensors' leads out of"):
        load_features(home)


def features_in(home):
    components = {"backbone": "b"}
    path = home / "part-00000.safetensors"
    notes = {"key": store_key(components), "engine": "e", "agreement": ""}
    write_shard(path, np.ones((2, 3), np.float32), np.arange(2), notes)
    write_manifest(home, [open_shard(path)], components=components, dataset="d", shard_rows=2, num_cut=0)
    return json.loads((home / "manifest.json").read_text())


@pytest.mark.parametrize("file", OUTSIDE)
def test_files_of_a_noise_manifest_lie_beside_it(home, file):
    noisy = corrupt_labels(np.arange(20) % 4, rate=0.3, num_classes=4, seed=0)
    write_noise(home, noisy, ids=np.arange(20), data_name="d", data_fingerprint="f")
    header = json.loads((home / "noise.json").read_text())
    header.pop("checksum", None)
    (home / "noise.json").write_text(json.dumps(header | {"files": [file]}))
    with pytest.raises(DamagedFile, match="is no path inside the folder of the record"):
        load_manifest(home)


@pytest.mark.parametrize("file", OUTSIDE)
def test_pictures_of_a_report_lie_in_the_run_folder(file):
    with pytest.raises(ValueError, match="is no path inside the folder of the record"):
        suspect(file)


def test_pictures_of_a_report_are_no_links_out_of_it(home):
    (home / "thumbnails").symlink_to(home.parent / "outside")
    with pytest.raises(DamagedFile, match="leads out of"):
        _with_image(home, suspect("thumbnails/00000.png"), {})


def suspect(file):
    return Suspect(
        example_id="a", given_label="b", suggested_label="c", suspicion=0.5, is_issue=True, file=file
    )


@pytest.mark.parametrize("name", [*(name for name in OUTSIDE if name), "a/b", "a\\b"])
def test_heads_of_a_configuration_are_named_as_files(name):
    given = {"train": "x.npz", "out": "run", "heads": {name: {"kind": "linear"}}}
    with pytest.raises(InvalidArgument, match=r"`heads` is .*; allowed: letters, digits"):
        head_variants(load_config(RunConfig, options=given))
