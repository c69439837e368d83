"""Fields: a float array cut into the blocks that error-bounded codecs take, and back.

Codecs are given planes one by one and whole stacks of them (tracks alone and all channels of an
item), and the smaller is kept.  None of them knows missing values: those are filled from their
neighbours first, and stored beside the blocks as one byte per sample under zstd-19, counted as
part of the size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..format import axes as axis_letters
from ..missing.missing import missing_in
from .rival import Array, pack, plain, unpack

EncodeBlock = Callable[[Array], bytes]
DecodeBlock = Callable[[bytes, tuple[int, ...], np.dtype[Any]], Array]

_MASK_LEVEL = 19
_MAX_PATTERNS = 255


def is_field(array: Array, axes: str) -> bool:
    """Whether the array consists of float32 or float64 samples."""
    if not plain(array) or array.dtype.kind != "f" or array.itemsize < 4:
        return False
    return "x" in axes or "t" in axes


def encode(
    array: Array,
    axes: str,
    encode_one: EncodeBlock,
    fill_value: Any,
    n_dims: tuple[int, ...] = (1, 2, 3),
) -> bytes:
    """Encode blocks of one of `n_dims` dimensions with `encode_one`; `ValueError` if none does."""
    filled, mask = _fill(array, fill_value)
    coded: dict[str, list[bytes]] = {}
    refused: list[Exception] = []
    for way in ("parts", "whole"):
        blocks = list(_blocks(filled, axes, way))
        tried = way == "whole" and "parts" in coded and len(blocks) == len(coded["parts"])
        if tried or blocks[0].ndim not in n_dims:
            continue
        try:
            coded[way] = [bytes(encode_one(block)) for block in blocks]
        except (RuntimeError, ValueError) as error:  # too small for the codec, for one
            refused.append(error)
    if not coded:
        raise ValueError(f"no block of an array of shape {array.shape} can be coded: {refused}")
    best = min(coded, key=lambda way: sum(map(len, coded[way])))
    return pack([*mask, *coded[best]], array, axes=axes, way=best, masks=len(mask))


def decode(data: bytes, decode_one: DecodeBlock) -> Array:
    """Inverse of `encode`; `decode_one` is told shape and dtype of a block."""
    streams, header = unpack(data)
    shape, dtype = header["shape"], header["dtype"]
    template = np.broadcast_to(np.zeros((), dtype), shape)
    shapes = [block.shape for block in _blocks(template, header["axes"], header["way"])]
    mask, coded = streams[: header["masks"]], streams[header["masks"] :]
    blocks = [
        np.asarray(decode_one(stream, block, dtype)).reshape(-1)
        for stream, block in zip(coded, shapes, strict=True)
    ]
    geometry = "plane" if "x" in header["axes"] else "track"
    layout = axis_letters.layout(header["axes"], shape, geometry)
    array = layout.join(np.concatenate(blocks), shape).astype(dtype)
    if mask:
        _restore(array, mask)
    return array


def _blocks(array: Array, axes: str, way: str) -> Iterator[Array]:
    """Planes or tracks alone ("parts"), or with all that is ordered around them ("whole")."""
    geometry = "plane" if "x" in axes else "track"
    layout = axis_letters.layout(axes, array.shape, geometry)
    inner = layout.shape if geometry == "plane" else layout.shape[1:]
    planes = layout.split(array)
    if way == "parts":
        yield from planes.reshape(-1, *inner)
        return
    ordered = [n for n, kept in zip(layout.counts, layout.ordered, strict=True) if kept and n > 1]
    outer = () if not ordered else (int(np.prod(ordered)),)
    yield from planes.reshape(-1, *outer, *inner)


def _fill(array: Array, fill_value: Any) -> tuple[Array, list[bytes]]:
    """Values without gaps, and the streams that bring the gaps back: bit patterns, and where."""
    from numcodecs.zstd import Zstd

    gaps = missing_in(array, fill_value)
    if not gaps.any() or gaps.all():
        return array, []
    bits = np.ascontiguousarray(array).view(f"u{array.itemsize}")
    patterns, index = np.unique(bits[gaps], return_inverse=True)
    if len(patterns) > _MAX_PATTERNS:
        raise ValueError(f"{len(patterns)} kinds of missing values, at most {_MAX_PATTERNS}")
    codes = np.zeros(array.shape, np.uint8)
    codes[gaps] = index + 1
    # One kind of gap is one bit per sample.
    where = np.packbits(codes) if len(patterns) == 1 else codes
    flat, missing = array.reshape(-1), gaps.reshape(-1)
    known = np.flatnonzero(~missing)
    nearest = np.maximum(np.searchsorted(known, np.arange(flat.size), side="right") - 1, 0)
    filled = flat[known[nearest]].reshape(array.shape)
    return filled, [patterns.tobytes(), bytes(Zstd(_MASK_LEVEL).encode(where.tobytes()))]


def _restore(array: Array, mask: list[bytes]) -> None:
    from numcodecs.zstd import Zstd

    bits = array.view(f"u{array.itemsize}")
    patterns = np.frombuffer(mask[0], bits.dtype)
    codes = np.frombuffer(Zstd().decode(mask[1]), np.uint8)
    if len(patterns) == 1:
        codes = np.unpackbits(codes, count=array.size)
    codes = codes.reshape(array.shape)
    bits[codes > 0] = patterns[codes[codes > 0] - 1]
