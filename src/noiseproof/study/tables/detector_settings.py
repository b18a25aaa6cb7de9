"""Settings in which detectors are compared: one set of features with one kind of wrong labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pandas as pd

from noiseproof.report.tables import INTERVAL_MEANING, ONE_SEED
from noiseproof.study.grid import Grid
from noiseproof.study.measures.detector_measure import DetectorMeasure
from noiseproof.study.study_results import StudyResults

AS_GIVEN = "as given"
Setting = tuple[tuple[str, ...], pd.DataFrame]  # words for it; rows of all detectors and seeds
_BOLD = (
    "Bold: ahead of every other detector, and the 95 % interval of the difference, paired by seed, excludes "
    "zero; detectors with the same result do not count as others."
)
_ONCE = "Without ±: nothing was drawn (labels as given, a detector without random numbers), so it ran once."
_KEYS = ["encoder", "task", "noise"]


def settings(results: StudyResults, *, wrong_only: bool = True) -> Iterator[Setting]:
    """Every encoder, task and noise with results, in the order of the rows; those with wrong labels only."""
    titles = {one.key: one.title for one in results.encoders}
    for key, own in (with_truth(results) if wrong_only else results.detections).groupby(_KEYS, sort=False):
        encoder, task, noise = map(str, key)
        names = (task, noise_title(results, task, noise), titles[encoder])
        yield names[: len(setting_columns(results))], own


def setting_columns(results: StudyResults) -> tuple[str, ...]:
    """Columns that name the setting, with the encoder where there are several."""
    return ("set", "labels", "encoder")[: 3 if results.detections["encoder"].nunique() > 1 else 2]


def noise_title(results: StudyResults, task: str, noise: str) -> str:
    """Words for the noise in the labels."""
    is_real = noise == "none" and results.recipe.tasks[task].clean_label is not None
    return AS_GIVEN if is_real else noise.replace(":", " ")


def all_settings(results: StudyResults) -> pd.DataFrame:
    """All results on wrong labels. Where nothing is drawn, one run stands for every seed's."""
    rows, once = with_truth(results), drawn_once(results)
    places = rows[[*_KEYS, "detector"]].itertuples(index=False, name=None)
    alone = rows[[place in once for place in places]]
    repeated = (alone.assign(seed=seed) for seed in range(1, results.recipe.seeds))
    return pd.concat([rows, *repeated])


def drawn_once(results: StudyResults) -> set[tuple[str, str, str, str]]:
    """Encoder, task, noise and detector where one run stands for all seeds."""
    places = Counter(
        (one.encoder.key, one.task, one.noise_name, str(one.detector))
        for one in DetectorMeasure(Grid(results.recipe)).places()
    )
    return {place for place, num_seeds in places.items() if num_seeds == 1}


def notes_of_detections(results: StudyResults, *, bold: bool = True) -> tuple[str, ...]:
    """Notes below every table of detectors."""
    if results.detections["seed"].nunique() == 1:
        return (ONE_SEED, *_missing(results))
    once = [_ONCE] if drawn_once(results) else []
    return (INTERVAL_MEANING, *([_BOLD] if bold else []), *once, *_missing(results))


def _missing(results: StudyResults) -> list[str]:
    """A note on settings without results of some detector."""
    names = [
        f"{task}, {noise}: {', '.join(absent)}"
        for (task, noise, *_), rows in settings(results, wrong_only=False)
        if (absent := [one for one in results.recipe.detectors if one not in set(rows["detector"])])
    ]
    return [f"Results are missing: {'; '.join(names)}."] if names else []


def with_truth(results: StudyResults) -> pd.DataFrame:
    """Results on labels of which some are wrong."""
    return results.detections[results.detections["num_wrong"] > 0]
