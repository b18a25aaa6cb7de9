"""The spectra of every data set of a run, `spectrum.json`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from noiseproof.core.progress import stage
from noiseproof.core.storage.checksums import write_record
from noiseproof.diagnose.spectrum import spectra
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.pipelines.inputs.data_parts import DataPart, DataParts
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.report.run_folder import SetSpectra

SPECTRUM = "spectrum.json"


def diagnose_once(
    stages: Stages,
    parts: DataParts,
    *,
    features: Callable[[DataPart], ShardedMatrix],
    key: Callable[[DataPart], list[Any]],
) -> None:
    """Write the spectra of all parts, unless an earlier start has.

    Args:
        stages: of the run.
        parts: data sets.
        features: of a part.
        key: everything that these features depend on.
    """

    def make(folder: Path) -> list[str]:
        entries = []
        with stage("Spectrum", total=len(parts.all), unit="data set") as bar:
            for part in parts.all:
                raw, centred = spectra(features(part))
                entries.append(SetSpectra(part.name, part.role, raw, centred).to_json())
                bar.update()
        write_record(folder / SPECTRUM, entries)
        return [SPECTRUM]

    depends_on = [[part.name, part.role, key(part)] for part in parts.all]
    stages.once("spectrum", depends_on=depends_on, make=make)
