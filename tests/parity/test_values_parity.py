"""The compiled value coder writes and reads what the reference defines, byte for byte."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latrans.coding.rans.tables import normalise
from latrans.engine import select
from latrans.engine.program import Layer, Program
from latrans.errors import CodecError, ConfigError, ModelError
from latrans.residual.values.coder import ESCAPE, N_INPUTS, N_SYMBOLS, ValuePredictor
from latrans.residual.values.select import value_coder

native = pytest.importorskip("latrans.residual.values.native", reason="no compiled core")
kernels = pytest.importorskip("latrans.residual.native").kernels


def predictor(rng, shape, hidden=(9, 5), n_classes=7, between=(0, 255)):
    """Random network and tables, these with holes, so that escapes are common."""
    sizes = (N_INPUTS, *hidden, n_classes)
    layers = [
        Layer(
            "dense",
            rng.integers(-60, 61, (n_out, n_in)).astype(np.int8),
            rng.integers(-500, 500, n_out).astype(np.int32),
            rng.integers(4, 9, n_out).astype(np.uint8),
            lo=-2047 if i == len(hidden) else between[0],
            hi=2047 if i == len(hidden) else between[1],
        )
        for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes))
    ]
    shown = rng.random((n_classes, N_SYMBOLS)) < 0.4
    counts = rng.integers(1, 60, (n_classes, N_SYMBOLS)) * shown
    must_have = np.arange(N_SYMBOLS) == ESCAPE
    tables = np.stack([normalise(row, must_have) for row in counts])
    return ValuePredictor(shape, Program(tuple(layers), 0, 255, (N_INPUTS,)), tables)


def coders(model):
    return native.NativeValueCoder(model), value_coder(model, "reference", select("reference").run)


def items_of(rng, n, shape):
    return rng.integers(0, 256, (2, n, *shape)) * (rng.random((2, n, *shape)) < 0.7)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([((), 1), ((), 64), ((3,), 2), ((32, 24), 17)]),
    st.sampled_from(kernels()),
)
def test_engines_write_and_read_the_same_bytes(seed, n, rows, columns, network, kernel):
    rng = np.random.default_rng(seed)
    model = predictor(rng, (rows, columns), *network)
    compiled, reference = native.NativeValueCoder(model, kernel), coders(model)[1]
    items, pictures = items_of(rng, n, (rows, columns))
    section = reference.encode(items, pictures)
    assert compiled.encode(items, pictures) == section
    classes = compiled.classes(items, pictures)
    assert classes.dtype == np.int64
    assert np.array_equal(classes, reference.classes(items, pictures))
    decoded = compiled.decode(section, pictures)
    assert decoded.dtype == np.int64
    assert np.array_equal(decoded, items)
    if items.size < 600:
        assert np.array_equal(reference.decode(section, pictures), items)


@pytest.mark.parametrize("kernel", kernels())
@pytest.mark.parametrize("between", [(0, 127), (-128, 127), (-100, 20), (5, 250), (-300, 2000)])
def test_values_between_layers_may_have_any_range_of_16_bits(between, kernel):
    rng = np.random.default_rng(5)
    model = predictor(rng, (5, 6), (20, 33), 19, between)
    compiled, reference = native.NativeValueCoder(model, kernel), coders(model)[1]
    items, pictures = items_of(rng, 18, (5, 6))
    assert np.array_equal(compiled.classes(items, pictures), reference.classes(items, pictures))
    section = compiled.encode(items, pictures)
    assert np.array_equal(compiled.decode(section, pictures), items)
    for n in (1, 2, 3, 17):
        part = compiled.encode(items[:n], pictures[:n])
        assert np.array_equal(compiled.decode(part, pictures[:n]), items[:n])


def test_the_coder_belongs_to_the_engine_of_its_name():
    model = predictor(np.random.default_rng(0), (4, 5))
    assert isinstance(value_coder(model, "native", select("native").run), native.NativeValueCoder)
    assert not isinstance(coders(model)[1], native.NativeValueCoder)


def test_every_truncation_and_bytes_left_over_are_noticed():
    rng = np.random.default_rng(1)
    compiled, _ = coders(predictor(rng, (3, 4)))
    items, pictures = items_of(rng, 5, (3, 4))
    section = compiled.encode(items, pictures)
    for damaged in (*(section[:n] for n in range(len(section))), section + b"\0\0"):
        with pytest.raises(CodecError):
            compiled.decode(damaged, pictures)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 20))
def test_noise_never_crashes(noise, n):
    rng = np.random.default_rng(2)
    compiled, _ = coders(predictor(rng, (3, 4), (), 5))
    with contextlib.suppress(CodecError):
        values = compiled.decode(noise, np.zeros((n, 3, 4), np.int64))
        assert values.min() >= 0
        assert values.max() <= 255


def test_items_of_another_shape_or_range_are_refused():
    rng = np.random.default_rng(3)
    compiled, _ = coders(predictor(rng, (3, 4)))
    items, pictures = items_of(rng, 5, (3, 4))
    with pytest.raises(ConfigError, match="bytes"):
        compiled.encode(items + 1000, pictures)
    with pytest.raises(ValueError, match="another shape"):
        compiled.encode(items[:, :2], pictures[:, :2])
    with pytest.raises(ValueError, match="reconstruction"):
        compiled.encode(items, pictures[:4])


def test_predictors_that_the_kernels_cannot_take_are_refused():
    rng = np.random.default_rng(4)
    model = predictor(rng, (3, 4))
    first, *rest = model.network.layers
    wide = replace(model.network, layers=(replace(first, hi=40000), *rest))
    no_escape = np.zeros_like(model.tables)
    no_escape[:, 0] = 4096
    for change in (
        {"network": wide},
        {"network": replace(model.network, layers=(first,))},
        {"tables": model.tables[:-1]},
        {"tables": no_escape},
        {"shape": (0, 4)},
    ):
        with pytest.raises(ModelError):
            native.NativeValueCoder(replace(model, **change))
    with pytest.raises(ModelError, match="kernel"):
        native.NativeValueCoder(model, "abacus")
