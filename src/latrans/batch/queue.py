"""Queue: the threads of a process that code chunks, as many as `latrans.threads.share` says.

An engine on a device gets a batch as one: all chunks that wait when the one before has ended, and
their number is what such an engine lives by.  So a batch waits for chunks that should be there
soon, the successors of those that have just gone back, until it has as many as were under way
lately; where chunks come one after the other, none waits.

Engines on the processor gain nothing from that, and lose where cores wait for a batch to fill.
Their batches stay open: threads take whatever waits, small chunks a few at a time, each chunk goes
back as soon as it is done and fetches its successor, and the batch ends where nothing follows.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..engine import VARIABLE as ENGINE
from ..errors import ConfigError
from ..process import shutdown
from ..threads import share, slabs

if TYPE_CHECKING:
    import asyncio

_FULL = 0.9  # of the chunks under way: a batch that waits for no more
_QUIET_SECONDS = 0.01  # in which a successor should arrive, or a quarter of a batch's time
_PATIENCE_SECONDS = 0.2  # of a batch in all
_FORGET_SECONDS = 0.05  # without any work: nothing that finished has a successor
_DEVICE_ENGINE = "torch"


class Coder(Protocol):
    """A codec, compared and hashed by its configuration."""

    def code(self, kind: str, chunks: Sequence[Any], threads: int) -> Sequence[Any]:
        """Encode or decode chunks."""


@dataclass(eq=False, slots=True)
class Job:
    """A chunk, and who waits for it."""

    codec: Coder
    kind: str
    chunk: Any
    nbytes: int
    future: Future[Any] | asyncio.Future[Any]
    deliver: Callable[[Sequence[Job]], None]
    result: Any = None
    error: BaseException | None = None


class ChunkQueue:
    """Takes jobs from any thread and brings them back, each with a result or an error.

    Parameters
    ----------
    count : callable
        ``count(kind, n_chunks)`` is told of every batch.
    """

    def __init__(self, count: Callable[[str, int], None]) -> None:
        self._count = count
        lock = threading.Lock()
        self._wanted = threading.Condition(lock)  # a thread, for a piece or for a new batch
        self._moved = threading.Condition(lock)  # something arrived, or came to its end
        self._waiting: list[Job] = []
        self._pieces: deque[list[Job]] = deque()  # of the batch
        self._is_batching = False  # whether some thread waits for a batch to be full
        self._is_closed = False
        self._n_threads = self._n_busy = 0
        self._allowed = self._threads_each = 1
        self._unfinished = 0  # chunks of batches
        self._most = self._expected = 0  # chunks under way, since the last batch and before it
        self._last = self._seconds = 0.0  # when a piece last ended, and how long it took
        self._open: dict[tuple[str, Coder], int] = {}  # chunks of batches that are open

    def submit(self, jobs: list[Job]) -> None:
        """Take jobs in; returns at once."""
        if not shutdown.may_work():
            _give_up(jobs)
            return
        with self._wanted:
            self._waiting += jobs
            self._most = max(self._most, len(self._waiting) + self._unfinished)
            (self._moved if self._is_batching else self._wanted).notify()
            if (self._n_threads and not self._is_closed) or self._start():
                return
        while self._work(forever=False):
            pass

    def close(self) -> None:
        """Give up what waits, and let threads end with what they are at."""
        if not self._wanted.acquire(timeout=shutdown.LOCK_SECONDS):
            return
        try:
            self._is_closed = True
            jobs = [*self._waiting, *(job for piece in self._pieces for job in piece)]
            self._unfinished -= sum(map(len, self._pieces))
            self._waiting, self._pieces = [], deque()
            self._wanted.notify_all()
            self._moved.notify_all()
        finally:
            self._wanted.release()
        _give_up(jobs)

    def _start(self) -> bool:
        """Start a thread; False where none can be."""
        if not shutdown.start(self._work_on, "latrans-station", self.close):
            return False
        self._n_threads += 1
        return True

    def _work_on(self) -> None:
        while self._work():
            pass

    def _work(self, forever: bool = True) -> bool:
        """Code one piece; False, unless forever, where none is left."""
        piece, threads = self._next(forever)
        if not piece:
            return False
        start = time.monotonic()
        _code([job for job in piece if job.error is None], threads)
        with self._moved:
            self._last = time.monotonic()
            self._seconds = self._last - start
            self._n_busy -= 1
            self._unfinished -= len(piece)
            self._moved.notify()
        _bring_back(piece)
        return True

    def _next(self, forever: bool) -> tuple[list[Job], int]:
        """A piece to work on, and by how many threads."""
        with self._wanted:
            while True:
                if self._pieces and self._n_busy < self._allowed:
                    self._n_busy += 1
                    piece = self._pieces.popleft()
                    if self._waiting and not self._pieces:
                        self._wanted.notify()  # another thread may make the next batch
                    return piece, self._threads_each
                if self._waiting and not self._pieces and not self._is_batching:
                    self._make_batch()
                elif forever and not self._is_closed:
                    self._wanted.wait()
                else:
                    return [], 0

    def _make_batch(self) -> None:
        """Turn what waits into pieces; called with the lock, given back while waiting."""
        as_one = on_device()
        if as_one:
            self._is_batching = True
            self._wait_for_others()
            self._is_batching = False
        if as_one or self._has_paused(_QUIET_SECONDS):
            self._close()
        jobs = [job for job in self._waiting if not job.future.done()]  # others are cancelled
        self._waiting = []
        self._expected, self._most = self._most, len(jobs) + self._unfinished
        self._unfinished += len(jobs)
        try:
            threads = share()
        except ConfigError as error:
            threads = 1
            for job in jobs:
                job.error = error
        self._allowed, self._threads_each = (1, threads) if as_one else (threads, 1)
        groups: dict[tuple[str, Coder], list[Job]] = {}
        for job in jobs:
            groups.setdefault((job.kind, job.codec), []).append(job)
        for key, group in groups.items():
            self._open[key] = self._open.get(key, 0) + len(group)
            self._pieces.extend([group] if as_one else map(list, slabs(group, threads)))
        n_more = min(self._allowed, len(self._pieces)) - 1
        self._wanted.notify(max(0, n_more))
        while self._n_threads <= n_more and self._start():
            pass

    def _wait_for_others(self) -> None:
        """Let successors of finished chunks arrive, as long as some do."""
        if self._has_paused(_FORGET_SECONDS):
            return
        end = time.monotonic() + _PATIENCE_SECONDS
        quiet = min(max(_QUIET_SECONDS, self._seconds / 4), _PATIENCE_SECONDS)
        while len(self._waiting) < _FULL * self._expected and not self._is_closed:
            if not self._moved.wait(quiet) or time.monotonic() > end:
                return

    def _has_paused(self, seconds: float) -> bool:
        return not self._unfinished and time.monotonic() > self._last + seconds

    def _close(self) -> None:
        for (kind, _), n_chunks in self._open.items():
            self._count(kind, n_chunks)
        self._open = {}

    def close_batch(self) -> None:
        """Tell of batches that are still open, and begin new ones."""
        with self._wanted:
            self._close()


def _code(jobs: Sequence[Job], threads: int) -> None:
    """Give jobs of one codec their results, or their errors: each its own."""
    if not jobs:
        return
    try:
        results = jobs[0].codec.code(jobs[0].kind, [job.chunk for job in jobs], threads)
        for job, result in zip(jobs, results, strict=True):
            job.result = result
    except BaseException as error:
        if len(jobs) == 1:
            jobs[0].error = error
            return
        for job in jobs:
            _code([job], threads)


def _bring_back(jobs: Sequence[Job]) -> None:
    """Hand jobs to those who wait for them."""
    back: dict[Callable[[Sequence[Job]], None], list[Job]] = {}
    for job in jobs:
        back.setdefault(job.deliver, []).append(job)
    for deliver, some in back.items():
        deliver(some)


def _give_up(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.error = shutdown.error()
    _bring_back(jobs)


def on_device() -> bool:
    """Whether the engine in use takes batches as one."""
    return os.environ.get(ENGINE, "").startswith(_DEVICE_ENGINE)


def current() -> ChunkQueue:
    """The station of this process."""
    return _station


def submit_and_wait(codec: Coder, kind: str, chunk: Any, nbytes: int) -> Any:
    """What becomes of a chunk, coded along with those of other threads; waits for it.

    Parameters
    ----------
    codec, kind, chunk
        As for `Coder.code`; chunks of equal codecs share a batch.
    nbytes : int
        Size of the chunk.
    """
    future: Future[Any] = Future()
    _station.submit([Job(codec, kind, chunk, nbytes, future, _resolve)])
    return future.result()


@contextmanager
def watching(count: Callable[[str, int], None]) -> Iterator[None]:
    """Have ``count(kind, n_chunks)`` called for every batch that begins meanwhile."""
    _station.close_batch()
    _watchers.append(count)
    try:
        yield
    finally:
        _station.close_batch()
        _watchers.remove(count)


def _resolve(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


_watchers: list[Callable[[str, int], None]] = []


def _count(kind: str, n_chunks: int) -> None:
    for count in list(_watchers):
        count(kind, n_chunks)


_station = ChunkQueue(_count)


def _forget() -> None:
    """In a forked child: the parent's threads are not there, nor who held their locks."""
    global _station
    _station = ChunkQueue(_count)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
