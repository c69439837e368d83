"""Files: local paths, fsspec URLs and open files, to read from and to write to.

What is written to a path or URL appears there only when it is complete.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import CodecError, ConfigError
from ..process.whole_files import replacing


@contextmanager
def writing(where: Any) -> Iterator[Any]:
    """Yield a binary file to write `where`, a path, an fsspec URL or an open file, complete."""
    if hasattr(where, "write"):
        yield where
        return
    files, path = locate(where)
    if files is None:
        with replacing(Path(path)) as partial, partial.open("wb") as file:
            yield file
        return
    # Few file systems take back what was begun, so that only a complete file is sent.
    with tempfile.TemporaryDirectory(prefix="latrans-") as folder:
        whole = Path(folder) / "file"
        with whole.open("wb") as file:
            yield file
        files.put_file(str(whole), path)


def locate(where: Any) -> tuple[Any, str]:
    """A file system of fsspec's (None for local files) and a path in it."""
    if not isinstance(where, (str, os.PathLike)):
        raise ConfigError(
            f"{where!r:.80} is not a file; expected a path, an fsspec URL or an open binary file"
        )
    path = os.fspath(where)
    if "://" not in path:
        return None, os.path.expanduser(path)
    try:
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path} is a URL: pip install fsspec, or give a local path") from error
    try:
        files, inner = url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{path} cannot be opened: {error}") from error
    return (None if isinstance(files, LocalFileSystem) else files), inner


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn what pyarrow raises for damaged files into `CodecError`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # the operating system's: no such file, no permission
            raise
        raise _damaged(what, error) from error
    except pa.ArrowException as error:
        raise _damaged(what, error) from error


def _damaged(what: str, error: Exception) -> CodecError:
    text = " ".join(str(error).split())
    return CodecError(
        f"{what} cannot be read as Parquet: it is damaged, cut short, or not a Parquet file "
        f"({text})"
    )
