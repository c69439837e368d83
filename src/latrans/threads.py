"""Threads: many chunks side by side on one pool of the process, results in order.

A chunk is always coded by one thread, without the GIL for nearly all of its time.  The caller
works along with its helpers, so a batch ends even where no helper is free, and calls may nest.
All callers share the helpers: Dask's and Zarr's workers, who call from threads of their own, get
none unless they are asked for.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from .errors import ConfigError
from .process import shutdown

VARIABLE = "LATRANS_NUM_THREADS"
BATCH_VARIABLE = "LATRANS_BATCH"
MAX_THREADS = 256  # of a batch; more of them only wait for each other
MAX_IN_FLIGHT = 4096

_SLAB = 64  # chunks that are handed to a thread together
_SLAB_NBYTES = 1 << 12  # of a chunk or frame that may share a slab

In = TypeVar("In")
Out = TypeVar("Out")


def count(threads: int | None = None) -> int:
    """How many threads a batch gets.

    Parameters
    ----------
    threads : int, optional
        As asked for.  Otherwise what ``LATRANS_NUM_THREADS`` says; otherwise one where another
        library already calls from threads of its own, else as many as this process has cores.

    Raises
    ------
    ConfigError
        If the argument or the variable is not a whole number of at least 1.

    Examples
    --------
    >>> from latrans.threads import count
    >>> count(3)
    3
    """
    found = _asked("threads", threads, VARIABLE)
    if found is None:
        apart = threading.current_thread() is not threading.main_thread()
        found = 1 if apart else _cores()
    return min(found, MAX_THREADS)


def in_flight(batch: int | None, default: int) -> int:
    """How many chunks of a batch are begun at a time, where an engine takes many together.

    Parameters
    ----------
    batch : int, optional
        As asked for.  Otherwise what ``LATRANS_BATCH`` says; otherwise the engine's own number.
    default : int
        That number.

    Raises
    ------
    ConfigError
        If the argument or the variable is not a whole number of at least 1.
    """
    return min(_asked("batch", batch, BATCH_VARIABLE) or default, MAX_IN_FLIGHT)


def _asked(name: str, value: int | None, variable: str) -> int | None:
    """A number of at least 1 as an argument has it, or else an environment variable."""
    if value is not None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < 1:
            raise ConfigError(
                f"{name} is {value!r}; expected a whole number of at least 1, or None"
            )
        return value
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise ConfigError(f"{variable} is {text!r}; expected a whole number of at least 1")
    return int(text)


def share() -> int:
    """How many threads work for all callers of this process together.

    Returns
    -------
    int
        What ``LATRANS_NUM_THREADS`` says; otherwise as many as this process has cores, or in a
        worker of dask.distributed, which shares its machine with others, as many as the worker
        has threads.

    Raises
    ------
    ConfigError
        If the variable is not a whole number of at least 1.
    """
    said = _asked("threads", None, VARIABLE)
    if said is not None:
        return min(said, MAX_THREADS)
    return min(_granted() or _cores(), _cores(), MAX_THREADS)


def _granted() -> int:
    """Threads of the dask.distributed workers that live in this process; 0 without any."""
    worker = getattr(sys.modules.get("distributed.worker"), "Worker", None)
    # A worker is in no thread's reach but its own, and we are in neither of them.
    found = list(getattr(worker, "_instances", ()))
    return sum(getattr(getattr(each, "state", None), "nthreads", 0) for each in found)


def spread(work: Callable[[In], Out], items: Sequence[In], threads: int) -> list[Out]:
    """``[work(item) for item in items]``, by up to `threads` threads.

    The error that comes out is that of the first item that has one, as in a loop; when it does,
    nothing runs any more.
    """
    if threads == 1 or len(items) < 2:
        return [work(item) for item in items]
    batch = Tasks(work, items)
    helpers = [_helpers.ask(batch.run) for _ in range(min(threads, len(items)) - 1)]
    try:
        batch.run()
    finally:
        batch.stop()
        for helper in helpers:
            # Those that no thread has begun are not needed any more.
            if not helper.cancel():
                helper.result()
    return batch.outcome()


def slabs(chunks: Sequence[Any], threads: int) -> list[Sequence[Any]]:
    """Runs of chunks (arrays or frames) to hand to threads: small ones together."""
    most = max(1, min(_SLAB, len(chunks) // (4 * threads)))
    runs: list[Sequence[Any]] = []
    first = 0
    for i, chunk in enumerate(chunks):
        small = _nbytes(chunk) <= _SLAB_NBYTES
        if i > first and (not small or i - first >= most):
            runs.append(chunks[first:i])
            first = i
        if not small:
            runs.append(chunks[first : i + 1])
            first = i + 1
    if first < len(chunks):
        runs.append(chunks[first:])
    return runs


def _nbytes(chunk: Any) -> int:
    """Bytes of an array or frame; of what is neither, too many for a slab."""
    if isinstance(chunk, (bytes, bytearray)):
        return len(chunk)
    found = getattr(chunk, "nbytes", None)
    return found if isinstance(found, int) else _SLAB_NBYTES + 1


class Tasks:
    """Items that threads take one after the other."""

    def __init__(self, work: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self._results: list[Any] = [None] * len(items)
        self._failed: list[tuple[int, Exception]] = []
        self._work = work
        self._items = items
        self._next = iter(range(len(items)))
        self._lock = threading.Lock()

    def run(self) -> None:
        """Work until nothing is left, or an item fails."""
        while True:
            with self._lock:
                i = next(self._next, None)
            if i is None:
                return
            if not shutdown.may_work():
                self.stop()
                self._failed.append((i, shutdown.error()))
                return
            try:
                self._results[i] = self._work(self._items[i])
            except Exception as error:
                self.stop()
                # Items before it were taken before it, and end by themselves.
                self._failed.append((i, error))

    def stop(self) -> None:
        """Hand out no further items."""
        with self._lock:
            self._next = iter(())

    def outcome(self) -> list[Any]:
        """Results in order, once no thread works any more; or the first item's error."""
        if self._failed:
            raise min(self._failed, key=lambda failed: failed[0])[1]
        return self._results


class Helpers:
    """Threads that are asked for help; they wait for the next call between two."""

    def __init__(self) -> None:
        self._asked = threading.Condition()
        self._calls: deque[tuple[Future[None], Callable[[], None]]] = deque()
        self._n_threads = self._n_idle = 0

    def ask(self, run: Callable[[], None]) -> Future[None]:
        """Have a function run by a helper, as soon as one is free."""
        future: Future[None] = Future()
        with self._asked:
            self._calls.append((future, run))
            if self._n_idle >= len(self._calls):
                self._asked.notify()
            elif self._n_threads < MAX_THREADS:
                self._n_threads += shutdown.start(self._work, "latrans", self._stop)
            if not self._n_threads:  # nobody will come
                self._calls.clear()
        return future

    def _work(self) -> None:
        while True:
            with self._asked:
                while not self._calls:
                    if shutdown.is_over():
                        return
                    self._n_idle += 1
                    self._asked.wait()
                    self._n_idle -= 1
                future, run = self._calls.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                run()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(None)
            del future, run  # and with them what they hold, while this waits

    def _stop(self) -> None:
        if self._asked.acquire(timeout=shutdown.LOCK_SECONDS):
            self._asked.notify_all()
            self._asked.release()


_helpers = Helpers()


def _forget() -> None:
    """In a forked child: the parent's helpers are not there, nor who held their lock."""
    global _helpers
    _helpers = Helpers()


def _cores() -> int:
    """Cores that this process may use, which containers and batch systems restrict."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
