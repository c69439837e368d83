"""Linting and types: the tree is clean under its own configuration."""

from __future__ import annotations

import subprocess
import sys

from places import ROOT


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_ruff_finds_nothing():
    found = run("ruff", "check", "src", "tests", "benchmarks", "pipelines")
    assert found.returncode == 0, found.stdout


def test_mypy_finds_nothing():
    found = run("mypy")
    assert found.returncode == 0, found.stdout
