"""Shutdown: threads of latrans end before the interpreter does.

A thread that is still at work when the interpreter is finalized is ended in the midst of compiled
code, which may take the whole process down.  So all threads of latrans are started here.  `atexit`
runs when the program's own threads have ended: then what waits in queues is given up, and what is
being coded at this moment is waited for, no more.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable

from ..errors import ShutdownError

_PATIENCE_SECONDS = 2.0  # with threads that may wait for others' data
_PIECE_SECONDS = 60.0  # with what is being coded; an interrupt may have left a lock taken
LOCK_SECONDS = 1.0  # for the same reason, with locks

_lock = threading.Lock()
_running: dict[threading.Thread, tuple[Callable[[], None] | None, bool]] = {}
_is_over = False


def start(
    work: Callable[[], None], name: str, stop: Callable[[], None] | None = None, ends: bool = True
) -> bool:
    """Run a function in a thread of its own.

    Parameters
    ----------
    work : callable
    name : str
        Of the thread.
    stop : callable, optional
        Has the function return soon; called when the interpreter is about to end.
    ends : bool
        Whether it does so in any case.  Where it may wait for data of others, such as a network's,
        the interpreter's end waits for two seconds only.

    Returns
    -------
    bool
        False where no thread can be started any more.
    """

    def run() -> None:
        try:
            work()
        finally:
            with _lock:
                _running.pop(threading.current_thread(), None)

    thread = threading.Thread(target=run, name=name, daemon=True)
    with _lock:
        if _is_over:
            return False
        _running[thread] = stop, ends
    try:
        thread.start()
    except RuntimeError:  # the system has no more, or the interpreter is about to end
        with _lock:
            _running.pop(thread, None)
        return False
    return True


def is_over() -> bool:
    """Whether the interpreter is about to end, and nothing new is to be begun."""
    return _is_over


def may_work() -> bool:
    """Whether this thread may work on its own: when all is over only the main thread may, since
    the interpreter waits for no other."""
    return not _is_over or threading.current_thread() is threading.main_thread()


def error() -> ShutdownError:
    """What those get who wait for work that was given up."""
    return ShutdownError(
        "the interpreter is shutting down and no more chunks are coded: wait for pending work "
        "before the program ends"
    )


def _end() -> None:
    global _is_over
    with _lock:
        _is_over = True
        threads = dict(_running)
    for stop in {stop for stop, _ in threads.values() if stop is not None}:
        stop()
    now = time.monotonic()
    for thread, (_, ends) in sorted(threads.items(), key=lambda item: not item[1][1]):
        deadline = now + (_PIECE_SECONDS if ends else _PATIENCE_SECONDS)
        thread.join(max(0.0, deadline - time.monotonic()))


def _forget() -> None:
    """In a forked child: the parent's threads are not there, nor who held the lock."""
    global _lock, _running
    _lock, _running = threading.Lock(), {}


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
