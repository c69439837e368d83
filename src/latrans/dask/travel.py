"""Codecs on their way to workers: whatever names one becomes a `Codec` that works there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import dask.array as da
from dask.base import tokenize

from ..codec import Codec
from ..config import Configured
from ..errors import ConfigError
from ..models.model import Model
from ..models.store import is_shipped, open_model
from ..transfer.progress import refuse_unfinished
from ..transfer.sources import group_error
from ..zarr.models import load_for
from ..zarr.zip_stores import resolved


def as_codec(codec: Any) -> Codec:
    """The `Codec` that a model, its name or path, or one of the adapters' codecs stands for."""
    if isinstance(codec, Configured):
        return codec._codec
    if isinstance(codec, Codec):
        return codec
    if isinstance(codec, str | Path | Model):
        return Codec(codec if isinstance(codec, Model) else str(codec))
    raise ConfigError(
        f"codec is {type(codec).__name__}; expected a model, its name or path, or a latrans codec"
    )


def portable(codec: Codec) -> Codec:
    """The same codec, with its model along unless every installation of latrans has it."""
    if codec.model == "auto":
        return codec
    model = open_model(codec.model)
    return replace(codec, model=model.name if is_shipped(model) else model)


def sent(codec: Codec) -> Any:
    """A codec as one key of a graph, so that it travels once per worker, not once per task."""
    codec = portable(codec)
    return dask.delayed(codec, name=f"latrans-codec-{tokenize(codec)}", traverse=False)


def open_source(source: Any, storage_options: dict[str, Any] | None = None) -> Any:
    """A Dask array as it is, and a Zarr array from itself, its path, URL or store.

    Models that its store keeps are made known.

    Raises
    ------
    ConfigError
        If there is a group, or a transfer into the array stopped half-way.
    """
    import zarr

    if isinstance(source, da.Array):
        return source
    if not isinstance(source, zarr.Array | zarr.Group):
        source = zarr.open(resolved(source), mode="r", storage_options=storage_options)
    if isinstance(source, zarr.Group):
        raise group_error(source, str(source.store_path))
    refuse_unfinished(source)
    load_for(source)
    return source
