"""Which engine runs: nothing slow without a word, nothing wrong at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from latrans.engine import select
from latrans.errors import EngineError

WITHOUT_CORE = """
import sys, warnings
sys.modules["latrans._native"] = None  # as where it is built for another Python
import numpy as np
import latrans
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    for _ in range(2):
        assert latrans.engine() == "reference"
        frame = latrans.encode(np.zeros((4, 5), np.uint8))
        assert (latrans.decode(frame) == 0).all()
print([w.category.__name__ for w in found])
print(*(w.message for w in found))
"""


def run(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("LATRANS_ENGINE", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-c", WITHOUT_CORE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_missing_core_is_said_once_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run({}, monkeypatch)
    assert said.startswith("['ReferenceEngineWarning']")
    assert "_native" in said
    assert "LATRANS_ENGINE=reference" in said


def test_the_reference_asked_for_by_name_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run({"LATRANS_ENGINE": "reference"}, monkeypatch).startswith("[]")


def test_platforms_of_32_bits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "maxsize", (1 << 31) - 1)
    with pytest.raises(EngineError, match="64-bit Python"):
        select("reference")
