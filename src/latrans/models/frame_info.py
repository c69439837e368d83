"""Frame info: what a frame says about itself, without decoding it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..format.frame import Buffer, as_bytes, unpack


@dataclass(frozen=True)
class FrameInfo:
    """What a frame says about itself, readable without the model.

    Attributes
    ----------
    model_name : str or None
        Where a model of that digest is found.
    model_version : int or None
    model_digest : str or None
        First 16 hexadecimal digits of the model file's SHA-256; None for a fallback frame.
    latent_dtype : {"none", "int8", "int16", "int32"}
    mode : {"lossy", "bounded", "lossless"}
    max_error : float or None
    dtype : numpy.dtype
    shape : tuple of int
    order : {"C", "F"}
    nbytes, latent_nbytes, residual_nbytes : int
        Of the frame, and of its two main sections.
    fallback : bool
    """

    model_name: str | None
    model_version: int | None
    model_digest: str | None
    latent_dtype: str
    mode: str
    max_error: float | None
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: str
    nbytes: int
    latent_nbytes: int
    residual_nbytes: int
    fallback: bool


def inspect(frame: Buffer) -> FrameInfo:
    """What a frame says about itself; needs no model.

    Parameters
    ----------
    frame : bytes-like

    Returns
    -------
    FrameInfo

    Raises
    ------
    CodecError
        If it is not a frame, or its header is damaged.

    Examples
    --------
    >>> import numpy as np, latrans
    >>> frame = latrans.encode(np.zeros((8, 8), np.int64))
    >>> latrans.inspect(frame).shape
    (8, 8)
    """
    data = as_bytes(frame)
    parts = unpack(data)
    name = None
    if parts.model_digest is not None:
        from ..errors import ModelError
        from . import store

        try:
            name = store.find(parts.model_digest.hex()).name
        except ModelError:
            name = None
    return FrameInfo(
        model_name=name,
        model_version=None if parts.fallback else parts.model_version,
        model_digest=None if parts.model_digest is None else parts.model_digest.hex(),
        latent_dtype=parts.latent_dtype,
        mode=parts.mode,
        max_error=parts.max_error,
        dtype=parts.dtype,
        shape=parts.shape,
        order="F" if parts.fortran else "C",
        nbytes=len(data),
        latent_nbytes=len(parts.latents),
        residual_nbytes=len(parts.residual),
        fallback=parts.fallback,
    )
