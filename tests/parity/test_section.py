"""Whole residual sections: one compiled call reads, and refuses, what the definition does."""

from __future__ import annotations

import numpy as np
import pytest

import effort
import synthetic
from latrans.errors import CodecError
from latrans.residual import coder
from latrans.residual.header import deflate, inflate
from latrans.residual.piece_shape import PieceShape
from latrans.residual.reference_backend import ReferenceBackend

native = pytest.importorskip("latrans.residual.native", reason="the compiled core is not built")

HORIZON = 2


def planes_of(rng, n, rows, columns):
    """Planes that resemble each other, and one that resembles none."""
    walk = rng.integers(-4, 5, (rows, columns)).cumsum(0).cumsum(1)
    planes = [walk + rng.integers(0, 3, walk.shape) * i for i in range(n)]
    planes[n // 2] = rng.integers(0, 1000, walk.shape)
    return planes


class Section:
    """A section, and all that is known when it is decoded."""

    def __init__(self, geometry, rows, columns, pictured=False, step=1, n=4):
        rng = np.random.default_rng(5)
        self.predictor = synthetic.predictor(rng, geometry, 1, has_reconstruction=pictured)
        track = geometry == "track"
        self.n_samples = rows * columns - (columns // 3 if track else 0)
        self.infos = [
            PieceShape(rows, columns, self.n_samples, ((1,), (1, 2))[:i]) for i in range(n)
        ]
        planes = planes_of(rng, n, rows, columns)
        self.pictures = [p + 1 for p in planes] if pictured else None
        backend = native.NativeBackend(self.predictor)
        done = coder.encode(backend, self.infos, planes, self.pictures, HORIZON, step)
        self.planes, self.data = done.planes or planes, done.section

    def decode(self, backend, data=None):
        found = coder.decode(
            backend, self.infos, self.pictures, HORIZON, self.data if data is None else data
        )
        return [plane.reshape(-1)[: self.n_samples].tolist() for plane in found]

    def outcome(self, backend, data):
        try:
            return self.decode(backend, data)
        except CodecError:
            return "damaged"


KINDS = {
    "planes": ("plane", 40, 33),
    "small planes": ("plane", 5, 7),
    "planes, pictured": ("plane", 40, 33, True),
    "planes within a bound": ("plane", 40, 33, False, 17),
    "tracks": ("track", 16, 90),
    "one lane": ("track", 1, 500),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("together", [1, 1 << 22], ids=["each alone", "all at once"])
def test_sections_come_back_whole(kind, together, monkeypatch):
    monkeypatch.setattr(native, "_TOGETHER", together)
    section = Section(*kind)
    compiled = native.NativeBackend(section.predictor)
    expected = [np.ravel(plane)[: section.n_samples].tolist() for plane in section.planes]
    assert section.decode(compiled) == expected
    assert section.decode(ReferenceBackend(section.predictor)) == expected


@pytest.mark.parametrize("kind", ["small planes", "one lane"])
def test_every_truncation_is_noticed(kind):
    section = Section(*KINDS[kind])
    compiled = native.NativeBackend(section.predictor)
    for n in range(len(section.data)):
        assert section.outcome(compiled, section.data[:n]) == "damaged"


@effort.reference
@pytest.mark.parametrize("kind", ["small planes", "planes", "one lane", "tracks"])
def test_damaged_headers_end_as_by_the_definition(kind):
    section = Section(*KINDS[kind])
    header, start = inflate(section.data)
    compiled, reference = (
        backend(section.predictor) for backend in (native.NativeBackend, ReferenceBackend)
    )
    rng = np.random.default_rng(6)
    ends = {"damaged": 0, "read": 0}
    for _ in range(effort.of(200, 24)):
        damaged = bytearray(header)
        for at in rng.integers(0, min(len(header), 60), rng.integers(1, 3)):
            damaged[at] = rng.integers(256)
        if rng.random() < 0.2:
            del damaged[int(rng.integers(len(damaged))) :]
        data = deflate(bytes(damaged)) + section.data[start:]
        found = section.outcome(compiled, data)
        assert found == section.outcome(reference, data)
        ends["damaged" if found == "damaged" else "read"] += 1
    assert ends["damaged"] > 4


def test_planes_reach_no_further_back_than_the_horizon():
    section = Section("plane", 5, 7)
    header, start = inflate(section.data)
    compiled = native.NativeBackend(section.predictor)
    reference = ReferenceBackend(section.predictor)
    far = bytearray(header)
    # The last record: no coefficients of its own, one reference, three planes back.
    for kept in range(len(far) - 1, 0, -1):
        data = deflate(bytes(far[:kept]) + bytes([1 | 7 << 5, 3, 20])) + section.data[start:]
        assert section.outcome(compiled, data) == section.outcome(reference, data) == "damaged"
