"""The spectra of every data set of a run, `spectrum.json`."""

from __future__ import annotations

from pathlib import Path

from noiseproof.core.progress import progress
from noiseproof.core.storage.checksums import write_record
from noiseproof.diagnose.spectrum import spectra
from noiseproof.pipelines.inputs.encoded import EncodedParts
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.report.run_folder import SetSpectra

SPECTRUM = "spectrum.json"


def diagnose_once(stages: Stages, encoded: EncodedParts) -> None:
    """Write the spectra of all parts, unless an earlier start has."""
    parts = encoded.parts.all

    def make(folder: Path) -> list[str]:
        entries = []
        with progress("Spectrum", total=len(parts), unit="data set") as bar:
            for part in parts:
                raw, centred = spectra(encoded.features(part))
                entries.append(SetSpectra(part.name, part.role, raw, centred).to_json())
                bar.update()
        write_record(folder / SPECTRUM, entries)
        return [SPECTRUM]

    depends_on = [[part.name, part.role, encoded.key(part)] for part in parts]
    stages.once("spectrum", depends_on=depends_on, make=make)
