"""Every engine computes the integers that the reference defines."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings

import latrans
from latrans.engine import VARIABLE, reference, select
from latrans.engine.program import Layer, Program
from latrans.errors import ConfigError, EngineError, ReferenceEngineWarning
from program_strategies import programs

native = pytest.importorskip("latrans.engine.native", reason="the compiled core is not built")


def one_layer(op, weight, shift=1, lo=-9999, hi=9999, **kwargs):
    weight = np.array(weight, np.int8)
    n = weight.shape[0]
    layer = Layer(op, weight, np.zeros(n, np.int32), np.full(n, shift, np.uint8), lo, hi, **kwargs)
    shape = (weight.shape[1],) if op == "dense" else (weight.shape[1], None, None)
    return Program((layer,), -9999, 9999, shape)


class Tensors:
    """Engine "torch" on a device, by float32 or int8 products."""

    def __init__(self, int8, device="cpu"):
        self.int8, self.device = int8, device

    def run(self, program, x):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        from latrans.torch_engine.programs import run_many

        if self.device == "cuda" and not torch.cuda.is_available():
            pytest.skip("no GPU here")
        x = reference.check_input(program, x)
        return run_many(torch.device(self.device), program, [x], self.int8)[0]


ENGINES = [
    pytest.param(reference, id="reference"),
    pytest.param(native, id="native"),
    pytest.param(Tensors(False), id="torch float32"),
    pytest.param(Tensors(True), id="torch int8"),
    pytest.param(Tensors(False, "cuda"), id="cuda float32"),
    pytest.param(Tensors(True, "cuda"), id="cuda int8"),
]


@settings(max_examples=300, deadline=None)
@given(programs())
def test_native_equals_reference(case):
    program, x = case
    program.check()
    expected = reference.run(program, x)
    found = native.run(program, x)
    assert found.dtype == expected.dtype == np.int32
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("engine", ENGINES[2:])
@settings(max_examples=150, deadline=None)
@given(programs())
def test_tensors_equal_reference(engine, case):
    program, x = case
    program.check()
    expected = reference.run(program, x)
    found = engine.run(program, x)
    assert found.dtype == expected.dtype == np.int32
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_requantise_rounds_half_up_and_floors(engine):
    program = one_layer("dense", [[1]], shift=2)
    x = np.arange(-7, 8, dtype=np.int32)[:, None]
    expected = np.floor(x / 4 + 0.5).astype(int)
    assert np.array_equal(engine.run(program, x), expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_conv_is_a_cross_correlation_with_zero_border(engine):
    program = one_layer("conv", [[[[2, 4, 6]]]])
    x = np.array([[[[1, 10, 100]]]], np.int32)
    assert engine.run(program, x).tolist() == [[[[2 + 30, 1 + 20 + 300, 10 + 200]]]]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("size", "expected"), [(1, 1), (7, 4), (8, 4), (9, 5)])
def test_stride_gives_the_ceiling_of_the_size(engine, size, expected):
    program = one_layer("conv", np.ones((1, 1, 1, 5)), stride=(1, 2))
    assert engine.run(program, np.zeros((1, 1, 3, size), np.int32)).shape == (1, 1, 3, expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_shuffle_moves_channels_to_space(engine):
    program = Program((Layer("shuffle", factor=(2, 3)),), 0, 99, (6, None, None))
    y = engine.run(program, np.arange(6, dtype=np.int32).reshape(1, 6, 1, 1))
    assert y.tolist() == [[[[0, 1, 2], [3, 4, 5]]]]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "x",
    [
        np.full((1, 1), 10000, np.int32),
        np.full((1, 1), -10000, np.int64),
        np.zeros((1, 2), np.int32),
        np.zeros((1, 1, 1, 1), np.int32),
        np.zeros((1, 1)),
        np.full((1, 1), 1 << 40),
    ],
)
def test_input_that_does_not_fit_is_refused(engine, x):
    with pytest.raises(ConfigError, match="program input"):
        engine.run(one_layer("dense", [[1]]), x)


def test_threads_share_a_program():
    rng = np.random.default_rng(0)
    program = one_layer("dense", rng.integers(-9, 10, (8, 16)), shift=4)
    x = rng.integers(-99, 100, (64, 16), dtype=np.int32)
    expected = reference.run(program, x)
    results = []
    work = [
        threading.Thread(target=lambda: results.append(native.run(program, x))) for _ in range(8)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(results) == 8
    assert all(np.array_equal(r, expected) for r in results)


def test_environment_names_the_engine(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert select().name == "native"
    monkeypatch.setenv(VARIABLE, "reference")
    assert select().name == "reference"
    assert latrans.engine() == "reference"
    assert select("native").name == "native"
    monkeypatch.setenv(VARIABLE, "abacus")
    with pytest.raises(EngineError, match="abacus"):
        select()


def test_absent_engine_raises_only_when_named(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delattr(importlib.import_module("latrans.engine"), "native")
    monkeypatch.setitem(sys.modules, "latrans.engine.native", None)
    with pytest.raises(EngineError, match="native"):
        select("native")
    importlib.import_module("latrans.engine.selection")._warn.cache_clear()
    with pytest.warns(ReferenceEngineWarning, match="compiled core"):
        assert select().name == "reference"


@pytest.mark.parametrize("first", ["", "import latrans.engine;", "latrans.engine();"])
def test_package_is_also_the_function_of_the_public_api(first):
    code = f"import latrans; {first} print(latrans.engine(), latrans.engine.select().name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    description, name = done.stdout.rsplit(maxsplit=1)
    assert description.startswith(name)
