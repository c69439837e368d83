"""Dependencies: numcodecs, imported with an error that says what to do where it cannot be.

numcodecs imports what else is installed of its optional packages, and a broken release of one of
them ends its own import, and with it that of everything that stands on it.
"""

from __future__ import annotations

import traceback
from importlib import metadata
from pathlib import Path

from ..errors import DependencyError

# Modules of numcodecs and the packages that they import.
_OPTIONAL = {
    "zfpy": "zfpy",
    "pcodec": "pcodec",
    "msgpacks": "msgpack",
    "checksum32": "google-crc32c",
}


def _reason(error: Exception) -> str:
    """What broke the import of numcodecs, and what to do."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    inside = [file.stem for file in files if file.parent.name == "numcodecs"]
    package = _OPTIONAL.get(inside[-1], "") if inside else ""
    found = f"({type(error).__name__}: {error})"
    if not package:
        return f"numcodecs, which latrans needs, cannot be imported {found}: install it anew"
    try:
        package_and_version = f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        package_and_version = package
    return (
        f"numcodecs, which latrans needs, cannot be imported because of {package_and_version}, a "
        f"package that it imports where that is installed {found}: install another release of "
        f"it, or pip uninstall {package} where nothing needs it"
    )


try:
    from numcodecs.abc import Codec as NumcodecsCodec
    from numcodecs.blosc import Blosc
    from numcodecs.compat import ensure_bytes, ensure_contiguous_ndarray, ndarray_copy
    from numcodecs.zstd import Zstd
except ModuleNotFoundError:
    raise
except Exception as error:
    raise DependencyError(_reason(error)) from error

__all__ = [
    "Blosc",
    "NumcodecsCodec",
    "Zstd",
    "ensure_bytes",
    "ensure_contiguous_ndarray",
    "ndarray_copy",
]
