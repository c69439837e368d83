"""The Triton kernel decodes what the host decodes.

Without a GPU Triton interprets it, which takes its time: planes are tiny then.
"""

from __future__ import annotations

import os
import threading
import warnings
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

import synthetic
from latrans.errors import CodecError
from latrans.residual.predictor import NO_NETWORK

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
native = pytest.importorskip("latrans.residual.native", reason="the compiled core is not built")
if find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)
GPU = torch.cuda.is_available()
if not GPU:
    os.environ["TRITON_INTERPRET"] = "1"  # before the kernel is defined

from latrans.torch_engine import batching, decode
from latrans.torch_engine.decode import Decoder

DEVICE = torch.device("cuda" if GPU else "cpu")


class Coding:
    """The compiled coder encodes, the kernel decodes, with the states of so many samples."""

    def __init__(self, predictor, n_samples):
        self._compiled = native.NativeBackend(predictor)
        self._decoder = Decoder(predictor, DEVICE, self._compiled)
        self._n_samples = n_samples

    def classify(self, job, plane):
        return self._compiled.classify(job, plane)

    def encode(self, planes, tables, _):
        return self._compiled.encode(planes, tables, self._n_samples)

    def decoding(self, data, tables, _):
        return self._decoder.section(data, tables, self._n_samples)


@pytest.fixture(autouse=True)
def trusted():
    """The kernel is used: nothing is warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def make_case(geometry, kind, rows, columns, n_described=1, **kwargs):
    rng = np.random.default_rng(3)
    model = synthetic.predictor(rng, geometry, n_described)
    return synthetic.case(rng, model, kind, rows, columns, **kwargs)


TINY = [
    ("plane", 2, 3, {"n_bands": 2}, 1),
    ("plane", 3, 2, {"n_planes": 2, "n_references": 1, "step": 17}, 1 << 20),
    ("track", 3, 5, {"missing": 2}, 4096),
    ("track", 2, 4, {"n_planes": 2, "n_references": 1}, 1),
]
LARGE = [
    ("plane", 70, 90, {"n_planes": 3, "n_references": 2, "n_bands": 3}, 1 << 20),
    ("plane", 49, 33, {"n_planes": 2, "n_references": 1, "step": 9}, 4096),
    ("track", 16, 300, {"n_planes": 2, "n_references": 1, "missing": 400}, 1 << 20),
    ("track", 1, 500, {}, 1),
]


@pytest.mark.parametrize("kind", ["smooth", "spikes", "extremes"] if GPU else ["spikes"])
@pytest.mark.parametrize(
    ("geometry", "rows", "columns", "more", "n_samples"), TINY + (LARGE if GPU else [])
)
def test_samples_are_those_that_were_encoded(geometry, rows, columns, more, n_samples, kind):
    case = make_case(geometry, kind, rows, columns, **more)
    coding = Coding(case.predictor, n_samples)
    case.verify(case.decode(coding, case.encode(coding)))


def test_truncation_is_noticed():
    case = make_case("plane", "noise", 2, 2)
    coding = Coding(case.predictor, 1)
    data = case.encode(coding)
    for n in (4, len(data) - 2):
        with pytest.raises(CodecError):
            case.decode(coding, data[:n])


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


def decode_together(monkeypatch, cases, sections):
    """Samples of each case, or the error that its section is damaged."""
    coding = Coding(cases[0].predictor, cases[0].n_samples)
    together = Together(monkeypatch, len(cases))
    results = [None] * len(cases)

    def run(i):
        try:
            results[i] = cases[i].decode(coding, sections[i])
        except CodecError as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, together.sizes


def unequal(n, geometry="plane", n_planes=1, rows=2, columns=3):
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


def sections_of(cases):
    coding = [Coding(case.predictor, case.n_samples) for case in cases]
    return [case.encode(one) for case, one in zip(cases, coding, strict=True)]


@pytest.mark.parametrize("geometry", ["plane", "track"])
def test_items_of_a_batch_are_what_each_is_alone(geometry, monkeypatch):
    cases = unequal(3, geometry, n_planes=2)
    results, sizes = decode_together(monkeypatch, cases, sections_of(cases))
    assert sizes == [3, 3]
    for case, found in zip(cases, results, strict=True):
        case.verify(found)


def test_damage_concerns_its_own_item_only(monkeypatch):
    cases = unequal(4)
    sections = sections_of(cases)
    sections[1] = sections[1][: len(sections[1]) // 4 * 2]
    results, sizes = decode_together(monkeypatch, cases, sections)
    assert sizes == [4]
    for i, (case, found) in enumerate(zip(cases, results, strict=True)):
        if i == 1:
            assert isinstance(found, CodecError)
        else:
            case.verify(found)
