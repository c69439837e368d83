"""Effort: how much is tried where the NumPy definition, which is slow, runs at length."""

from __future__ import annotations

import os

import pytest

IN_FULL = os.environ.get("LATRANS_TEST_THOROUGH", "") not in ("", "0")

# Tests that run the definition at length: every kind of model, map, mode and geometry, but fewer
# examples of each than with LATRANS_TEST_THOROUGH=1.
reference = pytest.mark.reference


def of(full: int, few: int) -> int:
    """How many examples are tried."""
    return full if IN_FULL else few
