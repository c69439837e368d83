"""Store: from a name, a path or a digest to a model.

Looked for in this order: packaged `codecs/`, the user's cache directory (`LATRANS_CACHE`, else
~/.cache/latrans/models), the directories in `LATRANS_MODEL_PATH`.  Models that are already loaded
or registered come first for a digest, which nothing else can have, and last for a name.  Nothing
is ever downloaded.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import ModelError, ModelNotFoundError
from .model import Model
from .model_file import MAX_NBYTES

_lock = threading.Lock()
_loaded: dict[str, Model] = {}  # by full digest
_digests: dict[tuple[str, int, int], str] = {}  # (path, size, mtime) to digest
_names: dict[str, str] = {}  # what stays the same: packaged models and data URIs, to digest
_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{16,64})\Z")
DATA_URI = "data:"  # what a model that is its own reference begins with
_LONGEST = 160  # characters of a reference in a message
_DATA_URI = re.compile(r"data:[^,]*;base64,(.*)\Z", re.S)


@dataclass(frozen=True)
class Listed:
    """A model file that was found."""

    name: str
    version: int
    digest: str
    path: Path
    summary: str
    nbytes: int


def open_model(source: str | os.PathLike[str] | bytes | Model) -> Model:
    """Open a model by name, path, digest, bytes or `data:` URI.

    Parameters
    ----------
    source
        "image-1", "model.safetensors", "sha256:<hex>" (16 digits or more), the file's bytes, a
        base64 `data:` URI, or a Model, which is returned as it is.

    Raises
    ------
    ModelNotFoundError
        If nothing of that name, path or digest is found.
    ModelError
        If what was found is not an intact model.

    Examples
    --------
    >>> import latrans
    >>> latrans.open_model("digits-1").axes
    'nyx'
    """
    if isinstance(source, Model):
        return register(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return register(Model.from_bytes(bytes(source)))
    text = os.fspath(source)
    known = _loaded.get(_names.get(text, ""))
    if known is not None:
        return known
    inline = _DATA_URI.match(text)
    if inline:
        try:
            model = register(Model.from_bytes(base64.b64decode(inline[1], validate=True)))
        except binascii.Error as error:
            raise ModelError(f"model data URI is not valid base64: {error}") from error
        _names[text] = model.digest  # every chunk asks for it
        return model
    digest = _HEX.match(text)
    if digest:
        return find(digest[1])
    if os.sep in text or text.endswith(".safetensors"):
        return _load(Path(text).expanduser())
    shipped = _shipped().get(text)
    if shipped is not None and shipped.is_file():
        model = _load(shipped)
        _names[text] = model.digest  # small chunks cannot afford to look at files
        return model
    for directory in search_path():
        for path in _files(directory):
            if _alias(path) == text:
                return _load(path)
    with _lock:
        for model in _loaded.values():
            if model.name == text:
                return model
    raise ModelNotFoundError(
        f"no model named {brief(text)!r}; `latrans models` lists the models that are. Put its "
        f".safetensors file into {cache_directory()} or a directory of LATRANS_MODEL_PATH, or give "
        "its path"
    )


def register(model: Model) -> Model:
    """Make a model findable by its digest in this process."""
    with _lock:
        return _loaded.setdefault(model.digest, model)


def is_shipped(model: Model) -> bool:
    """Whether everybody who has latrans has this model, under its name."""
    path = _shipped().get(model.name)
    return path is not None and path.is_file() and _load(path).digest == model.digest


def brief(reference: str) -> str:
    """What a configuration says about its model, in a line: of one that is inline its digest.

    Examples
    --------
    >>> brief("image-1")
    'image-1'
    >>> brief("data:application/octet-stream;base64,bGF0cmFucw==")[:40]
    'inline, 7 bytes, sha256:dba37d3aa8e61241'
    """
    inline = _DATA_URI.match(reference)
    if inline is None:
        return reference if len(reference) <= _LONGEST else f"{reference[:_LONGEST]}..."
    try:
        data = base64.b64decode(inline[1], validate=True)
    except binascii.Error:
        return "inline, damaged (base64)"
    return f"inline, {len(data)} bytes, sha256:{hashlib.sha256(data).hexdigest()}"


def is_loaded(digest: str) -> bool:
    """Whether the model of a full digest is at hand without a search."""
    return digest in _loaded


def find(digest: str) -> Model:
    """The model whose digest starts with these hexadecimal digits."""
    with _lock:
        for known, model in _loaded.items():
            if known.startswith(digest):
                return model
    for directory in search_path():
        for path in _files(directory):
            try:
                if _digest_of(path).startswith(digest):
                    return _load(path)
            except OSError:
                continue
    raise ModelNotFoundError(
        f"no model with digest {digest} was found. Where a Zarr store keeps it beside its arrays, "
        "open them with latrans.zarr.open; else ask whoever wrote the data for the model file, and "
        "give it to the command with --model, open it with latrans.open_model, or put it into "
        f"{cache_directory()} or a directory of LATRANS_MODEL_PATH"
    )


def model_of_frame(digest: str, asked: Any) -> Model:
    """The model that a frame names, which may be the one that was asked for by name or path.

    Raises
    ------
    ModelNotFoundError
        If no model of this digest is found.
    """
    if isinstance(asked, str) and asked.startswith(DATA_URI):
        open_model(asked)  # most likely the one that the frame names
    try:
        return find(digest)
    except ModelNotFoundError:
        if isinstance(asked, str) and asked == "auto":
            raise
    with suppress(ModelError):  # then it is not that one which is missing
        open_model(asked)  # what was asked for by path may have written the frame
    return find(digest)


def list_models(directories: list[Path] | None = None) -> list[Listed]:
    """Every model file in directories (by default those that are searched), in their order.

    Other safetensors files are passed by.
    """
    found = []
    for directory in search_path() if directories is None else directories:
        for path in _files(directory):
            try:
                model = _load(path)
            except ModelError:
                continue
            found.append(
                Listed(
                    model.name, model.version, model.digest, path, model.summary, len(model.data)
                )
            )
    return found


def search_path() -> list[Path]:
    """Directories that hold models."""
    paths = [*packaged(), cache_directory()]
    extra = os.environ.get("LATRANS_MODEL_PATH", "")
    paths += [Path(p).expanduser() for p in extra.split(os.pathsep) if p]
    return [p for p in paths if p.is_dir()]


def packaged() -> list[Path]:
    """Directories of the models that come with latrans."""
    package = Path(__file__).resolve().parent.parent
    paths = [package / "codecs", package.parent.parent / "codecs"]  # installed; in a checkout
    return list(dict.fromkeys(p.resolve() for p in paths if p.is_dir()))


@cache
def _shipped() -> dict[str, Path]:
    """Packaged models by name, the first of each; these directories do not change."""
    found: dict[str, Path] = {}
    for directory in packaged():
        for path in _files(directory):
            found.setdefault(_alias(path), path)
    return found


def cache_directory() -> Path:
    """Where a user keeps models."""
    configured = os.environ.get("LATRANS_CACHE")
    if configured:
        return Path(configured).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "latrans" / "models"


def _files(directory: Path) -> Iterator[Path]:
    """Regular files that may be models: others might never end."""
    for pattern in ("*/model.safetensors", "*.safetensors"):
        for path in sorted(directory.glob(pattern)):
            if path.is_file() and path.stat().st_size <= MAX_NBYTES:
                yield path


def _alias(path: Path) -> str:
    return path.parent.name if path.name == "model.safetensors" else path.stem


def _load(path: Path) -> Model:
    try:
        if not path.is_file():
            raise ModelNotFoundError(f"no model file at {path}")
        key = _key(path)
        known = _loaded.get(_digests.get(key, ""))
        if known is not None:
            return known  # small chunks cannot afford to read and digest a file each
        with path.open("rb") as file:
            data = file.read(MAX_NBYTES + 1)
    except OSError as error:
        raise ModelNotFoundError(f"cannot read model file {path}: {error.strerror}") from error
    if len(data) > MAX_NBYTES:
        raise ModelError(f"{path} is larger than any model; at most {MAX_NBYTES} bytes are read")
    digest = _digests[key] = hashlib.sha256(data).hexdigest()
    with _lock:
        if digest in _loaded:
            return _loaded[digest]
    return register(Model.from_bytes(data))


def _digest_of(path: Path) -> str:
    key = _key(path)
    if key not in _digests:
        _digests[key] = hashlib.sha256(path.read_bytes()).hexdigest()
    return _digests[key]


def _key(path: Path) -> tuple[str, int, int]:
    """What changes whenever a file is written anew."""
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns
