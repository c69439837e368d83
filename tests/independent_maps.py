"""Planes and value maps: FORMAT.md 4 and 5 as plain Python.

Part of the independent reader, see independent_reader.py.
"""

import numpy as np
from numcodecs import Zstd

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
        # How many planes further the index of the channel is one more.
        inside = letters.index("c") + 1 if "c" in letters else len(letters)
        self.channel_step = int(np.prod(self.counted[inside:], dtype=int))

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
    """The maps section (5): axes, colour, and the map of each channel."""

    def __init__(self, section, model, dtype, shape):
        self.dtype = dtype
        flags, axes = 0, default_axes(model, shape)
        contents = [b""]
        if section:
            reader = Bytes(section)
            flags = reader.unpack("B")
            if flags & 4:
                axes = reader.sized().decode()
            count = reader.varint() if flags & 2 else 1
            contents = [reader.sized() for _ in range(count)]
            assert reader.take() == b""
        self.is_colour = bool(flags & 1)
        self.contents = contents
        self.planes = Planes(shape, axes, model.is_track)

    def invert(self, samples, exact):
        """Return the array of (planes, samples) integers."""
        if self.is_colour:
            green, red, blue = samples[0::3], samples[1::3], samples[2::3]
            samples = np.stack([red + green, green, blue + green], 1).reshape(samples.shape)
        values = np.empty(samples.shape, self.dtype)
        n = len(self.contents)
        map_of = np.arange(self.planes.count) // self.planes.channel_step % n
        for i, content in enumerate(self.contents):
            values[map_of == i] = invert_map(content, samples[map_of == i], self.dtype, exact)
        return self.planes.to_array(values)


def default_axes(model, shape):
    """Return the axes of an array whose frame states none (4.1)."""
    n = len(shape)
    if model.is_track:
        if n == 2:
            return "tc" if shape[0] > shape[1] else "ct"
        return "n" * (n - 1) + "t"
    if model.axes == "yx" and n >= 3 and shape[-1] <= 4 < min(shape[-3:-1]):
        return "n" * (n - 3) + "yxc"
    return "n" * (n - len(model.axes)) + model.axes[max(len(model.axes) - n, 0) :]


def invert_map(content, q, dtype, exact):
    """Turn the integers of one map into values of `dtype` (5.1, 5.2)."""
    dtype = dtype.newbyteorder("=")
    reader = Bytes(content or b"\0")
    kind = reader.unpack("B")
    if kind & 63 == 0:
        values = to_dtype(q, dtype)
    elif kind & 63 == 1:
        values = to_dtype(q + reader.unpack("q"), dtype)
    elif kind & 63 == 2:
        palette = read_palette(reader)
        values = from_ordered(palette[np.clip(q, 0, len(palette) - 1)], dtype)
    elif kind & 63 == 3:
        values = to_dtype(q * reader.unpack("d"), dtype)
    else:
        values = from_ordered(read_layers(reader, q, exact), dtype)
    values = np.ascontiguousarray(values).reshape(-1)
    if kind & 64:
        put_masked(reader, values.view(f"u{dtype.itemsize}"))
    if kind & 128:
        count = reader.varint()
        part = Zstd().decode(reader.sized())
        gaps = np.frombuffer(part, "<u4", count).astype(np.int64)
        positions = np.cumsum(gaps + 1) - 1
        values[positions] = np.frombuffer(part, dtype, offset=4 * count)
    assert reader.take() == b""
    return values.reshape(q.shape)  # in this machine's byte order


def to_dtype(q, dtype):
    """Clamp to the type's range, then convert."""
    if dtype.kind in "iu":
        q = np.clip(q, np.iinfo(dtype).min, np.iinfo(dtype).max)
    return q.astype(dtype)


def read_palette(reader):
    count = reader.varint()
    bytes_of = np.frombuffer(Zstd().decode(reader.sized()), np.uint8).reshape(8, count)
    gaps = np.ascontiguousarray(bytes_of.T).view("<i8").reshape(-1)
    return np.cumsum(gaps)


def ordered(values):
    """Return the ordered integers of float32 values."""
    b = values.view(np.int32).astype(np.int64)
    return np.where(b >= 0, b, -(b & 0x7FFFFFFF))


def from_ordered(integers, dtype):
    """Turn ordered integers into floats; other types hold their values."""
    if dtype.kind != "f":
        return integers.astype(dtype)
    bits = np.where(integers >= 0, integers, -integers | 0x80000000)
    return bits.astype(np.uint32).view(np.float32).astype(dtype)


def read_layers(reader, q, exact):
    """Return the ordered integers of two layers."""
    k, form = reader.unpack("h"), reader.unpack("B")
    starts = ordered((q * 2.0**k).astype(np.float32)).reshape(-1)
    ends = ordered(((q + 1) * 2.0**k).astype(np.float32)).reshape(-1)
    if form == 0:
        return starts.reshape(q.shape)
    size = reader.varint()
    stored = reader.sized()
    if not exact:
        return starts.reshape(q.shape)
    content = Zstd().decode(stored) if form == 1 else stored
    assert len(content) == size
    bits = np.unpackbits(np.frombuffer(content, np.uint8)).tolist()
    n_bits = [
        0 if abs(v) >= 1 << 24 else (max(1, int(b - a)) - 1).bit_length()
        for v, a, b in zip(q.reshape(-1).tolist(), starts, ends, strict=True)
    ]
    at = 0
    for i in sorted(range(len(n_bits)), key=n_bits.__getitem__):
        rest = bits[at : at + n_bits[i]]
        at += n_bits[i]
        starts[i] += int("0" + "".join(map(str, rest)), 2)
    return starts.reshape(q.shape)


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
