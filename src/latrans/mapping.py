"""Mapping: which value map each part of a chunk gets, and the section that says so (FORMAT.md 5).

A chunk has one map, or one per channel where that is cheaper.  Three colours may be stored as
green and differences to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import field
from . import mask as masks
from .axes import Layout
from .errors import CodecError
from .field import Mapped
from .model import Model
from .residual import coder
from .residual.backend import Backend
from .residual.coder import PlaneInfo
from .residual.fixed import Ints
from .wire import Reader, pack_varint

Array = npt.NDArray[Any]

_COLOUR, _PER_CHANNEL, _AXES = 1, 2, 4
_MAX_CHANNELS = 4096
_LOSSY_STEPS = 1 << 14
_SAMPLE_ROWS, _SAMPLE_COLUMNS = 128, 512


@dataclass(frozen=True)
class Mapping:
    """Planes as integers, and what undoes it.

    Attributes
    ----------
    integers : (planes, rows, columns) int64; empty on the decoding side.
    sections : one, or one per channel.
    groups : channel of each plane where maps differ by channel, else zeros.
    colour : whether each three planes are green, red - green, blue - green.
    """

    integers: Ints
    sections: tuple[bytes, ...]
    groups: npt.NDArray[np.int64]
    colour: bool = False

    def section(self, axes: str) -> bytes:
        """The maps section; empty where everything is as expected."""
        per_channel = len(self.sections) > 1
        kind = self.colour * _COLOUR | per_channel * _PER_CHANNEL | bool(axes) * _AXES
        if not kind and not self.sections[0]:
            return b""
        out = bytes((kind,))
        if axes:
            out += pack_varint(len(axes)) + axes.encode("ascii")
        if per_channel:
            out += pack_varint(len(self.sections))
        return out + b"".join(pack_varint(len(s)) + s for s in self.sections)

    def invert(self, integers: Ints, dtype: np.dtype[Any], approximate: bool) -> Array:
        """Values of decoded planes; `approximate` ones are brought into range."""
        if self.colour:
            integers = _from_green(integers)
        out = np.empty(integers.shape, dtype)
        for group, section in enumerate(self.sections):
            chosen = self.groups == group
            out[chosen] = field.unmap(integers[chosen], section, dtype, approximate)
        return out


def read_mapping(section: bytes) -> tuple[str, Callable[[Layout], Mapping]]:
    """Axes named in a maps section (or ""), and the mapping once the layout is known."""
    if not section:
        return "", lambda layout: Mapping(_none(), (b"",), np.zeros(layout.n_planes, np.int64))
    reader = Reader(section)
    kind = reader.byte()
    if kind & ~(_COLOUR | _PER_CHANNEL | _AXES):
        raise CodecError(f"frame is damaged: unknown maps section 0x{kind:02x}")
    named = ""
    if kind & _AXES:
        named = bytes(reader.take(reader.varint())).decode("ascii", "replace")
    n = reader.varint() if kind & _PER_CHANNEL else 1
    if n > _MAX_CHANNELS:
        raise CodecError(f"frame is damaged: {n} value maps")
    sections = tuple(bytes(reader.take(reader.varint())) for _ in range(n))
    if reader.remaining:
        raise CodecError("frame is damaged: bytes are left over in the maps section")

    def place(layout: Layout) -> Mapping:
        groups = _channel_of(layout) if kind & _PER_CHANNEL else None
        if groups is None:
            groups = np.zeros(layout.n_planes, np.int64)
        if groups.size and int(groups.max()) >= n:
            raise CodecError("frame is damaged: fewer value maps than channels")
        if kind & _COLOUR and _channels(layout) != 3:
            raise CodecError("frame is damaged: colour in a chunk without three channels")
        return Mapping(_none(), sections, groups, bool(kind & _COLOUR))

    return named, place


def choose(
    model: Model,
    layout: Layout,
    planes: Array,
    max_error: float | None,
    fill_value: float | None,
    engine: str | None,
) -> Mapping | None:
    """The mapping of planes (planes, rows, columns) that promises the fewest bits."""
    whole = np.zeros(len(planes), np.int64)
    auto = model.autoencoder
    if auto is not None and auto.normalise == "identity":
        return Mapping(planes.astype(np.int64), (b"",), whole)
    backend = model.backend(engine)
    if max_error is not None:
        mapped = field.bounded(planes, max_error, fill_value)
        if mapped is None:
            return None
        exact = next(field.lossless(planes, fill_value), None)
        # Few distinct values may cost less exactly, as ranks, than as multiples of a step.
        if (
            exact is not None
            and field.is_palette(exact)
            and _cost(backend, exact) < _cost(backend, mapped)
        ):
            mapped = exact
        return Mapping(mapped.integers, (mapped.section,), whole)
    single, cost = _cheapest(backend, planes, fill_value)
    groups = _channel_of(layout)
    best = None if single is None else Mapping(single.integers, (single.section,), whole)
    worth = planes.dtype.kind == "f" or (single is not None and bool(single.section))
    if groups is not None and worth:
        n_groups = int(groups.max()) + 1
        parts = [_cheapest(backend, planes[groups == g], fill_value) for g in range(n_groups)]
        if all(p is not None for p, _ in parts) and sum(c for _, c in parts) < cost:
            integers = np.empty(planes.shape, np.int64)
            for g, (part, _) in enumerate(parts):
                assert part is not None
                integers[groups == g] = part.integers
            best = Mapping(integers, tuple(p.section for p, _ in parts if p is not None), groups)
    if best is not None and _channels(layout) == 3 and not any(best.sections):
        return _with_colour(backend, best)
    return best


def lossy_mapping(layout: Layout, planes: Array, fill_value: float | None) -> Mapping | None:
    """The mapping for latents alone: floats get a step far below what latents can show."""
    whole = np.zeros(layout.n_planes, np.int64)
    if planes.dtype.kind in "iu":
        plain = next(field.lossless(planes, None), None)
        return None if plain is None else Mapping(plain.integers, (plain.section,), whole)
    shown = masks.hide(planes, masks.find(planes, fill_value, exact=False))
    step = (float(shown.max()) - float(shown.min())) / _LOSSY_STEPS
    mapped = field.bounded(planes, step, fill_value) if step > 0 else None
    return None if mapped is None else Mapping(mapped.integers, (mapped.section,), whole)


def _cheapest(
    backend: Backend, planes: Array, fill_value: float | None
) -> tuple[Mapped | None, float]:
    """The best lossless map of some planes and its estimated cost."""
    offers = list(field.lossless(planes, fill_value))
    if len(offers) == 1:
        return offers[0], _cost(backend, offers[0])
    best, cost = None, float("inf")
    for offer in offers:
        bits = _cost(backend, offer)
        if bits < cost:
            best, cost = offer, bits
    return best, cost


def _cost(backend: Backend, offer: Mapped) -> float:
    return 8 * len(offer.section) + _estimate(backend, list(offer.integers), offer.integers.size)


def _estimate(backend: Backend, planes: Sequence[Ints], n_samples: int) -> float:
    """Estimated bits of planes, from small pieces of two of them."""
    chosen = sorted({len(planes) // 3, (2 * len(planes)) // 3})
    pieces, infos, seen = [], [], 0
    for i in chosen:
        plane = planes[i]
        if backend.predictor.geometry.name == "track":
            start = max(0, plane.shape[1] // 2 - 8192)
            run = plane[:, start : start + 16384]
            info = PlaneInfo(1, run.shape[1], run.shape[1])
        else:
            top = max(0, (plane.shape[0] - _SAMPLE_ROWS) // 2)
            run = plane[top : top + _SAMPLE_ROWS, :_SAMPLE_COLUMNS]
            info = PlaneInfo(run.shape[0], run.shape[1], run.size)
        pieces.append(np.ascontiguousarray(run))
        infos.append(info)
        seen += run.size
    bits = coder.estimate(backend, infos, pieces, range(len(pieces)))
    return bits * n_samples / max(1, seen)


def _with_colour(backend: Backend, mapping: Mapping) -> Mapping:
    green = _to_green(mapping.integers)
    plain = _estimate(backend, [*mapping.integers[0::3][:1], *mapping.integers[2::3][:1]], 1)
    differences = _estimate(backend, [*green[1::3][:1], *green[2::3][:1]], 1)
    if differences >= plain:
        return mapping
    return Mapping(green, mapping.sections, mapping.groups, True)


def _to_green(planes: Ints) -> Ints:
    out = np.empty_like(planes)
    green = planes[1::3]
    out[0::3], out[1::3], out[2::3] = green, planes[0::3] - green, planes[2::3] - green
    return out


def _from_green(planes: Ints) -> Ints:
    out = np.empty_like(planes)
    green = planes[0::3]
    out[1::3], out[0::3], out[2::3] = green, planes[1::3] + green, planes[2::3] + green
    return out


def _channels(layout: Layout) -> int:
    """Size of the channel axis if it is the innermost one that counts planes, else 1."""
    inner = layout.axes[layout.order[len(layout.counts) - 1]] if layout.counts else ""
    return layout.counts[-1] if inner == "c" else 1


def _channel_of(layout: Layout) -> npt.NDArray[np.int64] | None:
    """Channel of each plane, or None without a channel axis."""
    outer = [layout.axes[d] for d in layout.order[: len(layout.counts)]]
    if "c" not in outer or layout.counts[outer.index("c")] > _MAX_CHANNELS:
        return None
    index = np.indices(layout.counts)[outer.index("c")].reshape(-1)
    return index.astype(np.int64) if layout.counts[outer.index("c")] > 1 else None


def _none() -> Ints:
    return np.zeros((0, 0, 0), np.int64)
