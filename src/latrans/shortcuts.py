"""Shortcuts: an array to a frame and back in one call each."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from .codec import Codec
from .format.frame import Buffer

Array = npt.NDArray[Any]


def encode(array: npt.ArrayLike, **options: Any) -> bytes:
    """Encode an array, as ``Codec(**options).encode(array)`` does.

    Parameters
    ----------
    array : array, or bytes-like
        As for `Codec.encode`.
    **options
        Parameters of `Codec`.

    Returns
    -------
    bytes

    Raises
    ------
    TypeError, ConfigError, ModelNotFoundError
        As `Codec` and `Codec.encode` do.

    Examples
    --------
    >>> import numpy as np, latrans
    >>> ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint16)
    >>> len(latrans.encode(ramp, model="image-1")) < ramp.nbytes
    True
    """
    return Codec(**options).encode(array)


def decode(frame: Buffer, out: Array | None = None, engine: str | None = None) -> Array:
    """Decode a frame; the model is found by the digest that the frame records.

    Parameters
    ----------
    frame : bytes-like
    out : array, optional
        Filled and returned; must have the frame's shape, and its dtype.
    engine : str, optional
        As for `Codec`.

    Returns
    -------
    array
        With the dtype, byte order, shape and memory order of what was encoded.

    Raises
    ------
    CodecError, ModelNotFoundError
        As `Codec.decode` does.

    Examples
    --------
    >>> import numpy as np, latrans
    >>> latrans.decode(latrans.encode(np.arange(4))).tolist()
    [0, 1, 2, 3]
    """
    return Codec(engine=engine).decode(frame, out)
