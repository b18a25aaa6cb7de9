"""The flow of `noiseproof corrupt`: data -> wrong labels or captions -> noise manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.config.corrupt import CorruptConfig
from noiseproof.config.keywords import takes_keywords
from noiseproof.core.errors import invalid
from noiseproof.core.records import NoisyCaptions, NoisyLabels
from noiseproof.data.pairs.pairs import open_pairs
from noiseproof.noise.captions import swap_captions
from noiseproof.noise.inject import corrupt_dataset
from noiseproof.noise.manifest import FILE, manifest_files, manifest_sha256, write_manifest
from noiseproof.noise.spec import CAPTIONS
from noiseproof.noise.transition import target_entropy_nats
from noiseproof.pipelines.inputs.encoding import aligned_features
from noiseproof.pipelines.inputs.inputs import label_columns, open_one
from noiseproof.pipelines.outputs.output_folders import check_is_apart, only_process_in
from noiseproof.pipelines.outputs.stages import Stages, publish
from noiseproof.report.noise_table import class_table, noise_table
from noiseproof.report.tables import Table

NOISE = "noise"  # the stage


@dataclass(frozen=True, eq=False)
class Corrupted:
    """Results of a finished `corrupt`.

    Attributes:
        noisy: labels or captions, with the truth.
        sha256: of the manifest.
        folder: of the manifest and, for captions, the copy of the pairs.
        class_names: of the class ids; empty for captions.
        files: of the copy.
    """

    noisy: NoisyLabels | NoisyCaptions
    sha256: str
    folder: Path
    class_names: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@takes_keywords(CorruptConfig)
def corrupt(
    config: CorruptConfig,
    *,
    command: str = "noiseproof.corrupt(...)",
    say: Callable[[str], None] = lambda line: None,
) -> Corrupted:
    """Inject noise into labels or captions, and write its manifest.

    Args:
        config: of data and noise.
        command: how the user started it, recorded with the stage.
        say: receives lines about changes in the folder.

    Raises:
        InvalidArgument: `out` has other files or is the folder of the pairs.
        CheckpointMismatch: `out` has labels with other noise, which somebody may train on.
        BadData: the data cannot be used, or cannot have this noise.
    """
    check_is_apart(config.out, [config.train])
    with only_process_in(config.out, mark=FILE):
        stages = Stages(config.out, command=command)
        flow = _corrupt_captions if config.noise.kind == CAPTIONS else _corrupt_labels
        done = flow(config, stages)
        publish(stages, cards=(), say=say)
        return done


def _corrupt_labels(config: CorruptConfig, stages: Stages) -> Corrupted:
    dataset = open_one(config, config.train, **label_columns(config))
    features = None if config.features is None else aligned_features(config.features, dataset).features
    noisy = corrupt_dataset(dataset, config.noise, seed=config.seed, features=features)
    made_of: dict[str, Any] = {
        "ids": dataset.ids, "data_name": dataset.name, "data_fingerprint": dataset.fingerprint,
        "class_names": dataset.class_names,
    }  # fmt: skip
    sha256 = manifest_sha256(noisy, **made_of)

    def make(folder: Path) -> Iterable[str]:
        return manifest_files(write_manifest(folder, noisy, **made_of))

    stages.check_free([FILE])
    depends_on = {
        "noise": str(config.noise),
        "seed": config.seed,
        "data": dataset.fingerprint,
        "manifest": sha256,
    }
    stages.once(NOISE, depends_on=depends_on, make=make, if_changed="refuse")
    return Corrupted(noisy, sha256, config.out, dataset.class_names)


def noise_tables(done: Corrupted) -> list[Table]:
    """Tables of the noise, for the terminal."""
    noisy = done.noisy
    if isinstance(noisy, NoisyCaptions):
        return [noise_table(noisy)]
    entropy = target_entropy_nats(noisy.clean, noisy.given, len(done.class_names))
    return [noise_table(noisy, target_entropy_nats=entropy), class_table(noisy, done.class_names)]


def _corrupt_captions(config: CorruptConfig, stages: Stages) -> Corrupted:
    """Swap captions of image-text pairs; write a copy of the pairs, then the manifest.

    Only captions and ids are held in memory.
    """
    name, out = config.train, config.out
    pairs = open_pairs(name, caption=config.caption, image=config.image)
    if out.resolve() in (Path(name).resolve(), Path(name).resolve().parent):
        raise invalid("out", str(out), f"a folder other than that of {name!r}, which stays as it is")
    if others := stages.strangers():
        more = "..." if len(others) > 3 else ""
        raise invalid(
            "out", str(out), "a folder that is empty or has an earlier copy and its manifest",
            f"It has {', '.join(others[:3])}{more}, which would count as pairs. Next: empty it, or give "
            "another folder.",
        )  # fmt: skip
    scan = pairs.scan()
    assert config.noise.rate is not None  # noise of captions has one
    noisy = swap_captions(scan.captions, rate=config.noise.rate, seed=config.seed)
    made_of: dict[str, Any] = {"ids": scan.ids, "data_name": name, "data_fingerprint": scan.fingerprint}

    def make(folder: Path) -> Iterable[str]:
        files = [path.name for path in pairs.write(folder, noisy.given, read_from=out)]
        return [*files, *manifest_files(write_manifest(folder, noisy, **made_of, files=files))]

    captions = np.array(scan.captions, dtype=str)
    depends_on = [str(config.noise), config.seed, name, scan.fingerprint, captions]
    stages.once(NOISE, depends_on=depends_on, make=make)
    written = [file for file in stages.files(NOISE) if file != FILE]
    *files, _ = written
    return Corrupted(noisy, manifest_sha256(noisy, **made_of), out, files=tuple(out / file for file in files))
