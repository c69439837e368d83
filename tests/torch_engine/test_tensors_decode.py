"""Where sections are decoded: by the host, or by a kernel that finds what the host does."""

from __future__ import annotations

import numpy as np
import pytest

import synthetic

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
native = pytest.importorskip("latrans.residual.native", reason="the compiled core is not built")

from latrans.torch_engine import decode, kept
from latrans.torch_engine.backend import TorchBackend
from latrans.torch_engine.board import Finished

CPU = torch.device("cpu")


def make_case(geometry="plane", kind="smooth", rows=20, columns=9, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    return synthetic.case(rng, synthetic.predictor(rng, geometry), kind, rows, columns, **kwargs)


def test_host_decodes_where_no_kernel_can():
    case = make_case()
    data = case.encode(native.NativeBackend(case.predictor))
    backend = TorchBackend(case.predictor, CPU)
    decoding = backend.decoding(data, case.tables, case.n_samples)
    assert not isinstance(decoding, decode.TorchDecoding)


class Kernel:
    """In place of the kernel: finds the samples that it is told, or fails.

    Parameters
    ----------
    wrong_from : which plane on is found wrongly.
    """

    def __init__(self, case, wrong_from, error=None):
        self.decoder = decode.Decoder(case.predictor, CPU, native.NativeBackend(case.predictor))
        self.decoder.coder = lambda *args: "coder"
        self.decoder._front = self._front
        self.n_calls = 0
        self._case, self._wrong_from, self._error = case, wrong_from, error

    def decoding(self, data, tables, n_samples):
        self._at = 0
        return self.decoder.section(data, tables, n_samples)

    def _front(self, coder, items):
        (item,) = items
        self.n_calls += 1
        return self, Streams(item.section.stream)

    def run(self):
        if self._error is not None:
            raise self._error
        found = torch.from_numpy(self._case.planes[self._at].reshape(-1, 1).astype(np.int64))
        found[3] += self._at >= self._wrong_from
        self._at += 1
        return Finished(found, found.clone(), found.clone(), torch.zeros(1, dtype=torch.bool))


class Streams:
    def __init__(self, stream):
        self.states = stream.states[:, None]

    def taken(self):
        return [0]


@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("wrong_from", [0, 1, 2])
def test_kernel_that_finds_something_else_is_noticed_and_not_used(geometry, wrong_from):
    rows = 16 if geometry == "track" else 20
    case = make_case(geometry, rows=rows, n_planes=3, n_references=2)
    data = case.encode(native.NativeBackend(case.predictor))
    kernel = Kernel(case, wrong_from)
    with pytest.warns(RuntimeWarning, match="something else here than the host"):
        case.verify(case.decode(kernel, data))  # of a kind's first plane nothing wrong comes back
    assert kernel.n_calls == wrong_from + 1
    case.verify(case.decode(kernel, data))
    assert kernel.n_calls == wrong_from + 1


def test_kernel_that_does_not_run_is_not_used():
    case = make_case()
    data = case.encode(native.NativeBackend(case.predictor))
    kernel = Kernel(case, 9, RuntimeError("no compiler"))
    with pytest.warns(RuntimeWarning, match=r"does not run here \(RuntimeError: no compiler\)"):
        case.verify(case.decode(kernel, data))
    case.verify(case.decode(kernel, data))
    assert kernel.n_calls == 1


def test_references_may_come_out_of_different_batches():
    batches = [tuple(torch.arange(12).reshape(4, 3) + 100 * i for _ in range(3)) for i in range(2)]
    together = [kept.Kept(batches[0], 2), kept.Kept(batches[0], 0)]
    apart = [kept.Kept(batches[0], 1), kept.Kept(batches[1], 0)]
    assert kept.side_by_side(together, 1).tolist() == [[2, 0], [5, 3], [8, 6], [11, 9]]
    assert kept.side_by_side(apart, 2).tolist() == [[1, 100], [4, 103], [7, 106], [10, 109]]
