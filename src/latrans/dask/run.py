"""Run the blocks of a transfer on a Dask scheduler: local threads or processes, or a cluster.

Graphs stay small however many blocks there are: a cluster is given a few blocks per thread ahead
of what it has done, local schedulers a window at a time.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, cast

import dask
import dask.base
import dask.callbacks
import dask.core
from dask.delayed import delayed

from ..errors import ConfigError
from ..transfer import memory
from ..transfer.job import Job
from ..transfer.local import check_shared, models_of, set_up
from ..transfer.move import failed, move
from ..transfer.summary import Record
from ..zarr.frame_reader import configuration
from .models import ModelPlugin, PlanPlugin, do_planned

LOCAL = ("threads", "processes", "synchronous", "sync", "single-threaded", "threading")
_WINDOW = 4096  # blocks in a graph of a local scheduler
_AHEAD = 4  # blocks per thread of a cluster that are known to its scheduler
_AHEAD_LEAST = 32
_LOOK_SECONDS = 1.0  # between looks at how many workers there are

Task = tuple[Any, int]  # a MovePlan, or what has its name, source, target, codec, grid and units
Work = Callable[[Any, int], Record]
Tell = Callable[[int], Any]


@contextmanager
def connected(client: Any, scheduler: Any) -> Iterator[Any]:
    """A `distributed.Client`, or the name of a local scheduler.

    Without either argument that is the client that is active, or what Dask is configured to use,
    or else "threads".
    """
    if client is not None and scheduler is not None:
        raise ConfigError("client and scheduler are both given: leave one out")
    if isinstance(scheduler, str) and scheduler not in LOCAL:
        from distributed import Client

        with Client(scheduler) as opened:
            yield opened
        return
    if client is None and scheduler is None:
        client = _active_client()
        scheduler = dask.config.get("scheduler", None) or "threads"
    yield scheduler if client is None else client


def _active_client() -> Any:
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


def is_cluster(runner: Any) -> bool:
    """Whether `connected` gave a client."""
    return hasattr(runner, "scheduler_info")


def capacity(runner: Any) -> tuple[int, int | None, str]:
    """How many tasks share how many bytes, and whose."""
    if not is_cluster(runner):
        n = dask.config.get("num_workers", None) or dask.system.CPU_COUNT
        single = runner in ("synchronous", "sync", "single-threaded")
        return 1 if single else int(n), memory.available_nbytes(), "this machine"
    workers = _workers(runner)
    limits = [
        (info["memory_limit"] / info["nthreads"], info["nthreads"], info["memory_limit"], address)
        for address, info in workers.items()
        if info["memory_limit"] and info["nthreads"]
    ]
    if not limits:
        return 1, None, "the workers"
    _, nthreads, limit, address = min(limits)
    return nthreads, limit, f"worker {address}"


def run(
    runner: Any,
    tasks: Iterable[Task],
    plans: list[Any],
    tell: Tell,
    resources: dict[str, float] | None = None,
    engine: str | None = None,
    work: Work = move,
) -> Iterator[Record]:
    """Move blocks, or do other work on them; yields records in the order in which they are done.

    Parameters
    ----------
    runner
        What `connected` gave.
    tasks : iterable of (plan, number of a block)
    plans : list
        All of the tasks' plans, whose names differ, and others whose models workers need.
    tell : callable
        Given the bytes of each block that is done.
    resources, engine
        As in `latrans.dask.transcode`.
    work : callable
        What is done with a plan and the number of a block; a function of a module.
    """
    if is_cluster(runner):
        check_shared(plans)
        yield from _on_cluster(runner, tasks, plans, tell, resources, engine, work)
        return
    if resources or engine:
        raise ConfigError("resources= and engine= are for clusters: give client= or scheduler=")
    yield from _locally(runner, tasks, plans, tell, work)


def _locally(
    scheduler: Any, tasks: Iterable[Task], plans: list[Any], tell: Tell, work: Work
) -> Iterator[Record]:
    tasks = iter(tasks)
    while window := list(islice(tasks, _WINDOW)):
        # Dask looks into arguments, but not into what a partial holds.
        graph = [delayed(partial(work, plan), pure=False, traverse=False)(i) for plan, i in window]
        yield from _local_results(scheduler, graph, plans, tell)


def _local_results(
    scheduler: Any, graph: list[Any], plans: list[Any], tell: Tell
) -> Iterable[Record]:
    def done(key: Any, result: Any, *rest: Any) -> None:
        if isinstance(result, Record):
            tell(result.nbytes)

    settings = {}
    if scheduler == "processes":
        check_shared(plans)
        settings["multiprocessing.initializer"] = partial(set_up, models_of(plans), 1)
    with dask.config.set(settings), dask.callbacks.Callback(posttask=done):
        results: tuple[Record, ...] = dask.base.compute(*graph, scheduler=scheduler)
    return results


def _on_cluster(
    client: Any,
    tasks: Iterable[Task],
    plans: list[Any],
    tell: Tell,
    resources: dict[str, float] | None,
    engine: str | None,
    work: Work,
) -> Iterator[Record]:
    from distributed import as_completed

    known: dict[Any, tuple[Any, Task]] = {}  # futures are kept, or their tasks are forgotten
    tasks = iter(tasks)
    with _readied(client, plans, engine, work) as (run_name, numbers):

        def submit(count: int) -> list[Any]:
            futures = []
            for plan, i in islice(tasks, max(0, count)):
                number = numbers[plan.name]
                future = client.submit(
                    do_planned,
                    run_name,
                    number,
                    i,
                    key=f"latrans-{work.__name__}-{run_name}-{number}-{i}",
                    pure=False,
                    resources=resources,
                )
                known[future.key] = future, (plan, i)
                futures.append(future)
            return futures

        ahead, looked = _ahead(client), time.monotonic()
        completed = as_completed(submit(ahead), loop=client.loop)
        try:
            for future in completed:
                record = _result(future, *known.pop(future.key)[1])
                tell(record.nbytes)
                yield record
                if time.monotonic() > looked + _LOOK_SECONDS:
                    ahead, looked = _ahead(client), time.monotonic()
                for more in submit(ahead - len(known)):
                    completed.add(more)
        finally:
            client.cancel([future for future, _ in known.values()])


def computed(
    runner: Any,
    array: Any,
    job: Job,
    tell: Tell,
    resources: dict[str, float] | None = None,
    engine: str | None = None,
) -> Iterator[Record]:
    """Compute the pending blocks of a dask array and move each where it was computed.

    All of them are one graph, since they may share what they are computed from.
    """
    pending = list(job.pending())
    if not pending:
        return
    parts = array.rechunk(job.plans[0].grid.edge).to_delayed()

    def graph(function: Any) -> list[Any]:
        # Dask looks into arguments, but not into what a partial holds.
        moved = delayed(function, pure=False, traverse=False)
        return [moved(i, parts[plan.grid.position(plan.grid[i])]) for plan, i in pending]

    if not is_cluster(runner):
        yield from _local_results(runner, graph(partial(move, job.plans[0])), job.plans, tell)
        return
    from distributed import as_completed

    check_shared(job.plans)
    with _readied(runner, job.plans, engine, move) as (run_name, _):
        futures = runner.compute(graph(partial(do_planned, run_name, 0)), resources=resources)
        tasks = {future.key: task for future, task in zip(futures, pending, strict=True)}
        for future in as_completed(futures, loop=runner.loop):
            record = _result(future, *tasks[future.key])
            tell(record.nbytes)
            yield record


def values_of(runner: Any, parts: list[Any], tell: Tell) -> list[Any]:
    """Values of Dask arrays of one block each, in order; tells of each that is there."""
    if is_cluster(runner):
        from distributed import as_completed

        futures = runner.compute(parts)
        for _ in as_completed(futures, loop=runner.loop):
            tell(1)
        return list(runner.gather(futures))
    wanted = {key for part in parts for key in dask.core.flatten(part.__dask_keys__())}

    def done(key: Any, *rest: Any) -> None:
        if key in wanted:
            tell(1)

    with dask.callbacks.Callback(posttask=done):
        return list(dask.base.compute(*parts, scheduler=runner))


@contextmanager
def _readied(
    client: Any, plans: list[Any], engine: str | None, work: Callable[..., Record]
) -> Iterator[tuple[str, dict[str, int]]]:
    """Give every worker of a cluster, also those to come, what the tasks need.

    Yields the name by which tasks find their plans, and the number of each array's plan.
    """
    client.register_plugin(ModelPlugin(*models_of(plans), engine=engine))
    plugin = PlanPlugin(uuid.uuid4().hex[:12], plans, work)
    client.register_plugin(plugin)
    try:
        yield plugin.run, {plan.name: number for number, plan in enumerate(plans)}
    finally:
        client.unregister_worker_plugin(plugin.name)


def send_models(array: Any) -> None:
    """Give the active cluster, if there is one, the model that a Zarr array names."""
    client = _active_client()
    model = (configuration(array) or {}).get("model", "auto")
    if client is not None and model != "auto":
        client.register_plugin(ModelPlugin(model))


def lost(plan: Any, i: int, error: Exception) -> Record:
    """The record of a block whose workers died one after the other."""
    reason = f"{type(error).__name__}: its workers died: {error}"
    return Record(plan.name, i, failures=failed(plan, i, reason))


def _result(future: Any, plan: Any, i: int) -> Record:
    from distributed import KilledWorker

    try:
        return cast(Record, future.result())
    except KilledWorker as error:
        return lost(plan, i, error)


def _ahead(client: Any) -> int:
    threads = sum(info["nthreads"] for info in _workers(client).values())
    return max(_AHEAD_LEAST, _AHEAD * threads)


def _workers(client: Any) -> dict[str, Any]:
    try:
        found = client.scheduler_info(n_workers=-1)["workers"]
    except TypeError:  # before distributed 2025.2 it takes no argument
        found = client.scheduler_info()["workers"]
    return dict(found)
