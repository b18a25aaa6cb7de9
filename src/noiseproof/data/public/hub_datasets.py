"""`hf:NAME/split` or `hf:NAME:CONFIG/split`: a data set of the Hugging Face hub, or one saved in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

from noiseproof.core.errors import BadData, MissingFile, invalid, missing_extra
from noiseproof.core.records import LabelledDataset
from noiseproof.core.registry import unknown_name
from noiseproof.data.examples import AbstractReader
from noiseproof.data.formats.labelled_tables import table_dataset
from noiseproof.data.formats.table_access import LabelledTable, with_texts
from noiseproof.data.request import Request


def open_hub(address: str, request: Request) -> LabelledDataset:
    """A split of a hub data set; NAME may also be a folder of Parquet files or of `save_to_disk`.

    Raises:
        MissingExtra: the package `datasets` is not installed.
        MissingFile: neither on disk nor reachable.
    """
    name, _, split = address.rpartition("/")
    if not name:
        raise invalid("data set", request.name, "hf:NAME/split, e.g. hf:ylecun/mnist/train")
    source = _without_decoding(_load(name, split))
    table = source.with_format("arrow")
    opened = LabelledTable(
        schema=source.features.arrow_schema,
        num_rows=len(source),
        column=lambda column: table.select_columns([column])[:].column(0),
        cells=lambda column: HubReader(source.select_columns([column]), column),
        folder=Path(name) if Path(name).is_dir() else Path(),
        stem=f"{Path(name).name}-{split}",
    )
    return table_dataset(with_texts(opened), request)


@final
class HubReader(AbstractReader):
    """One column of a `datasets.Dataset`, which memory-maps its Arrow files."""

    def __init__(self, source: Any, column: str) -> None:
        self._source = source
        self._column = column

    def __len__(self) -> int:
        return len(self._source)

    def read(self, row: int) -> Any:
        """The cell as a Python value."""
        return self._source[row][self._column]


def _load(name: str, split: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise missing_extra("datasets", "hf", f"hf:{name}") from error
    if (Path(name) / "dataset_dict.json").exists() or (Path(name) / "state.json").exists():
        return _saved(datasets.load_from_disk(name), name, split)
    repository, _, config = (name, "", "") if Path(name).exists() else name.partition(":")
    try:
        return datasets.load_dataset(repository, config or None, split=split)
    except ValueError as error:  # of `datasets`, for a split that is not there
        raise BadData(f"hf:{name} cannot be opened: {error}. Next: check the name and the split.") from error
    except (OSError, RuntimeError) as error:
        raise MissingFile(
            f"hf:{name} is neither a folder nor in the cache, and the hub did not give it ({error}). "
            "Next: check the name, the network and HF_HUB_OFFLINE, or download it and name the folder."
        ) from error


def _saved(source: Any, name: str, split: str) -> Any:
    if isinstance(source, dict):
        if split not in source:
            raise unknown_name(f"split of hf:{name}:", split, source)
        return source[split]
    if source.split is not None and str(source.split) != split:
        raise unknown_name(f"split of hf:{name}:", split, [str(source.split)])
    return source


def _without_decoding(source: Any) -> Any:
    """Image columns as encoded bytes, as everywhere else here."""
    import datasets

    for column, feature in source.features.items():
        if isinstance(feature, datasets.Image):
            source = source.cast_column(column, datasets.Image(decode=False))
    return source
