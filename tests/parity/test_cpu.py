"""The instruction set: forced by LATRANS_CPU, the same bytes on each, clear errors otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

native = pytest.importorskip("latrans.engine.native")

SCRIPT = """
import hashlib
import numpy as np
import latrans

print(latrans.engine())
rng = np.random.default_rng(5)
walk = rng.normal(0, 6, (3, 70, 90)).cumsum(1).cumsum(2)
cases = [
    ("image-1", "lossless", None, (walk / 40 + 900).clip(0, 4000).astype(np.uint16)),
    ("series-1", "lossless", None, walk.reshape(2, -1).astype(np.int32)),
    ("field-1", "bounded", 0.5, walk.astype(np.float32)),
    ("digits-1", "lossless", None, (walk[:, :28, :28] % 256).astype(np.uint8)),
    ("image-lossy-1", "lossy", None, (walk / 90 + 120).clip(0, 255).astype(np.uint8)),
]
for model, mode, bound, array in cases:
    codec = latrans.Codec(model, mode, bound)
    frame = codec.encode(array)
    back = codec.decode(frame)
    print(model, hashlib.sha256(frame).hexdigest(), hashlib.sha256(back.tobytes()).hexdigest())
"""


def run(cpu: str, script: str = SCRIPT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LATRANS_CPU": cpu, "LATRANS_ENGINE": "native"}
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )


def test_every_instruction_set_writes_and_reads_the_same() -> None:
    best = native._native.best_cpu()
    names = native.INSTRUCTION_SETS
    outcomes = {}
    for cpu in names[names.index(best) :]:
        done = run(cpu)
        assert done.returncode == 0, done.stderr
        first, *rest = done.stdout.splitlines()
        assert first == f"native ({cpu})"
        assert len(rest) == 5
        outcomes[cpu] = rest
    assert len({tuple(rest) for rest in outcomes.values()}) == 1


def test_an_unknown_instruction_set_is_refused_with_those_that_run_here() -> None:
    done = run("mmx", "import latrans; latrans.engine()")
    assert done.returncode != 0
    assert "EngineError" in done.stderr
    assert "LATRANS_CPU is 'mmx'" in done.stderr
    assert "portable" in done.stderr
