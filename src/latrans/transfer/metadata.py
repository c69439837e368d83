"""Metadata: what an array of a target says of itself, where its Zarr format keeps it.

xarray keeps names of dimensions and fill values in different places in the two formats; they are
moved, so that it opens the target as it opens the source.  What has no names of dimensions gets
those of its axes, where they are known or given.
"""

from __future__ import annotations

import base64
import struct
from typing import Any

import numpy as np

from ..missing.conventions import DIMENSIONS, FILL, declared_by
from . import dimensions


def described(array: Any, zarr_format: int, fill_value: Any) -> dict[str, Any]:
    """Fill value, attributes and names of dimensions, where the target's format keeps them."""
    attributes = dict(getattr(array, "attrs", {}))
    metadata = getattr(array, "metadata", None)
    had = getattr(metadata, "zarr_format", zarr_format)
    names = getattr(metadata, "dimension_names", None)
    kept = getattr(array, "fill_value", None)
    dtype = np.dtype(array.dtype)
    if had == 2 and zarr_format == 3 and DIMENSIONS in attributes:
        names = attributes.pop(DIMENSIONS)
        if kept is not None and dtype.kind in "biuf" and FILL not in attributes:
            attributes[FILL] = _encoded(kept, dtype)
    elif had == 3 and zarr_format == 2 and names is not None:
        attributes[DIMENSIONS] = list(names)
        # Format 2 has one fill value for both, and xarray takes it for a mark of missing samples.
        kept = _decoded(attributes.pop(FILL), dtype) if FILL in attributes else None
    if fill_value is not None and declared_by({}, dtype, kept, chosen=False) is None:
        kept = fill_value
    elif kept is None and zarr_format == 3 and dtype.kind in "biufcmM":
        kept = np.zeros((), dtype)[()]
    found = {"fill_value": kept, "attributes": attributes}
    return found if zarr_format == 2 else {**found, "dimension_names": names}


def name_dimensions(
    found: dict[str, Any],
    n_dims: int,
    zarr_format: int,
    image_axes: dimensions.Names | None,
    axes: str | None = None,
) -> dimensions.Names | None:
    """Complete the names of dimensions of a target where its format has them; returns all that are
    known, of an image's axes, too."""
    attributes = found["attributes"]
    if zarr_format == 3:
        own, given = found["dimension_names"], dimensions.of_axes(axes)
        found["dimension_names"] = dimensions.completed(n_dims, own, image_axes, given)
        return found["dimension_names"]
    own = attributes.get(DIMENSIONS)
    known = dimensions.completed(n_dims, own, image_axes, dimensions.of_axes(axes))
    # Format 2 has them as an attribute for xarray, which takes all or none; OME-Zarr has its own.
    if own is None or None in own:
        attributes.pop(DIMENSIONS, None)
        if known is not None and None not in known and not image_axes:
            attributes[DIMENSIONS] = list(known)
    return known


def chunk_names(
    array: Any, zarr_format: int, image_axes: dimensions.Names | None
) -> dict[str, Any]:
    """How keys of chunks are written in format 2: as in the source, in folders in images."""
    if zarr_format == 3:
        return {}
    kept = getattr(getattr(array, "metadata", None), "dimension_separator", ".")
    return {"chunk_key_encoding": {"name": "v2", "separator": "/" if image_axes else kept}}


def _encoded(value: Any, dtype: np.dtype[Any]) -> Any:
    """A fill value as xarray writes it into the attributes of format 3."""
    if dtype.kind == "f":
        return base64.standard_b64encode(struct.pack("<d", float(value))).decode()
    return bool(value) if dtype.kind == "b" else int(value)


def _decoded(value: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f" and isinstance(value, str):
        (number,) = struct.unpack("<d", base64.standard_b64decode(value))
        return dtype.type(number)
    return value
