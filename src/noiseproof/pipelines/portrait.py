"""Pictures of stored features: spectrum, maps of the examples, curvature of heads trained on them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from noiseproof.core.errors import BadData, invalid
from noiseproof.core.progress import progress
from noiseproof.core.records import rows_by_id
from noiseproof.core.storage.files import locked_folder, write_bytes, write_json
from noiseproof.core.storage.marks import claim
from noiseproof.data.sources import open_dataset
from noiseproof.diagnose.curvature import Curvature, curvature
from noiseproof.diagnose.maps import feature_map
from noiseproof.diagnose.spectrum import spectra
from noiseproof.features.store import StoredFeatures
from noiseproof.heads.abstract import AbstractHead
from noiseproof.heads.estimators import load_head
from noiseproof.heads.loss_surface import class_ids_of, loss_surface
from noiseproof.heads.saved_heads import SUFFIXES
from noiseproof.noise.manifest import load_manifest
from noiseproof.report.figures import spectrum_figure
from noiseproof.report.portraits import curvature_figure, feature_map_figure
from noiseproof.report.run_folder import SetSpectra
from noiseproof.report.style import png, svg

_BATCH_ROWS = 2048


@dataclass(frozen=True, eq=False)
class KnownLabels:
    """Labels of stored features, in their order.

    Attributes:
        given: class ids, may be wrong.
        clean: the true ones, where they are known.
        class_names: k names.
    """

    given: np.ndarray
    clean: np.ndarray | None
    class_names: tuple[str, ...]


def labels_for(
    stored: StoredFeatures,
    *,
    data: str | None = None,
    label: str | None = None,
    clean_label: str | None = None,
    noise_manifest: Path | None = None,
) -> KnownLabels | None:
    """Labels of stored features: from the data set they were made of, from noise made for it, or none.

    Args:
        stored: the features.
        data: name of the data set, as in `open_dataset`, like the columns.
        noise_manifest: folder that 'noiseproof corrupt' wrote.

    Raises:
        InvalidArgument: `data` and `noise_manifest`, or a label column without `data`.
        BadData: labels of other examples than the features.
    """
    if data is not None and noise_manifest is not None:
        raise invalid(
            "data", data, "nothing beside `noise_manifest`, which has labels, too", "Leave one out."
        )
    for name, value in (("label", label), ("clean_label", clean_label)):
        if value is not None and data is None:
            raise invalid(name, value, "nothing unless `data` is where the labels are from", "Leave it out.")
    if noise_manifest is not None:
        manifest = load_manifest(noise_manifest)
        if manifest.transition is None:
            raise BadData(f"`noise_manifest` {str(noise_manifest)!r} is of captions; allowed: one of labels.")
        names = manifest.class_names or tuple(map(str, range(len(manifest.transition))))
        return KnownLabels(manifest.given_for(stored.ids), manifest.clean_for(stored.ids), names)
    if data is None:
        return None
    dataset = open_dataset(data, label=label, clean_label=clean_label)
    rows, absent = rows_by_id(stored.ids, dataset.ids)
    if absent:
        raise BadData(
            f"{data!r} has no example {absent[0]!r}, which the features have; allowed: the data set they "
            "were made of. Next: name that one."
        )
    clean = None if dataset.clean_labels is None else dataset.clean_labels[rows]
    return KnownLabels(dataset.given_labels[rows], clean, dataset.class_names)


def draw(
    stored: StoredFeatures,
    out: Path,
    *,
    labels: KnownLabels | None = None,
    heads: Sequence[Path] = (),
    max_points: int = 2000,
    seed: int = 0,
) -> list[Path]:
    """Write the figures of stored features as SVG and PNG, and the numbers of the curvature as JSON.

    Args:
        stored: the features.
        out: folder, made if need be; no files of somebody else are in it.
        labels: colour the maps; without them the points have one colour.
        heads: saved heads whose curvature is taken on these features and given labels.
        max_points: in the maps.
        seed: of the maps and the curvature.

    Raises:
        InvalidArgument: heads without labels, or of features of another width.
    """
    if heads and labels is None:
        raise invalid(
            "head", str(heads[0]), "a head beside labels, which its loss is of",
            "Name the data set with `data`, or its noise with `noise_manifest`.",
        )  # fmt: skip
    claim(out, argument="figures")
    with locked_folder(out, argument="figures"):
        raw, centred = spectra(stored.features)
        written = [out / "spectrum.svg"]
        sets = [SetSpectra(stored.manifest.dataset, "test", raw, centred)]
        write_bytes(written[0], spectrum_figure(sets).encode())
        written += _draw_maps(stored, out, labels, max_points=max_points, seed=seed)
        return written if labels is None else written + _draw_curvature(stored, out, labels, heads, seed=seed)


def _draw_maps(
    stored: StoredFeatures, out: Path, labels: KnownLabels | None, *, max_points: int, seed: int
) -> list[Path]:
    with progress("Feature maps", total=1, unit="map") as bar:
        points = feature_map(stored.features, max_points=max_points, seed=seed)
        bar.update()
    of_points = [None, None] if labels is None else [labels.given, labels.clean]
    given, clean = (None if each is None else each[points.rows] for each in of_points)
    names = () if labels is None else labels.class_names
    figure = feature_map_figure(points, given, clean, class_names=names)
    return _save(figure, out, "feature-map", "Examples in the plane, by principal components and by t-SNE")


def _draw_curvature(
    stored: StoredFeatures, out: Path, labels: KnownLabels, heads: Sequence[Path], *, seed: int
) -> list[Path]:
    curvatures = {
        name: head_curvature(path, stored, labels, seed=seed) for name, path in head_names(heads).items()
    }
    if not curvatures:
        return []
    write_json(out / "curvature.json", {name: each.to_json() for name, each in curvatures.items()})
    description = "Largest eigenvalues and trace of the Hessian of the loss of each head"
    return [out / "curvature.json", *_save(curvature_figure(curvatures), out, "curvature", description)]


def head_names(heads: Sequence[Path]) -> dict[str, Path]:
    """Name -> saved head: as many parts from the end of each path as tell them apart; each head once."""
    paths = {path.with_name(path.stem) if path.suffix in SUFFIXES else path: path for path in heads}
    paths = {Path(os.path.abspath(bare)): path for bare, path in paths.items()}  # noqa: PTH100 - links stay
    for num_parts in range(1, max((len(bare.parts) for bare in paths), default=0) + 1):
        names = ["/".join(bare.parts[-num_parts:]) for bare in paths]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, paths.values(), strict=True)) if paths else {}


def head_curvature(path: Path, stored: StoredFeatures, labels: KnownLabels, *, seed: int = 0) -> Curvature:
    """Curvature of the loss of a saved head on stored features and given labels.

    Raises:
        InvalidArgument: the head is for features of another width.
        BadData: labels it was not trained on.
    """
    head = load_head(path)
    if head.n_features_in_ != stored.features.shape[1]:
        raise invalid(
            "head", str(path), f"a head for features of width {stored.features.shape[1]}",
            f"It is for width {head.n_features_in_}.",
        )  # fmt: skip
    given = labels.given
    if head.classes_.dtype.kind not in "iu":  # trained on names
        given = np.array(labels.class_names)[given]
    with progress(f"Curvature of {path.stem}", total=1, unit="head") as bar:
        result = fitted_curvature(head, stored.features.blocks(_BATCH_ROWS), given, seed=seed)
        bar.update()
    return result


def fitted_curvature(
    head: AbstractHead, blocks: Iterable[tuple[int, np.ndarray]], given_labels: np.ndarray, *, seed: int = 0
) -> Curvature:
    """Curvature of the loss of a head in memory.

    Args:
        head: fitted.
        blocks: (first row, features) of all examples.
        given_labels: of all of them, in the words the head was trained on.
        seed: of the probes.

    Raises:
        InvalidArgument: a loss that depends on more than an example and its label.
        BadData: labels it was not trained on.
    """
    numbers = torch.from_numpy(class_ids_of(head, given_labels).astype(np.int64))
    parameters, summed = loss_surface(head)
    batches = [
        (torch.from_numpy(np.asarray(rows, np.float64)), numbers[start : start + len(rows)])
        for start, rows in blocks
    ]
    return curvature(summed, parameters, batches, seed=seed)


def _save(figure: Figure, out: Path, name: str, description: str) -> list[Path]:
    paths = [out / f"{name}.svg", out / f"{name}.png"]
    write_bytes(paths[0], svg(figure, name, description).encode())
    write_bytes(paths[1], png(figure))
    return paths
