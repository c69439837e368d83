"""Sources: what a path is, and how it is read block by block; for every command and function.

A source has `shape`, `dtype` and indexing by slices.  ``.npy`` files are memory-mapped and pickle
as their path, so that worker processes map them again; members of ``.npz`` files are unpacked to
temporary files, so that they can be mapped too.  Images, and folders and patterns of them, are in
`images`.  Of files that other libraries read, the error says how to bring them here.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from . import images

Array = npt.NDArray[Any]

EXPECTED = "an .npy or .npz file, an image, a folder or pattern of images, or a Zarr array or group"

# Files that commands meet and do not read: what they are, how they are known, what to do.
_ELSEWHERE: tuple[tuple[str, tuple[str, ...], tuple[bytes, ...], str], ...] = (
    (
        "a Parquet file",
        (".parquet", ".pq"),
        (b"PAR1",),
        "latrans compress {name} OUT.parquet --columns NAME=MODEL compresses its columns, "
        "latrans decompress {name} OUT.parquet decodes them, and latrans.arrow does both in Python",
    ),
    (
        "a NetCDF file",
        (".nc", ".nc4", ".cdf"),
        (b"CDF\x01", b"CDF\x02", b"CDF\x05"),
        "In Python: xarray.open_dataset('{name}').to_zarr('{stem}.zarr') keeps packing, missing "
        "values and coordinates; then latrans compress {stem}.zarr OUT.zarr --model auto",
    ),
    (
        "an HDF5 file",
        (".h5", ".hdf5", ".he5", ".hdf"),
        (b"\x89HDF",),
        "In Python: data = h5py.File('{name}'); "
        "latrans.transfer.transcode(data['NAME'], '{stem}.zarr', 'image-1')",
    ),
    (
        "an .npy file",
        (".npy",),
        (b"\x93NUMPY",),
        "latrans compress {name} OUT.zarr takes it as a source, if its name ends in .npy",
    ),
    (
        "an image",
        images.SUFFIXES,
        (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x89PNG", b"\xff\xd8\xff"),
        "latrans compress {name} OUT.zarr takes it as a source, if its name says what it is",
    ),
)


@dataclass(frozen=True)
class NpyFile:
    """A memory-mapped ``.npy`` file.

    `origin` is what the user named: this file, or one it was unpacked from.  The size and time of
    modification are those of that one, and say whether it is still what was opened.
    """

    path: str
    origin: str
    size: int
    mtime_ns: int

    @classmethod
    def open(cls, path: Path, named: Path | None = None, key: str = "") -> NpyFile:
        """Open a file of numbers; a `ConfigError` says what is there instead."""
        named = named or path
        if not named.exists():
            raise _absent(str(named))
        status = named.stat()
        origin = str(named.resolve()) + (f":{key}" if key else "")
        file = cls(str(path.resolve()), origin, status.st_size, status.st_mtime_ns)
        _map(file.path, file.size, file.mtime_ns)
        return file

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What tells this file from others, and from what it may become."""
        return {"place": self.origin, "size": self.size, "modified": self.mtime_ns}

    @property
    def mapped(self) -> Array:
        """The array, mapped once per process."""
        return _map(self.path, self.size, self.mtime_ns)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mapped.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.mapped.dtype

    def __getitem__(self, key: Any) -> Any:
        return self.mapped[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.mapped, dtype=dtype, copy=copy)


@lru_cache(maxsize=16)
def _map(path: str, size: int, mtime_ns: int) -> Array:
    del size, mtime_ns  # they only tell one state of a file from another
    try:
        mapped: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        name = Path(path).name
        raise ConfigError(f"{name} cannot be read as an array of numbers: {error}") from error
    return mapped


@contextmanager
def open_source(
    spec: str, groups: bool = False, storage_options: dict[str, Any] | None = None
) -> Iterator[Any]:
    """Open for reading what a path or URL names.

    Parameters
    ----------
    spec : str
        ``a.npy``, ``a.npz``, ``a.npz:key``; an image, a folder of images or a pattern such as
        ``scans/*.tif``; a Zarr store, zipped or not, or a URL of one.
    groups : bool
        Whether Zarr groups are taken, too.
    storage_options : dict, optional
        For fsspec, where `spec` is a URL.

    Yields
    ------
    An object with `shape`, `dtype` and indexing by slices; or a Zarr group, with `groups`.

    Raises
    ------
    ConfigError
        If it is something else, or images of a stack do not agree; how to read it, where that is
        known.
    FileNotFoundError
    """
    spec = spec.removeprefix("file://")
    path, _, key = spec.partition(".npz:")
    if "://" in spec:
        yield open_zarr(spec, groups, storage_options)
    elif key or spec.endswith(".npz"):
        archive = Path(f"{path}.npz" if key else spec)
        with tempfile.TemporaryDirectory(prefix="latrans-") as folder:
            yield NpyFile.open(_extract(archive, key, Path(folder)), archive, key)
    elif spec.endswith(".npy") and not Path(spec).is_dir():
        yield NpyFile.open(Path(spec))
    else:
        found = images.opened(spec)
        yield open_zarr(spec, groups) if found is None else found


def is_of_files(spec: str) -> bool:
    """Whether a local path, which need not exist, names files of samples, not a Zarr store."""
    if ".npz:" in spec or (spec.endswith((".npy", ".npz")) and not Path(spec).is_dir()):
        return True
    return (images.is_image(spec) and not Path(spec).is_dir()) or images.found_at(spec) is not None


def open_zarr(
    path: str, groups: bool = False, storage_options: dict[str, Any] | None = None
) -> Any:
    """Open a Zarr array (v2 or v3) for reading; a `ConfigError` says what is there instead."""
    import zarr

    path = path.removeprefix("file://")
    local = None if "://" in path else Path(path).absolute()
    place: Any = local or path
    if local is not None and not local.is_dir():
        archive = next((p for p in (local, *local.parents) if p.is_file()), None)
        if archive is None or (archive != local and archive.suffix != ".zip"):
            raise _absent(path)
        if archive.suffix != ".zip":
            raise ConfigError(f"{path} is not a Zarr array or group: {advice(local)}")
        from ..zarr.zip_stores import opened

        inside = local.relative_to(archive).as_posix()
        place = opened(archive) if archive == local else opened(archive) / inside
    try:
        found = zarr.open(place, mode="r", storage_options=storage_options)
    except FileNotFoundError as error:
        what = "holds"  # of a URL, or a path inside a ZIP file
        if local is not None and local.exists():
            what = f"is a {'file' if local.is_file() else 'folder'} with"
        raise ConfigError(f"{path} {what} no Zarr array or group: expected {EXPECTED}") from error
    except (ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} cannot be opened as a Zarr array: {error}") from error
    if groups or isinstance(found, zarr.Array):
        return found
    raise group_error(found, path)


def group_error(group: Any, path: str) -> ConfigError:
    """What to say of a Zarr group at a path where an array is needed."""
    import zarr

    members = group.members(max_depth=None)
    names = sorted(name for name, node in members if isinstance(node, zarr.Array))
    example = f": name one, as in {path}/{names[0]}" if names else ""
    return ConfigError(
        f"{path} is a Zarr group, expected an array; arrays in it: {', '.join(names) or 'none'}"
        f"{example}"
    )


def _absent(path: str) -> FileNotFoundError:
    return FileNotFoundError(f"{path} does not exist: give {EXPECTED}")


def advice(path: Path) -> str:
    """What reads a file that is none of ours."""
    name = path.name
    with path.open("rb") as file:
        head = file.read(8)
    for kind, suffixes, marks, how in _ELSEWHERE:
        if name.lower().endswith(suffixes) or head.startswith(marks):
            return f"it is {kind}. {how.format(name=name, stem=path.stem)}"
    return (
        f"expected {EXPECTED}. Read it with its own library, and hand the array to "
        "latrans.transfer.transcode(array, 'out.zarr')"
    )


def _extract(path: Path, key: str, folder: Path) -> Path:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ConfigError(f"{path} is not an .npz file: {error}") from error
    with archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if not key and len(names) != 1:
            raise ConfigError(
                f"{path} holds {len(names)} arrays ({', '.join(names)}): "
                f"name one, as in {path}:{names[0] if names else 'key'}"
            )
        key = key or names[0]
        if key not in names:
            raise ConfigError(f"{path} has no array {key!r}; it holds {', '.join(names)}")
        target = folder / "array.npy"
        member = archive.namelist()[names.index(key)]
        with archive.open(member) as packed, target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
    return target
