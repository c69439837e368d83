"""What tests of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from latrans.cli import main


def run(*argv: object) -> int:
    """Run a command in this process; returns its exit code."""
    return main([str(word) for word in argv])


def picture(rows: int = 48, columns: int = 60) -> np.ndarray[Any, Any]:
    """Small, and neither flat nor noise."""
    y, x = np.mgrid[:rows, :columns]
    return (x * y // 7 + (x * 7919 + y * 104729) % 5).astype(np.uint16)


def files(folder: Path) -> set[str]:
    """Names in a folder."""
    return {path.name for path in folder.iterdir()}
