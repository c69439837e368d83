"""Station: the threads of a process that code chunks in batches.

A batch is all that waits when a thread has nothing left to do; small pieces of it are handed to as
many threads as the process is given, see `latrans.threads.share`.  Chunks go back as soon as they
are done and fetch their successors while others are still at work.  A batch waits for successors
that are on their way, for about as long as a chunk takes, and so has as many chunks as there are
under way; where chunks come one after the other, none waits.

An engine on a device gets a batch as one.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..engine import VARIABLE as ENGINE
from ..errors import ConfigError
from ..threads import share, slabs

if TYPE_CHECKING:
    import asyncio

_FULL = 0.9  # of the chunks under way: a batch that waits for no more
_QUIET_SECONDS = (0.004, 0.01)  # least and most in which a successor should arrive
_FORGET_SECONDS = 0.05  # without any work: nothing that finished has a successor
_PATIENCE = 8  # such times, of a batch in all
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
    future: asyncio.Future[Any]
    bring_back: Callable[[Sequence[Job]], None]
    result: Any = None
    error: BaseException | None = None


class Station:
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
        self._n_threads = self._n_busy = 0
        self._allowed = self._threads_each = 1
        self._unfinished = 0  # chunks of batches
        self._most = self._expected = 0  # chunks under way, since the last batch and before it
        self._seconds = self._last = 0.0  # that a piece takes, and when the last one ended

    def submit(self, jobs: list[Job]) -> None:
        """Take jobs in; returns at once."""
        with self._wanted:
            self._waiting += jobs
            self._most = max(self._most, len(self._waiting) + self._unfinished)
            (self._moved if self._is_batching else self._wanted).notify()
            if self._n_threads or self._start():
                return
        while self._work(forever=False):
            pass

    def _start(self) -> bool:
        """Start a thread; False where the interpreter is about to end."""
        try:
            # A daemon: whatever it works on has somebody who waits for it.
            threading.Thread(target=self._work_on, name="latrans-zarr", daemon=True).start()
        except RuntimeError:
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
            self._n_busy -= 1
            self._unfinished -= len(piece)
            seconds = self._last - start
            # Grows slowly: a large chunk among small ones shall not make them wait.
            self._seconds = min(seconds, 2 * self._seconds or seconds)
            self._moved.notify()
        back: dict[Callable[[Sequence[Job]], None], list[Job]] = {}
        for job in piece:
            back.setdefault(job.bring_back, []).append(job)
        for bring_back, jobs in back.items():
            bring_back(jobs)
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
                elif forever:
                    self._wanted.wait()
                else:
                    return [], 0

    def _make_batch(self) -> None:
        """Turn what waits into pieces; called with the lock, given back while waiting."""
        self._is_batching = True
        self._wait_for_others()
        self._is_batching = False
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
        as_one = os.environ.get(ENGINE, "").startswith(_DEVICE_ENGINE)
        self._allowed, self._threads_each = (1, threads) if as_one else (threads, 1)
        groups: dict[tuple[str, Coder], list[Job]] = {}
        for job in jobs:
            groups.setdefault((job.kind, job.codec), []).append(job)
        for (kind, _), group in groups.items():
            self._count(kind, len(group))
            self._pieces.extend([group] if as_one else map(list, slabs(group, threads)))
        n_more = min(self._allowed, len(self._pieces)) - 1
        self._wanted.notify(max(0, n_more))
        while self._n_threads <= n_more and self._start():
            pass

    def _wait_for_others(self) -> None:
        """Let successors of finished chunks arrive, as long as some do or should soon."""
        now = time.monotonic()
        if not self._unfinished and now > self._last + _FORGET_SECONDS:
            return
        least, most = _QUIET_SECONDS
        quiet = min(max(least, self._seconds / 2), most)
        end = now + _PATIENCE * max(quiet, self._seconds)
        while len(self._waiting) < _FULL * self._expected:
            patience = max(quiet, self._seconds) if self._unfinished else quiet
            if not self._moved.wait(patience) or time.monotonic() > end:
                return


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
