"""The Triton kernel decodes what the steps on tensors decode.

Without a GPU Triton interprets it, which takes its time: planes are tiny then.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import numpy as np
import pytest

import synthetic
from latrans.errors import CodecError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
native = pytest.importorskip("latrans.residual.native", reason="the compiled core is not built")
if find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)
GPU = torch.cuda.is_available()
if not GPU:
    os.environ["TRITON_INTERPRET"] = "1"  # before the kernel is defined

from latrans.torch_engine.decode import Decoder

DEVICE = torch.device("cuda" if GPU else "cpu")


class Coding:
    """The compiled coder encodes, the kernel decodes, with the states of so many samples."""

    def __init__(self, predictor, n_samples):
        self._compiled = native.NativeBackend(predictor)
        self._decoder = Decoder(predictor, DEVICE, launches=True)
        self._n_samples = n_samples

    def classify(self, job, plane):
        return self._compiled.classify(job, plane)

    def encode(self, planes, tables, _):
        return self._compiled.encode(planes, tables, self._n_samples)

    def decoding(self, data, tables, _):
        return self._decoder.section(data, tables, self._n_samples)


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
