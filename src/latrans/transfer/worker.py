"""Worker: processes that end with the one that started them, whatever ends that.

A pipe joins them.  Where its other end is closed, be it by an error, an interrupt or a signal that
nobody can catch, each worker stops what it does, cleans up and ends.  The keyboard's interrupts
are for the process that started them alone.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from . import stores

Out = TypeVar("Out")

_LEAVE_SECONDS = 5.0
_AGAIN_SECONDS = 0.5

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")

# In a worker: whether it is asked to end, and what it is at.
_is_ending = False
_state = "starting"  # "working", "waiting"


class Ended(BaseException):
    """Takes a worker out of what it does when it is asked to end."""

    def __reduce__(self) -> tuple[type[Ended], tuple[()]]:
        return type(self), ()


@contextmanager
def processes(
    n: int, set_up: Callable[..., None], arguments: tuple[Any, ...]
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes, which have ended when the context has.

    Parameters
    ----------
    n : int
    set_up : callable
        Called with `arguments` in each process, before its first task.
    """
    spawn = multiprocessing.get_context("spawn")  # Zarr's event loop does not survive a fork
    theirs, ours = spawn.Pipe(duplex=False)
    try:
        with ProcessPoolExecutor(n, spawn, _begin, (theirs, set_up, arguments)) as pool:
            try:
                yield pool
            except BaseException:
                ours.close()  # what they are at is not wanted any more
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
    finally:
        ours.close()
        theirs.close()


def submit(pool: ProcessPoolExecutor, work: Callable[..., Out], *arguments: Any) -> Future[Out]:
    """Have a worker call a function of a module; may start the worker."""
    with undisturbed():
        return pool.submit(_work, work, *arguments)


def _work(work: Callable[..., Out], *arguments: Any) -> Out:
    global _state
    if _is_ending:
        raise Ended
    _state = "working"
    try:
        return work(*arguments)
    finally:
        if _is_ending:
            with suppress(Exception):
                stores.cancel_all(_LEAVE_SECONDS)
        _state = "waiting"


def _begin(pipe: Connection, set_up: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    global _state
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    atexit.register(signal.signal, signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_watch, args=(pipe,), name="latrans-watch", daemon=True).start()
    set_up(*arguments)
    _state = "waiting"


def _watch(pipe: Connection) -> None:
    """Ask this process to end, until it does, as soon as the pipe is closed."""
    with suppress(EOFError, OSError):
        pipe.recv()  # nothing is ever sent
    while True:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_AGAIN_SECONDS)


def _end(number: int, frame: Any) -> None:
    global _is_ending
    if _state == "waiting":
        os._exit(1)  # nothing is to be cleaned up
    first, _is_ending = not _is_ending, True
    stores.forgive_unawaited()
    if first and _state == "working":
        raise Ended


@contextmanager
def undisturbed(kept_from_children: Sequence[str] = _SIGNALS) -> Iterator[None]:
    """Hold signals back, and those named from processes that are started meanwhile.

    A signal between the start of a process and its being known would leave it on its own, and one
    that ends it before it has read what it is to do would have its parent wait for that.
    """
    held: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and callable(signal.getsignal(number)):
                before[number] = signal.signal(number, lambda found, _: held.append(found))
    mask = None
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing.resource_tracker import ensure_running

        ensure_running()  # or the first process would start it, which lets signals through
        blocked = {getattr(signal, name) for name in kept_from_children}
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)  # which processes inherit
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in held:
            signal.raise_signal(number)
