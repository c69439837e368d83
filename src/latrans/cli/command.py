"""Commands: how programs of latrans end, whatever befalls them.

Exit status 0 is done; 1 where something was done and is not as it should be, and where the system
fails half-way: a full disk, an error of the device; 2 where a command cannot be carried out as
given; 130 after an interrupt (Ctrl-C), 143 and 129 after a request to end (SIGTERM, SIGHUP).
Unless all is done one line on stderr says why; a pipe that nobody reads any more is not an error.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import LatransError
from ..process.whole_files import FULL

FAILED, REFUSED, INTERRUPTED = 1, 2, 130
_BROKEN = (*FULL, errno.EIO, errno.EPIPE, errno.ESTALE)
_LEAVE_SECONDS = 5.0

Explain = Callable[[Exception], "tuple[int, str] | None"]


class Terminated(KeyboardInterrupt):
    """A signal asked the program to end; all that an interrupt cleans up is cleaned up."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


def run(work: Callable[[], int], target: str | None = None, explain: Explain | None = None) -> int:
    """Do a program's work and return its exit status.

    Parameters
    ----------
    work : callable
        Gives the exit status.
    target : str, optional
        What is written, named where the system does not say which file it means.
    explain : callable, optional
        Exit status and message of errors that are the program's own; None for others.
    """
    try:
        with _signals():
            status = work()
            _flush()
            return status
    except KeyboardInterrupt as error:
        _stop_what_is_under_way()
        if isinstance(error, Terminated):
            return _fail(f"ended by {error}", 128 + error.number)
        return _fail("interrupted", INTERRUPTED)
    except Exception as error:
        _stop_what_is_under_way()
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            _drop_output()
            return FAILED
        found = (explain and explain(error)) or _explained(error, target)
        if found is None:
            raise
        return _fail(found[1], found[0])


def _explained(error: Exception, target: str | None) -> tuple[int, str] | None:
    if isinstance(error, LatransError):
        return REFUSED, str(error)
    if isinstance(error, ModuleNotFoundError):
        return REFUSED, f"{error.name} is not installed: pip install 'latrans[all]'"
    if isinstance(error, OSError):
        if error.errno not in _BROKEN:
            return REFUSED, str(error)
        place = error.filename
        if place is None and error.errno in FULL:
            place = target or "standard output"
        if place is None:
            return FAILED, str(error)
        return FAILED, f"{os.fsdecode(place)}: {os.strerror(error.errno or 0)}"
    if isinstance(error, MemoryError):
        return FAILED, f"not enough memory: use smaller chunks or blocks ({error})"
    return None


def _fail(message: str, status: int) -> int:
    with suppress(OSError):  # nobody may read this either
        print("latrans: " + " ".join(message.split()), file=sys.stderr, flush=True)
    return status


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        raise OSError(error.errno, error.strerror, "standard output") from error


def _nobody_reads() -> bool:
    """Whether standard output is a pipe that nobody reads any more."""
    try:
        found = select.poll()
        found.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in found.poll(0))
    except (AttributeError, OSError, ValueError):  # no such call here, or no such file
        return True


def _drop_output() -> None:
    """Or the interpreter's end would try it once more, and complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _signals() -> Iterator[None]:
    """Have requests to end raise `Terminated`, where they are not handled already."""

    def end(number: int, frame: Any) -> None:
        raise Terminated(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_what_is_under_way() -> None:
    """Have Zarr end what it has begun, or its loop would be torn down with complaints."""
    if "zarr.core.sync" not in sys.modules:
        return
    from ..transfer.stores import cancel_all, forgive_unawaited

    forgive_unawaited()

    with suppress(Exception, KeyboardInterrupt):  # who is impatient interrupts once more
        cancel_all(_LEAVE_SECONDS)
