"""Apart: rivals run in a process of their own, since what they call may crash, hang or take all
memory, and take a program that only compares with it.

One process serves many calls, one after the other, and is replaced when it has died.  What it is
asked for comes through its standard input, what it found goes out through its standard output, and
it ends when the former is closed.  Times are taken inside it.
"""

from __future__ import annotations

import atexit
import importlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import RivalError
from ..missing.missing import Missing
from .measure import Outcome, here
from .rival import Array, Rival

_START_SECONDS = 60.0
_SAMPLES_PER_SECOND = 20_000  # of the slowest that is still waited for
_MEMORY_NBYTES = 8 << 30  # beside the arrays
_MEMORY_PER_BYTE = 64
_SERVE = "from latrans.rivals.apart import serve; serve()"


def measure(
    rival: Rival,
    array: Array,
    axes: str,
    max_error: float | None,
    fill_value: Any,
    seconds: float | None = None,
) -> Outcome:
    """Encode, decode, compare with a rival, in another process.

    Parameters
    ----------
    seconds : float, optional
        After which it is given up; by default a minute and more for larger arrays.

    Raises
    ------
    RivalError
        If it is not installed or fails on this array: by an error, whatever it raised itself, by
        a crash, or by taking too long.
    """
    if rival.missing():
        raise RivalError(rival.missing())
    if seconds is None:
        seconds = _START_SECONDS + array.size / _SAMPLES_PER_SECOND
    module = getattr(rival.encode, "__module__", "")
    if rival not in _rivals_of(module) or not sys.executable:
        return here(rival, array, axes, max_error, fill_value)  # no other process finds it
    missing = Missing.of(fill_value) or Missing()
    about = {"module": module, "label": rival.label, "axes": axes, "max_error": max_error}
    about |= {"missing": [missing.values, missing.ranges]}
    about |= {"dtype": array.dtype.str, "shape": array.shape}
    with _lock:
        return _server.ask(rival.label, about, array.tobytes(), seconds)


def _rivals_of(module: str) -> tuple[Rival, ...]:
    """The rivals that a module has, or all of ours."""
    from . import all_rivals

    theirs: tuple[Rival, ...] = getattr(sys.modules.get(module), "RIVALS", ())
    return (*theirs, *all_rivals())


class RivalProcess:
    """The process, started when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, label: str, about: dict[str, Any], data: bytes, seconds: float) -> Outcome:
        """Have the process measure a rival."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(json.dumps(about).encode() + b"\n")
            process.stdin.write(data)
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
        except (OSError, ValueError) as error:  # it is not there any more
            status = self.close()
            if late.is_set():
                raise RivalError(f"{label} timed out after {seconds:.3g} s") from error
            raise RivalError(f"{label} crashed ({_reason(status)})") from error
        except BaseException:  # an interrupt: what it is at is not wanted any more
            self.close()
            raise
        finally:
            timer.cancel()
        if "failed" in answer:
            raise RivalError(answer["failed"])
        return Outcome(**answer)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        return self._process

    def close(self) -> int:
        """End the process; returns the status that it ended with."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)  # it may be about to crash
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what was not written is not wanted
                pipe and pipe.close()
        return process.wait()


def _reason(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def serve() -> None:
    """Answer questions until there are none; what the process does, and nothing else."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print
    with suppress(ValueError, OSError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked is interrupted, too
    while line := sys.stdin.buffer.readline():
        about = json.loads(line)
        shape, dtype = tuple(about["shape"]), np.dtype(about["dtype"])
        data = sys.stdin.buffer.read(math.prod(shape) * dtype.itemsize)
        _limit(len(data))
        try:
            answer = _answer(about, np.frombuffer(data, dtype).reshape(shape).copy())
        except RivalError as error:
            answer = {"failed": str(error)}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _answer(about: dict[str, Any], array: Array) -> dict[str, Any]:
    label = about["label"]
    try:
        importlib.import_module(about["module"])
        rival = next(one for one in _rivals_of(about["module"]) if one.label == label)
        for module in rival.modules:  # what importing takes is no part of its speed
            importlib.import_module(module)
    except Exception as error:  # whatever its packages do
        raise RivalError(f"{label} failed to load: {type(error).__name__}: {error}") from error
    values, ranges = about["missing"]
    missing = Missing.of(values or None, ranges or None)
    return vars(here(rival, array, about["axes"], about["max_error"], missing))


def _limit(nbytes: int) -> None:
    """Let this process be what memory is taken from, and leave no dump of it behind."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    try:
        import resource
    except ImportError:
        return
    wanted = _MEMORY_NBYTES + _MEMORY_PER_BYTE * nbytes
    for kind, limit in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, wanted)):
        hard = resource.getrlimit(kind)[1]
        with suppress(OSError, ValueError):
            resource.setrlimit(
                kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
            )


_lock = threading.Lock()
_server = RivalProcess()


def _close() -> None:
    _server.close()


def _forget() -> None:
    """In a forked child: the process serves the parent."""
    global _lock, _server
    _lock, _server = threading.Lock(), RivalProcess()


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
