"""Codecs that fail in every way, for tests; importable, so that another process finds them."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np

from latrans.rivals import Rival
from latrans.rivals.rival import pack, unpack


def raw(array: Any, axes: str, max_error: Any, fill_value: Any) -> bytes:
    return pack([array.tobytes()], array)


def back(data: bytes) -> Any:
    (stream,), header = unpack(data)
    return np.frombuffer(stream, header["dtype"]).reshape(header["shape"])


def aborts(*_: Any) -> Any:
    os.abort()


def faults(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(*_: Any) -> Any:
    os._exit(3)


def sleeps(*_: Any) -> Any:
    time.sleep(600)


def raises(*_: Any) -> Any:
    raise ArithmeticError("by zero")


def ends(*_: Any) -> Any:
    raise SystemExit(4)


def hoards(*_: Any) -> Any:
    return np.ones(1 << 36, np.uint8)


def confuses(data: bytes) -> Any:
    return back(data)[::-1]


def prints(array: Any, *rest: Any) -> bytes:
    os.write(1, b"a library that prints\n")
    print("and Python that does")
    return raw(array, *rest)


def suits(array: Any, axes: str) -> bool:
    return True


def codec(label: str, encode: Any = raw, decode: Any = back, modules: Any = ()) -> Rival:
    return Rival(label, "", suits, encode, decode, modules)


FINE = codec("fine")
PRINTS = codec("prints", prints)
CONFUSES = codec("confuses", decode=confuses)
SLEEPS = codec("sleeps", sleeps)
SLOW = codec("slow", modules=("slow_to_import",))
ABORTS = codec("aborts", aborts)
ABORTS_LATER = codec("aborts later", decode=aborts)
FAULTS = codec("faults", faults)
LEAVES = codec("leaves", leaves)
ENDS = codec("ends", ends)
RAISES = codec("raises", raises)
RAISES_LATER = codec("raises later", decode=raises)
HOARDS = codec("hoards", hoards)

RIVALS = (
    FINE, PRINTS, CONFUSES, SLEEPS, SLOW, ABORTS, ABORTS_LATER, FAULTS, LEAVES, ENDS, RAISES,
    RAISES_LATER, HOARDS,
)  # fmt: skip
