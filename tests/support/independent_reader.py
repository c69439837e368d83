"""A reader of latrans frames, written from src/latrans/FORMAT.md alone.

`decode(frame, model_file)` returns the array.  It imports nothing of the package, is plain Python
and slow, and proves that the document says enough.  Its other parts are independent_maps.py
(sections 4 and 5), independent_geometry.py and independent_residual.py (6), independent_network.py
(7, 9 and 10) and independent_transform.py (11); this file holds sections 2, 3 and 8.
"""

import ast
import itertools
import math
import zlib

import numpy as np
from numcodecs import Blosc, Zstd

import independent_residual
import independent_transform
from independent_maps import Maps
from independent_network import Bytes, Model, Rans, token_bits, token_value

DTYPES = (
    "|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8", "<c8",
    "<c16", ">u2", ">i2", ">u4", ">i4", ">u8", ">i8", ">f2", ">f4", ">f8", ">c8", ">c16",
)  # fmt: skip


class Frame:
    """A frame taken apart (section 2)."""

    def __init__(self, data):
        data = bytes(data)
        if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise ValueError("wrong checksum")
        head = Bytes(data[:-4])
        magic, versions = head.unpack("B"), head.unpack("B")
        if magic != 0xCA or versions >> 4 != 1:
            raise ValueError("not a latrans frame of version 1")
        self.model_version = head.varint() if versions & 15 == 15 else versions & 15
        flags, kind = head.unpack("B"), head.unpack("B")
        self.is_lossy = flags & 3 == 0
        self.order = "F" if flags & 16 else "C"
        self.is_fallback = bool(flags & 32)
        n_axes = head.varint() if kind & 7 == 7 else kind & 7
        self.dtype = read_dtype(head.sized().decode() if kind >> 3 == 31 else DTYPES[kind >> 3])
        self.shape = tuple(head.varint() for _ in range(n_axes))
        self.digest = b"" if self.is_fallback else head.take(8)
        self.max_error = head.unpack("d") if flags & 3 == 1 else None
        maps_size = head.varint() if flags & 64 else 0
        latents_size = head.varint() if flags >> 2 & 3 else 0
        self.maps = head.take(maps_size)
        self.latents = head.take(latents_size)
        self.rest = head.take()  # residual section or fallback payload


def decode(data, model_file=None, preview=False):
    """Decode one frame with the bytes of the model file that it names (none for a fallback)."""
    frame = Frame(data)
    if frame.is_fallback:
        array = read_fallback(frame.rest, frame.dtype, frame.shape)
        return np.asarray(array, order=frame.order)
    model = Model(model_file)
    if frame.digest != model.digest[:8] or frame.model_version != model.version:
        raise ValueError("the frame names another model")
    maps = Maps(frame.maps, model, frame.dtype, frame.shape)
    planes = maps.planes
    rebuilt = [None] * planes.count
    if frame.latents:
        rebuilt = read_latents(model, frame.latents, planes)
    exact = not frame.is_lossy and not preview
    if exact:
        samples = planes.join(read_pieces(model, planes, rebuilt, frame.rest))
    else:
        samples = np.array(rebuilt).reshape(planes.count, -1)
    return np.asarray(maps.invert(samples, exact=exact), order=frame.order)


def read_dtype(text):
    """Make a dtype from a type string, or from the literal of a structured type (2.3)."""
    if text[0] not in "[{":
        return np.dtype(text)
    literal = ast.literal_eval(text)
    return np.dtype(literal) if text[0] == "{" else np.lib.format.descr_to_dtype(literal)


def read_fallback(payload, dtype, shape):
    """Return the array of a fallback payload (3.1)."""
    method, content = payload[0], payload[1:]
    if method == 1:
        content = Zstd().decode(content)
    elif method == 2:
        content = Blosc().decode(content)
    elif method == 3:
        content = content * math.prod(shape)
    return np.ndarray(shape, dtype, bytearray(content))


def read_pieces(model, planes, rebuilt, data):
    """Return the samples of each piece, in order."""
    if model.residual["geometry"] == "values":
        return independent_residual.decode_values(model, rebuilt, data)
    lengths, reconstructions = [], []
    for plane, start, stop in planes.pieces():
        lanes = planes.lanes(stop - start)
        lengths.append(lanes)
        whole = rebuilt[plane]
        if whole is None:
            reconstructions.append(None)
        else:
            part = iter(whole.reshape(-1)[start:stop].tolist())
            reconstructions.append([list(itertools.islice(part, n)) for n in lanes])
    return independent_residual.decode(model, lengths, reconstructions, data)


def read_latents(model, section, planes):
    """Return the reconstruction of each plane: (height, width) integers (section 8)."""
    if model.transform is not None:
        return independent_transform.decode(model, section, planes)
    spec = model.autoencoder
    reader = Bytes(section)
    channels = len(model.tensors["latents.tables"])
    grid = ()
    if spec["kind"] == "conv":
        grid = tuple(
            -(-n // s) for n, s in zip((planes.height, planes.width), spec["stride"], strict=True)
        )
        scales = np.frombuffer(zlib.decompress(reader.sized()), "<i4").astype(np.int64)
        centres, shifts = scales[: planes.count], scales[planes.count :]
    latents = decode_latents(model, (planes.count, channels, *grid), reader.take())
    rebuilt = []
    for i, z in enumerate(latents):
        y = model.run("autoencoder.synthesis", spec["synthesis"], z)
        if spec["kind"] == "conv":
            y = centres[i] + (((y[0] << shifts[i]) + 512) >> 10)
            rebuilt.append(y[: planes.height, : planes.width].clip(-(1 << 31), (1 << 31) - 1))
        else:
            rebuilt.append(y.reshape(planes.height, planes.width))
    return rebuilt


def decode_latents(model, shape, data):
    """Entropy-decode latents of `shape` (planes, channels, ...)."""
    tables = model.tensors["latents.tables"].tolist()
    latents = np.empty((shape[0], shape[1], int(np.prod(shape[2:]))), np.int64)
    rans = Rans(data, latents.size)
    for i, (plane, channel, position) in enumerate(np.ndindex(latents.shape)):
        token = rans.symbol(i, tables[channel])
        if token == 140:
            token = rans.raw(i, 8)
        n = token_bits(token)
        bits = rans.raw(i, min(n, 16))
        bits |= rans.raw(i, max(n - 16, 0)) << 16
        latents[plane, channel, position] = token_value(token, bits)
    rans.finish()
    return latents.reshape(shape)
