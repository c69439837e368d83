"""ZIP stores: arrays and groups that lie in one ZIP file, opened as any other."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from zarr.core.sync import sync
from zarr.storage import StorePath, ZipStore
from zarr.storage._common import make_store_path

from ..errors import ConfigError

SUFFIX = ".zip"
METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


def resolved(place: Any) -> Any:
    """What Zarr opens for a place: the store in a ZIP file, all else as it is."""
    if isinstance(place, str | Path) and str(place).endswith(SUFFIX) and Path(place).is_file():
        return opened(Path(place).absolute())
    return place


def opened(path: Path) -> StorePath:
    """The store in a ZIP file, which is at its top or in the one folder that it holds.

    Raises
    ------
    ConfigError
        If it is not a ZIP file.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
    except zipfile.BadZipFile as error:
        raise ConfigError(f"{path} is not a ZIP file, or is cut short: {error}") from error
    folders = {name.partition("/")[0] for name in names}
    inside = ""
    if len(folders) == 1 and not any(name in METADATA for name in names):
        inside = folders.pop()
    return sync(make_store_path(ZipStore(path, mode="r"), path=inside, mode="r"))
