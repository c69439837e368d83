"""Codecs: the one that an array of a source gets, and what it is told of the array."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..codec import Codec
from ..config import Configured
from ..errors import ConfigError
from ..missing.conventions import declared
from ..missing.missing import Missing, as_values
from ..missing.ranges import known_range, refuse_large
from ..models.model import Model
from ..models.store import open_model
from ..zarr import LatransCodec
from ..zarr.models import reference, storage_of


def configured(
    codec: Any, model_storage: str | None = None, has_group: bool = False
) -> tuple[LatransCodec, str]:
    """The Zarr codec for a codec of any kind, or for a model, and how its model is kept.

    A model given by its path is named by its digest: on other machines the path means nothing.
    """
    if isinstance(codec, Configured):
        values: dict[str, Any] = dict(codec.to_mapping())
    elif isinstance(codec, Codec):
        values = codec.stored()
    elif isinstance(codec, str | os.PathLike | bytes | Model):
        values = {"model": codec}
    else:
        raise ConfigError(
            f"codec is a {type(codec).__name__}; expected a codec of latrans, a model or its name"
        )
    storage = storage_of(values["model"], model_storage, has_group)
    return LatransCodec(**{**values, "model": reference(values["model"], storage)}), storage


def _missing_of(array: Any, codec: Configured) -> Missing | None:
    """What is missing in an array, by what a codec was told and by what the array declares."""
    told, found = Missing.of(codec.fill_value, codec.valid_range), declared(array)
    return found if told is None else told.joined(found)


def lossless(codec: LatransCodec) -> LatransCodec | None:
    """The same codec without loss; None where its model can do nothing else."""
    if codec.model != "auto" and open_model(codec.model).lossy_only:
        return None
    return LatransCodec(codec.model, axes=codec.axes)


def informed(name: str, array: Any, codec: LatransCodec) -> LatransCodec:
    """The codec with all that is missing in the array, in modes that would move it."""
    missing = _missing_of(array, codec)
    refuse_large(codec.max_error, known_range(array, missing), called(name))
    if missing is None:
        return codec
    told = {"fill_value": missing.values or None, "valid_range": missing.ranges or None}
    return LatransCodec.from_mapping({**codec.to_mapping(), **told})


def mark(name: str, codec: LatransCodec, dtype: np.dtype[Any]) -> Any:
    """The first fill value of a codec that the dtype can hold; of a group, some hold none."""
    marks = as_values(codec.fill_value)
    if not marks or dtype.kind not in "iuf":
        return dtype.type(marks[0]) if marks else None
    held = Missing(marks).values_as(dtype)
    if not held and not name:
        raise ConfigError(
            f"fill_value {marks[0]} is not a value that {called(name)} of dtype {dtype} can hold"
        )
    return held[0] if held else None


def called(name: str) -> str:
    return f"array {name!r}" if name else "an array"
