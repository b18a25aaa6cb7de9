"""An encoder that is built when an example has to go through it, and not to find finished features.

The store keeps the identity of each encoder that its features came from:

```
STORE/.encoders/KEY.json   the identity
```

KEY is the hash of everything that decides an identity: name and layer, the files of weights, and the
versions of the code that builds the encoder from them. With other weights, or after an upgrade, no record has
that key: the encoder is built, and its features are found by the identity that is computed from its weights.
Encoders from a hub have no record, since their weights may change there.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cached_property
from importlib import metadata
from pathlib import Path

import noiseproof.backbones
from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.base import AbstractBackbone, EncoderIdentity
from noiseproof.backbones.services.settings import ServiceSettings
from noiseproof.backbones.weight_files import weight_files
from noiseproof.core.errors import NoiseproofError
from noiseproof.core.records import Dataset
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import read_document
from noiseproof.core.storage.files import digest, hash_file, locked_folder
from noiseproof.core.version import __version__
from noiseproof.features.lookup import check_extraction, find_features
from noiseproof.features.store import StoredFeatures

_FOLDER = ".encoders"
# Packages whose code is part of an encoder.
_BUILDERS = ("gguf", "timm", "tokenizers", "torch", "torchvision", "transformers")


class LazyEncoder:
    """An encoder by its name, see `open_backbone`; its store has the records of encoders.

    Raises:
        NoiseproofError: there is no record of the encoder, and it cannot be opened.
    """

    def __init__(
        self,
        name: str,
        *,
        layer: str | None,
        store: Path,
        service: ServiceSettings | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self._name, self._layer, self._store, self._service = name, layer, store, service
        self._max_tokens = max_tokens
        self._key = self._new_key()
        self._recorded = self._read()
        if self._recorded is None:
            _ = self.opened  # what cannot be opened is refused before any work

    @cached_property
    def opened(self) -> AbstractBackbone:
        """The encoder itself."""
        return open_backbone(
            self._name, layer=self._layer, service=self._service, max_tokens=self._max_tokens
        )

    @property
    def identity(self) -> EncoderIdentity:
        """Identity of the encoder, as computed from its weights now or recorded before."""
        return self.opened.identity if self._recorded is None else self._recorded

    @property
    def identities(self) -> tuple[EncoderIdentity, ...]:
        """The identity, as of encoders side by side."""
        return (self.identity,)

    def features(
        self, dataset: Dataset, *, store: Path, batch_size: int, engine: str, precision: str, dtype: str
    ) -> StoredFeatures:
        """Features of every example; those that the store has already are not computed again.

        Arguments are as in `extract`; `store` is that of the encoder, or a folder in it.

        Raises:
            NoiseproofError: see `extract`.
        """
        if self._recorded is not None and not dataset.is_cropped:
            check_extraction(dataset, self._recorded, dtype=dtype, batch_size=batch_size)
            stored = find_features(
                dataset, self._recorded, store=store, engine=engine, precision=precision, dtype=dtype
            )
            if stored is not None:
                return stored
        from noiseproof.features.extract import extract

        stored = extract(
            dataset, self.opened, store=store, batch_size=batch_size, engine=engine, precision=precision,
            dtype=dtype,
        )  # fmt: skip
        self._record()
        return stored

    def _read(self) -> EncoderIdentity | None:
        """The recorded identity; `None` where there is none, or it cannot be read."""
        if self._key is None:
            return None
        try:
            return read_document(self._path, EncoderIdentity, next_step="delete it")
        except (OSError, NoiseproofError):
            return None

    def _record(self) -> None:
        """Record the identity of the opened encoder, for later starts."""
        identity, self._recorded = self.opened.identity, None
        # Files that changed while the encoder was opened have another key now.
        if self._key is None or self._key != self._new_key() or self._read() == identity:
            return
        # A store may be read-only: later starts open the encoder.
        with suppress(OSError, NoiseproofError), locked_folder(self._path.parent, argument="store"):
            write_record(self._path, identity.to_json())

    def _new_key(self) -> str | None:
        """Hash of everything that decides the identity of the encoder; `None` where that is not known."""
        try:
            files = weight_files(self._name)
            hashes = None if files is None else [hash_file(file) for file in files]
        except (OSError, NoiseproofError):
            return None  # opening it will say what is wrong
        if hashes is None:
            return None
        options = [] if self._max_tokens is None else [self._max_tokens]
        versions = [_version(package) for package in _BUILDERS]
        return digest([self._name, self._layer, *options, hashes, versions, __version__, _code_hash()])

    @property
    def _path(self) -> Path:
        return self._store / _FOLDER / f"{self._key}.json"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _code_hash() -> str:
    """Hash of our own code that builds encoders, which changes in a clone without a new version."""
    files = sorted(Path(noiseproof.backbones.__path__[0]).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
