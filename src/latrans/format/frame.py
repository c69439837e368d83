"""Frames: the bytes of one chunk, and what they say about themselves (FORMAT.md section 2).

A frame is a header, up to three sections and a checksum.  The header can be read without the
model; everything below the header belongs to the value maps, the latents and the residual.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import CodecError, ConfigError
from .varint import Reader, pack_varint

Buffer = bytes | bytearray | memoryview

MAGIC = 0xCA  # FORMAT.md 2.1
FORMAT_VERSION = 1  # FORMAT.md 2.1
MODES = ("lossy", "bounded", "lossless")  # FORMAT.md 2.2
LATENT_DTYPES = ("none", "int8", "int16", "int32")  # FORMAT.md 2.2
MAX_NDIM = 64
MAX_NBYTES = 1 << 40  # of a chunk; empty dimensions and items count as one

# FORMAT.md 2.3; the position is the code, byte order is part of the type.
_DTYPES = (
    "|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8",
    "<c8", "<c16", ">u2", ">i2", ">u4", ">i4", ">u8", ">i8", ">f2", ">f4", ">f8", ">c8", ">c16",
)  # fmt: skip
_DTYPE_OTHER = 31


@dataclass(frozen=True)
class Frame:
    """One chunk's bytes, taken apart.

    Attributes
    ----------
    mode : {"lossy", "bounded", "lossless"}
    dtype : numpy.dtype
        Of the decoded array, byte order included.
    shape : tuple of int
    fortran : bool
        Whether the decoded array is laid out in column-major order.
    model_digest : bytes or None
        First 8 bytes of the model's SHA-256; None for a fallback frame, which needs no model.
    model_version : int
    latent_dtype : {"none", "int8", "int16", "int32"}
    max_error : float or None
        The bound, in units of the data; bounded mode only.
    maps, latents, residual : bytes
        Sections.  In a fallback frame `residual` is the fallback codec's payload.
    """

    mode: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    fortran: bool = False
    model_digest: bytes | None = None
    model_version: int = 0
    latent_dtype: str = "none"
    max_error: float | None = None
    maps: bytes = b""
    latents: bytes = b""
    residual: bytes = b""

    @property
    def fallback(self) -> bool:
        return self.model_digest is None


def pack(frame: Frame) -> bytes:
    """Serialise a frame; `unpack` is its inverse."""
    out = head(frame)
    if frame.maps:
        out += pack_varint(len(frame.maps))
    if frame.latent_dtype != "none":
        out += pack_varint(len(frame.latents))
    return sealed(out + frame.maps + frame.latents + frame.residual)


def sealed(body: bytes) -> bytes:
    """A frame's bytes with their checksum."""
    return body + zlib.crc32(body).to_bytes(4, "little")


def head(frame: Frame) -> bytes:
    """What comes before the lengths of a frame's sections; of these only counts which there are."""
    out = bytearray((MAGIC, FORMAT_VERSION << 4 | min(frame.model_version, 15)))
    if frame.model_version >= 15:
        out += pack_varint(frame.model_version)
    out.append(
        MODES.index(frame.mode)
        | LATENT_DTYPES.index(frame.latent_dtype) << 2
        | frame.fortran << 4
        | frame.fallback << 5
        | bool(frame.maps) << 6
    )
    if _nbytes(frame.shape, frame.dtype) > MAX_NBYTES:
        raise ConfigError(
            f"array of shape {frame.shape} and dtype {frame.dtype} is too large for one chunk; "
            f"at most {MAX_NBYTES} bytes: split it"
        )
    descr = _dtype_descr(frame.dtype)
    code = _DTYPES.index(descr) if descr in _DTYPES else _DTYPE_OTHER
    out.append(code << 3 | min(len(frame.shape), 7))
    if len(frame.shape) >= 7:
        out += pack_varint(len(frame.shape))
    if code == _DTYPE_OTHER:
        text = descr.encode("utf-8")
        out += pack_varint(len(text)) + text
    for n in frame.shape:
        out += pack_varint(n)
    if frame.model_digest is not None:
        out += frame.model_digest
    if frame.mode == "bounded":
        out += struct.pack("<d", frame.max_error)
    return bytes(out)


def unpack(data: bytes | memoryview) -> Frame:
    """Parse and check a frame; raises `CodecError` for anything that is not a whole, intact one."""
    view = memoryview(data).cast("B")
    if len(view) < 8:
        raise CodecError(f"frame of {len(view)} bytes is too short: a frame has at least 8")
    if view[0] != MAGIC:
        raise CodecError(
            f"not a latrans frame: it starts with byte 0x{view[0]:02x}, expected 0x{MAGIC:02x}"
        )
    if view[1] >> 4 != FORMAT_VERSION:
        raise CodecError(
            f"frame has format version {view[1] >> 4}; this latrans reads version "
            f"{FORMAT_VERSION}: update latrans, or check that the bytes are a latrans frame"
        )
    body = view[:-4]
    if zlib.crc32(body) != struct.unpack("<I", view[-4:])[0]:
        raise CodecError(
            f"checksum of a {len(view)}-byte frame does not match: it is damaged or cut short"
        )
    reader = Reader(body)
    reader.take(1)
    model_version = reader.byte() & 15
    if model_version == 15:
        model_version = reader.varint()
    flags = reader.byte()
    mode_code, latent_code = flags & 3, flags >> 2 & 3
    if mode_code >= len(MODES) or flags >> 7:
        raise CodecError(f"frame has unknown flags 0x{flags:02x}")
    kind = reader.byte()
    ndim = kind & 7
    if ndim == 7:
        ndim = reader.varint()
    if ndim > MAX_NDIM:
        raise CodecError(f"frame claims {ndim} dimensions; at most {MAX_NDIM} are allowed")
    dtype = _read_dtype(reader, kind >> 3)
    shape = tuple(reader.varint() for _ in range(ndim))
    if _nbytes(shape, dtype) > MAX_NBYTES:
        raise CodecError(f"frame claims shape {shape} of {dtype}; at most {MAX_NBYTES} bytes")
    digest = None if flags >> 5 & 1 else bytes(reader.take(8))
    mode = MODES[mode_code]
    max_error = struct.unpack("<d", reader.take(8))[0] if mode == "bounded" else None
    maps_nbytes = reader.varint() if flags >> 6 & 1 else 0
    latents_nbytes = reader.varint() if latent_code else 0
    return Frame(
        mode=mode,
        dtype=dtype,
        shape=shape,
        fortran=bool(flags >> 4 & 1),
        model_digest=digest,
        model_version=model_version,
        latent_dtype=LATENT_DTYPES[latent_code],
        max_error=max_error,
        maps=bytes(reader.take(maps_nbytes)),
        latents=bytes(reader.take(latents_nbytes)),
        residual=bytes(reader.rest()),
    )


def _nbytes(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> int:
    return math.prod(max(1, n) for n in shape) * max(1, dtype.itemsize)


def _dtype_descr(dtype: np.dtype[np.generic]) -> str:
    """NumPy's own type string; structured types as a literal."""
    if dtype.hasobject:
        raise TypeError("latrans stores numbers, not Python objects: convert the array first")
    if dtype.names is None and dtype.subdtype is None:
        return dtype.str
    return repr(_literal(dtype))


def _literal(dtype: np.dtype[np.generic]) -> Any:
    """Description of a structured type as in .npy files; a dict where fields are out of order."""
    try:
        descr = np.lib.format.dtype_to_descr(dtype)
        if np.lib.format.descr_to_dtype(descr) == dtype:
            return descr
    except ValueError:
        pass
    if dtype.subdtype is not None:
        return _literal(dtype.subdtype[0]), dtype.subdtype[1]
    if dtype.names is None or dtype.fields is None:
        return dtype.str
    fields = [dtype.fields[name] for name in dtype.names]
    description = {
        "names": list(dtype.names),
        "formats": [_literal(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
    }
    if any(len(field) > 2 for field in fields):
        description["titles"] = [field[2] if len(field) > 2 else None for field in fields]
    return description


def _read_dtype(reader: Reader, code: int) -> np.dtype[np.generic]:
    if code < len(_DTYPES):
        return np.dtype(_DTYPES[code])
    if code != _DTYPE_OTHER:
        raise CodecError(f"frame has unknown dtype code {code}")
    text = bytes(reader.take(reader.varint()))
    try:
        # Only literals are read: the same rule as NumPy's own .npy header.
        import ast

        literal = text.decode("utf-8")
        descr: Any = ast.literal_eval(literal) if literal[:1] in "[{" else literal
        known = isinstance(descr, dict)
        dtype = np.dtype(descr) if known else np.lib.format.descr_to_dtype(descr)
    except Exception as error:  # NumPy raises many kinds for a bad description
        raise CodecError(f"frame has an unreadable dtype {text[:40]!r}: {error}") from error
    if dtype.hasobject or dtype.subdtype is not None:
        raise CodecError(f"frame claims dtype {dtype}, which latrans never writes")
    return np.dtype(dtype)


def as_bytes(frame: Buffer) -> bytes:
    """A frame in whatever buffer it came, a value of an Arrow column included, as bytes.

    Raises
    ------
    TypeError
        If it is not a buffer.
    """
    if isinstance(frame, bytes):
        return frame
    value = getattr(frame, "value", frame)  # of an extension type's scalar its storage
    buffer = value.as_buffer() if hasattr(value, "as_buffer") else value
    try:
        return bytes(memoryview(buffer).cast("B"))
    except TypeError as error:
        raise TypeError(
            f"a frame is bytes, found {type(frame).__name__}: leave missing values out, as by "
            "drop_null() or drop_nulls()"
        ) from error


def check_mode(mode: str) -> str:
    """Return `mode` if it names one, else raise `ConfigError`."""
    if mode not in MODES:
        raise ConfigError(f"mode is {mode!r}; expected one of {', '.join(MODES)}")
    return mode


def size_is_plausible(shape: Sequence[int], frame: Frame) -> bool:
    """Whether a frame's sections can hold samples of a shape (FORMAT.md 2.4)."""
    return 0 < math.prod(shape) <= (64 + payload_nbytes(frame)) << 13


def payload_nbytes(frame: Frame) -> int:
    """Bytes of a frame's sections."""
    return len(frame.maps) + len(frame.latents) + len(frame.residual)
