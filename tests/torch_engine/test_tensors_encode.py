"""Planes that are classified on tensors give the bytes of the other backends.

On a machine with CUDA the same tests run there, too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synthetic
from latrans import open_model
from latrans.coding import fixed_point, tokens
from latrans.errors import ConfigError, EngineError
from latrans.residual import classes, coder
from latrans.residual.piece_shape import PieceShape
from latrans.residual.predictor import NO_NETWORK, Predictor
from latrans.residual.reference_backend import ReferenceBackend
from shipped import CODECS

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
native = pytest.importorskip("latrans.residual.native", reason="the compiled core is not built")

from latrans.torch_engine import backend as tensors
from latrans.torch_engine import encode, fused, planes
from latrans.torch_engine.backend import TorchBackend
from latrans.torch_engine.canvas import sliding_sums
from latrans.torch_engine.planes import Item

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
MODELS = [path.name for path in sorted(CODECS.iterdir()) if path.is_dir()]


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


def shipped(name):
    predictor = open_model(name).predictor
    if not isinstance(predictor, Predictor):
        pytest.skip("the model codes no planes this way")
    return predictor


STEPS = st.sampled_from([9, 17, 255])


@st.composite
def cases(draw, steps=None):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    model = synthetic.predictor(
        rng,
        draw(st.sampled_from(["plane", "track"])),
        n_described=draw(st.integers(0, 2)),
        has_reconstruction=draw(st.booleans()),
        flat=draw(st.booleans()),
        hidden=draw(st.sampled_from([(), (9,), (32, 16)])),
    )
    rows, columns = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    return synthetic.case(
        rng,
        model,
        draw(st.sampled_from(synthetic.KINDS)),
        rows,
        columns,
        missing=draw(st.integers(0, 2 * columns)),
        n_planes=draw(st.integers(1, 3)),
        n_bands=draw(st.integers(1, 4)),
        n_references=draw(st.integers(0, 3)),
        step=1 if steps is None else draw(steps),
    )


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from([1, 40, 1 << 20]))
def test_tensors_write_the_bytes_of_the_compiled_coder(case, at_once):
    with pytest.MonkeyPatch.context() as patch:
        # Bands and batches of one row or column, of a few, and of all.
        patch.setattr(planes, "samples_at_once", lambda device: at_once)
        found = case.encode(TorchBackend(case.predictor, torch.device("cpu")))
    assert found == case.encode(native.NativeBackend(case.predictor))


@settings(max_examples=15, deadline=None)
@given(cases(STEPS))
def test_planes_that_come_back_in_steps(case):
    compiled, batches = (
        native.NativeBackend(case.predictor),
        TorchBackend(case.predictor, torch.device("cpu")),
    )
    assert case.encode(batches) == case.encode(compiled)
    _, coded = batches.classify(case.jobs[0], case.planes[0])
    back = batches.samples(coded).reshape(-1)[: case.jobs[0].n_samples]
    wanted = case.planes[0].reshape(-1)[: case.jobs[0].n_samples]
    assert np.abs(back - wanted).max() <= case.jobs[0].step // 2


@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("kind", synthetic.KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (20, 1), (17, 33)])
def test_every_shape_and_kind_of_data(geometry, kind, shape, device):
    rng = np.random.default_rng(3)
    model = synthetic.predictor(rng, geometry)
    case = synthetic.case(rng, model, kind, *shape, n_planes=2, n_references=1, n_bands=3)
    found = case.encode(TorchBackend(model, device))
    assert found == case.encode(native.NativeBackend(model))
    if shape == (17, 33):
        assert found == case.encode(ReferenceBackend(model))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["smooth", "noise", "wide", "constant", "extremes"])
def test_sections_of_shipped_models(name, kind, device):
    predictor = shipped(name)
    rng = np.random.default_rng(7)
    planes = [synthetic.samples(rng, kind, 40, 60)]
    planes += [np.roll(planes[0], 1, 1), synthetic.samples(rng, kind, 40, 60)]
    pictures = [p.copy() for p in planes] if predictor.has_reconstruction else None
    n = 40 * 60 - (0 if predictor.geometry.is_plane else 7)
    infos = [PieceShape(40, 60, n), *(PieceShape(40, 60, n, ((1,),)) for _ in range(2))]
    found = coder.encode(TorchBackend(predictor, device), infos, planes, pictures, 1)
    wanted = coder.encode(native.NativeBackend(predictor), infos, planes, pictures, 1)
    assert found.section == wanted.section
    assert found.experts == wanted.experts


@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize(("n", "at_once"), [(1, 1), (2, 1), (8, 500), (8, 2000), (5, 1 << 20)])
def test_items_of_a_batch_do_not_see_each_other(geometry, n, at_once, device, monkeypatch):
    monkeypatch.setattr(planes, "samples_at_once", lambda device: at_once)
    rng = np.random.default_rng(n)
    model = synthetic.predictor(rng, geometry, n_experts=3)
    one = [
        synthetic.case(rng, model, synthetic.KINDS[i % 8], 18, 20, n_bands=1 + i % 3)
        for i in range(n)
    ]
    experts = [0, 1, 2, NO_NETWORK]
    jobs = [replace(case.jobs[0], expert=experts[i % 4]) for i, case in enumerate(one)]
    items = [Item(job, case.planes[0]) for job, case in zip(jobs, one, strict=True)]
    found = encode.classify(model, device, items)
    reference = ReferenceBackend(model)
    for job, case, mine in zip(jobs, one, found, strict=True):
        wanted, _ = reference.classify(job, case.planes[0])
        for part in ("table", "low_bits", "offset"):
            values = getattr(mine, part)
            assert np.array_equal(values[wanted.coded], getattr(wanted, part)[wanted.coded])
    token_costs = torch.from_numpy(reference._costs.astype(np.int64).reshape(-1)).to(device)
    costs = encode.costs(model, device, experts, token_costs, items)
    assert costs == [
        reference.costs(job, case.planes[0], experts) for job, case in zip(jobs, one, strict=True)
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64])
def test_any_integer_dtype_is_taken(dtype, device):
    rng = np.random.default_rng(1)
    model = synthetic.predictor(rng, "plane")
    limits = np.iinfo(dtype) if np.dtype(dtype).itemsize < 4 else np.iinfo(np.int32)
    plane = rng.integers(limits.min, limits.max, (20, 30), endpoint=True).astype(dtype)
    plane[:2] = limits.max
    job = synthetic.case(rng, model, "noise", 20, 30).jobs[0]
    job = replace(job, lo=int(limits.min), hi=int(limits.max))
    found, coded = TorchBackend(model, device).classify(job, plane)
    wanted, _ = native.NativeBackend(model).classify(job, plane)
    tables = np.arange(classes.N_TABLES, dtype=np.uint8)
    backend = native.NativeBackend(model)
    assert backend.encode([found], tables, 600) == backend.encode([wanted], tables, 600)
    assert np.array_equal(coded.handle.samples(), plane)


def test_without_the_compiled_core_the_reference_is_the_host(monkeypatch):
    case = synthetic.case(
        np.random.default_rng(5),
        synthetic.predictor(np.random.default_rng(5), "plane"),
        "smooth", 20, 30, n_planes=2, n_references=1,
    )  # fmt: skip
    monkeypatch.setattr(tensors, "_host", ReferenceBackend)
    batches = TorchBackend(case.predictor, torch.device("cpu"))
    assert case.encode(batches) == case.encode(native.NativeBackend(case.predictor))
    infos = [PieceShape(20, 30, 600), PieceShape(20, 30, 600, ((1,),))]
    found = coder.encode(batches, infos, case.planes, None, 1)
    wanted = coder.encode(ReferenceBackend(case.predictor), infos, case.planes, None, 1)
    assert found.section == wanted.section


def test_recorded_functions_do_the_same(device, monkeypatch):
    compiled = []

    def without_compiler(function, dynamic):
        compiled.append(function)
        return function

    monkeypatch.setattr(fused, "asked", lambda: True)
    monkeypatch.setattr(torch, "compile", without_compiler)
    monkeypatch.setattr(planes, "samples_at_once", lambda device: 12 * 12)
    rng = np.random.default_rng(4)
    model = synthetic.predictor(rng, "plane", n_described=1, has_reconstruction=True)
    case = synthetic.case(rng, model, "smooth", 24, 12, n_planes=2, n_references=1, n_bands=2)
    batches = TorchBackend(model, device)
    assert case.encode(batches) == case.encode(native.NativeBackend(model))
    n = len(compiled)
    assert case.encode(batches) == case.encode(native.NativeBackend(model))
    assert len(compiled) == n > 0


def test_a_compiler_that_fails_is_named(device, monkeypatch):
    def broken(function, dynamic):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(fused, "asked", lambda: True)
    monkeypatch.setattr(torch, "compile", broken)
    rng = np.random.default_rng(4)
    model = synthetic.predictor(rng, "plane")
    case = synthetic.case(rng, model, "smooth", 5, 6)
    with pytest.raises(EngineError, match=r"no compiler here.*LATRANS_TORCH_COMPILE=0"):
        case.encode(TorchBackend(model, device))


@pytest.mark.parametrize(("value", "wanted"), [("", False), ("0", False), ("1", True)])
def test_whether_to_compile_is_said_by_the_environment(value, wanted, monkeypatch):
    monkeypatch.setenv(fused.VARIABLE, value)
    assert fused.asked.__wrapped__() is wanted
    monkeypatch.setenv(fused.VARIABLE, "perhaps")
    with pytest.raises(EngineError, match="perhaps"):
        fused.asked.__wrapped__()


def test_samples_outside_of_the_range_are_refused(device):
    rng = np.random.default_rng(2)
    model = synthetic.predictor(rng, "track")
    case = synthetic.case(rng, model, "smooth", 4, 20, missing=5)
    batches, (job,), (plane,) = TorchBackend(model, device), case.jobs, case.planes
    plane[3, 19] = 10_000  # does not exist
    batches.classify(job, plane)
    for value in (job.lo - 1, job.hi + 1):
        plane[3, 3] = value
        with pytest.raises(ConfigError, match="range"):
            batches.classify(job, plane)
    with pytest.raises(ConfigError, match="shape"):
        batches.classify(job, plane[:, :-1])


INTS = st.integers(1, 2**53 - 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(INTS, st.integers(-(2**53), 2**53)), min_size=1, max_size=50))
def test_arithmetic_is_that_of_arrays(pairs):
    unit, value = np.array(pairs, np.int64).T.copy()
    of_unit, of_value = torch.from_numpy(unit), torch.from_numpy(value)
    for one in (fixed_point.floor_log2, fixed_point.log2):
        assert np.array_equal(one(unit), one(of_unit).numpy())
    of_arrays = fixed_point.Unit.of(unit).ratio(value)
    assert np.array_equal(of_arrays, fixed_point.Unit.of(of_unit).ratio(of_value).numpy())
    offset, low_bits = classes.wrap32(value), unit % 26
    parts = tokens.tokenise(offset, low_bits)
    of_tensors = tokens.tokenise(torch.from_numpy(offset), torch.from_numpy(low_bits))
    for part, other in zip(parts, of_tensors, strict=True):
        assert np.array_equal(part, other.numpy())
    token, _, raw = (torch.from_numpy(part) for part in parts)
    back = tokens.untokenise(token, torch.from_numpy(low_bits), raw)
    assert np.array_equal(back.numpy(), offset)
    lengths = tokens.raw_length(token, torch.from_numpy(low_bits))
    assert np.array_equal(lengths.numpy(), tokens.raw_length(parts[0], low_bits))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 14, 20])
def test_sliding_sums(n):
    values = torch.arange(60).reshape(1, 3, 20) ** 2
    assert torch.equal(sliding_sums(values, n, 2), values.unfold(2, n, 1).sum(-1))


@pytest.mark.parametrize("kernel", native.kernels())
@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("kind", ["smooth", "spikes", "extremes"])
def test_kernels_take_classes_that_were_found_elsewhere(kernel, geometry, kind):
    rng = np.random.default_rng(6)
    model = synthetic.predictor(rng, geometry)
    case = synthetic.case(rng, model, kind, 37, 41, missing=50)
    compiled = native.NativeBackend(model, kernel)
    found, _ = ReferenceBackend(model).classify(case.jobs[0], case.planes[0])
    arrays = found.table.astype(np.uint8), found.low_bits.astype(np.uint8), found.offset
    taken = compiled.found(case.n_samples, *arrays[:2], arrays[2].astype(np.int32))
    assert compiled.encode([taken], case.tables, case.n_samples) == case.encode(compiled)
    counts, of_taken = np.zeros((2, classes.N_TABLES, tokens.N_TOKENS), np.int64)
    assert found.count(counts) == taken.count(of_taken)
    assert np.array_equal(counts, of_taken)


def test_classes_that_cannot_be_are_refused():
    rng = np.random.default_rng(0)
    compiled = native.NativeBackend(synthetic.predictor(rng, "plane"))
    table, low_bits = np.zeros((2, 4, 6), np.uint8)
    offset = np.zeros((4, 6), np.int32)
    compiled.found(24, table, low_bits, offset)
    for n_samples in (0, 25, 23):
        with pytest.raises(ValueError, match="number of samples"):
            compiled.found(n_samples, table, low_bits, offset)
    with pytest.raises(ValueError, match="no such class"):
        compiled.found(24, table + np.uint8(classes.N_TABLES), low_bits, offset)
    with pytest.raises(ValueError, match="no such class"):
        compiled.found(24, table, low_bits + np.uint8(26), offset)
    with pytest.raises(ValueError, match="different shapes"):
        compiled.found(24, table, low_bits[:2], offset)
    with pytest.raises(ValueError, match="impossible"):
        compiled.found(1, table[:0], low_bits[:0], offset[:0])


def test_planes_that_cannot_be_are_refused():
    rng = np.random.default_rng(0)
    compiled = native.NativeBackend(synthetic.predictor(rng, "plane"))
    plane = np.arange(24, dtype=np.uint16).reshape(4, 6)
    assert np.array_equal(compiled.finished(plane, 24, 0, 23).samples(), plane)
    for lo, hi in ((1, 23), (0, 22), (5, 4)):
        with pytest.raises(ValueError, match="range"):
            compiled.finished(plane, 24, lo, hi)
    with pytest.raises(ValueError, match="number of samples"):
        compiled.finished(plane, 23, 0, 23)
    with pytest.raises(ValueError, match="32 bits"):
        compiled.finished(plane.astype(np.int64) + (1 << 40), 24, 0, 23)
