"""OME-Zarr: axes of images, and metadata that moves when an image changes its Zarr format.

Version 0.4 of OME-Zarr is for Zarr format 2 and has its metadata among the attributes of groups;
version 0.5 is for format 3, has them below the key ``ome``, with one version for all, and wants
arrays to have the names of the axes as names of dimensions.  Other versions are left as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import LatransWarning

Groups = Mapping[str, Mapping[str, Any]]  # attributes by path

KEY = "ome"
_OLD, _NEW = "0.4", "0.5"
_VERSIONED = ("multiscales", "omero", "image-label", "plate", "well")
_OF_ANY = (*_VERSIONED, "bioformats2raw.layout")
_OF_FOLDERS = {"labels": "labels", "OME": "series"}  # what groups of these names may list


def dimension_names(groups: Groups) -> dict[str, tuple[str | None, ...]]:
    """Names of axes by path of each array that belongs to an image."""
    found = {}
    for path, attributes in groups.items():
        for image in _parts(_entry(attributes).get("multiscales")):
            axes = image.get("axes")
            if not isinstance(axes, list):
                continue
            given = [axis.get("name") if isinstance(axis, dict) else axis for axis in axes]
            names = tuple(name if isinstance(name, str) else None for name in given)
            for level in _parts(image.get("datasets")):
                name = str(level.get("path", ""))
                found[f"{path}/{name}" if path else name] = names
    return found


def attributes_of(groups: Groups, had: int, zarr_format: int) -> dict[str, dict[str, Any]]:
    """Attributes of groups as a target of a Zarr format has them.

    Parameters
    ----------
    groups : mapping
        Attributes by path.
    had, zarr_format : int
        Zarr formats of source and target.
    """
    plain = {path: dict(attributes) for path, attributes in groups.items()}
    known = set(_versions(groups))
    if had == zarr_format or not known:
        return plain
    expected = {(2, _OLD)} if had == 2 else {(3, _NEW)}
    if known != expected:
        versions = ", ".join(sorted({version for _, version in known}))
        warnings.warn(
            f"OME-Zarr metadata of version {versions} stay as they are: only 0.4 becomes 0.5 from "
            "Zarr format 2 to 3, and 0.5 becomes 0.4 from 3 to 2",
            LatransWarning,
            stacklevel=2,
        )
        return plain
    change = _newer if had == 2 else _older
    return {path: change(path, attributes) for path, attributes in plain.items()}


def _newer(path: str, attributes: dict[str, Any]) -> dict[str, Any]:
    moved = {key: attributes.pop(key) for key in _keys(path, attributes)}
    if not moved:
        return attributes
    return {**attributes, KEY: {"version": _NEW, **_with_version(moved, None)}}


def _older(path: str, attributes: dict[str, Any]) -> dict[str, Any]:
    moved = attributes.pop(KEY, None)
    if not isinstance(moved, dict):
        return attributes
    return {**attributes, **_with_version({k: moved[k] for k in moved if k != "version"}, _OLD)}


def _with_version(entries: dict[str, Any], version: str | None) -> dict[str, Any]:
    def one(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        kept = {key: value for key, value in part.items() if key != "version"}
        return kept if version is None else {**kept, "version": version}

    return {
        key: value
        if key not in _VERSIONED
        else [one(part) for part in value]
        if isinstance(value, list)
        else one(value)
        for key, value in entries.items()
    }


def _keys(path: str, attributes: Mapping[str, Any]) -> list[str]:
    """Attributes of a group of format 2 that are OME-Zarr's."""
    listed = _OF_FOLDERS.get(path.rpartition("/")[2])
    return [key for key in attributes if key in _OF_ANY or key == listed]


def _versions(groups: Groups) -> Iterator[tuple[int, str]]:
    """Zarr format and version that metadata are written for, of each that says so."""
    for attributes in groups.values():
        if isinstance(attributes.get(KEY), dict):
            yield 3, str(attributes[KEY].get("version"))
        for key in ("multiscales", "plate", "well"):
            for part in _parts(attributes.get(key)):
                yield 2, str(part.get("version", _implied(part)))


def _implied(part: Mapping[str, Any]) -> str:
    """The version of metadata that do not tell it: axes with names came with 0.4."""
    axes = part.get("axes")
    named = isinstance(axes, list) and all(isinstance(axis, dict) for axis in axes)
    return _OLD if named or "datasets" not in part else "before 0.4"


def _entry(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    found = attributes.get(KEY)
    return found if isinstance(found, dict) else attributes


def _parts(value: Any) -> list[Mapping[str, Any]]:
    values = value if isinstance(value, list) else [value]
    return [part for part in values if isinstance(part, Mapping)]
