"""Image-text pairs in WebDataset shards: tar files in which the files of a pair share a name.

`000017.jpg` and `000017.txt` are one pair. Shards are read and written as streams, so that memory holds one
file at a time beside the captions.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, final

import numpy as np

from noiseproof.core.checks import check_unique_ids
from noiseproof.core.errors import BadData, NoiseproofError, invalid
from noiseproof.core.limits import EXAMPLE_BYTES, UNPACKED_BYTES, above, is_bomb, limit
from noiseproof.core.progress import progress
from noiseproof.core.storage.files import replacing
from noiseproof.core.storage.regular_files import open_regular
from noiseproof.core.system_errors import check_text
from noiseproof.data.formats.folder_walk import IMAGE_SUFFIXES
from noiseproof.data.pairs.pairs import AbstractPairs, PairScan

# What tarfile and the decompressors under it raise, depending on where the damage is.
TAR_ERRORS = (
    tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError, IndexError, KeyError,
    OverflowError, MemoryError, RecursionError, TypeError,
)  # fmt: skip
_LONG_HEADERS = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip
_MAX_HEADER_BYTES = 1 << 20


@final
class ShardPairs(AbstractPairs):
    """Tar shards, in the order of their names."""

    def __init__(self, path: Path, *, caption: str | None, image: str | None) -> None:
        if image is not None:
            raise invalid("image", image, "nothing for shards, whose pairs have one image", "Leave it out.")
        self._shards = sorted(path.glob("*.tar")) if path.is_dir() else [path]
        if not self._shards:
            raise BadData(f"{str(path)!r} has no .tar files; allowed: a folder of WebDataset shards.")
        self._owner = str(path)
        self._extension = (caption or "txt").removeprefix(".").lower()  # as `split_name` has it

    def scan(self) -> PairScan:
        """See `AbstractPairs`."""
        digest = hashlib.sha256()
        ids: list[str] = []
        captions: list[str] = []
        with progress(f"Reading {self._owner}", total=len(self._shards), unit="shard") as bar:
            for shard in self._shards:
                keys: dict[str, int] = {}  # pair -> how many images
                with_caption: set[str] = set()
                for member, content in _files(shard):
                    key, extension = split_name(member.name)
                    keys.setdefault(key, 0)
                    if extension == self._extension:
                        _check_once(key, with_caption, shard)
                        with_caption.add(key)
                        ids.append(f"{shard.stem}/{key}")
                        captions.append(_text(content, key, shard))
                    else:
                        keys[key] += PurePosixPath(member.name).suffix.lower() in IMAGE_SUFFIXES
                        for part in (f"{shard.stem}/{member.name}".encode(), content):
                            digest.update(len(part).to_bytes(8, "little") + part)
                self._check_whole(keys, with_caption, shard)
                bar.update()
        found = np.array(ids, str)
        check_unique_ids(found, self._owner)
        return PairScan(found, captions, digest.hexdigest())

    def write(
        self, out: Path, captions: Sequence[str] | np.ndarray, *, read_from: Path | None = None
    ) -> list[Path]:
        """See `AbstractPairs`."""
        del read_from  # the images are in the shards
        left = iter(captions)
        with progress("Writing shards", total=len(self._shards), unit="shard") as bar:
            for shard in self._shards:
                with (
                    replacing(out / shard.name) as partial,
                    tarfile.open(partial, mode="w", format=tarfile.GNU_FORMAT) as archive,
                ):
                    for member, content in _files(shard):
                        if split_name(member.name)[1] == self._extension:
                            content = next(left).encode()
                            member.size = len(content)
                        member.pax_headers = {}  # of the old file; they may hold its size
                        archive.addfile(member, io.BytesIO(content))
                        archive.getmembers().clear()  # kept for random access; shards are long
                bar.update()
        return [out / shard.name for shard in self._shards]

    def _check_whole(self, keys: dict[str, int], with_caption: set[str], shard: Path) -> None:
        for key, num_images in keys.items():
            missing = f".{self._extension}" if key not in with_caption else "image" if num_images == 0 else ""
            if missing:
                raise BadData(
                    f"The pair {key!r} of {str(shard)!r} has no {missing} file; allowed: a caption and an "
                    f"image ({' '.join(IMAGE_SUFFIXES)}) in every pair. Next: leave it out, or name the "
                    "extension of the captions with `caption`."
                )


def _files(shard: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Every file of an archive with its contents, one after the other."""
    try:
        with (
            open_regular(shard) as stream,
            tarfile.open(fileobj=stream, mode="r|*", tarinfo=CheckedMember) as archive,
        ):
            unpacked = 0
            for member in archive:
                check_text(member.name, f"A name in the shard {str(shard)!r}")
                unpacked += _checked_size(member)
                if is_bomb(unpacked, os.fstat(stream.fileno()).st_size):
                    raise tarfile.ReadError(above(f"its {unpacked} bytes, unpacked,", UNPACKED_BYTES))
                if member.isfile():
                    file = archive.extractfile(member)
                    assert file is not None  # since it is a file
                    content = file.read()
                    if len(content) != member.size:
                        raise tarfile.ReadError("unexpected end of data")
                    yield member, content
    except NoiseproofError:
        raise
    except TAR_ERRORS as error:
        raise BadData(
            f"The shard {str(shard)!r} cannot be read ({error}); allowed: whole tar archives. "
            "Next: get it again, or leave it out."
        ) from error


class CheckedMember(tarfile.TarInfo):
    """A member whose headers are small: long names and attributes are read into memory as a whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _LONG_HEADERS and not 0 <= self.size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _checked_size(member: tarfile.TarInfo) -> int:
    if not 0 <= member.size <= limit(EXAMPLE_BYTES):
        raise tarfile.ReadError(above(f"the {member.size} bytes of {member.name[:80]!r}", EXAMPLE_BYTES))
    return member.size


def split_name(name: str) -> tuple[str, str]:
    """Name of a file -> pair, extension; the extension begins at the first dot of the last part."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()


def _check_once(key: str, seen: set[str], shard: Path) -> None:
    if key in seen:
        raise BadData(f"The pair {key!r} of {str(shard)!r} has two captions; allowed: one.")


def _text(content: bytes, key: str, shard: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadData(
            f"The caption of {key!r} in {str(shard)!r} is not UTF-8 text ({error.reason}); allowed: UTF-8."
        ) from error
