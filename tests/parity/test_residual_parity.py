"""The compiled residual coder writes and reads what the reference defines, byte for byte."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import effort
import synthetic
from latrans.residual import coder
from latrans.residual.piece_shape import PieceShape
from latrans.residual.reference_backend import ReferenceBackend
from latrans.residual.select import backend
from residual_cases import cases, fixed_case

native = pytest.importorskip("latrans.residual.native", reason="the compiled core is not built")
KERNELS = native.kernels()


@effort.reference
@settings(max_examples=effort.of(150, 40), deadline=None)
@given(cases(), st.sampled_from(KERNELS))
def test_backends_write_the_same_bytes(case, kernel):
    compiled = native.NativeBackend(case.predictor, kernel)
    assert case.round_trip(compiled) == case.encode(ReferenceBackend(case.predictor))


@settings(max_examples=25, deadline=None)
@given(cases(largest=12))
def test_reference_reads_what_the_compiled_coder_wrote(case):
    data = case.encode(native.NativeBackend(case.predictor))
    case.verify(case.decode(ReferenceBackend(case.predictor), data))


@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("kind", synthetic.KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (20, 1), (17, 5), (48, 33), (2, 300)])
def test_every_shape_and_kind_of_data(geometry, kind, shape):
    case = fixed_case(geometry, kind, *shape, n_planes=2, n_references=1, n_bands=3)
    compiled = native.NativeBackend(case.predictor)
    assert case.round_trip(compiled) == case.encode(ReferenceBackend(case.predictor))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("kind", ["smooth", "wide", "spikes"])
def test_kernels_read_large_planes_of_each_other(geometry, kind, kernel):
    case = fixed_case(
        geometry, kind, 16, 2500, n_planes=3, n_references=2, n_bands=2, pictured=True
    )
    data = case.encode(native.NativeBackend(case.predictor))
    case.verify(case.decode(native.NativeBackend(case.predictor, kernel), data))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("hidden", [(0, 200), (-128, 127), (-100, 3), (0, 256), (-2000, 2000)])
def test_values_between_layers_may_be_bytes_or_not(kernel, geometry, hidden):
    case = fixed_case(geometry, "smooth", 18, 30, n_planes=2, n_references=1)
    lo, hi = hidden

    def limited(network):
        *before, last = network.layers
        return replace(network, layers=(*(replace(b, lo=lo, hi=hi) for b in before), last))

    experts = tuple(tuple(map(limited, networks)) for networks in case.predictor.experts)
    case = replace(case, predictor=replace(case.predictor, experts=experts))
    compiled = native.NativeBackend(case.predictor, kernel)
    assert case.round_trip(compiled) == case.encode(ReferenceBackend(case.predictor))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64])
def test_any_integer_dtype_and_stride_is_taken(dtype):
    case = fixed_case(columns=16)
    compiled = native.NativeBackend(case.predictor)
    wide = np.zeros((20, 32), dtype)
    wide[:, ::2] = case.planes[0] & 127
    case = replace(case, planes=[case.planes[0] & 127], jobs=[replace(case.jobs[0], lo=0, hi=255)])
    assert replace(case, planes=[wide[:, ::2]]).encode(compiled) == case.encode(compiled)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32])
@pytest.mark.parametrize("geometry", ["plane", "track"])
def test_narrow_samples_are_planned_coded_and_handed_out_alike(dtype, geometry):
    case = fixed_case(geometry, rows=35, columns=70)
    limits = np.iinfo(dtype) if np.dtype(dtype).itemsize < 4 else np.iinfo(np.int32)
    lo, hi = max(limits.min, -70_000), min(limits.max, 70_000)
    rng = np.random.default_rng(4)
    samples = np.clip(np.cumsum(rng.integers(-9, 10, (35, 70)), axis=1) * (hi // 90), lo, hi)
    samples[5, 5:7] = lo, hi
    info = PieceShape(35, 70, 35 * 70 - (0 if case.predictor.geometry.is_plane else 11))
    compiled = native.NativeBackend(case.predictor)
    found = coder.encode(compiled, [info], [samples.astype(dtype)], None, 1).section
    assert (
        found == coder.encode(ReferenceBackend(case.predictor), [info], [samples], None, 1).section
    )
    (back,) = coder.decode(compiled, [info], None, 1, found)
    there = slice(info.n_samples)
    assert np.array_equal(back.reshape(-1)[there], samples.reshape(-1)[there])
    assert back.dtype == dtype


def test_backend_belongs_to_the_engine_of_its_name():
    model = fixed_case().predictor
    assert isinstance(backend(model, "native"), native.NativeBackend)
    assert isinstance(backend(model, "reference"), ReferenceBackend)


def test_threads_share_a_backend():
    case = fixed_case("track", "wide", 16, 700, n_planes=2, n_references=1)
    compiled = native.NativeBackend(case.predictor)
    expected = case.encode(compiled)
    results = []

    def work():
        data = case.encode(compiled)
        results.append((data, case.decode(compiled, data)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for data, planes in results:
        assert data == expected
        case.verify(planes)
