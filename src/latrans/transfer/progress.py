"""Progress: how far a transfer is, kept in the target itself.

Until all of it is in place, a target and each of its arrays carry the attribute
``latrans_transfer``; readers and ``latrans verify`` see by it that chunks may be missing.  It
holds what the transfer was asked for, so that only the same call goes on with it.

Each finished block has an object below its array, ``.latrans/<job>/<block>``, with its record.
Whether chunks are there could not tell: those that equal the fill value are never written, and
one that is there may not have been compared.  Zarr lists the members of groups, not what lies
below arrays, so nobody meets these objects; they go when the target is complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import zarr
from zarr.core.sync import sync
from zarr.storage import StorePath

from ..errors import ConfigError
from . import stores
from .summary import Record

ATTRIBUTE = "latrans_transfer"
FOLDER = ".latrans"
_VERSION = 1
_AT_ONCE = 64  # requests


def identity(parts: Mapping[str, Any]) -> str:
    """A transfer's name: a digest of all that it was asked for."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def marker(job: str, parts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The attributes of a target, or of one of its arrays, that is not complete."""
    value: dict[str, Any] = {"version": _VERSION, "job": job, "state": "incomplete"}
    if parts is not None:
        value["of"] = json.loads(json.dumps(parts, default=str))
    return {ATTRIBUTE: value}


def unfinished(node: Any) -> dict[str, Any] | None:
    """What an incomplete Zarr array or group says about its transfer; None where it is whole."""
    value = node.attrs.get(ATTRIBUTE)
    return value if isinstance(value, dict) else None


def finished(node: Any) -> None:
    """Take the mark off a Zarr array or group that is complete."""
    if ATTRIBUTE in node.attrs:
        del node.attrs[ATTRIBUTE]


def is_begun(place: StorePath, mark: Mapping[str, Any]) -> bool:
    """Whether what lies there is incomplete and has this `marker`."""
    try:
        node = zarr.open(place, mode="r", use_consolidated=False)
    except (FileNotFoundError, ValueError):
        return False
    return unfinished(node) == mark[ATTRIBUTE]


def refuse_unfinished(node: Any) -> None:
    """Raise a `ConfigError` where a Zarr array or group is not complete."""
    if unfinished(node) is not None:
        raise ConfigError(
            f"{node.store_path} is incomplete: a transfer into it stopped half-way. Run the same "
            "command again, it goes on where it stopped"
        )


def changes(before: Any, now: Mapping[str, Any]) -> str:
    """In what two transfers differ, for people."""
    old, new = _flat(before), _flat(json.loads(json.dumps(now, default=str)))
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    return "; ".join(
        f"{key} was {_short(old.get(key))}, is {_short(new.get(key))}" for key in differing[:4]
    )


def remember(array: Any, job: str, record: Record) -> None:
    """Note that a block is done."""
    stores.put(array.store_path.store, _key(array, job, str(record.block)), record.to_json())


def recall(array: Any, job: str) -> dict[int, Record]:
    """Records of all blocks of an array that are done, by number."""
    store = array.store_path.store
    records = {}
    for data in stores.get_many(store, stores.keys(store, _key(array, job, "")), _AT_ONCE):
        try:
            record = Record.from_json(data)
        except (ValueError, TypeError):
            continue  # then its block is moved again
        records[record.block] = record
    return records


def forget(array: Any) -> None:
    """Delete all records of an array."""
    store = array.store_path.store
    sync(store.delete_dir(stores.below(array.path, FOLDER)))


def _key(array: Any, job: str, block: str) -> str:
    return stores.below(array.path, FOLDER, job, block)


def _flat(node: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(node, dict):
        return {path: node}
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= _flat(value, f"{path} {key}".strip())
    return found


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
