"""Files to measure: a data folder with its table, any folder of arrays, or one array."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from latrans.errors import ConfigError

# What tables call dimensions.
_LETTERS = {
    "n": "n member record event var item case station",
    "t": "t time row frame",
    "z": "z k level depth slice",
    "c": "c channel component column band",
    "y": "y j",
    "x": "x i",
}
_WORDS = {word: letter for letter, words in _LETTERS.items() for word in words.split()}


@dataclass(frozen=True)
class Item:
    """One array: where it is, and what its owner says about it."""

    name: str
    category: str
    source: str  # as `latrans.cli.arrays.open_source` takes it
    axes: str | None = None
    fill_value: float | None = None

    @property
    def path(self) -> Path:
        """The file or folder on disk."""
        return Path(re.sub(r"(\.npz):.*", r"\1", self.source))


def find(path: Path, axes: str | None, split: str = "dev") -> list[Item]:
    """Items at `path`: of a folder whose README.md lists files and splits, those of one split.

    Raises
    ------
    ConfigError
        If there is nothing to measure.
    """
    if str(path).endswith((".npy", ".npz", ".zarr")) or ".npz:" in str(path):
        name = re.sub(r"\.(npy|npz|zarr)(:.*)?$", "", path.name)
        return [Item(name, path.absolute().parent.name, str(path), axes)]
    table = path / "README.md"
    found = list(_listed(table, split)) if table.is_file() else []
    if not found and path.is_dir():
        found = list(_below(path, axes))
    if not found:
        raise ConfigError(f"{path} holds no .npy, .npz or .zarr arrays to measure")
    return found


def _listed(table: Path, split: str) -> Iterator[Item]:
    """Rows of a Markdown table with the columns file, split, axes, what."""
    columns: dict[str, int] = {}
    for line in table.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if {"file", "split", "axes"} <= set(cells):
            columns = {name: i for i, name in enumerate(cells)}
        elif columns and len(cells) >= len(columns) and cells[columns["split"]] == split:
            file = cells[columns["file"]]
            text = cells[columns["what"]] if "what" in columns else ""
            fill = re.search(r"\bfill (-?[0-9.]+(?:e[+-]?[0-9]+)?)", text)
            yield Item(
                name=str(Path(file).with_suffix("")),
                category=str(Path(file).parent),
                source=str(table.parent / file),
                axes=letters(cells[columns["axes"]]),
                fill_value=float(fill[1]) if fill else None,
            )


def _below(folder: Path, axes: str | None) -> Iterator[Item]:
    for path in sorted(p for suffix in ("npy", "npz", "zarr") for p in folder.rglob(f"*.{suffix}")):
        inside = path.relative_to(folder)
        category = str(inside.parent) if inside.parent.parts else folder.absolute().name
        yield Item(str(inside.with_suffix("")), category, str(path), axes)


def letters(text: str) -> str | None:
    """Axes as one letter per dimension from names such as "band,Y,X"; None if one is not known.

    >>> letters("event,component,T"), letters("(T x level),Y,X"), letters("axis0,axis1 (as stored)")
    ('nct', 'tyx', None)
    """
    named = re.sub(r"^\((\w+)[^)]*\)", r"\1", text)
    named = re.sub(r"\([^)]*\)", "", named)
    found = [_WORDS.get(word.strip().lower()) for word in named.split(",")]
    return None if None in found else "".join(letter or "" for letter in found)
