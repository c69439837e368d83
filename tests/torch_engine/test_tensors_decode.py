"""Sections that are decoded on tensors give the samples of the other backends, item by item.

On a machine with CUDA the same tests run there, too.
"""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synthetic
from latrans import open_model
from latrans.errors import CodecError
from latrans.residual import coder
from latrans.residual.piece_shape import PieceShape
from latrans.residual.predictor import NO_NETWORK, Predictor, count_inputs
from shipped import CODECS

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
native = pytest.importorskip("latrans.residual.native", reason="the compiled core is not built")

from latrans.torch_engine import batching, decode
from latrans.torch_engine.backend import TorchBackend
from latrans.torch_engine.layout import Shape, layout

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
MODELS = [path.name for path in sorted(CODECS.iterdir()) if path.is_dir()]


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


class ManyStates:
    """A backend that codes small cases with as many rANS states as large ones."""

    def __init__(self, inner, n_samples):
        self._inner, self._n_samples = inner, n_samples

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def encode(self, planes, tables, _):
        return self._inner.encode(planes, tables, self._n_samples)

    def decoding(self, data, tables, _):
        return self._inner.decoding(data, tables, self._n_samples)


@st.composite
def cases(draw, largest=24):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    model = synthetic.predictor(
        rng,
        draw(st.sampled_from(["plane", "track"])),
        n_described=draw(st.integers(0, 2)),
        has_reconstruction=draw(st.booleans()),
        flat=draw(st.booleans()),
        hidden=draw(st.sampled_from([(), (9,), (32, 16)])),
    )
    columns = draw(st.integers(1, 12))
    return synthetic.case(
        rng,
        model,
        draw(st.sampled_from(synthetic.KINDS)),
        draw(st.integers(1, largest)),
        columns,
        missing=draw(st.integers(0, 2 * columns)),
        n_planes=draw(st.integers(1, 3)),
        n_bands=draw(st.integers(1, 5)),
        n_references=draw(st.integers(0, 3)),
        step=draw(st.sampled_from([1, 1, 9, 17, 255])),
    )


def make_case(geometry="plane", kind="smooth", rows=20, columns=9, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    model = synthetic.predictor(rng, geometry, has_reconstruction=kwargs.pop("pictured", False))
    return synthetic.case(rng, model, kind, rows, columns, **kwargs)


@settings(max_examples=20, deadline=None)
@given(cases(), st.sampled_from([1, 4096, 1 << 20]))
def test_samples_are_those_that_were_encoded(case, n_samples):
    data = case.encode(ManyStates(native.NativeBackend(case.predictor), n_samples))
    tensors = TorchBackend(case.predictor, torch.device("cpu"), decodes_here=True)
    case.verify(case.decode(ManyStates(tensors, n_samples), data))


@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (20, 1), (17, 33), (33, 5), (5, 100)])
def test_planes_of_every_shape(geometry, shape, device):
    case = make_case(geometry, "smooth", *shape, n_planes=2, n_references=1, n_bands=3, missing=2)
    data = case.encode(native.NativeBackend(case.predictor))
    case.verify(case.decode(TorchBackend(case.predictor, device, decodes_here=True), data))


@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("kind", ["extremes", "extremes16", "spikes"])
@pytest.mark.parametrize("n_samples", [1, 4096, 1 << 20])
def test_escapes_and_long_raw_bits(geometry, kind, n_samples, device):
    case = make_case(geometry, kind, 18, 12, pictured=True, n_planes=2, n_references=1)
    data = case.encode(ManyStates(native.NativeBackend(case.predictor), n_samples))
    tensors = TorchBackend(case.predictor, device, decodes_here=True)
    case.verify(case.decode(ManyStates(tensors, n_samples), data))


@pytest.mark.parametrize("n_lanes", range(1, 17))
def test_tracks_of_every_number_of_lanes(n_lanes, device):
    case = make_case("track", "wide", n_lanes, 40, n_planes=2, n_references=1, missing=17)
    data = case.encode(native.NativeBackend(case.predictor))
    case.verify(case.decode(TorchBackend(case.predictor, device, decodes_here=True), data))


@pytest.mark.parametrize("name", MODELS)
def test_shipped_models_decode_what_was_planned(name, device):
    predictor = open_model(name).predictor
    if not isinstance(predictor, Predictor):
        pytest.skip("the model codes no planes this way")
    rng = np.random.default_rng(1)
    up = predictor.geometry.is_plane
    rows, columns = (19, 40) if up else (2, 300)
    walk = np.cumsum(rng.integers(-9, 10, (3, rows, columns)), 2) + 1000
    planes = [walk[0], walk[0] // 2 + rng.integers(0, 3, walk[0].shape), np.full_like(walk[0], 7)]
    infos = [
        PieceShape(rows, columns, rows * columns, ((), (1,), (1, 2))[: i + 1]) for i in range(3)
    ]
    pictures = [p + 1 for p in planes] if predictor.has_reconstruction else None
    compiled = native.NativeBackend(predictor)
    tensors = TorchBackend(predictor, device, decodes_here=True)
    for step in (1, 17):
        found = coder.encode(compiled, infos, planes, pictures, 2, step).section
        expected = coder.decode(compiled, infos, pictures, 2, found)
        for mine, theirs in zip(
            coder.decode(tensors, infos, pictures, 2, found), expected, strict=True
        ):
            assert np.array_equal(mine, theirs)


class Together:
    """Decodes sections of some cases plane by plane, the planes of all in one call."""

    def __init__(self, monkeypatch, n):
        self._barrier = threading.Barrier(n, timeout=60)
        self._lock = threading.Lock()
        self._items, self._found, self.sizes = [], {}, []
        monkeypatch.setattr(decode, "batched", self.batched)

    def batched(self, key, work, item):
        with self._lock:
            self._items.append((key, item))
        if self._barrier.wait() == 0:
            keys = {key for key, _ in self._items}
            for each in keys:
                items = [item for key, item in self._items if key == each]
                self.sizes.append(len(items))
                with batching.exact():
                    for item_, found in zip(items, work(items), strict=True):
                        self._found[id(item_)] = found
            self._items = []
        self._barrier.wait()
        return self._found[id(item)]


def decode_together(monkeypatch, cases, sections, device):
    """Samples of each case, or the error that its section is damaged."""
    backend = TorchBackend(cases[0].predictor, device, decodes_here=True)
    together = Together(monkeypatch, len(cases))
    results = [None] * len(cases)

    def run(i):
        try:
            results[i] = cases[i].decode(backend, sections[i])
        except CodecError as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, together.sizes


def unequal(n, geometry="plane", n_planes=1, rows=20, columns=12):
    """Cases of one predictor that differ in all that may differ within a batch."""
    rng = np.random.default_rng(5)
    model = synthetic.predictor(rng, geometry)
    kinds = ["smooth", "noise", "wide", "spikes", "constant", "extremes"]
    found = []
    for i in range(n):
        case = synthetic.case(
            rng, model, kinds[i % len(kinds)], rows, columns, n_planes=n_planes,
            n_references=1, n_bands=1 + i % 4,
        )  # fmt: skip
        experts = (0, 1, NO_NETWORK)
        jobs = [replace(job, expert=experts[(i + k) % 3]) for k, job in enumerate(case.jobs)]
        found.append(replace(case, jobs=jobs))
    return found


@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("n", [2, 3, 8])
def test_items_of_a_batch_are_what_each_is_alone(geometry, n, device, monkeypatch):
    cases = unequal(n, geometry, n_planes=2)
    sections = [case.encode(native.NativeBackend(case.predictor)) for case in cases]
    results, sizes = decode_together(monkeypatch, cases, sections, device)
    assert sizes == [n, n]
    for case, found in zip(cases, results, strict=True):
        case.verify(found)


def test_references_may_come_out_of_different_batches():
    batches = [tuple(torch.arange(12).reshape(4, 3) + 100 * i for _ in range(3)) for i in range(2)]
    together = [decode.Kept(batches[0], 2), decode.Kept(batches[0], 0)]
    apart = [decode.Kept(batches[0], 1), decode.Kept(batches[1], 0)]
    assert decode._side_by_side(together, 1).tolist() == [[2, 0], [5, 3], [8, 6], [11, 9]]
    assert decode._side_by_side(apart, 2).tolist() == [[1, 100], [4, 103], [7, 106], [10, 109]]


def test_damage_concerns_its_own_item_only(device, monkeypatch):
    cases = unequal(6)
    sections = [case.encode(native.NativeBackend(case.predictor)) for case in cases]
    sections[1] = sections[1][: len(sections[1]) // 4 * 2]
    flipped = bytearray(sections[3])
    flipped[4] ^= 0x55
    sections[3] = bytes(flipped)
    results, sizes = decode_together(monkeypatch, cases, sections, device)
    assert sizes == [6]
    for i, (case, found) in enumerate(zip(cases, results, strict=True)):
        if i in (1, 3):
            assert isinstance(found, CodecError)
        else:
            case.verify(found)


@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("n_samples", [1, 1 << 20])
def test_every_truncation_is_noticed(geometry, n_samples, device):
    case = make_case(geometry, "noise", 3, 5)
    data = case.encode(ManyStates(native.NativeBackend(case.predictor), n_samples))
    backend = ManyStates(TorchBackend(case.predictor, device, decodes_here=True), n_samples)
    for n in range(0, len(data), 1 + len(data) // 20):
        with pytest.raises(CodecError):
            case.decode(backend, data[:n])


@settings(max_examples=25, deadline=None)
@given(cases(largest=6), st.data())
def test_damage_is_an_error_or_what_the_compiled_coder_makes_of_it(case, data):
    n_samples = data.draw(st.sampled_from([1, 4096, 1 << 20]))
    compiled = ManyStates(native.NativeBackend(case.predictor), n_samples)
    section = bytearray(case.encode(compiled))
    for _ in range(data.draw(st.integers(1, 4))):
        section[data.draw(st.integers(0, len(section) - 1))] ^= data.draw(st.integers(1, 255))
    tensors = TorchBackend(case.predictor, torch.device("cpu"), decodes_here=True)
    results = []
    for backend in (compiled, ManyStates(tensors, n_samples)):
        try:
            results.append(case.decode(backend, bytes(section)))
        except CodecError:
            results.append(None)
    assert (results[0] is None) == (results[1] is None)
    if results[0] is not None:
        assert all(map(np.array_equal, *results))


def test_impossible_states_and_bytes_left_over_are_noticed(device):
    case = make_case()
    backend = TorchBackend(case.predictor, device, decodes_here=True)
    with pytest.raises(CodecError, match="impossible state"):
        case.decode(backend, b"\xff\xff\x00\x00" + bytes(400))
    with pytest.raises(CodecError, match="does not end"):
        case.decode(backend, case.encode(native.NativeBackend(case.predictor)) + b"\0\0")


@pytest.mark.parametrize("n_described", [0, 1, 2])
@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("pictured", [False, True])
def test_every_input_of_the_networks_is_found_once(geometry, n_described, pictured):
    from latrans.torch_engine.describe import Describer

    rng = np.random.default_rng(0)
    model = synthetic.predictor(rng, geometry, n_described, pictured)
    shape = Shape(geometry, 3, 4, 12, n_described, n_described, pictured, True)
    order = Describer(model, layout(shape), torch.device("cpu")).order
    assert sorted(order) == list(range(count_inputs(model.geometry, n_described, pictured)))


def test_host_decodes_where_no_kernel_can():
    case = make_case()
    data = case.encode(native.NativeBackend(case.predictor))
    backend = TorchBackend(case.predictor, torch.device("cpu"))
    decoding = backend.decoding(data, case.tables, case.n_samples)
    assert not isinstance(decoding, decode.TorchDecoding)


class Broken:
    """A kernel that finds other samples, or none."""

    def __init__(self, front, error):
        self._front, self._error = front, error

    def run(self):
        if self._error is not None:
            raise self._error
        done = self._front.run()
        done.samples[3, 0] += 1
        return done


@pytest.mark.parametrize("error", [None, RuntimeError("no compiler")])
def test_kernel_that_breaks_is_noticed_and_not_used(error, monkeypatch):
    case = make_case("plane", "smooth", 20, 6)
    data = case.encode(native.NativeBackend(case.predictor))
    decoder = decode.Decoder(case.predictor, torch.device("cpu"), launches=False)
    coder_of, front_of = decoder.coder, decoder._front
    used = []

    def coder(*args):
        wanted, decoder._launches = decoder._launches, False
        plain, decoder._launches = coder_of(*args), wanted
        return replace(plain, prepared="kernel" if wanted else None)

    def front(coder, items):
        found, popper = front_of(replace(coder, prepared=None), items)
        used.append(coder.prepared)
        return (found if coder.prepared is None else Broken(found, error)), popper

    coder.cache_clear = lambda: None
    monkeypatch.setattr(decoder, "coder", coder)
    monkeypatch.setattr(decoder, "_front", front)
    monkeypatch.setattr(decoder, "_launches", True)

    class Backend:
        def decoding(self, data, tables, n_samples):
            return decoder.section(data, tables, n_samples)

    with pytest.warns(RuntimeWarning, match="kernel"):
        case.verify(case.decode(Backend(), data))
    assert used.pop() is None
    used.clear()
    case.verify(case.decode(Backend(), data))
    assert used == [None]
