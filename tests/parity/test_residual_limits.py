"""The compiled residual coder at the ends of its ranges, on damaged bytes, on impossible jobs."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import effort
from latrans.errors import CodecError, ConfigError, ModelError
from latrans.residual.predictor import Coefficients
from latrans.residual.reference_backend import ReferenceBackend
from latrans.residual.select import backend
from residual_cases import cases, fixed_case

native = pytest.importorskip("latrans.residual.native", reason="the compiled core is not built")
KERNELS = native.kernels()


@pytest.mark.parametrize("weight", [30000, -30000])
@pytest.mark.parametrize("geometry", ["plane", "track"])
def test_predictions_beyond_32_bits_are_the_same(geometry, weight):
    # 16-bit samples start on the narrow path, which these weights leave in the middle of a plane.
    case = fixed_case(geometry, "wide", 20, 40)
    n = case.predictor.n_own_taps
    weights = np.where(np.arange(n) == n - 1, weight, 0).astype(np.int64)
    quiet = np.full((20, 20), 30000)
    plane = np.concatenate([quiet, case.planes[0][:, 20:]], 1)
    job = replace(case.jobs[0], bands=[Coefficients(weights, 2, 80)], band_rows=20)
    case = replace(case, planes=[plane], jobs=[replace(job, lo=0, hi=65535)])
    compiled = native.NativeBackend(case.predictor)
    assert case.round_trip(compiled) == case.encode(ReferenceBackend(case.predictor))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize(
    ("weights", "shift"),
    [
        ((32767, -32768, 32767, -32768, 12000), 14),  # sums of more than 31 bits
        ((32768, -32768, 32767, -32767), 14),  # no int16
        ((40, -25, 3), 3),  # less fraction bits than predictions have
        ((9000, -3000, 700), 15),  # more than frames hold
        ((30000, -20000, 6000), 16),
    ],
)
def test_weights_and_samples_at_the_ends_of_their_ranges(kernel, geometry, weights, shift):
    case = fixed_case(geometry, "extremes16", 20, 40)
    used = np.zeros(case.predictor.n_own_taps, np.int64)
    used[: len(weights)] = weights
    job = replace(case.jobs[0], bands=[Coefficients(used, shift, 80)], band_rows=20)
    case = replace(case, jobs=[job])
    compiled = native.NativeBackend(case.predictor, kernel)
    assert case.round_trip(compiled) == case.encode(ReferenceBackend(case.predictor))


@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize(
    "change", [{"n_near": 2}, {"left": 200}, {"error_weights": (1,) * 8}, {"median": None}]
)
def test_only_the_geometries_of_the_format_are_taken(geometry, change):
    model = fixed_case(geometry).predictor
    if change == {"median": None}:
        change = {"median": not model.geometry.median}
    with pytest.raises(ModelError, match="geometry"):
        native.NativeBackend(replace(model, geometry=replace(model.geometry, **change)))


def test_narrow_samples_outside_of_the_range_are_refused():
    case = fixed_case()
    compiled = native.NativeBackend(case.predictor)
    job = replace(case.jobs[0], lo=3, hi=250)
    for value in (2, 251):
        plane = np.full((20, 9), 7, np.uint8)
        plane[19, 8] = value
        with pytest.raises(ConfigError, match="range"):
            compiled.classify(job, plane)


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("geometry", ["plane", "track"])
def test_every_truncation_is_noticed(engine, geometry):
    case = fixed_case(geometry, "noise", 3, 7)
    coder = backend(case.predictor, engine)
    data = case.encode(coder)
    for n in range(len(data)):
        with pytest.raises(CodecError):
            case.decode(coder, data[:n])


@settings(max_examples=effort.of(200, 80), deadline=None)
@given(cases(largest=20), st.data())
def test_damage_is_an_error_or_leaves_samples_in_range(case, data):
    compiled = native.NativeBackend(case.predictor, data.draw(st.sampled_from(KERNELS)))
    section = bytearray(case.encode(compiled))
    for _ in range(data.draw(st.integers(1, 8))):
        section[data.draw(st.integers(0, len(section) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(CodecError):
        for plane, job in zip(case.decode(compiled, bytes(section)), case.jobs, strict=True):
            assert job.lo <= plane.min() <= plane.max() <= job.hi


@settings(max_examples=effort.of(100, 50), deadline=None)
@given(cases(largest=20), st.binary(max_size=400))
def test_noise_never_crashes(case, noise):
    with contextlib.suppress(CodecError):
        case.decode(native.NativeBackend(case.predictor), noise)


def test_impossible_state_is_refused():
    case = fixed_case()
    with pytest.raises(CodecError, match="impossible state"):
        case.decode(native.NativeBackend(case.predictor), b"\xff\xff\x00\x00" + bytes(400))


def test_more_states_than_lanes_are_refused():
    case = fixed_case()
    compiled = native.NativeBackend(case.predictor)
    decoder = native._native.RansDecoder(np.full(400, 9, np.uint8), 17)
    with pytest.raises(CodecError, match="state for each lane"):
        compiled.decode(decoder, case.jobs[0], case.tables, None)


def test_bytes_left_over_are_noticed():
    case = fixed_case()
    compiled = native.NativeBackend(case.predictor)
    with pytest.raises(CodecError, match="does not end"):
        case.decode(compiled, case.encode(compiled) + b"\0\0")


BAD_JOBS = {
    "rows": {"rows": 0},
    "huge": {"rows": 1 << 40, "columns": 1 << 40},
    "n_samples": {"n_samples": 10_000},
    "bands": {"bands": []},
    "band_rows": {"band_rows": 3},
    "no rows per band": {"band_rows": 0},
    "range": {"lo": 5, "hi": 4},
    "range of 33 bits": {"lo": 0, "hi": 1 << 31},
    "shift": {"bands": [Coefficients(np.zeros(24, np.int64), 17, 40)]},
    "weights": {"bands": [Coefficients(np.full(24, 1 << 16), 12, 40)]},
    "wide weights": {"bands": [Coefficients(np.full(24, 1 << 40), 12, 40)]},
    "many weights": {"bands": [Coefficients(np.zeros(25, np.int64), 12, 40)]},
    "reconstruction": {"reconstruction": np.zeros((20, 9), np.int64)},
}


@pytest.mark.parametrize("change", BAD_JOBS.values(), ids=BAD_JOBS)
def test_impossible_jobs_are_refused(change):
    case = fixed_case()
    compiled = native.NativeBackend(case.predictor)
    data = case.encode(compiled)
    job = replace(case.jobs[0], **change)
    with pytest.raises(ConfigError):
        compiled.classify(job, case.planes[0])
    with pytest.raises(CodecError):
        compiled.decoding(data, case.tables, 180).plane(job, None)


def test_reference_of_another_shape_is_refused():
    case, other = fixed_case(), fixed_case(columns=10)
    compiled = native.NativeBackend(case.predictor)
    _, coded = compiled.classify(other.jobs[0], other.planes[0])
    with pytest.raises(CodecError, match="another shape"):
        compiled.decoding(case.encode(compiled), case.tables, 180).plane(
            replace(case.jobs[0], references=[coded]), None
        )


def test_first_samples_belong_to_tracks_and_lie_in_range():
    track, plane = fixed_case("track", rows=3), fixed_case()
    compiled = native.NativeBackend(track.predictor)
    data = track.encode(compiled)
    for lane_first_samples in (None, np.zeros(2, np.int64), np.full(3, 1 << 40), np.full(3, 4096)):
        with pytest.raises(CodecError):
            compiled.decoding(data, track.tables, 27).plane(track.jobs[0], lane_first_samples)
    with pytest.raises(CodecError):
        native.NativeBackend(plane.predictor).decoding(data, plane.tables, 180).plane(
            plane.jobs[0], np.zeros(20, np.int64)
        )


def test_samples_outside_of_the_range_are_refused():
    case = fixed_case()
    compiled = native.NativeBackend(case.predictor)
    for job in (replace(case.jobs[0], hi=case.jobs[0].hi - 1000), replace(case.jobs[0], lo=250)):
        with pytest.raises(ConfigError):
            compiled.classify(replace(job, hi=max(job.lo, job.hi)), case.planes[0])
    with pytest.raises(ConfigError, match="shape"):
        compiled.classify(case.jobs[0], case.planes[0].T)
    with pytest.raises(ConfigError, match="32 bits"):
        compiled.classify(case.jobs[0], case.planes[0] + (1 << 40))


def test_predictors_that_the_kernels_cannot_take_are_refused():
    model = fixed_case().predictor
    broken = model.tables.copy()
    broken[3, 0] += 1
    no_escape = np.zeros_like(model.tables)
    no_escape[:, 0] = 4096
    network, other = model.experts[0]
    first = network.layers[0]
    wide = replace(network, layers=(replace(first, hi=40000), *network.layers[1:]))
    small = replace(network, layers=network.layers[:-1])
    for change in (
        {"tables": broken},
        {"tables": no_escape},
        {"tables": model.tables[:-1]},
        {"linear": model.linear[:-1]},
        {"experts": ((wide, other),)},
        {"experts": ((small, other),)},
        {"experts": ((other, network),)},
    ):
        with pytest.raises(ModelError):
            native.NativeBackend(replace(model, **change))
    with pytest.raises(ModelError, match="kernel"):
        native.NativeBackend(model, "abacus")
