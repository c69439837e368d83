"""Whole files: what is written appears under its name when it is complete, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)  # nothing more can be written


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling of a file or folder, which takes its name when the body succeeds.

    Whatever ends the body otherwise, a full disk or an interrupt, leaves the target as it was.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "a.txt") as partial:
    ...     _ = partial.write_text("all of it")
    >>> [path.name for path in folder.iterdir()]
    ['a.txt']
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        if target.is_dir() and partial.is_dir():  # no folder is renamed onto one that is not empty
            remove(target)
        os.replace(partial, target)
    finally:
        remove(partial)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
