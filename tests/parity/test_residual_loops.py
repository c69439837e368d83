"""The compiled loops around a step: streams cut anywhere, planes kept or not, costs of experts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import synthetic
from latrans.coding.tokens import N_TOKENS
from latrans.errors import CodecError, ConfigError
from latrans.residual.classes import N_TABLES
from latrans.residual.predictor import NO_NETWORK
from latrans.residual.reference_backend import ReferenceBackend
from residual_cases import fixed_case

native = pytest.importorskip("latrans.residual.native", reason="the compiled core is not built")
KERNELS = native.kernels()


class ManyStates:
    """A backend that codes small cases with as many rANS states as large ones."""

    def __init__(self, inner, n_samples=1 << 20):
        self._inner, self._n_samples = inner, n_samples

    def classify(self, job, plane):
        return self._inner.classify(job, plane)

    def encode(self, planes, tables, _):
        return self._inner.encode(planes, tables, self._n_samples)

    def decoding(self, data, tables, _):
        return self._inner.decoding(data, tables, self._n_samples)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("kind", ["smooth", "wide", "spikes", "extremes"])
@pytest.mark.parametrize("n_samples", [4096, 1 << 20])
def test_streams_of_many_states_are_those_of_the_definition(geometry, kind, kernel, n_samples):
    case = fixed_case(geometry, kind, 21, 30, n_planes=2, n_references=1, missing=7, pictured=True)
    compiled = ManyStates(native.NativeBackend(case.predictor, kernel), n_samples)
    reference = ManyStates(ReferenceBackend(case.predictor), n_samples)
    assert case.round_trip(compiled) == case.encode(reference)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("kind", ["noise", "spikes"])
def test_every_truncation_of_many_states_is_noticed(geometry, kind, kernel):
    case = fixed_case(geometry, kind, 18, 6)
    compiled = ManyStates(native.NativeBackend(case.predictor, kernel))
    data = case.encode(compiled)
    for n in range(len(data)):
        with pytest.raises(CodecError):
            case.decode(compiled, data[:n])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["smooth", "extremes16"])
def test_flipped_bits_of_many_states_are_errors_or_samples_in_range(kernel, kind):
    case = fixed_case("plane", kind, 20, 12)
    compiled = ManyStates(native.NativeBackend(case.predictor, kernel))
    data = case.encode(compiled)
    noticed = 0
    for i in range(0, 8 * len(data), 7):
        damaged = bytearray(data)
        damaged[i // 8] ^= 1 << i % 8
        try:
            planes = case.decode(compiled, bytes(damaged))
        except CodecError:
            noticed += 1
            continue
        for plane, job in zip(planes, case.jobs, strict=True):
            assert job.lo <= plane.min() <= plane.max() <= job.hi
    assert noticed > 0


@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("kind", synthetic.KINDS)
@pytest.mark.parametrize("step", [1, 17])
def test_costs_of_experts_are_those_of_their_classes(geometry, kind, step):
    rows = 2 if geometry == "track" else 18 if step == 1 else 6
    columns = 20 if step == 1 else 5  # the definition takes its time there
    case = fixed_case(geometry, kind, rows, columns, n_planes=2, n_references=1, step=step)
    reference = ReferenceBackend(case.predictor)
    experts = [0, 1, NO_NETWORK, 0]
    expected = []
    coded = []
    for plane, job, indices in zip(case.planes, case.jobs, case.references, strict=True):
        job = replace(job, references=[coded[i] for i in indices])
        coded.append(reference.classify(job, plane)[1])
        expected.append(reference.costs(job, plane, experts))
    for kernel in KERNELS:
        compiled = native.NativeBackend(case.predictor, kernel)
        coded = []
        for plane, job, indices, costs in zip(
            case.planes, case.jobs, case.references, expected, strict=True
        ):
            job = replace(job, references=[coded[i] for i in indices])
            coded.append(compiled.classify(job, plane)[1])
            assert compiled.costs(job, plane, experts) == costs


def test_costs_are_of_experts_that_exist():
    case = fixed_case()
    compiled = native.NativeBackend(case.predictor)
    with pytest.raises(ConfigError, match="no such network"):
        compiled.costs(case.jobs[0], case.planes[0], [0, 9])


@pytest.mark.parametrize("kind", ["smooth", "wide"])
def test_tokens_are_counted_as_by_the_definition(kind):
    case = fixed_case(kind=kind)
    counts = []
    for coder in (ReferenceBackend(case.predictor), native.NativeBackend(case.predictor)):
        classes, _ = coder.classify(case.jobs[0], case.planes[0])
        counts.append(np.zeros((N_TABLES, N_TOKENS), np.int64))
        raw = classes.count(counts[-1])
        counts[-1][0, 0] += raw << 32
    assert np.array_equal(*counts)


def test_planes_that_are_not_kept_cannot_be_referred_to():
    case = fixed_case()
    compiled = native.NativeBackend(case.predictor)
    job = replace(case.jobs[0], keep=False)
    classes, coded = compiled.classify(job, case.planes[0])
    assert compiled.encode([classes], case.tables, 180) == case.encode(compiled)
    with pytest.raises(ConfigError, match="not kept"):
        compiled.classify(replace(case.jobs[0], references=[coded]), case.planes[0])
    with pytest.raises(ConfigError, match="not kept"):
        compiled.samples(coded)


def test_samples_may_be_of_any_kind_of_integer():
    case = fixed_case(kind="wide")
    compiled = native.NativeBackend(case.predictor)
    for dtype in (np.int64, np.int32, np.uint16):
        plane = np.asfortranarray(case.planes[0].astype(dtype))
        assert replace(case, planes=[plane]).encode(compiled) == case.encode(compiled)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("missing", [0, 130])
def test_classes_that_a_contest_hands_out_are_those_of_the_winner(geometry, kernel, missing):
    experts, handed_out = [0, 1, NO_NETWORK], 0
    for kind in synthetic.KINDS:
        for rows in (3, 5, 16, 18, 21, 32, 37):
            missed = missing if geometry == "track" and rows * 20 > missing else 0
            case = fixed_case(geometry, kind, rows, 20, missing=missed)
            compiled = native.NativeBackend(case.predictor, kernel)
            job, plane = replace(case.jobs[0], keep=False), case.planes[0]
            costs, classes = compiled.contest(job, plane, experts)
            assert costs == compiled.costs(job, plane, experts)
            tables = compiled.table_map([])
            for expert, found in zip(experts, classes, strict=False):
                expected, _ = compiled.classify(replace(job, expert=expert), plane)
                streams = [
                    compiled.encode([one], tables, job.n_samples) for one in (found, expected)
                ]
                assert streams[0] == streams[1]
            assert not classes or len(classes) == len(experts)
            handed_out += bool(classes)
    assert handed_out
