"""Target: whether one is there that a transfer may go on with, and its groups and arrays."""

from __future__ import annotations

from typing import Any

import zarr
from zarr.storage import StorePath

from ..errors import ConfigError
from . import ome, progress, stores
from .layout import Layout
from .members import groups_of


def goes_on(
    place: StorePath, job: str, parts: dict[str, Any], resume: bool, overwrite: bool
) -> bool:
    """Whether the target is there and unfinished by the same transfer; raises where it is not
    to be replaced."""
    try:
        node = zarr.open(place, mode="r", use_consolidated=False)
    except (FileNotFoundError, ValueError):
        if not overwrite and stores.keys(place.store, place.path + "/" if place.path else ""):
            raise ConfigError(
                f"{place} holds something that is not a Zarr array or group: choose another name, "
                "or replace it with overwrite (--overwrite)"
            ) from None
        return False
    before = progress.unfinished(node)
    if before is not None and before.get("job") == job and resume:
        return True
    if overwrite:
        return False
    if before is None:
        raise ConfigError(
            f"{place} exists and is complete: choose another name, or replace it with overwrite "
            "(--overwrite)"
        )
    if before.get("job") == job:
        raise ConfigError(f"{place} is unfinished: go on with it, or replace it with overwrite")
    raise ConfigError(
        f"{place} is the unfinished result of another transfer ("
        f"{progress.changes(before.get('of'), parts)}): repeat that one to finish it, or replace "
        "it with overwrite (--overwrite)"
    )


def make(
    place: StorePath,
    source: Any,
    wanted: list[Layout],
    job: str,
    parts: dict[str, Any],
    zarr_format: int,
) -> list[Any]:
    """Create what is not there yet: groups first, so that the target is marked before all."""
    if isinstance(source, zarr.Group):
        groups = {path: dict(group.attrs) for path, group in groups_of(source).items()}
        moved = ome.attributes_of(groups, source.metadata.zarr_format, zarr_format)
        for path in sorted(moved):
            mark = {} if path else progress.marker(job, parts)
            attributes = {**moved[path], **mark}
            if not _exists(place / path):
                zarr.create_group(
                    place.store,
                    path=(place / path).path,
                    zarr_format=zarr_format,
                    attributes=attributes,
                )
    made = []
    for layout in wanted:
        where = place / layout.name
        if not _exists(where):
            options = dict(layout.options)
            mark = progress.marker(job, None if layout.name else parts)
            options["attributes"] = {**options["attributes"], **mark}
            zarr.create_array(
                where,
                shape=tuple(layout.source.shape),
                chunks=layout.chunks,
                shards=layout.shards,
                zarr_format=zarr_format,
                **options,
            )
        made.append(zarr.open_array(where, mode="r+"))
    return made


def _exists(where: StorePath) -> bool:
    return any(
        stores.get(where.store, stores.below(where.path, name)) is not None
        for name in ("zarr.json", ".zarray", ".zgroup")
    )
