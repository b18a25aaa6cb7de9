"""Notes on exported tables with cells that a spreadsheet would run.

Exports are for programs, and a cleaned copy is the table of the user, so their cells stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow.compute as pc

from noiseproof.core.plurals import counted
from noiseproof.core.storage.spreadsheet_cells import are_formulas
from noiseproof.data.formats.delimited import DELIMITERS, read_delimited


def formula_notes(files: Iterable[Path]) -> list[str]:
    """A sentence for each file of comma- or tab-separated values with such cells."""
    lines = []
    for file in files:
        if file.suffix.lower() in DELIMITERS and (num_cells := _num_formulas(file)):
            lines.append(
                f"{file.name} has {counted(num_cells, 'cell')} that a spreadsheet would run, such as =1+1, "
                "as it is in your data. Open it with programs, or import it into a spreadsheet as text."
            )
    return lines


def _num_formulas(file: Path) -> int:
    table = read_delimited(file, str(file))
    return sum(pc.sum(are_formulas(column)).as_py() or 0 for column in table.columns)
