"""Planes and value maps: FORMAT.md 4 and 5 as plain Python.

Part of the independent reader, see independent_reader.py.
"""

import numpy as np
from numcodecs import Blosc, Zstd

from independent_network import Bytes

TRACK_BLOCK = 65536
TRACK_LANE = 4096
MAX_LANES = 16


class Planes:
    """How the array is cut into planes and pieces (section 4)."""

    def __init__(self, shape, axes, is_track):
        assert len(axes) == len(shape)
        spanning = "t" if is_track else "yx"
        inner = [axes.index(letter) for letter in spanning if letter in axes]
        outer = [i for i, letter in enumerate(axes) if letter == "n"]
        outer += [i for i, letter in enumerate(axes) if letter not in spanning + "n"]
        self.is_track = is_track
        self.order = outer + inner
        self.counted = [shape[i] for i in self.order[: len(outer)]]
        self.span = [shape[i] for i in self.order[len(outer) :]]
        self.height, self.width = ([1, *self.span])[-2:]
        self.count = int(np.prod(self.counted, dtype=int))
        letters = [axes[i] for i in outer]
        self.is_grouped = bool(letters) and letters[-1] != "n"

    def pieces(self):
        """Yield (plane, first sample, end) of each piece in coding order (4.2)."""
        if not self.is_track:
            yield from ((plane, 0, self.height * self.width) for plane in range(self.count))
            return
        together = self.counted[-1] if self.is_grouped else 1
        for item in range(0, self.count, together):
            for start in range(0, self.width, TRACK_BLOCK):
                for track in range(item, item + together):
                    yield track, start, min(start + TRACK_BLOCK, self.width)

    def parts(self, d):
        """Return the map of each plane if maps differ along counted dimension `d` (5)."""
        if d == 0:
            return np.arange(self.count)
        step = int(np.prod(self.counted[d:], dtype=int))
        return np.arange(self.count) // step % self.counted[d - 1]

    def lanes(self, n):
        """Return the lengths of the lanes of a piece of `n` samples."""
        if not self.is_track:
            return [self.width] * self.height
        n_lanes = min(max(n // TRACK_LANE, 1), MAX_LANES)
        length = -(-n // n_lanes)
        return [min(length, n - start) for start in range(0, n, length)]

    def join(self, pieces):
        """Put decoded pieces together: (planes, samples)."""
        samples = np.empty((self.count, self.height * self.width), np.int64)
        for (plane, start, stop), piece in zip(self.pieces(), pieces, strict=True):
            samples[plane, start:stop] = piece
        return samples

    def to_array(self, values):
        """Bring (planes, samples) into the array's own axes."""
        return values.reshape(self.counted + self.span).transpose(np.argsort(self.order))


class Maps:
    """The maps section (5): axes, colour, mask, and the map of each part."""

    def __init__(self, section, model, dtype, shape):
        self.dtype = dtype
        self.is_complex = dtype.kind == "c"
        axes = default_axes(model, shape)
        reader = Bytes(section or b"\0\0")
        flags = reader.unpack("B")
        if flags & 4:
            axes = reader.sized().decode()
        if self.is_complex:
            axes, shape = axes + ("n" if "c" in axes else "c"), (*shape, 2)
        self.planes = Planes(shape, axes, model.is_track)
        self.map_of = np.zeros(self.planes.count, int)
        if flags & 2:
            self.map_of = self.planes.parts(reader.varint())
        self.is_colour = bool(flags & 1)
        self.contents = [reader.sized() for _ in range(max(self.map_of, default=0) + 1)]
        self.mask = reader if flags & 8 else None
        if not self.mask:
            assert reader.take() == b""

    def invert(self, samples, exact):
        """Return the array of (planes, samples) integers."""
        if self.is_colour:
            green, red, blue = samples[0::3], samples[1::3], samples[2::3]
            samples = np.stack([red + green, green, blue + green], 1).reshape(samples.shape)
        dtype = self.dtype.newbyteorder("=")
        if self.is_complex:
            dtype = np.dtype(f"f{dtype.itemsize // 2}")
        values = np.empty(samples.shape, dtype)
        for i, content in enumerate(self.contents):
            chosen = self.map_of == i
            values[chosen] = invert_map(content, samples[chosen], dtype, exact)
        if self.mask:
            put_masked(self.mask, values.reshape(-1).view(f"u{dtype.itemsize}"))
            assert self.mask.take() == b""
        array = self.planes.to_array(values)
        if self.is_complex:
            array = np.ascontiguousarray(array).view(f"c{2 * array.itemsize}")[..., 0]
        return array.astype(self.dtype)


def default_axes(model, shape):
    """Return the axes of an array whose frame states none (4.1)."""
    n = len(shape)
    if model.is_track:
        if n == 2:
            return "tc" if shape[0] > shape[1] else "ct"
        return "n" * (n - 1) + "t"
    letters = model.axes
    if letters[-1] == "c" and n and shape[-1] > 4:
        letters = letters[:-1]
    if letters == "yx" and n >= 3 and shape[-1] <= 4 < min(shape[-3:-1]):
        letters = "yxc"
    if n < len(letters):
        letters = "".join(letter for letter in letters if letter not in "nzc")
    return letters[max(len(letters) - n, 0) :].rjust(n, "n")


def invert_map(content, q, dtype, exact):
    """Turn the integers of one map into values of `dtype` (5.1, 5.2)."""
    reader = Bytes(content or b"\0")
    kind = reader.unpack("B")
    work = np.dtype("f4") if dtype.kind == "f" and (kind & 64 or dtype.itemsize == 2) else dtype
    with np.errstate(over="ignore"):
        values = KINDS[kind & 63](reader, q, work, exact)
        if dtype.kind == "f" and not exact:
            values = values.clip(-np.finfo(dtype).max, np.finfo(dtype).max)
        values = values.astype(dtype)
    values = np.ascontiguousarray(values).reshape(-1)
    if kind & 128:
        count = reader.varint()
        part = Zstd().decode(reader.sized())
        gaps = np.frombuffer(part, "<u4", count).astype(np.int64)
        positions = np.cumsum(gaps + 1) - 1
        values[positions] = np.frombuffer(part, dtype, offset=4 * count)
    assert reader.take() == b""
    return values.reshape(q.shape)  # in this machine's byte order


def read_identity(reader, q, dtype, exact):
    return to_dtype(q, dtype)


def read_offset(reader, q, dtype, exact):
    return to_dtype(q + reader.unpack("q"), dtype)


def read_quantised(reader, q, dtype, exact):
    return to_dtype(q * reader.unpack("d"), dtype)


def read_palette(reader, q, dtype, exact):
    kind, head, value = reader.unpack("B"), reader.varint(), reader.unpack("q")
    count = head >> 1
    gaps = (
        [reader.unpack("q") for _ in range(count - 1)] if head & 1 else numbers(reader, count - 1)
    )
    palette = [value]
    for gap in gaps:
        value = (value + gap + 1 + 2**63) % 2**64 - 2**63
        palette.append(value)
    values = np.array(palette)[np.clip(q, 0, count - 1)]
    return from_ordered(values, dtype) if kind == 255 else to_decimals(values, kind, dtype)


def read_divided(reader, q, dtype, exact):
    k, g, o = reader.unpack("B"), reader.varint(), reader.unpack("q")
    r = corrections(Bytes(reader.sized()), q.size)
    return to_decimals(q * g + o + (r.reshape(q.shape) if exact else 0), k, dtype)


def read_grid(reader, q, dtype, exact):
    step, offset = reader.unpack("d"), reader.unpack("d")
    r = corrections(Bytes(reader.sized()), q.size).reshape(q.shape)
    values = (q * step + offset).astype(dtype)
    values[values == 0] = 0
    chosen = (r != 0) if exact else np.zeros(q.shape, bool)
    values[chosen] = from_ordered(ordered(values[chosen]) + r[chosen], dtype)
    return values


def read_stored(reader, q, dtype, exact):
    """A fallback payload (3.1) of the samples."""
    payload = reader.sized()
    method, body = payload[0], payload[1:]
    content = [bytes, Zstd().decode, Blosc().decode, lambda item: item * q.size][method](body)
    return np.frombuffer(content, dtype).reshape(q.shape)


def to_decimals(values, k, dtype):
    return values.astype(dtype) if dtype.kind != "f" else (values / 10.0**k).astype(dtype)


def numbers(reader, count):
    """A list of numbers (5.3)."""
    if not count:
        return []
    head = reader.varint()
    content = Zstd().decode(reader.sized()) if head & 1 else reader.take(head >> 1)
    assert len(content) == head >> 1
    inner = Bytes(content)
    found = [inner.varint() for _ in range(count)]
    assert inner.take() == b""
    return found


def corrections(reader, n):
    """The correction of each of `n` samples (5.3)."""
    r = np.zeros(n, np.int64)
    count = reader.varint()
    if count:
        positions = np.cumsum(np.array(numbers(reader, count)) + 1) - 1
        distinct = reader.varint()
        values = numbers(reader, distinct or count)
        values = np.array([-(v // 2) - 1 if v % 2 else v // 2 for v in values])
        if distinct:
            values = values[numbers(reader, count) if distinct > 1 else 0]
        r[positions] = values
    assert reader.take() == b""
    return r


def to_dtype(q, dtype):
    """Clamp to the type's range, then convert."""
    if dtype.kind in "iu":
        q = np.clip(q, np.iinfo(dtype).min, np.iinfo(dtype).max)
    return q.astype(dtype)


def ordered(values):
    """Return the ordered integers of float32 or float64 values."""
    bits = 8 * values.dtype.itemsize
    b = values.view(f"i{values.dtype.itemsize}").astype(np.int64)
    return np.where(b >= 0, b, -(b & np.int64(2 ** (bits - 1) - 1)))


def from_ordered(integers, dtype):
    """Turn ordered integers into floats; other types hold their values."""
    if dtype.kind != "f":
        return integers.astype(dtype)
    sign = np.uint64(1 << (8 * dtype.itemsize - 1))
    bits = np.where(integers >= 0, integers.astype(np.uint64), (-integers).astype(np.uint64) | sign)
    return bits.astype(f"u{dtype.itemsize}").view(dtype)


def read_layers(reader, q, dtype, exact):
    """Return the floats of two layers."""
    k, form = reader.unpack("h"), reader.unpack("B")
    cells = q.reshape(-1)
    starts = ordered((cells * 2.0**k).astype(np.float32))
    ends = ordered(((cells + 1) * 2.0**k).astype(np.float32))
    if form == 0:
        return from_ordered(starts, dtype).reshape(q.shape)
    size = reader.varint()
    stored = reader.sized()
    exponents = iter(numbers(Bytes(reader.sized()), int(((cells == 0) | (cells == -1)).sum())))
    if not exact:
        return from_ordered(starts, dtype).reshape(q.shape)
    content = Zstd().decode(stored) if form == 1 else stored
    assert len(content) == size
    bits = np.unpackbits(np.frombuffer(content, np.uint8)).tolist()
    top = int(ordered(np.array([2.0**k]).astype(np.float32))[0]) >> 23
    signs, n_bits = [], []
    for i, (v, a, b) in enumerate(zip(cells.tolist(), starts.tolist(), ends.tolist(), strict=True)):
        signs.append(-1 if v == -1 else 1)
        if v in (0, -1):
            e = next(exponents)
            starts[i] = (top + 1 - e) << 23 if e else 0
            n_bits.append(23 if e else 0)
        else:
            n_bits.append(0 if abs(v) >= 1 << 24 else (max(1, b - a) - 1).bit_length())
    at = 0
    for i in sorted(range(len(n_bits)), key=n_bits.__getitem__):
        rest = bits[at : at + n_bits[i]]
        at += n_bits[i]
        starts[i] = (starts[i] + int("0" + "".join(map(str, rest)), 2)) * signs[i]
    return from_ordered(starts, dtype).reshape(q.shape)


KINDS = (
    read_identity, read_offset, read_palette, read_quantised, read_layers, read_divided, read_grid,
    read_stored,
)  # fmt: skip


def put_masked(reader, patterns):
    """Overwrite the masked samples by their bit patterns (5.2)."""
    count = reader.varint()
    table = np.frombuffer(reader.take(count * patterns.itemsize), patterns.dtype)
    where = zstd(reader.sized())
    mask = np.unpackbits(np.frombuffer(where, np.uint8), count=len(patterns)).astype(bool)
    chosen = 0
    if count > 1:
        chosen = np.frombuffer(zstd(reader.sized()), "<u4")
    patterns[mask] = table[chosen]


def zstd(content):
    return Zstd().decode(content) if content else b""
