"""Models of a file: their digests in its metadata, and the models themselves where asked for.

Metadata entry ``latrans.models`` is JSON, ``{"<digest>": "<name>"}``; entry
``latrans.model.<digest>`` is a model file in base64, with which a file needs nothing beside it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping

import pyarrow as pa

from ..errors import ModelError
from ..format.frame import unpack
from ..models.model import Model
from ..models.model_file import MAX_NBYTES
from ..models.store import find, is_loaded, is_shipped, register
from .columns.type import DATA, ColumnsType, columns_type
from .columns.value import frames_in
from .tensor.type import TensorType

MODELS = b"latrans.models"
MODEL = b"latrans.model."
_DIGEST = re.compile(rb"[0-9a-f]{64}\Z")
_MAX_BASE64 = -(-MAX_NBYTES // 3) * 4  # of all models of a file together


def digests_of(types: Iterable[TensorType | ColumnsType]) -> set[str]:
    """Full digests of the models that columns name; those of "auto" show in their frames."""
    named = (str(kind.configuration["model"]) for kind in types)
    return {model.removeprefix("sha256:") for model in named if model != "auto"}


def digests_in(column: pa.Array) -> set[str]:
    """Full digests of the models that wrote a column's frames."""
    if columns_type(column.type) is not None:
        values = column.storage.field(DATA).drop_null().to_pylist()
        frames = [frame for value in values for frame in frames_in(value)]
    else:
        frames = column.storage.drop_null().to_pylist()
    found = {unpack(frame).model_digest for frame in frames}
    return {find(prefix.hex()).digest for prefix in found if prefix is not None}


def note(digests: Iterable[str]) -> dict[bytes, bytes]:
    """The entry that names models."""
    names = {digest: find(digest).name for digest in sorted(digests)}
    return {MODELS: json.dumps(names).encode()}


def kept(digests: Iterable[str], in_footer: bool | None) -> set[str]:
    """Which models go into a file: all, none, or (None) those that readers may not have."""
    if in_footer is not None:
        return set(digests) if in_footer else set()
    return {digest for digest in digests if not is_shipped(find(digest))}


def inside(digests: Iterable[str]) -> dict[bytes, bytes]:
    """Entries that hold models."""
    entries = {MODEL + d.encode(): base64.b64encode(find(d).data) for d in sorted(digests)}
    nbytes = sum(map(len, entries.values()))
    if nbytes > _MAX_BASE64:
        raise ModelError(
            f"models of {nbytes} bytes in base64 do not go into a file's metadata, at most "
            f"{_MAX_BASE64}: say model_in_footer=False and pass the models on separately"
        )
    return entries


def take_in(metadata: Mapping[bytes, bytes] | None) -> None:
    """Make models that a file holds known to this process.

    Raises
    ------
    ModelError
        If an entry is too large, is not a model, or not the one that it claims to be.
    """
    entries = {k: v for k, v in (metadata or {}).items() if k.startswith(MODEL)}
    left = _MAX_BASE64
    for key, text in entries.items():
        name = key.removeprefix(MODEL)
        if not _DIGEST.match(name):
            raise ModelError(f"metadata entry {key[:80]!r} names no model by its digest")
        left -= len(text)
        if left < 0:
            raise ModelError(f"models in a file's metadata exceed {_MAX_BASE64} bytes")
        digest = name.decode()
        if is_loaded(digest):
            continue
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ModelError(f"model {digest} in a file's metadata is damaged: {error}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            raise ModelError(
                f"model {digest} in a file's metadata has digest {found}: it is damaged, or not "
                "the model that it claims to be"
            )
        register(Model.from_bytes(data))


def without(schema: pa.Schema) -> pa.Schema:
    """A schema that says nothing of models."""
    kept = {
        key: value
        for key, value in (schema.metadata or {}).items()
        if key != MODELS and not key.startswith(MODEL)
    }
    return schema.with_metadata(kept) if kept else schema.remove_metadata()
