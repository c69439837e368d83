"""Memory: what a task will need, known before it runs.

A task holds a block as read, as read back, and what comparing them takes; beside that the chunks
that are coded at the same time, each with its working memory.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError

_BASE_NBYTES = 50 << 20  # interpreter, libraries, models
_BLOCK = 4  # copies of a block
_WORKING = {"i": 6, "u": 6}  # of a chunk, by kind of dtype
_WORKING_OTHER = 12


def task_nbytes(block_nbytes: int, chunk_nbytes: int, dtype: np.dtype[Any]) -> int:
    """Peak memory of moving one block."""
    import zarr

    at_once = max(1, int(zarr.config.get("async.concurrency", 10)))
    coded = min(block_nbytes, at_once * chunk_nbytes)
    working = _WORKING.get(dtype.kind, _WORKING_OTHER)
    return _BASE_NBYTES + _BLOCK * block_nbytes + working * coded


def check(needed: int, tasks: int, available: int | None, who: str) -> None:
    """Refuse a job whose tasks do not fit.

    Parameters
    ----------
    needed : int
        Bytes of one task.
    tasks : int
        Tasks at the same time.
    available : int or None
        Bytes they share; None where nobody knows.
    who : str
        Whose memory that is, for the message.

    Raises
    ------
    ConfigError
        If it cannot fit.
    """
    if available is None or tasks * needed <= available:
        return
    fit = available // needed
    advice = f"use at most {fit} at a time, " if fit else ""
    raise ConfigError(
        f"{tasks} tasks of {math.ceil(needed / 1e6):,} MB each do not fit into the "
        f"{available // 10**6:,} MB of {who}: {advice}make blocks smaller with "
        "block_nbytes= (--block-mb), or chunks (shards) where one is a block"
    )


def available_nbytes() -> int | None:
    """Memory this process may still take, or None where the system does not say."""
    found = [n for n in (_of_system(), _of_container()) if n is not None]
    return min(found, default=None)


def _of_system() -> int | None:
    try:
        import psutil
    except ImportError:
        try:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None
    return int(psutil.virtual_memory().available)


def _of_container() -> int | None:
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        return None if limit == "max" else int(limit)
    except (OSError, ValueError):
        return None
