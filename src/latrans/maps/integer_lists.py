"""Integer lists: small non-negative integers as side data of maps and masks (FORMAT.md 5.3).

LEB128 gives each small number a byte of its own, and Zstandard an entropy code to the bytes: within
a few hundredths of what a coder of its own would reach, with nothing to define or to tune.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError
from ..format.varint import Reader, pack_varint
from ..process.dependencies import Zstd

Ints = npt.NDArray[np.int64]

_LEVEL = 19
_MAX_NBYTES = 9  # of one number: 63 bits


def pack(values: npt.NDArray[Any]) -> bytes:
    """A list of integers from 0 to 2**63 - 1; its length is not stored."""
    values = np.asarray(values, np.int64).reshape(-1)
    if not values.size:
        return b""
    lengths = np.ones(values.shape, np.int64)
    for i in range(1, _MAX_NBYTES):
        lengths += values >> (7 * i) > 0
    ends = np.cumsum(lengths)
    body = np.zeros(int(ends[-1]), np.uint8)
    for i in range(int(lengths.max())):
        some = lengths > i
        more = (lengths[some] > i + 1) * 128
        body[(ends - lengths + i)[some]] = (values[some] >> (7 * i) & 127) | more
    data = body.tobytes()
    packed = bytes(Zstd(_LEVEL).encode(data))
    if len(packed) + 1 >= len(data):
        return pack_varint(2 * len(data)) + data
    return pack_varint(2 * len(data) + 1) + pack_varint(len(packed)) + packed


def unpack(reader: Reader, count: int) -> Ints:
    """Inverse of `pack` for a list of `count` numbers."""
    from ..fallback.payload import ZSTD, unpack_checked

    if not count:
        return np.zeros(0, np.int64)
    head = reader.varint()
    nbytes = head >> 1
    if not count <= nbytes <= _MAX_NBYTES * count:
        raise CodecError(f"frame is damaged: {nbytes} bytes cannot hold {count} numbers")
    if head & 1:
        data = unpack_checked(ZSTD, bytes(reader.take(reader.varint())), nbytes)
    else:
        data = bytes(reader.take(nbytes))
    body = np.frombuffer(data, np.uint8).astype(np.int64)
    last = np.flatnonzero(body < 128)
    if last.size != count or int(last[-1]) != nbytes - 1:
        raise CodecError(f"frame is damaged: found {last.size} numbers, expected {count}")
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if int(lengths.max()) > _MAX_NBYTES:
        raise CodecError("frame is damaged: a number is longer than 9 bytes")
    place = np.arange(nbytes) - np.repeat(first, lengths)
    total: Ints = np.add.reduceat((body & 127) << (7 * place), first)
    return total


def zigzag(values: Ints) -> Ints:
    """0, -1, 1, -2, ... as 0, 1, 2, 3, ..."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


def unzigzag(values: Ints) -> Ints:
    """Inverse of `zigzag`."""
    return np.where(values & 1, -(values >> 1) - 1, values >> 1)


def gaps(positions: Ints) -> Ints:
    """Increasing positions as distances: each minus the one before, minus 1."""
    return np.diff(positions, prepend=-1) - 1


def ungaps(distances: Ints, limit: int) -> Ints:
    """Inverse of `gaps`; every position must lie below `limit`."""
    if float(distances.sum(dtype=np.float64)) + distances.size > limit:
        raise CodecError("frame is damaged: a position lies outside of its chunk")
    positions: Ints = np.cumsum(distances + 1) - 1
    return positions


def pack_sparse(values: Ints) -> bytes:
    """Integers that are mostly zero, by position; nothing at all where all are."""
    positions = np.flatnonzero(values)
    chosen = values.reshape(-1)[positions]
    out = pack_varint(positions.size)
    if not positions.size:
        return out
    out += pack(gaps(positions))
    distinct, index, counts = np.unique(chosen, return_inverse=True, return_counts=True)
    if 2 * distinct.size > positions.size > 1:
        return out + pack_varint(0) + pack(zigzag(chosen))
    order = np.argsort(-counts, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    out += pack_varint(distinct.size) + pack(zigzag(distinct[order]))
    return out + (pack(rank[index.reshape(-1)]) if distinct.size > 1 else b"")


def unpack_sparse(reader: Reader, n: int) -> tuple[Ints, Ints]:
    """Positions, below `n`, and values of what `pack_sparse` wrote."""
    count = reader.varint()
    if count > n:
        raise CodecError(f"frame is damaged: {count} of {n} samples are corrected")
    if not count:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    positions = ungaps(unpack(reader, count), n)
    n_distinct = reader.varint()
    if not n_distinct:
        return positions, unzigzag(unpack(reader, count))
    if n_distinct > count:
        raise CodecError(f"frame is damaged: {n_distinct} corrections of {count} samples")
    distinct = unzigzag(unpack(reader, n_distinct))
    if n_distinct == 1:
        return positions, np.full(count, distinct[0])
    rank = unpack(reader, count)
    if int(rank.max()) >= n_distinct:
        raise CodecError("frame is damaged: it names a correction that is not there")
    return positions, distinct[rank]
