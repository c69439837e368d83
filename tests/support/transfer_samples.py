"""Sources for tests of transfers, and a look at targets that are not complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import latrans

Array = np.ndarray[Any, Any]


def field(shape: tuple[int, ...] = (256, 320), dtype: str = "u2", seed: int = 0) -> Array:
    """Smooth with a little noise, no two chunks alike."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij")
    smooth = sum(np.sin((i + 2) * axis) for i, axis in enumerate(axes))
    return (900 * smooth + 3000 + rng.integers(0, 9, shape)).astype(dtype)


def chunk_files(target: Path) -> list[Path]:
    """Files of chunks, without what a killed process left half-written."""
    return [path for path in (target / "c").rglob("*") if path.is_file() and "." not in path.name]


def check_chunks_are_whole(target: Path) -> int:
    """Decode every chunk that is there; returns how many that are."""
    found = chunk_files(target)
    for path in found:
        latrans.decode(path.read_bytes())
    return len(found)


def n_finished(target: Path) -> int:
    """Blocks that an unfinished target has records of."""
    return sum(1 for path in (target / ".latrans").glob("*/*") if path.name.isdigit())
