"""Opening training inputs: every kind becomes something with shape, dtype and slicing.

``.npy``, idx and uncompressed ``.npz`` members are memory-mapped; Zarr reads its own chunks;
compressed members and ``.gz`` files, which have no random access, are read when first touched;
images are read box by box, as `latrans.transfer` does.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from ..batch.foreign import unmasked
from ..errors import ConfigError

Array = npt.NDArray[Any]

_EXPECTED = (
    "expected an array, a .npy, .npz or idx file (also .gz), an image, a folder or pattern of "
    "images, or a Zarr store"
)
# The type byte of an idx file, whose numbers are big-endian.
_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class ArrayLike(Protocol):
    """What NumPy, Zarr and HDF5 arrays and the lazy files below have in common."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def __getitem__(self, key: Any) -> Any: ...


@dataclass(frozen=True)
class Named:
    """An array, what to call it, and the file to hash for it (None: hash its values)."""

    name: str
    array: ArrayLike
    file: Path | None = None


@dataclass
class Lazy:
    """An array whose header is known and whose values are read when first touched."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[], Array]

    @cached_property
    def values(self) -> Array:
        return self.load()

    def __getitem__(self, key: Any) -> Any:
        return self.values[key]


def open_arrays(data: Any, name: str = "array") -> list[Named]:
    """All numeric arrays in `data`: an array, one with its name, a path, or a list of these.

    Raises
    ------
    ConfigError
        If something is missing, unreadable, or holds no numbers.
    """
    if isinstance(data, list | tuple):
        found = [n for k, item in enumerate(data) for n in open_arrays(item, f"{name}-{k}")]
    elif isinstance(data, str | Path):
        found = _open_path(data)
    elif isinstance(data, Named):
        found = [data]
    elif all(hasattr(data, part) for part in ("shape", "dtype", "__getitem__")):
        found = [Named(name, unmasked(data))]
    else:
        raise ConfigError(f"training data is {type(data).__name__}; {_EXPECTED}")
    if not found:
        raise ConfigError(f"training data {name!r} holds no arrays; {_EXPECTED}")
    for named in found:
        if isinstance(named.array, np.ma.MaskedArray) and np.ma.is_masked(named.array):
            raise ConfigError(
                f"training array {named.name!r} is masked, and masks are not read: fill what is "
                "missing, with NaN where there are floats"
            )
        if np.dtype(named.array.dtype).kind not in "uif":
            raise ConfigError(
                f"training array {named.name!r} has dtype {named.array.dtype}; "
                "expected integers or floats"
            )
    return found


def _open_path(path: str | Path) -> list[Named]:
    from ..transfer import images

    if "://" not in str(path) and (found := images.opened(str(path))) is not None:
        return [Named(Path(path).name, found)]
    if "://" in str(path) or Path(path).is_dir():
        return _open_zarr(path)
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no training data at {str(path)!r}; {_EXPECTED}")
    try:
        if zipfile.is_zipfile(path):
            return _open_zarr(path) if path.suffix == ".zip" else _open_npz(path)
        with path.open("rb") as stream:
            head = stream.read(6)
        if head == b"\x93NUMPY":
            return [Named(path.name, np.load(path, mmap_mode="r", allow_pickle=False), path)]
        if head[:2] == b"\x1f\x8b":
            return [_open_gzip(path)]
        if head[:2] == b"\0\0":
            shape, dtype, offset = _idx_header(path.open("rb"), path)
            return [Named(path.name, np.memmap(path, dtype, "r", offset, shape), path)]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"cannot read training data {str(path)!r}: {error}") from error
    raise ConfigError(f"training data {str(path)!r} starts with {head!r}; {_EXPECTED}")


def _open_npz(path: Path) -> list[Named]:
    found = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as stream:
                shape, fortran, dtype = _npy_header(stream)
                header_nbytes = stream.tell()
            array: ArrayLike
            if member.compress_type == zipfile.ZIP_STORED:
                offset = _member_offset(path, member) + header_nbytes
                order = "F" if fortran else "C"
                array = np.memmap(path, dtype, "r", offset, shape, order)  # type: ignore[call-overload]
            else:
                array = Lazy(shape, dtype, _member_loader(path, member.filename))
            found.append(Named(f"{path.name}:{member.filename[:-4]}", array, path))
    return found


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


def _member_offset(path: Path, member: zipfile.ZipInfo) -> int:
    with path.open("rb") as stream:
        stream.seek(member.header_offset)
        local = stream.read(30)
    return (
        member.header_offset
        + 30
        + int.from_bytes(local[26:28], "little")
        + int.from_bytes(local[28:30], "little")
    )


def _member_loader(path: Path, name: str) -> Callable[[], Array]:
    def load() -> Array:
        with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    return load


def _open_gzip(path: Path) -> Named:
    with gzip.open(path) as stream:
        numpy_file = stream.read(6) == b"\x93NUMPY"
        stream.seek(0)
        if numpy_file:
            shape, _, dtype = _npy_header(cast(IO[bytes], stream))
        else:
            shape, dtype, _ = _idx_header(cast(IO[bytes], stream), path)

    def load() -> Array:
        with gzip.open(path) as stream:
            if numpy_file:
                return np.lib.format.read_array(cast(IO[bytes], stream), allow_pickle=False)
            stream.seek(4 + 4 * len(shape))
            data = stream.read()
        return np.frombuffer(data, dtype).reshape(shape)

    return Named(path.name, Lazy(shape, dtype, load), path)


def _idx_header(stream: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    with stream:
        magic = stream.read(4)
        known = len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in _IDX_TYPES
        if not known or not magic[3]:
            raise ConfigError(f"training data {str(path)!r} starts with {magic!r}; {_EXPECTED}")
        sizes = stream.read(4 * magic[3])
    if len(sizes) != 4 * magic[3]:
        raise ConfigError(f"idx file {str(path)!r} ends within its header")
    shape = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
    return shape, np.dtype(_IDX_TYPES[magic[2]]), 4 + len(sizes)


def _open_zarr(path: str | Path) -> list[Named]:
    try:
        import zarr
    except ImportError as error:
        raise ConfigError(
            f"{str(path)!r} looks like a Zarr store; reading it needs latrans[zarr]"
        ) from error
    from ..zarr.zip_stores import resolved

    try:
        opened = zarr.open(resolved(str(path)), mode="r")
    except Exception as error:  # stores raise whatever their backends raise
        raise ConfigError(f"cannot read {str(path)!r} as a Zarr store: {error}") from error
    from ..zarr.models import is_model, load_for

    load_for(opened)
    name = Path(str(path)).name
    if not isinstance(opened, zarr.Group):
        return [Named(name, opened)]
    members = sorted(opened.members(max_depth=None))
    arrays = [(k, a) for k, a in members if isinstance(a, zarr.Array) and not is_model(k)]
    return [Named(f"{name}/{k}", a) for k, a in arrays]
