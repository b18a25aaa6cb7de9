"""Output folders: the kind of flow that each holds, and a lock against a second process."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from noiseproof.core.errors import invalid
from noiseproof.core.storage.files import LOCK, locked_folder
from noiseproof.core.storage.marks import MARK, claim

# File in the folder of each kind of flow -> the flow.
MARKS = {
    "run.json": "a run", "card.json": "a training", "study.json": "a study",
    "detection.json": "a search for wrong labels", "noise.json": "a noise manifest",
    "applied.json": "a cleaned data set",
}  # fmt: skip


def check_is_apart(out: Path, data: Iterable[str | None]) -> None:
    """Refuse an output inside of a data set, where files would become examples of the next run."""
    for name in data:
        if name and Path(name).is_dir() and out.resolve().is_relative_to(Path(name).resolve()):
            raise invalid(
                "out", str(out), f"a place outside of the data set {name!r}",
                "What is written there would be taken for examples. Next: name another place.",
            )  # fmt: skip


@contextmanager
def only_process_in(folder: Path, *, mark: str | None = None, argument: str = "out") -> Iterator[None]:
    """Lock a folder against a second process.

    Args:
        folder: made if need be.
        mark: the file of `MARKS` of this flow; a folder with another one is refused.
        argument: name of the argument that the folder is the value of.

    Raises:
        InvalidArgument: another process uses it, it cannot be written to, or it holds another flow.
    """
    for other, work in MARKS.items() if mark is not None else ():
        if other != mark and (folder / other).is_file():
            raise invalid(
                argument, str(folder), "a folder of its own",
                f"It has {other!r} of {work}. Next: name another.",
            )  # fmt: skip
    is_new = not folder.exists()
    notes = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    is_mark_new = claim(folder, argument=argument)
    with locked_folder(folder, argument=argument):
        claim(folder, argument=argument)  # another process, which was refused, may have taken its mark back
        try:
            yield
        finally:
            kept = (LOCK, MARK, *notes)
            if is_mark_new and all(path.name in kept or path.is_dir() for path in folder.rglob("*")):
                (folder / MARK).unlink(missing_ok=True)  # a refused command leaves nothing
                if is_new:
                    shutil.rmtree(folder, ignore_errors=True)


def only_main_process_in(folder: Path, accelerator: Any) -> AbstractContextManager[Any]:
    """Lock the folder of a training, in the one of its processes that writes."""
    return only_process_in(folder, mark="card.json") if accelerator.is_main_process else nullcontext()
