"""Image-text pairs whose captions are to change: read once for the captions, once more for the copy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from noiseproof.core.errors import MissingFile
from noiseproof.core.registry import Registry, unknown_name

PAIRS = Registry(
    "kind of image-text pairs",
    {
        "parquet": "noiseproof.data.pairs.pair_tables:ParquetPairs",
        "csv": "noiseproof.data.pairs.pair_tables:TextPairs",
        "tsv": "noiseproof.data.pairs.pair_tables:TextPairs",
        "jsonl": "noiseproof.data.pairs.pair_tables:TextPairs",
        "tar": "noiseproof.data.pairs.pair_shards:ShardPairs",
    },
)
CAPTION_NAMES = ("caption", "captions", "text", "title", "sentence")


@dataclass(frozen=True, eq=False)
class PairScan:
    """Ids, captions and fingerprint of all pairs.

    Attributes:
        ids: n, unique.
        captions: n texts.
        fingerprint: SHA-256 over ids and images, never over captions.
    """

    ids: np.ndarray
    captions: Sequence[str]
    fingerprint: str


class AbstractPairs(ABC):
    """Pairs on disk; images are never held together."""

    @abstractmethod
    def scan(self) -> PairScan:
        """Read everything once; keep ids and captions.

        Raises:
            BadData: a pair without caption or image, duplicate ids, a file that cannot be read.
        """

    @abstractmethod
    def write(
        self, out: Path, captions: Sequence[str] | np.ndarray, *, read_from: Path | None = None
    ) -> list[Path]:
        """Copy all pairs in their order with these captions, everything else as it is.

        Args:
            out: folder, made if need be.
            captions: one per pair.
            read_from: folder where the copy is read, if it is moved; relative paths of images lead from it.

        Returns:
            The files.
        """


def open_pairs(name: str, *, caption: str | None = None, image: str | None = None) -> AbstractPairs:
    """Pairs by the name of a file, or of a folder of WebDataset shards.

    Args:
        name: ends in .parquet, .csv, .tsv, .jsonl or .tar, or is a folder of .tar files.
        caption: column of the captions, or file name extension in shards; found by its name if not given.
        image: column of the images or their paths; likewise; means nothing for shards.

    Raises:
        MissingFile: there is no such path.
        UnknownName: another file type.
    """
    path = Path(name)
    if not path.exists():
        raise MissingFile(f"There are no pairs {name!r}. Next: check the path.")
    kind = "tar" if path.is_dir() else path.suffix.lower().removeprefix(".")
    if kind not in PAIRS.names:
        raise unknown_name(
            "file type of image-text pairs", kind, PAIRS.names, f"Convert {name!r} to one of these."
        )
    return PAIRS.load(kind)(path, caption=caption, image=image)
