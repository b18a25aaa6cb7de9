"""Tunings side by side in worker processes, which end with their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import cache
from threading import Thread, current_thread, main_thread
from typing import Any

import torch

from noiseproof.core.parent import end_with_parent
from noiseproof.core.threads import num_cores
from noiseproof.study.grid import Grid
from noiseproof.study.measures.material import Locations, open_task
from noiseproof.study.measures.measure import Batch, RowRequest, Workbench
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.rows import StudyRow


def side_by_side(
    batches: Sequence[Batch], recipe: StudyRecipe, locations: Locations
) -> Iterator[tuple[Batch, Callable[[], Sequence[StudyRow]]]]:
    """Compute tunings, a process per core where there is no accelerator; yield each training when it ends."""
    if not batches:
        return
    num_workers = 1 if torch.accelerator.is_available() else min(num_cores(), len(batches))
    begin, others = (recipe.to_json(), locations), set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(num_workers, _context(), _begin, begin)
    # Seed by seed: a study that is stopped has seeds of the whole grid.
    in_order = sorted(batches, key=lambda batch: batch.requests[0].place.seed)
    futures: dict[Future, Batch] = {pool.submit(_rows, batch.requests): batch for batch in in_order}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result
    except BaseException:  # an interrupt, a full disk: what runs goes on from its checkpoint another time
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _context() -> Any:
    """Workers are forks of one process that has imported everything."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # It would end with a thread that started it.
    first = [f"{__package__}.fork_server"] if current_thread() is main_thread() else []
    context.set_forkserver_preload([*first, __name__])
    return context


_bench: Callable[[str], Workbench]  # of this worker process, by task


def _begin(recipe: dict[str, Any], locations: Locations) -> None:
    global _bench
    end_with_parent(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    if not torch.accelerator.is_available():
        torch.set_num_threads(1)  # whatever the number of workers, so that sums come out the same
    Thread(target=_end_with_parent, daemon=True).start()
    grid = Grid(StudyRecipe(**recipe))
    _bench = cache(lambda task: Workbench(grid, locations, open_task(grid, task, locations)))


def _end_with_parent() -> None:
    """A parent that is killed cannot stop its workers, which would keep their folders from the next start."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker
    parent.join()
    os._exit(1)


def _rows(requests: Sequence[RowRequest]) -> list[StudyRow]:
    return Batch(_bench(requests[0].place.task), requests, (), None).rows()
