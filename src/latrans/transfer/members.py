"""Members: the arrays and groups of a source, and which of its arrays latrans takes.

In a group these are integers and floats of at least 64 kB, except coordinates: one dimensional
arrays named like their dimension, and those that a ``coordinates`` attribute names.  Positions must
come back exactly, and there is little to gain.  `arrays`, or codecs that are given by path, name
those that latrans takes whatever their size.  An array on its own is always taken.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import zarr

from ..missing.conventions import DIMENSIONS
from ..zarr.models import is_model
from . import exact, settings

MIN_NBYTES = 1 << 16


def arrays_of(source: Any) -> dict[str, Any]:
    """The arrays of a source by path; one that is an array itself has the path ""."""
    if isinstance(source, zarr.Group):
        members = source.members(max_depth=None)
        return {path: node for path, node in sorted(members) if isinstance(node, zarr.Array)}
    return {"": source}


def groups_of(source: Any) -> dict[str, Any]:
    """The groups of a source by path, itself included; none of one that is an array."""
    if not isinstance(source, zarr.Group):
        return {}
    members = source.members(max_depth=None)
    found = {path: node for path, node in members if isinstance(node, zarr.Group)}
    return {"": source, **dict(sorted(found.items()))}


def chosen(found: Mapping[str, Any], arrays: Collection[str] | None) -> list[str]:
    """Paths of those arrays that latrans takes."""
    if arrays is not None:
        return sorted(settings.paths("arrays", arrays, found))
    if set(found) == {""}:
        return [""]
    named = _named_as_coordinates(found)
    return [name for name, array in found.items() if name not in named and _is_data(name, array)]


def exact_arrays(source: Any) -> dict[str, str]:
    """Paths of those arrays of a group that are names, flags, indices or positions, and which."""
    groups = {path: dict(group.attrs) for path, group in groups_of(source).items()}
    return exact.reasons(arrays_of(source), groups) if groups else {}


def _named_as_coordinates(found: Mapping[str, Any]) -> set[str]:
    named = set()
    for name, array in found.items():
        folder = name.rpartition("/")[0]
        for other in str(array.attrs.get("coordinates", "")).split():
            named.add(f"{folder}/{other}" if folder else other)
    return named


def _is_data(name: str, array: Any) -> bool:
    dtype = np.dtype(array.dtype)
    if is_model(name):
        return False
    if dtype.kind not in "iuf" or math.prod(array.shape) * dtype.itemsize < MIN_NBYTES:
        return False
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get(DIMENSIONS)
    return not (array.ndim == 1 and names and names[0] == name.rpartition("/")[2])
