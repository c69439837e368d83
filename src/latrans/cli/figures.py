"""Figures of matplotlib, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..process.whole_files import replacing


def save(figure: Any, path: Path, dpi: int) -> None:
    """Write a figure as a file of the kind that its name says, complete."""
    with replacing(path) as partial:
        figure.savefig(partial, dpi=dpi, format=path.suffix[1:] or "png")
