"""Header of the residual section: how each plane is predicted (FORMAT.md 6.6)."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from ..coding.fixed_point import Ints
from ..errors import CodecError
from ..format import varint
from ..format.varint import pack_varint
from .classes import N_TABLES
from .plan_input import Plan
from .predictor import NO_NETWORK, TRAINED_SHIFT, Coefficients, Predictor
from .table_map import TableMap, identity_map

_OWN, _AGAIN = 8, 16  # bits of a plane's first byte, above the number of references
_EXPERT_SHIFT = 5  # and the expert above those
_RANGE, _STEP, _MAP = 1, 2, 4  # bits of a section's first byte
MIN_STEP, MAX_STEP = 9, 255
BYTE_RANGE = (0, 255)
MAX_HEADER = 1 << 26
_LEAST_PACKED = 9  # bytes of whatever zlib makes of anything


def pack_section(lo: int, hi: int, step: int, tables: TableMap) -> bytes:
    """What comes before the planes: range of the samples, step, tables of classes."""
    changed = np.flatnonzero(tables != identity_map()).tolist()
    ranged = (lo, hi) != BYTE_RANGE
    out = bytearray([ranged * _RANGE | (step > 1) * _STEP | bool(changed) * _MAP])
    if ranged:
        out += pack_varint(_zigzag(lo)) + pack_varint(hi - lo)
    if step > 1:
        out.append(step)
    if changed:
        out.append(len(changed))
        for index in changed:
            out += bytes((index, tables[index]))
    return bytes(out)


class HeaderWriter:
    """Builds the header plane by plane."""

    def __init__(self) -> None:
        self._out = bytearray()

    def bytes(self) -> bytes:
        return bytes(self._out)

    def plane(
        self,
        chosen: Plan,
        predictor: Predictor,
        previous: Plan | None,
        i: int,
        lane_first_samples: Ints | None,
    ) -> None:
        distances = tuple(i - j for j in chosen.references)
        before = tuple(i - 1 - j for j in previous.references) if previous is not None else None
        again = previous is not None and distances == before and _same(chosen, previous)
        kind = len(distances) | chosen.has_coefficients * _OWN | again * _AGAIN
        self._out.append(kind | chosen.expert << _EXPERT_SHIFT)
        if not again:
            for distance in distances:
                self._out += pack_varint(distance)
            self._sets(chosen, predictor)
        if lane_first_samples is not None:
            last = 0
            for value in lane_first_samples.tolist():
                self._out += pack_varint(_zigzag(value - last))
                last = value

    def _sets(self, chosen: Plan, predictor: Predictor) -> None:
        if not chosen.has_coefficients:
            self._out.append(chosen.bands[0].sigma_code)
            return
        self._out += pack_varint(chosen.band_rows)
        for set_ in chosen.bands:
            self._out += bytes((set_.shift, set_.sigma_code))
            for weight in set_.weights.tolist():
                if -64 <= weight < 64:  # most are, and one byte each
                    self._out.append(_zigzag(weight))
                else:
                    self._out += pack_varint(_zigzag(weight))


class HeaderReader(varint.Reader):
    """Takes the header apart again; every count is checked before it is used."""

    def section(self) -> tuple[int, int, int, TableMap]:
        """Smallest and largest sample, step, and the table of every class."""
        form = self.byte()
        if form & ~(_RANGE | _STEP | _MAP):
            raise CodecError("frame is damaged: unknown form of the residual section")
        lo, hi = BYTE_RANGE
        if form & _RANGE:
            lo = _unzigzag(self.varint())
            hi = lo + self.varint()
        if lo < -(1 << 31) or hi >= 1 << 31:
            raise CodecError("frame is damaged: its samples exceed 32 bits")
        step = self.byte() if form & _STEP else 1
        if step != 1 and (step < MIN_STEP or step % 2 == 0):
            raise CodecError(f"frame is damaged: samples lie {step} apart")
        tables = identity_map()
        for _ in range(self.byte() if form & _MAP else 0):
            index, table = self.byte(), self.byte()
            if max(index, table) >= N_TABLES:
                raise CodecError(f"frame is damaged: there is no table {max(index, table)}")
            tables[index] = table
        return lo, hi, step, tables

    def plane(
        self,
        predictor: Predictor,
        previous: Plan | None,
        i: int,
        rows: int,
        n_lanes: int,
        lo: int,
        hi: int,
    ) -> tuple[Plan, Ints | None]:
        """Plan of plane i, and the first sample of each of `n_lanes` lanes (None for 0)."""
        first = self.byte()
        expert, kind = first >> _EXPERT_SHIFT, first & ((1 << _EXPERT_SHIFT) - 1)
        if expert != NO_NETWORK and expert >= len(predictor.experts):
            raise CodecError(f"frame is damaged: the model has no expert {expert}")
        if kind & _AGAIN:
            if previous is None:
                raise CodecError("frame is damaged: the first plane repeats one before it")
            references = tuple(j + 1 for j in previous.references)
            if previous.has_coefficients != bool(kind & _OWN) or kind & 7 != len(references):
                raise CodecError("frame is damaged: a repeated plane contradicts the one before")
            if previous.has_coefficients and -(-rows // previous.band_rows) != len(previous.bands):
                raise CodecError("frame is damaged: a repeated plane has another number of rows")
            band_rows = previous.band_rows if previous.has_coefficients else rows
            chosen = Plan(previous.has_coefficients, previous.bands, band_rows, references, 0.0)
        else:
            references = tuple(i - self.varint() for _ in range(kind & 7))
            if any(not 0 <= j < i for j in references) or len(references) > 4:
                raise CodecError(f"frame is damaged: plane {i} refers to impossible planes")
            chosen = self._sets(kind, predictor, references, rows)
        chosen = replace(chosen, expert=expert)
        if n_lanes == 0:
            return chosen, None
        lane_first_samples = np.cumsum([_unzigzag(self.varint()) for _ in range(n_lanes)])
        if int(lane_first_samples.min()) < lo or int(lane_first_samples.max()) > hi:
            raise CodecError("frame is damaged: the first sample of a lane is out of range")
        return chosen, lane_first_samples.astype(np.int64)

    def _sets(
        self, kind: int, predictor: Predictor, references: tuple[int, ...], rows: int
    ) -> Plan:
        if kind & ~(_OWN | 7):
            raise CodecError(f"frame is damaged: unknown kind of plane {kind}")
        if not kind & _OWN:
            weights = predictor.linear.astype(np.int64)
            set_ = Coefficients(weights, TRAINED_SHIFT, self.byte())
            return Plan(False, (set_,), rows, references, 0.0)
        band_rows = self.varint()
        if not 0 < band_rows <= rows:
            raise CodecError(f"frame is damaged: coefficients for {band_rows} of {rows} rows")
        n_taps = predictor.n_own_taps + len(predictor.geometry.reference_taps) * len(references)
        sets = []
        for _ in range(-(-rows // band_rows)):
            shift, sigma_code = self.byte(), self.byte()
            weights = np.array([_unzigzag(self.varint()) for _ in range(n_taps)], np.int64)
            if shift > 14 or int(np.abs(weights).max()) > 32768:
                raise CodecError("frame is damaged: a linear coefficient is out of range")
            sets.append(Coefficients(weights, shift, sigma_code))
        return Plan(True, tuple(sets), band_rows, references, 0.0)

    def finish(self) -> None:
        if self.remaining:
            raise CodecError("frame is damaged: bytes are left over in a header")


def deflate(header: bytes) -> bytes:
    """A header with its length in front, compressed where that is shorter."""
    packed = zlib.compress(header, 9) if len(header) > _LEAST_PACKED else header
    smaller = len(packed) < len(header)
    body = packed if smaller else header
    return pack_varint(len(body) << 1 | smaller) + body


def inflate(section: bytes) -> tuple[bytes, int]:
    """The header of a section, and where the rest starts."""
    reader = varint.Reader(section)
    code = reader.varint()
    packed, rest = bytes(reader.take(code >> 1)), len(section) - reader.remaining
    if not code & 1:
        return packed, rest
    inflater = zlib.decompressobj()
    try:
        header = inflater.decompress(packed, MAX_HEADER)
    except zlib.error as error:
        raise CodecError(f"frame is damaged: a header does not inflate ({error})") from error
    if not inflater.eof or inflater.unused_data:
        raise CodecError("frame is damaged: a header does not inflate to its end")
    return header, rest


def _same(a: Plan, b: Plan) -> bool:
    if a.has_coefficients != b.has_coefficients or len(a.bands) != len(b.bands):
        return False
    if a.has_coefficients and a.band_rows != b.band_rows:
        return False
    return all(
        x.shift == y.shift and x.sigma_code == y.sigma_code and bool((x.weights == y.weights).all())
        if x.weights.shape == y.weights.shape
        else False
        for x, y in zip(a.bands, b.bands, strict=True)
    )


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _unzigzag(value: int) -> int:
    return -((value + 1) >> 1) if value & 1 else value >> 1
