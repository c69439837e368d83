"""Exact: arrays of a group that must come back exactly, whatever is asked for the others.

An error bound is about quantities.  A name, a flag, an index or a position that is off by a little
is another one: segment 7 is not nearly segment 8.  Such arrays are known by what stands beside
them: OME-Zarr's label images, flags, coordinates and other references of CF and UGRID, AnnData's
sparse matrices and categories, and integers that are called ids or indices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..missing.conventions import DIMENSIONS

_FLAGS = ("flag_values", "flag_masks", "flag_meanings")
# Attributes that hold names of other arrays; what stands before a colon is the role of one.
_REFERENCES = {
    "coordinates": "coordinate",
    "bounds": "bounds of a coordinate",
    "climatology": "bounds of a coordinate",
    "grid_mapping": "grid mapping",
    "formula_terms": "part of a coordinate",
    "geometry": "geometry",
    "node_coordinates": "coordinate",
    "node_count": "index",
    "part_node_count": "index",
    "interior_ring": "index",
    "face_node_connectivity": "index",
    "edge_node_connectivity": "index",
    "face_edge_connectivity": "index",
    "face_face_connectivity": "index",
    "edge_face_connectivity": "index",
    "boundary_node_connectivity": "index",
    "edge_coordinates": "coordinate",
    "face_coordinates": "coordinate",
}
_OF_INDICES = ("cf_role", "sample_dimension", "instance_dimension", "compress", "start_index")
_POSITIONS = ("latitude", "longitude", "time", "projection_x_coordinate", "projection_y_coordinate")
_OF_QUANTITIES = ("scale_factor", "add_offset")  # as of packed floats
_SPARSE = ("csr_matrix", "csc_matrix", "coo_matrix", "bsr_matrix")
_INDEX_NAME = re.compile(
    r"(?:.*[_\-. ])?(?:ids?|uuids?|idx|indices|indptr|labels?|codes|class|classes)\Z|index\Z",
    re.IGNORECASE,
)


def reasons(
    found: Mapping[str, Any], attributes: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """What the arrays are that must come back exactly, by path.

    Parameters
    ----------
    found : mapping
        Arrays by path.
    attributes : mapping
        Attributes of groups by path, "" for the root.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> group = zarr.create_group({})
    >>> a = group.create_array("cell_id", data=np.arange(3))
    >>> reasons({"cell_id": a}, {"": {}})
    {'cell_id': 'index'}
    """
    referred = _referred(found, attributes)
    result = {}
    for name, array in found.items():
        folders = _folders(name)
        reason = referred.get(name) or _by_itself(name, array)
        if reason is None:
            reason = _by_groups(name, array, folders, found, attributes)
        if reason is not None:
            result[name] = reason
    return result


def _referred(
    found: Mapping[str, Any], attributes: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Arrays that others name in their attributes, and what for."""
    named: dict[str, str] = {}
    sources = [(name.rpartition("/")[0], array.attrs) for name, array in found.items()]
    sources += list(attributes.items())
    for folder, told in sources:
        for key, role in _REFERENCES.items():
            for word in str(told.get(key) or "").split():
                path = f"{folder}/{word}" if folder else word
                if path in found:  # roles, as in "area: cell_area", are none
                    named.setdefault(path, role)
    return named


def _by_itself(name: str, array: Any) -> str | None:
    told = array.attrs
    if any(key in told for key in _FLAGS) or told.get("dtype") == "bool":  # as xarray has it
        return "flags"
    if any(key in told for key in _OF_INDICES):
        return "index"
    units = str(told.get("units", ""))
    if told.get("axis") in ("X", "Y", "Z", "T") or str(told.get("standard_name")) in _POSITIONS:
        return "coordinate"
    if " since " in units or re.match(r"degrees?_(?:north|east|N|E)\Z", units):
        return "coordinate"
    names = getattr(array.metadata, "dimension_names", None) or told.get(DIMENSIONS)
    last = name.rpartition("/")[2]
    if array.ndim == 1 and names and names[0] == last:
        return "coordinate"
    if np.dtype(array.dtype).kind not in "iu" or any(key in told for key in _OF_QUANTITIES):
        return None
    return "index" if _INDEX_NAME.match(last) else None


def _by_groups(
    name: str,
    array: Any,
    folders: list[str],
    found: Mapping[str, Any],
    attributes: Mapping[str, Mapping[str, Any]],
) -> str | None:
    """What groups around an array say that it is."""
    if np.dtype(array.dtype).kind not in "iu":
        return None
    for folder in folders:
        told = attributes.get(folder, {})
        ome = told.get("ome")
        if "image-label" in told or (isinstance(ome, Mapping) and "image-label" in ome):
            return "labels"
    if any(folder.rpartition("/")[2] == "labels" for folder in folders):
        return "labels"
    parent, last = folders[0], name.rpartition("/")[2]
    kind = str(attributes.get(parent, {}).get("encoding-type", ""))
    beside = {path.rpartition("/")[2] for path in found if path.rpartition("/")[0] == parent}
    if last in ("indices", "indptr", "row", "col", "coords") and (
        kind in _SPARSE or {"indices", "indptr"} <= beside
    ):
        return "index"
    return "category codes" if kind == "categorical" and last == "codes" else None


def _folders(name: str) -> list[str]:
    """Paths of all groups around an array, the nearest first, the root last."""
    result = []
    while "/" in name:
        name = name.rpartition("/")[0]
        result.append(name)
    return [*result, ""]
