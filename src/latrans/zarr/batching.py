"""Batching: chunks that Zarr hands over one by one reach the engine many at a time.

Zarr has some ten chunks at work at once (``async.concurrency``), each in a task of its event loop.
Those that ask for the codec are gathered until the loop has nothing else to do, then go to the
station of the process, which makes batches of what all loops and threads bring.  Zarr's own threads
are neither used nor waited for, so they cannot be waiting for us.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..batch import queue
from ..batch.queue import Coder, Job

_IDLE_PASSES = 2  # of the event loop in which no chunk arrives


@dataclass(frozen=True, eq=False)
class BatchSizes:
    """How many chunks each batch had, in the order in which they began.

    Attributes
    ----------
    encode, decode : list of int
    """

    encode: list[int] = field(default_factory=list)
    decode: list[int] = field(default_factory=list)


@contextmanager
def batch_sizes() -> Iterator[BatchSizes]:
    """Count the batches in which chunks reach the engine, of all Zarr arrays in this process.

    An engine on a device gets a batch as one.  The compiled engine keeps a batch open: its threads
    take whatever has arrived, and the batch ends where they find nothing for 10 ms.

    Yields
    ------
    BatchSizes
        Which grows while the context lasts.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> import latrans.zarr
    >>> image = np.arange(4096, dtype="uint16").reshape(64, 64)
    >>> with latrans.zarr.batch_sizes() as sizes:
    ...     z = zarr.create_array(
    ...         {}, data=image, chunks=(8, 8), serializer={"name": "latrans"}, compressors=None
    ...     )
    >>> sum(sizes.encode)
    64
    """
    sizes = BatchSizes()
    with queue.watching(lambda kind, n_chunks: getattr(sizes, kind).append(n_chunks)):
        yield sizes


async def gather(codec: Coder, kind: str, chunks: Sequence[tuple[Any, int]]) -> list[Any]:
    """What ``codec.code(kind, chunks, threads)`` makes of chunks, along with others at hand.

    Parameters
    ----------
    codec : hashable
        Chunks of equal codecs share a batch.
    kind : {"encode", "decode"}
    chunks : sequence of (chunk, int)
        Each with its size in bytes.

    Raises
    ------
    Exception
        That of the first of these chunks that has one; those of others concern others.
    """
    loop = asyncio.get_running_loop()
    desk = getattr(_here, "desk", None)
    if desk is None or desk.loop is not loop:
        desk = _here.desk = Desk(loop)
    futures = [desk.take_in(codec, kind, chunk, nbytes) for chunk, nbytes in chunks]
    if len(futures) == 1:
        return [await futures[0]]
    return await asyncio.gather(*futures)


class Desk:
    """Where the chunks of one event loop go out, and come back."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._arrived: list[Job] = []
        self._finished: deque[Job] = deque()
        self._is_called = False  # whether `_hand_out` is about to run

    def take_in(self, codec: Coder, kind: str, chunk: Any, nbytes: int) -> asyncio.Future[Any]:
        """A chunk of a task of this loop."""
        future = self.loop.create_future()
        if not self._arrived:
            self.loop.call_soon(self._send_when_idle, 0, _IDLE_PASSES)
        self._arrived.append(Job(codec, kind, chunk, nbytes, future, self.deliver))
        return future

    def _send_when_idle(self, n_seen: int, passes_left: int) -> None:
        n = len(self._arrived)
        passes_left = _IDLE_PASSES if n > n_seen else passes_left - 1
        if passes_left:
            self.loop.call_soon(self._send_when_idle, n, passes_left)
            return
        jobs, self._arrived = self._arrived, []
        queue.current().submit(jobs)

    def deliver(self, jobs: Sequence[Job]) -> None:
        """Finished chunks; called in any thread."""
        self._finished.extend(jobs)
        if self._is_called:
            return
        self._is_called = True
        try:
            self.loop.call_soon_threadsafe(self._hand_out)
        except RuntimeError:
            self._finished.clear()  # the loop is closed: nobody waits any more

    def _hand_out(self) -> None:
        self._is_called = False  # before the first is taken, or one that comes now would stay
        while self._finished:
            job = self._finished.popleft()
            if job.future.done():
                continue  # cancelled
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)


_here = threading.local()  # desk of the event loop that runs in this thread


def _forget() -> None:
    """In a forked child: the parent's loops do not run there."""
    global _here
    _here = threading.local()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
