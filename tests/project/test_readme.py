"""The README's code blocks run, in order, as one program; its commands parse."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from latrans import cli
from places import ROOT

README = ROOT / "README.md"


def blocks(language: str) -> list[tuple[int, str]]:
    """First line number and text of every fenced block of a language."""
    text = README.read_text("utf-8")
    return [
        (text.count("\n", 0, match.start(1)), match[1])
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    ]


def test_every_python_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("zarr", "torch", "dask.array", "distributed", "pyarrow", "polars", "duckdb"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    found = blocks("python")
    assert found
    namespace: dict[str, Any] = {"__name__": "readme"}
    for line, text in found:
        # Empty lines in front, so that a traceback names the README's own line.
        exec(compile("\n" * line + text, str(README), "exec"), namespace)


def test_every_command_parses() -> None:
    parser = cli._parser()
    commands = [
        shlex.split(line)
        for _, text in blocks("sh")
        for line in text.splitlines()
        if line.startswith("latrans ")
    ]
    assert commands
    for _, *arguments in commands:
        parser.parse_args(arguments)  # exits where an option does not exist
