"""Whether a service still answers as it did: texts of a fixed list are embedded again and compared.

```
STORE/.services/KEY.json   embeddings of these texts by one model of one service, at its first extraction
```

A service changes its models without notice. Features of before and after in one store would look like data
of two domains.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from noiseproof.backbones.services.service_backbone import ServiceBackbone
from noiseproof.core.errors import ServiceError
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import Document, read_document
from noiseproof.core.storage.files import digest, locked_folder

_FOLDER = ".services"
PROBE_TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "A dull, overlong film that wastes a fine cast.",
    "Water boils at 100 degrees Celsius at sea level.",
    "¿Dónde está la biblioteca?",
)
# Half precision and another order of sums change a vector by up to about 1 %, another model by 30 % and more.
LARGEST_DRIFT = 0.03


class ServiceProbe(Document):
    """Embeddings of the probe texts."""

    model: str
    url: str
    texts: tuple[str, ...]
    embeddings: tuple[tuple[float, ...], ...]


def check_drift(backbone: ServiceBackbone, store: Path) -> None:
    """Compare the service with the record in a store; the first time, make the record.

    Drift of a text is |a - b| / |b| with b as recorded.

    Raises:
        ServiceError: the largest drift is over 3 %, or the width of the embeddings is another.
        DamagedFile: the record cannot be used.
    """
    path = store / _FOLDER / f"{digest([backbone.address.model, backbone.address.url])[:32]}.json"
    now = backbone.ask(np.array(PROBE_TEXTS, dtype=object)[:, None])
    again = f"delete {str(path)!r}; it is made again by the service as it is now"
    if not path.exists():
        with locked_folder(path.parent, argument="store", on_wait=lambda: None):
            write_record(path, _probe(backbone, now).to_json())
        return
    before = read_document(path, ServiceProbe, next_step=again)
    recorded = np.array(before.embeddings, np.float32)
    if before.texts != PROBE_TEXTS:
        raise ServiceError(f"{str(path)!r} is of another version of noiseproof. Next: {again}.")
    problem = _difference(now, recorded)
    if problem:
        raise ServiceError(
            f"The service {backbone.address.url} has changed since this store was begun: with the model "
            f"{backbone.address.model!r} {problem}, and old and new features do not go together. Next: start "
            "a new store with everything in it (--cache, or --out of extract)."
        )


def _difference(now: Float[np.ndarray, "p d"], before: Float[np.ndarray, "p e"]) -> str:
    """How the two differ, in words; empty where they agree."""
    if now.shape != before.shape:
        return f"it gives {now.shape[1]} numbers a text, {before.shape[1]} before"
    gaps = np.linalg.norm(now.astype(np.float64) - before, axis=1)
    sizes = np.maximum(np.linalg.norm(before.astype(np.float64), axis=1), np.finfo(np.float32).tiny)
    drift = float((gaps / sizes).max())
    if drift <= LARGEST_DRIFT:
        return ""
    return f"embeddings of the same texts differ by {drift:.1%} (allowed: {LARGEST_DRIFT:.0%})"


def _probe(backbone: ServiceBackbone, embeddings: Float[np.ndarray, "p d"]) -> ServiceProbe:
    return ServiceProbe(
        model=backbone.address.model, url=backbone.address.url, texts=PROBE_TEXTS,
        embeddings=tuple(map(tuple, embeddings.astype(float).tolist())),
    )  # fmt: skip
