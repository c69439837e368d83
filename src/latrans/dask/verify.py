"""verify: decode what is stored, by the workers of a Dask scheduler, and compare it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..models.store import open_model
from ..process.progress_bar import progress_bar
from ..transfer import opened, stores
from ..transfer.blocks import BLOCK_NBYTES
from ..transfer.summary import Failure, Record, Summary
from ..transfer.verify import Pair, check, pairs, violations
from . import run


def verify(
    target: Any,
    source: Any = None,
    *,
    max_error: float | None = None,
    model: Any = None,
    block_nbytes: int = BLOCK_NBYTES,
    client: Any = None,
    scheduler: Any = None,
    resources: dict[str, float] | None = None,
    engine: str | None = None,
    progress: bool | Callable[[int], Any] = True,
) -> Summary:
    """Decode every chunk of a Zarr array or group, and compare it with what it was made from.

    Parameters
    ----------
    target : zarr.Array, zarr.Group, store, path or URL
    source : array, zarr.Array, zarr.Group, path or URL, optional
        Without it, only the checksums of chunks are tested.
    max_error : float, optional
        A bound to check in place of what arrays promise.
    model : str, path, bytes or Model, optional
        What wrote the target, where neither its store nor this machine has the model.
    block_nbytes : int
        Of samples that a task holds at a time, whole chunks in any case.
    client, scheduler, resources, engine, progress
        As in `latrans.dask.transcode`.

    Returns
    -------
    Summary
        `failures` has every chunk that does not decode, and of every block whose samples are not
        as promised the chunk with the worst of them.  Bytes "out" are those of the target.

    Raises
    ------
    ConfigError
        If a transfer into the target stopped half-way, or one of the two is a group.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from latrans.dask import transcode, verify
    >>> source = zarr.create_array({}, data=np.arange(6000, dtype="u2").reshape(60, 100))
    >>> store = zarr.storage.MemoryStore()
    >>> summary = transcode(source, store, "image-1", scheduler="threads")
    >>> verify(store, source, scheduler="threads").failures
    ()
    """
    start = time.perf_counter()
    if model is not None:
        open_model(model)
    with ExitStack() as stack:
        whole = opened(target, stack)
        if not hasattr(whole, "store_path"):
            raise ConfigError(f"{target} is not a Zarr array or group")
        before = None if source is None else opened(source, stack)
        found = pairs(before, whole, max_error, block_nbytes)
        alike = [pair for pair in found if not pair.mismatch]
        records = [
            Record(pair.name, 0, failures=(Failure(pair.name, (), pair.mismatch),))
            for pair in found
            if pair.mismatch
        ]
        runner = stack.enter_context(run.connected(client, scheduler))
        nbytes = sum(pair.target.size * _itemsize(pair) for pair in alike)
        tell = stack.enter_context(progress_bar("verify", nbytes, progress))
        tasks = ((pair, i) for pair in alike for i in range(len(pair.grid)))
        records += run.run(runner, tasks, alike, tell, resources, engine, work=check_block)
    return Summary.of([], records, time.perf_counter() - start)


def check_block(pair: Pair, i: int) -> Record:
    """Compare block `i`; what does not hold is among the record's failures."""
    start = time.perf_counter()
    source, read = stores.counted(pair.source)
    target, stored = stores.counted(pair.target)
    assert stored is not None
    found, failures = check(replace(pair, source=source, target=target), i)
    block = pair.grid[i]
    nbytes = int(np.prod([s.stop - s.start for s in block], dtype=object)) * _itemsize(pair)
    broken = violations(pair, found)
    if broken:
        position = found.position or tuple(s.start for s in block)
        chunk = tuple(n // step for n, step in zip(position, pair.units.edge, strict=True))
        reason = f"{broken} samples of its block break the promise of mode {pair.mode}"
        failures = [*failures, Failure(pair.name, chunk, f"{reason}, {found.by}")]
    return Record(
        array=pair.name,
        block=i,
        n_chunks=len(pair.units.within(block)),
        nbytes=nbytes,
        read_nbytes=0 if read is None else read.get_nbytes,
        stored_nbytes=stored.get_nbytes,
        n_different=found.n_different,
        worst=found.worst,
        n_gets=stored.n_gets + (0 if read is None else read.n_gets),
        seconds=time.perf_counter() - start,
        failures=tuple(failures),
    )


def _itemsize(pair: Pair) -> int:
    return int(np.dtype(pair.target.dtype).itemsize)
