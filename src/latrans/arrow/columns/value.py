"""Value: some rows of several numeric columns as one value (FORMAT.md 12.3).

Columns that are stored alike travel in one frame, (rows, columns), so that each is predicted from
the others, too.  Nulls are marked beside it, and NaNs where they all have the usual bits.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...codec import Codec
from ...errors import CodecError
from ...format.frame import unpack as frame_parts
from ...format.varint import Reader, pack_varint
from ...missing.missing import Missing, missing_in
from . import float64
from . import null_marks as marks
from .numeric import held

Array = np.ndarray[Any, Any]

VERSION = 1
MAX_ROWS = 1 << 20
AXES = "tc"

_TOGETHER, _BOUNDED, _APART, _NOTHING = range(4)  # FORMAT.md 12.3
_NULLS, _OFFSET, _NAN = 4, 8, 16
_MAX_FILLS = 16  # kinds of missing values beside numbers within a bound


@dataclass(frozen=True)
class Column:
    """Numbers of one column.

    Attributes
    ----------
    numbers : (rows,)
    valid : (rows,) bool, optional
        Which are not null; None where all are.
    bound : float, optional
        Largest absolute error; exact where None.
    """

    numbers: Array
    valid: Array | None = None
    bound: float | None = None


@dataclass(frozen=True)
class _Entry:
    """What a value says of a column; `marks` says what they stand for, `_NULLS`, `_NAN` or 0."""

    place: int
    marks: int = 0
    offset: int = 0
    scale: float = 0.0

    def write(self) -> bytes:
        out = bytes((self.place | self.marks | bool(self.offset) * _OFFSET,))
        if self.offset:
            out += struct.pack("<Q", self.offset % (1 << 64))
        return out + (struct.pack("<d", self.scale) if self.place == _BOUNDED else b"")

    @classmethod
    def read(cls, reader: Reader) -> _Entry:
        kind = reader.byte()
        if kind & ~(3 | _NULLS | _OFFSET | _NAN) or (kind & _NULLS and kind & _NAN):
            raise CodecError(f"a value is damaged: unknown kind 0x{kind:02x} of a column")
        offset = struct.unpack("<Q", reader.take(8))[0] if kind & _OFFSET else 0
        scale = struct.unpack("<d", reader.take(8))[0] if kind & 3 == _BOUNDED else 0.0
        return cls(kind & 3, kind & (_NULLS | _NAN), offset, scale)


@dataclass(frozen=True)
class _Value:
    """A value, taken apart."""

    n_rows: int
    entries: list[_Entry]
    marks: bytes
    frames: list[bytes]

    def at(self, place: int) -> list[int]:
        """The columns that are stored in one way."""
        return [i for i, entry in enumerate(self.entries) if entry.place == place]

    @property
    def marked(self) -> list[int]:
        return [i for i, entry in enumerate(self.entries) if entry.marks]

    @property
    def n_frames(self) -> int:
        return bool(self.at(_TOGETHER)) + bool(self.at(_BOUNDED)) + len(self.at(_APART))

    def write(self) -> bytes:
        out = bytes((VERSION,)) + pack_varint(self.n_rows) + pack_varint(len(self.entries))
        out += b"".join(entry.write() for entry in self.entries)
        first = [self.marks] if self.marked else []
        out += b"".join(pack_varint(len(part)) + part for part in (*first, *self.frames))
        return out + struct.pack("<I", zlib.crc32(out))

    @classmethod
    def read(cls, data: bytes) -> _Value:
        if len(data) < 5 or zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
            raise CodecError("a value of columns is damaged or cut short: its checksum is wrong")
        reader = Reader(data[:-4])
        version = reader.byte()
        if version != VERSION:
            raise CodecError(f"a value has version {version}, this latrans reads {VERSION}: update")
        n_rows, n_columns = reader.varint(), reader.varint()
        if not 0 < n_rows <= MAX_ROWS or n_columns > reader.remaining:
            raise CodecError(f"a value is damaged: {n_columns} columns of {n_rows} rows")
        value = cls(n_rows, [_Entry.read(reader) for _ in range(n_columns)], b"", [])
        if value.marked:
            value = replace(value, marks=bytes(reader.take(reader.varint())))
        for _ in range(value.n_frames):
            value.frames.append(bytes(reader.take(reader.varint())))
        if reader.remaining:
            raise CodecError("a value is damaged: bytes are left over")
        return value


def pack(columns: Sequence[Column], codec: Codec) -> bytes:
    """One value of columns of equal length, 1 to `MAX_ROWS`.

    Columns with a bound keep it, or are exact where that is smaller or the bound cannot be kept.
    """
    exact = _packed([replace(column, bound=None) for column in columns], codec)
    tried = [_keepable(column) for column in columns]
    while any(column.bound is not None for column in tried):
        within = _packed(tried, codec)
        found = unpack(within, [column.numbers.dtype for column in columns])
        missed = {i for i, pair in enumerate(zip(tried, found, strict=True)) if _missed(*pair)}
        if not missed:
            return min(exact, within, key=len)
        tried = [replace(c, bound=None) if i in missed else c for i, c in enumerate(tried)]
    return exact


def unpack(data: bytes, dtypes: Sequence[np.dtype[Any]]) -> list[Column]:
    """Columns of a value, as the types of their numbers are.

    Raises
    ------
    CodecError
        If the value is damaged, or holds other columns.
    ModelNotFoundError
        If the model that wrote it is not found.
    """
    value = _Value.read(data)
    n = value.n_rows
    if len(value.entries) != len(dtypes):
        raise CodecError(
            f"a value has {len(value.entries)} columns, the column's type says {len(dtypes)}"
        )
    frames = iter(value.frames)
    valid = dict(zip(value.marked, ~marks.read(value.marks, len(value.marked), n), strict=True))
    found = {i: np.zeros(n, dtypes[i]) for i in value.at(_NOTHING)}
    for place in (_TOGETHER, _BOUNDED):
        if members := value.at(place):
            possible = {np.dtype(np.float64)} | {dtypes[i] for i in members if place == _TOGETHER}
            stored = _decoded(next(frames), (n, len(members)), possible)
            for i, part in zip(members, np.ascontiguousarray(stored.T), strict=True):
                found[i] = _restored(part, dtypes[i], value.entries[i])
    for i in value.at(_APART):
        found[i] = _decoded(next(frames), (n,), {dtypes[i]})
    for i, entry in enumerate(value.entries):
        if entry.marks == _NAN:
            if dtypes[i].kind != "f":
                raise CodecError(f"a value is damaged: NaN among {dtypes[i]}")
            found[i] = np.where(valid.pop(i), found[i], dtypes[i].type(np.nan))
    return [Column(found[i], valid.get(i)) for i in range(len(dtypes))]


def frames_in(data: bytes) -> list[bytes]:
    """The frames that a value is made of."""
    return _Value.read(data).frames


def _packed(given: Sequence[Column], codec: Codec) -> bytes:
    if codec.missing is not None:
        given = [_sparing(column, codec.missing) for column in given]
    marked = [_marked(column) for column in given]
    columns = [column for column, _ in marked]
    entries = [_entry(column, mark) for column, mark in marked]
    value = _Value(len(columns[0].numbers), entries, b"", [])
    valid = [column.valid for column in columns if column.valid is not None]
    if valid:
        value = replace(value, marks=marks.write(~np.stack(valid)))
    if members := value.at(_TOGETHER):
        parts = [columns[i].numbers for i in members]
        if len({part.dtype for part in parts}) > 1 or any(entries[i].offset for i in members):
            parts = [float64.widened(columns[i].numbers, entries[i].offset) for i in members]
        value.frames.append(_exact(codec, AXES).encode(np.stack(parts, 1)))
    if members := value.at(_BOUNDED):
        parts = [float64.scaled(columns[i].numbers, entries[i].scale) for i in members]
        fills = [
            float(fill)
            for i in members
            for fill in float64.scaled(_fills_in(columns[i], codec.missing), entries[i].scale)
        ]
        bounded = Codec(codec.model, "bounded", 1.0, fills or None, AXES, codec.engine)
        value.frames.append(bounded.encode(np.stack(parts, 1)))
    for i in value.at(_APART):
        value.frames.append(_exact(codec, AXES[0]).encode(columns[i].numbers))
    return value.write()


def _marked(column: Column) -> tuple[Column, int]:
    """A column with what is marked in place of its valid numbers, and how it is."""
    values, valid = column.numbers, column.valid
    if valid is not None and not valid.all():
        return column, _NULLS
    column = replace(column, valid=None)
    if values.dtype.kind != "f" or not (nan := np.isnan(values)).any():
        return column, 0
    # NaNs of other bits are left to the frame.
    usual = np.array(np.nan, values.dtype).tobytes()
    if values[nan].tobytes() != usual * int(nan.sum()):
        return column, 0
    return replace(column, numbers=held(values, ~nan), valid=~nan), _NAN


def _entry(column: Column, mark: int) -> _Entry:
    """How a column is stored."""
    if column.valid is not None and not column.valid.any():
        return _Entry(_NOTHING, mark)
    if column.bound is not None:
        scale = float64.scale_of(column.numbers, column.bound)
        if scale is not None:
            return _Entry(_BOUNDED, mark, scale=scale)
    offset = float64.offset_of(column.numbers)
    if offset is None:
        return _Entry(_APART, mark)
    return _Entry(_TOGETHER, mark, offset)


def _keepable(column: Column) -> Column:
    """The column without a bound that nothing can be made of."""
    bounded = column.bound is not None and _entry(*_marked(column)).place == _BOUNDED
    return column if bounded else replace(column, bound=None)


def _missed(column: Column, found: Column) -> bool:
    if column.bound is None:
        return False
    there = slice(None) if column.valid is None else column.valid
    return float64.misses(column.numbers[there], found.numbers[there], column.bound)


def _restored(stored: Array, dtype: np.dtype[Any], entry: _Entry) -> Array:
    if entry.place == _BOUNDED:
        return float64.unscaled(stored, entry.scale, dtype)
    if stored.dtype == dtype and not entry.offset:
        return stored
    if stored.dtype != np.float64:
        raise CodecError(f"a value is damaged: {stored.dtype} where {dtype} is expected")
    return float64.narrowed(stored, dtype, entry.offset)


def _decoded(frame: bytes, shape: tuple[int, ...], possible: set[np.dtype[Any]]) -> Array:
    """Array of a frame; what it claims to hold is looked at before memory is taken for it."""
    parts = frame_parts(frame)
    if parts.shape != shape or parts.dtype not in possible:
        raise CodecError(
            f"a value is damaged: a frame of {parts.dtype} and shape {parts.shape}, expected "
            f"{' or '.join(sorted(map(str, possible)))} and {shape}"
        )
    return Codec().decode(frame)


def _exact(codec: Codec, axes: str) -> Codec:
    return Codec(codec.model, "lossless", None, codec.fill_value, axes, codec.engine)


def _fills_in(column: Column, missing: Missing | None) -> Array:
    """Distinct missing values among a column's numbers."""
    numbers = column.numbers
    return np.unique(numbers[:0] if missing is None else numbers[missing.where(numbers)])


def _sparing(column: Column, missing: Missing) -> Column:
    """The column, without its bound where that would move missing values, or make some."""
    numbers, bound = column.numbers, column.bound
    if bound is None:
        return column
    valid, fills = numbers[~missing_in(numbers, missing)], _fills_in(column, missing)
    scale = float64.scale_of(numbers, bound)
    if valid.size and scale is not None and fills.size <= _MAX_FILLS:
        back = float64.unscaled(float64.scaled(fills, scale), scale, numbers.dtype)
        low, high = float(valid.min()) - bound, float(valid.max()) + bound
        if (back == fills).all() and missing.spares(low, high, numbers.dtype):
            return column
    return replace(column, bound=None)
