"""Batching: the device calls of many chunk threads, gathered into few.

A batch of chunks is coded by as many threads as there are chunks in flight.  Each walks through
its chunk as if it were alone; where it needs the device it calls `batched` and waits.  The caller's
own thread is the conductor: it hands the calls that have come together to the device, those of one
kind as one group, and wakes who waited.  It begins as soon as half of the chunks wait, so that the
host works on one half of them while the device works on the other.

Of the threads that do not wait only a few run at a time, as many as the batch was given: there are
no more cores for them, and the others only hold what belongs to their chunk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..errors import EngineError
from ..process import shutdown
from ..threads import Tasks
from . import meter
from .device import exact, out_of_memory, release

In = TypeVar("In")
Out = TypeVar("Out")
Work = Callable[[list[Any]], Sequence[Any]]

_here = threading.local()  # .conductor: of the batch whose chunk this thread codes


def batched(key: Hashable, work: Callable[[list[In]], Sequence[Out]], item: In) -> Out:
    """``work([item])[0]``, in one call with the items of other chunks where they are at hand.

    Parameters
    ----------
    key : hashable
        Items of equal keys may go into one call; of its parts the first names the kind of call.
    work : callable
        Takes a list of items and gives as many results, each what it would be alone.  May be
        called again with some of the same items where it has raised an error, and so leaves them
        as they are until it succeeds.
    item : what this chunk has for the device

    Raises
    ------
    EngineError
        If the memory of the device does not suffice for this item alone.
    """
    conductor: DeviceBatcher | None = getattr(_here, "conductor", None)
    if conductor is None:
        call = Call(key, work, item)
        _perform([call], {})
        return call.outcome()
    return conductor.wait_for(Call(key, work, item))


def run_batch(
    work: Callable[[In], Out], items: Sequence[In], threads: int, in_flight: int
) -> list[Out]:
    """``[work(item) for item in items]``, with the device calls of up to `in_flight` together.

    As in `threads.spread` the error that comes out is that of the first item that has one, and
    nothing runs any more when it does.  A batch within a chunk of another runs as a loop, whose
    device calls belong to the other.
    """
    in_flight = min(in_flight, len(items))
    if in_flight < 2 or getattr(_here, "conductor", None) is not None:
        return [work(item) for item in items]
    return DeviceBatcher(threads).run(work, items, in_flight)


@dataclass(eq=False)
class Call:
    """One item on its way to the device; `done` once there is a result, or an error."""

    key: Hashable
    work: Work
    item: Any
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None

    @property
    def name(self) -> str:
        return str(self.key[0] if isinstance(self.key, tuple) else self.key)

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class _Stopped(BaseException):
    """Takes a chunk thread out of its chunk when the batch has been broken off."""


class DeviceBatcher:
    """Runs one batch; see the module's text."""

    def __init__(self, threads: int) -> None:
        self._may_run = threading.Semaphore(threads)
        self._changed = threading.Condition()
        self._live = 0  # chunk threads that have not ended
        self._queue: list[Call] = []
        self._taken: list[Call] = []  # from the queue, by the conductor
        self._broken: BaseException | None = None
        self._most: dict[Hashable, int] = {}  # items of a key that memory sufficed for

    def run(self, work: Callable[[In], Out], items: Sequence[In], in_flight: int) -> list[Out]:
        """Code all items by so many threads, with this one as the conductor."""
        tasks = Tasks(work, items)
        try:
            for begun in range(in_flight):
                self._begin(tasks, begun)
            self._lead()
        except BaseException as error:
            self._break(error)
            raise
        finally:
            tasks.stop()
            self._wait_for_end()
        if self._broken is not None:
            raise self._broken
        return tasks.outcome()

    def _begin(self, tasks: Tasks, i: int) -> None:
        with self._changed:
            self._live += 1
        if shutdown.start(lambda: self._thread(tasks), f"latrans-chunk-{i}"):
            return
        with self._changed:
            self._live -= 1
        if i == 0:
            if shutdown.is_over():
                raise shutdown.error()
            raise EngineError("no thread for a batch can be started: use fewer threads elsewhere")

    def _wait_for_end(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._live == 0)

    def _thread(self, tasks: Tasks) -> None:
        _here.conductor = self
        try:
            with self._may_run:
                tasks.run()
        except _Stopped:
            pass
        except BaseException as error:
            self._break(error)
        finally:
            with self._changed:
                self._live -= 1
                self._changed.notify()

    def wait_for(self, call: Call) -> Any:
        """From a chunk thread: queue a call, let another thread run, and wait for the outcome."""
        with self._changed:
            if self._broken is not None:
                raise _Stopped
            self._queue.append(call)
            if self._enough():
                self._changed.notify()
        self._may_run.release()
        try:
            call.done.wait()
        finally:
            self._may_run.acquire()
        return call.outcome()

    def _enough(self) -> bool:
        return 2 * len(self._queue) >= self._live

    def _lead(self) -> None:
        """Run what is queued whenever enough is, until every chunk thread has ended."""
        while True:
            with self._changed:
                # While this waits the device is idle.
                self._changed.wait_for(lambda: self._live == 0 or self._broken or self._enough())
                if self._live == 0 or self._broken is not None:
                    return
                self._taken, self._queue = self._queue, []
            groups: dict[Hashable, list[Call]] = {}
            for call in self._taken:
                groups.setdefault(call.key, []).append(call)
            for group in groups.values():
                _perform(group, self._most)

    def _break(self, error: BaseException) -> None:
        """End the batch: whoever waits, or will, leaves its chunk."""
        with self._changed:
            self._broken = self._broken or error
            calls, self._queue = [*self._queue, *self._taken], []
            self._changed.notify()
        for call in calls:
            if not call.done.is_set():
                call.error = _Stopped()
                call.done.set()


def _perform(calls: list[Call], most: dict[Hashable, int]) -> None:
    """Give every call of one key its outcome, in pieces where memory does not suffice for all."""
    start = 0
    while start < len(calls):
        key = calls[start].key
        piece = calls[start : start + most.get(key, len(calls))]
        error = _attempt(piece)
        if error is None or len(piece) == 1:
            _settle(piece, error)
        elif out_of_memory(error):
            most[key] = len(piece) // 2
            del error  # and with it, what its frames hold of the device
            release()
            continue
        else:
            # One of them is at fault, and the others are not to suffer.
            for call in piece:
                _settle([call], _attempt([call]))
        start += len(piece)


def _attempt(calls: list[Call]) -> Exception | None:
    """Run calls as one; the error that came, if one did."""
    begun = time.perf_counter()
    try:
        with exact():
            results = calls[0].work([call.item for call in calls])
        if len(results) != len(calls):
            raise EngineError(f"{len(results)} results of {len(calls)} calls: {calls[0].name}")
    except Exception as error:
        return error.with_traceback(None) if out_of_memory(error) else error
    for call, result in zip(calls, results, strict=True):
        call.result = result
    meter.group(calls[0].name, len(calls), time.perf_counter() - begun)
    return None


def _settle(calls: list[Call], error: Exception | None) -> None:
    """Wake who made calls that have succeeded, or one that has failed."""
    if error is not None and out_of_memory(error):
        error = None
        release()
        error = _attempt(calls)
    if error is not None and out_of_memory(error):
        said = str(error).partition("\n")[0]
        error = EngineError(
            f"memory does not suffice for one chunk ({calls[0].name}, {_nbytes(calls[0].item)} "
            f"bytes go in): {said}; use smaller chunks, free memory, or ask for engine 'native'"
        )
    for call in calls:
        call.error = error
        call.done.set()


def _nbytes(item: Any) -> int:
    """Bytes of the arrays and tensors in an item."""
    if isinstance(item, (tuple, list)):
        return sum(map(_nbytes, item))
    if hasattr(item, "__dict__") and not hasattr(item, "nbytes"):
        return sum(map(_nbytes, vars(item).values()))
    nbytes = getattr(item, "nbytes", 0)
    return nbytes if isinstance(nbytes, int) else 0
