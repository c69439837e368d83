"""Models in stores: where an array's model is kept so that a copied store can be read anywhere.

``name``    nowhere: the configuration names it, and whoever reads must have it, as all who have
            latrans have the shipped ones.
``inline``  in the configuration itself, as a ``data:`` URI.
``beside``  in the group, as the uint8 array ``models/<SHA-256 of its bytes>``; the configuration
            names the digest.

Where nobody says which, a model that is shipped is kept by ``name`` and any other in the store:
``inline`` up to 256 KiB, else ``beside``, so that what was written can be read.

What a store holds is not to be trusted: a model is loaded only where its size is allowed and its
bytes have the digest that they are named by.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import zarr
from zarr.storage import FsspecStore, LocalStore, StorePath, WrapperStore

from ..config import Configured
from ..errors import ConfigError, LatransWarning, ModelError
from ..models import store
from ..models.model import Model
from ..models.model_file import MAX_NBYTES

STORAGES = ("name", "inline", "beside")
MAX_INLINE_NBYTES = 1 << 18
FOLDER = "models"

_MAX_ABOVE = 16  # groups around a store that are looked into
_MAX_GROUP_NBYTES = 4 * MAX_NBYTES  # of all models that a group may make us load
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_MODEL = re.compile(rf"(?:.*/)?{FOLDER}/[0-9a-f]{{64}}\Z")
_REFERENCE = re.compile(r"sha256:([0-9a-f]{64})\Z")
_AUTO = "auto"


def storage_of(model: Any, storage: str | None, has_group: bool) -> str:
    """How a model is kept: as the user says, or so that the store can be read without its file.

    Parameters
    ----------
    model : str, os.PathLike, bytes or Model
        As for `latrans.Codec`.
    storage : {"name", "inline", "beside"} or None
        What the user said; `LatransWarning` where readers will need a file that they may not have.
    has_group : bool
        Whether the array has a group that a model can be kept in.

    Raises
    ------
    ConfigError
        If nothing was said, and the model neither goes inline nor has a group.
    ModelNotFoundError
        If it is not found.
    """
    if storage not in (None, "name") or (isinstance(model, str) and model == _AUTO):
        return storage or "name"
    found = store.open_model(model)
    if store.is_shipped(found):
        return "name"
    if storage == "name":
        warnings.warn(
            f"model {found.name!r} is not kept in the store: readers need its file, "
            "model_storage='inline' or 'beside' would keep it there",
            LatransWarning,
            stacklevel=3,
        )
        return storage
    if len(found.data) <= MAX_INLINE_NBYTES:
        return "inline"
    if has_group:
        return "beside"
    raise ConfigError(
        f"model {found.name!r} of {len(found.data)} bytes is not shipped with latrans, is larger "
        f"than the {MAX_INLINE_NBYTES} that go inline, and an array at the root of a store has no "
        "group to keep it in: write the array into a group (latrans.zarr.create with name=, or a "
        "group as source), or say model_storage='name' (--model-storage name) and hand its file "
        "to readers, who give it to --model or latrans.open_model"
    )


def reference(model: Any, storage: str) -> Any:
    """What an array's configuration says about its model.

    Parameters
    ----------
    model : str, os.PathLike, bytes or Model
        As for `latrans.Codec`.
    storage : {"name", "inline", "beside"}

    Raises
    ------
    ConfigError
        If the model cannot be kept that way.
    ModelNotFoundError
        If it is not found.
    """
    if storage not in STORAGES:
        raise ConfigError(
            f"model_storage is {storage!r}; expected one of {', '.join(map(repr, STORAGES))}"
        )
    if isinstance(model, str) and model == _AUTO:
        if storage == "name":
            return model
        raise ConfigError(
            f"model 'auto' cannot be stored {storage}: it stands for any shipped codec, chunk by "
            "chunk. Readers have those with latrans: use model_storage='name', or name one model"
        )
    found = store.open_model(model)
    if storage == "inline":
        return _inline(found)
    if storage == "beside" or not isinstance(model, str) or _is_path(model):
        return f"sha256:{found.digest}"
    return model


def keep(group: zarr.Group, model: Model) -> None:
    """Store a model beside the arrays of a group, if it is not there yet."""
    path = f"{FOLDER}/{model.digest}"
    known = group.get(path)
    if isinstance(known, zarr.Array) and _is_intact(known, model.digest):
        return
    data = np.frombuffer(model.data, np.uint8)
    group.create_array(
        path,
        data=data,
        chunks=data.shape,
        compressors=None,
        attributes={"name": model.name, "summary": model.summary},
        overwrite=True,
    )


def is_model(path: str) -> bool:
    """Whether an array of this path is a model that is kept beside others."""
    return _MODEL.match(path) is not None


def load_for(node: zarr.Array[Any] | zarr.Group) -> None:
    """Make models that are kept beside an array, or in a group, known to this process.

    They are looked for in the group and in those above it, up to the root of the store, and
    further up where that is itself inside a group: ``group.zarr/array`` opens like the array of
    ``group.zarr``.

    Raises
    ------
    ModelError
        If one is there and damaged, or larger than any model.
    """
    if isinstance(node, zarr.Group):
        _load_all(node)
        return
    for digest in _digests(node):
        if store.is_loaded(digest):
            continue
        for place in _folders(node.store, node.path):
            try:
                kept = zarr.open_array(place / digest, mode="r")
            except (FileNotFoundError, ValueError):
                continue  # no such node, or no array
            store.register(Model.from_bytes(_read(kept, digest)))
            break


def _load_all(group: zarr.Group) -> None:
    left = _MAX_GROUP_NBYTES
    for place in _folders(group.store, f"{group.path}/x" if group.path else "x"):
        try:
            folder = zarr.open_group(place, mode="r")
        except (FileNotFoundError, ValueError):
            continue
        for name, kept in folder.arrays():
            if not _DIGEST.match(name) or store.is_loaded(name):
                continue
            left -= kept.size
            if left < 0:
                raise ModelError(
                    f"group {group.path!r} holds more than {_MAX_GROUP_NBYTES} bytes of models; "
                    "open its arrays one by one, by path"
                )
            store.register(Model.from_bytes(_read(kept, name)))


def _folders(inside: Any, path: str) -> Iterator[StorePath]:
    """Where models of a node may be: beside it, and beside each group that it is in."""
    parts = [part for part in path.split("/") if part]
    for n in range(len(parts) - 1, -1, -1):
        yield StorePath(inside, "/".join([*parts[:n], FOLDER]))
    for _ in range(_MAX_ABOVE):
        inside = _above(inside)
        if inside is None or not _holds_group(inside):
            return
        yield StorePath(inside, FOLDER)


def _above(inside: Any) -> Any:
    """The store of the folder that a store lies in, where there is such a thing."""
    while isinstance(inside, WrapperStore):
        inside = inside._store
    if isinstance(inside, LocalStore):
        root = inside.root.absolute()
        return None if root == root.parent else LocalStore(root.parent, read_only=True)
    if isinstance(inside, FsspecStore):
        parent = inside.path.rstrip("/").rpartition("/")[0]
        if parent.strip("/"):
            return FsspecStore(inside.fs, read_only=True, path=parent)
    return None


def _holds_group(inside: Any) -> bool:
    try:
        zarr.open_group(StorePath(inside, ""), mode="r", use_consolidated=False)
    except Exception:  # no group, or nothing that may be read: what is above is a stranger's
        return False
    return True


def _digests(array: zarr.Array[Any]) -> Iterator[str]:
    """Digests that the codecs of an array name."""
    metadata = array.metadata
    if metadata.zarr_format == 2:
        codecs = [metadata.compressor, *(metadata.filters or ())]
    else:
        codecs = list(metadata.codecs)
    while codecs:
        codec = codecs.pop()
        codecs.extend(getattr(codec, "codecs", ()))  # of shards
        match = _REFERENCE.match(codec.model) if isinstance(codec, Configured) else None
        if match:
            yield match[1]


def _read(kept: zarr.Array[Any], digest: str) -> bytes:
    """Bytes of a stored model; `ModelError` unless they are what they are called."""
    sizes = (*kept.shape, *kept.chunks, *(kept.shards or ()))
    if kept.dtype != np.uint8 or kept.ndim != 1 or max(sizes) > MAX_NBYTES:
        raise ModelError(
            f"{kept.path!r} is {kept.dtype} of shape {kept.shape} in chunks {kept.chunks}; a model "
            f"is uint8, of one dimension and {MAX_NBYTES} bytes at most"
        )
    try:
        data = np.asarray(kept[:]).tobytes()
    except OSError:
        raise  # of the store
    except Exception:  # codecs raise many kinds
        data = b""
    if hashlib.sha256(data).hexdigest() != digest:
        raise ModelError(
            f"the model at {kept.path!r} is damaged: its bytes have another digest. Copy the store "
            "again, or put the model file where `latrans models` finds it"
        )
    return data


def _is_intact(kept: zarr.Array[Any], digest: str) -> bool:
    try:
        _read(kept, digest)
    except ModelError:
        return False
    return True


def _inline(model: Model) -> str:
    if len(model.data) > MAX_INLINE_NBYTES:
        raise ConfigError(
            f"model {model.name!r} has {len(model.data)} bytes, and {MAX_INLINE_NBYTES} go inline: "
            "use model_storage='beside'"
        )
    text = base64.b64encode(model.data).decode("ascii")
    return f"data:application/octet-stream;base64,{text}"


def _is_path(text: str) -> bool:
    return not text.startswith(store.DATA_URI) and (os.sep in text or text.endswith(".safetensors"))
