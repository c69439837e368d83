"""Run a transfer on this machine, in this process or in several, without Dask."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from typing import Any

import numpy as np

from ..errors import ConfigError, LatransError, ModelNotFoundError
from ..models.model import Model
from ..models.store import open_model, register
from ..threads import VARIABLE
from ..zarr.frame_reader import configuration
from . import stores, worker
from .job import Job
from .move import MovePlan, move
from .summary import Record, Summary

_AHEAD = 4  # blocks that wait per process


def run(job: Job, workers: int, tell: Callable[[int], Any]) -> Summary:
    """Move all pending blocks of a job and complete it.

    Parameters
    ----------
    job : Job
    workers : int
        Processes; with one, the work is done in this one.
    tell : callable
        Given the bytes of every block that is done, blocks of earlier runs first.

    Raises
    ------
    TransferError
        If chunks failed.
    ConfigError
        If several processes cannot share the source or the target.
    """
    tell(sum(record.nbytes for record in job.earlier))
    records = []
    with closing(_serial(job) if workers == 1 else _pooled(job, workers)) as moved:
        for record in moved:
            records.append(record)
            tell(record.nbytes)
    return job.finish(records)


def models_of(plans: Sequence[MovePlan]) -> tuple[bytes, ...]:
    """Files of the models that plans name, for processes that may not find them."""
    names = {plan.codec.model for plan in plans if plan.codec is not None}
    names |= {
        (configuration(plan.source) or {}).get("model", "auto")
        for plan in plans
        if hasattr(getattr(plan, "source", None), "store_path")
    }
    found = set()
    for name in names - {"auto"}:
        with suppress(ModelNotFoundError):  # of a source's codec; frames name their own
            found.add(open_model(name).data)
    return tuple(sorted(found))


def _serial(job: Job) -> Generator[Record, None, None]:
    for plan, i in job.pending():
        yield move(plan, i)


def _pooled(job: Job, workers: int) -> Generator[Record, None, None]:
    check_shared(job.plans)
    threads = max(1, (os.cpu_count() or 1) // workers)
    setup = (models_of(job.plans), threads)
    waiting: set[Future[Record]] = set()
    with worker.processes(workers, set_up, setup) as pool:
        try:
            for plan, i in job.pending():
                waiting.add(worker.submit(pool, move, plan, i))
                if len(waiting) >= _AHEAD * workers:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            yield from (future.result() for future in wait(waiting).done)
        except (BrokenProcessPool, worker.Ended) as error:
            raise LatransError(
                "a worker process died, by lack of memory or by a signal: run the same command "
                "again, it goes on where this one stopped"
            ) from error


def set_up(models: Sequence[bytes], threads: int) -> None:
    """Ready a process that works beside others: models, and no more threads than its share."""
    os.environ.setdefault(VARIABLE, str(threads))
    for data in models:
        register(Model.from_bytes(data))


def check_shared(plans: Sequence[MovePlan]) -> None:
    """Refuse sources and targets that other processes would not see."""
    for plan in plans:
        for array in (plan.source, plan.target):
            place = getattr(array, "store_path", None)
            if place is not None and not stores.is_shared(place.store):
                raise ConfigError(
                    f"{place} is in this process's memory, which workers do not share: use one "
                    "process, or another store"
                )
        if isinstance(plan.source, np.ndarray):
            raise ConfigError(
                "the source is in this process's memory, which workers do not share: use one "
                "process, or store it first"
            )
