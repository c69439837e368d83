"""Rival: what every other codec looks like from here, and the streams that it makes."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Encode(Protocol):
    def __call__(
        self, array: Array, axes: str, max_error: float | None, fill_value: float | None
    ) -> bytes: ...


@dataclass(frozen=True)
class Rival:
    """A codec to compare with.

    Attributes
    ----------
    label : name in tables.
    modules : importable modules that it needs.
    commands : commands on the PATH that it needs.
    install : how to get them.
    suits : whether it takes an array with these axes, one letter per dimension.
    encode : array, axes, max_error, fill_value to bytes; lossless rivals ignore the latter two.
    decode : bytes to an array of the same dtype and shape.
    bounded : whether it keeps to an absolute error rather than to the bits.

    Examples
    --------
    >>> import numpy as np
    >>> from latrans import rivals
    >>> zstd, = rivals.named("zstd-19")
    >>> array = np.zeros((8, 8), np.uint16)
    >>> bool((zstd.decode(zstd.encode(array, "yx", None, None)) == array).all())
    True
    """

    label: str
    install: str
    suits: Callable[[Array, str], bool]
    encode: Encode
    decode: Callable[[bytes], Array]
    modules: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    bounded: bool = False

    def missing(self) -> str:
        """What it lacks on this machine and how to get it; empty if nothing."""
        lacking = [m for m in self.modules if importlib.util.find_spec(m) is None]
        lacking += [c for c in self.commands if shutil.which(c) is None]
        return f"{self.label} needs {', '.join(lacking)}: {self.install}" if lacking else ""


def pack(streams: Sequence[bytes], array: Array, **header: Any) -> bytes:
    """Join streams under a header that says how to make the array again."""
    text = json.dumps(
        {
            "dtype": array.dtype.str,
            "shape": array.shape,
            "lengths": [len(stream) for stream in streams],
            **header,
        }
    ).encode()
    return b"".join((len(text).to_bytes(4, "little"), text, *streams))


def unpack(data: bytes) -> tuple[list[bytes], dict[str, Any]]:
    """Inverse of `pack`; dtype and shape in the header are made into what NumPy takes."""
    end = 4 + int.from_bytes(data[:4], "little")
    header = json.loads(data[4:end])
    header["dtype"] = np.dtype(header["dtype"])
    header["shape"] = tuple(header["shape"])
    streams = []
    for length in header["lengths"]:
        streams.append(data[end : end + length])
        end += length
    return streams, header


def stored_nbytes(data: bytes) -> int:
    """Bytes of the streams alone: what the format itself would store."""
    return len(data) - 4 - int.from_bytes(data[:4], "little")


def plain(array: Array) -> bool:
    """Whether an array holds numbers, at least one."""
    return array.dtype.kind in "biuf" and array.size > 0
