"""Archive: a target that is one ZIP file, as zarr's ``ZipStore`` reads it.

Nothing in a ZIP file can be replaced, so the target is made in ``x.zip.partial`` beside it,
which carries the marks and records of any unfinished target: a rerun goes on with it.  When all
blocks are in place it is packed under a temporary name and renamed; what was there under the name
stays until then.  Packing takes the space of the target once more.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from zarr.storage import MemoryStore, StorePath

from ..errors import ConfigError
from ..zarr.zip_stores import METADATA, SUFFIX
from . import progress, stores

_DATE = (1980, 1, 1, 0, 0, 0)  # the same array makes the same file
_PIECE_NBYTES = 1 << 20


@dataclass(frozen=True)
class Archive:
    """Where a ZIP file lies or will lie."""

    path: Path

    @classmethod
    def named(cls, target: Any, overwrite: bool) -> Archive | None:
        """The ZIP file that a target is, by its name; None where it is something else.

        Raises
        ------
        ConfigError
            If it exists and is not to be replaced, or cannot be made there.
        """
        if not isinstance(target, str | Path) or not str(target).endswith(SUFFIX):
            return None
        local = str(target).removeprefix("file://")
        if "://" in local:
            raise ConfigError(
                f"{target}: ZIP files are made locally; upload it when it is complete"
            )
        path = Path(local).absolute()
        if path.is_dir():
            raise ConfigError(f"{target} exists and is a folder: choose another name, or remove it")
        if path.exists() and not overwrite:
            raise ConfigError(
                f"{target} exists and is complete: choose another name, or replace it with "
                "overwrite (--overwrite)"
            )
        return cls(path)

    @property
    def folder(self) -> Path:
        """Where the target is made."""
        return self.path.with_name(f"{self.path.name}.partial")

    def pack(self, complete: Callable[[StorePath], None]) -> None:
        """Write the ZIP file and remove the folder.

        Parameters
        ----------
        complete : callable
            Takes the marks off a store; it is given a copy of the metadata, so that the folder
            says that it is incomplete for as long as there is no ZIP file.
        """
        temporary = self.path.with_name(f".{self.path.name}.partial")
        described = StorePath(MemoryStore())
        chunks = []
        for name in _names(self.folder):
            if PurePosixPath(name).name in METADATA:
                stores.put(described.store, name, (self.folder / name).read_bytes())
            else:
                chunks.append(name)
        complete(described)
        try:
            with temporary.open("wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
                    for name in sorted(stores.keys(described.store, ""), key=_by_depth):
                        data = stores.get(described.store, name) or b""
                        packed.writestr(zipfile.ZipInfo(name, _DATE), data)
                    for name in chunks:
                        _add(packed, name, self.folder / name)
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        finally:
            temporary.unlink(missing_ok=True)
        # Not under its name while it is removed: another transfer would go on with what is left.
        done = self.path.with_name(f".{self.path.name}.{os.getpid()}.packed")
        self.folder.rename(done)
        shutil.rmtree(done)


def _names(folder: Path) -> Iterator[str]:
    """Files of a target, without the records of its transfer and what killed processes left."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if (
            path.is_file()
            and not stores.is_partial(name.name)
            and progress.FOLDER not in name.parts
        ):
            yield name.as_posix()


def _by_depth(name: str) -> tuple[int, str]:
    return name.count("/"), name


def _add(packed: zipfile.ZipFile, name: str, path: Path) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.file_size = path.stat().st_size  # whether it needs the format of large files
    with path.open("rb") as file, packed.open(entry, "w") as out:
        shutil.copyfileobj(file, out, _PIECE_NBYTES)
