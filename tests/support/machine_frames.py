"""Frames of every kind, written on one machine and read on another.

``python tests/machine_frames.py write FOLDER`` encodes about 150 small arrays.  ``check FOLDER``,
on another machine, decodes the frames in FOLDER and the golden ones, encodes the same arrays anew,
and fails where a value or a byte differs.  It runs on one engine, ``LATRANS_ENGINE`` (the reference
takes minutes), and needs NumPy, numcodecs, safetensors and latrans alone.

Zstandard and Blosc do not write the same bytes in all their versions, and their sizes decide
between maps.  So what they write here is what every version would: bytes as they are.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numcodecs.blosc
import numcodecs.zstd
import numpy as np

MAGIC, BLOCK = b"\x28\xb5\x2f\xfd", 1 << 16
LIBRARY = numcodecs.zstd.Zstd, numcodecs.blosc.Blosc


class StoredZstd(LIBRARY[0]):
    """Zstandard frames of blocks that are stored, or one byte over and over."""

    def encode(self, buf: Any) -> bytes:
        data = bytes(memoryview(np.ascontiguousarray(np.frombuffer(buf, np.uint8))))
        out = MAGIC + bytes((0xE0,)) + len(data).to_bytes(8, "little")
        for start in range(0, max(1, len(data)), BLOCK):
            part = data[start : start + BLOCK]
            head = len(part) << 3 | (start + BLOCK >= len(data))
            if len(set(part)) == 1:
                out += (head | 2).to_bytes(3, "little") + part[:1]
            else:
                out += head.to_bytes(3, "little") + part
        return out


class StoredBlosc(LIBRARY[1]):
    """Blosc buffers that are never smaller than what they hold."""

    def encode(self, buf: Any) -> bytes:
        return bytes(16) + bytes(np.ascontiguousarray(buf))


# Before latrans takes them.
numcodecs.zstd.Zstd, numcodecs.blosc.Blosc = StoredZstd, StoredBlosc

import golden_cases as golden
import latrans

Array = np.ndarray[Any, Any]
Case = tuple[latrans.Codec, Array]

INTEGERS = ("|u1", "|i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">i4", "<u8", ">i8")
FLOATS = ("<f2", ">f2", "<f4", ">f4", "<f8", ">f8")


def noise(shape: tuple[int, ...], below: int, seed: int) -> Array:
    """Integers that are the same everywhere: no float and no library is asked."""
    state = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) + np.uint64(seed << 32)
    for shift in (12, 25, 27):
        state = (state ^ state >> np.uint64(shift)) * np.uint64(2685821657736338717)
    return (state >> np.uint64(40)).astype(np.int64).reshape(shape) % below


def walk(shape: tuple[int, ...], step: int, seed: int) -> Array:
    """A smooth surface of integers with a little noise."""
    steps = noise(shape, 2 * step + 1, seed) - step
    for axis in range(max(0, len(shape) - 2), len(shape)):
        steps = np.cumsum(steps, axis) >> (len(shape) > 1 and axis == len(shape) - 1)
    return steps


def picture(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    """A walk that fits a type of integers."""
    info = np.iinfo(dtype)
    middle = 0 if info.min else 1 << (min(info.bits, 16) - 1)
    low, high = max(info.min, -(1 << 40)), min(info.max, 1 << 40)
    scale = 1 if info.bits == 8 else 1 << min(info.bits // 4, 6)
    return np.clip(walk(shape, 3, seed) * scale + middle, low, high).astype(dtype)


def field(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    """Floats with all their bits, but those that a type lacks."""
    return (walk(shape, 9, seed) / 37 + noise(shape, 1 << 20, seed + 1) / (1 << 26)).astype(dtype)


def special(shape: tuple[int, ...], dtype: str) -> Array:
    """A field with NaN of two kinds, infinities and negative zeros."""
    values = field(shape, dtype, 3)
    flat = values.reshape(-1)
    at = np.flatnonzero(noise(flat.shape, 19, 5) == 0)
    flat[at] = np.nan
    bits = flat.view(np.dtype(f"u{flat.itemsize}").newbyteorder(values.dtype.str[0]))
    bits[at[::5]] += 1
    flat[at[1::5]] = np.inf
    flat[at[2::5]] = -0.0
    return values


def case(name: str, make: Callable[[], Array], **options: Any) -> tuple[str, Callable[[], Case]]:
    """A name for a file, and what makes a codec and its array."""
    for sign, text in (("<", "le-"), (">", "be-"), ("|", "")):
        name = name.replace(sign, text)
    return name, lambda: (latrans.Codec(**options), make())


def cases() -> Iterator[tuple[str, Callable[[], Case]]]:
    """Names and what makes each."""
    yield from of_integers()
    yield from of_floats()
    yield from of_colours()
    yield from of_others()


def of_integers() -> Iterator[tuple[str, Callable[[], Case]]]:
    for d in INTEGERS:
        plane = partial(picture, (41, 53), d)
        yield case(f"plane-{d}", plane, model="image-1")
        yield case(f"stack-{d}", partial(picture, (3, 30, 37), d, 1), model="image-1", axes="zyx")
        yield case(f"track-{d}", partial(picture, (3, 900), d, 2), model="series-1")
        yield case(f"bounded-{d}", plane, model="image-1", mode="bounded", max_error=3)
        yield case(f"fortran-{d}", lambda d=d: np.asfortranarray(picture((30, 40), d, 4)))
        yield case(f"lossy-{d}", plane, model="image-lossy-1", mode="lossy", quality=40)
    yield case("fast", partial(picture, (41, 53), "<u2", 19), model="image-fast-1")
    yield case("offset", lambda: (picture((30, 40), "<i8", 22) + (1 << 50)).astype("<i8"))
    yield case("wide", lambda: (noise((20, 20), 1 << 24, 23) << 38).astype(">u8"))
    yield case("large", partial(picture, (400, 350), "<u2", 24), model="image-1")
    yield case("auto", partial(picture, (60, 70), ">u2", 25), model="auto")


def of_floats() -> Iterator[tuple[str, Callable[[], Case]]]:
    for d in FLOATS:
        plane, odd = partial(field, (33, 47), d), partial(special, (33, 47), d)
        yield case(f"field-{d}", plane, model="field-1")
        stack = partial(field, (3, 25, 31), d, 1)
        yield case(f"field-stack-{d}", stack, model="field-1", axes="zyx")
        yield case(f"special-{d}", odd, model="field-1")
        yield case(f"special-track-{d}", partial(special, (2, 800), d), model="series-1")
        for name, make in (("", plane), ("special-", odd)):
            options = {"model": "field-1", "mode": "bounded", "max_error": 0.01}
            yield case(f"{name}bounded-{d}", make, **options)
        grid = partial(lambda d: (walk((35, 40), 2, 6) / 8 + 3).astype(d), d)
        yield case(f"grid-{d}", grid, model="field-1")
        decimal = partial(lambda d: (walk((35, 40), 5, 7) / 100).astype(d), d)
        yield case(f"decimal-{d}", decimal, model="field-1")
        few = partial(lambda d: np.sqrt(noise((35, 40), 5, 8) + 2.0).astype(d), d)
        yield case(f"palette-{d}", few, model="field-1")
        yield case(f"fill-{d}", partial(filled, d), model="field-1", fill_value=-999.0)
        yield case(f"table-{d}", partial(table, d), model="table-1")
        lossy = {"model": "image-lossy-1", "mode": "lossy", "quality": 30}
        yield case(f"lossy-{d}", partial(field, (40, 50), d, 13), **lossy)


def filled(dtype: str) -> Array:
    """A field of which a quarter is missing."""
    values = field((35, 40), dtype)
    values[noise(values.shape, 4, 9) == 0] = -999
    return values


def table(dtype: str) -> Array:
    """Three columns of different kinds."""
    columns = [walk((600,), 4, 10) / 10, noise((600,), 1 << 24, 11) / 7e6, walk((600,), 1, 12)]
    return np.stack(columns, 1).astype(dtype)


def of_colours() -> Iterator[tuple[str, Callable[[], Case]]]:
    digits = partial(picture, (2, 28, 28), "|u1", 14)
    for mode in ("lossless", "lossy"):
        yield case(f"digits-{mode}", digits, model="digits-1", mode=mode)
    yield case("digits-bounded", digits, model="digits-1", mode="bounded", max_error=4)
    for d in ("|u1", "<u2", ">u2"):
        planes = partial(picture, (40, 44))
        colour = partial(
            lambda d, p: np.stack([p(d, 15 + i) for i in range(3)], -1).astype(d), d, planes
        )
        yield case(f"colour-{d}", colour, model="rgb-1")
        options = {"model": "image-lossy-1", "mode": "lossy", "quality": 45, "axes": "yxc"}
        yield case(f"colour-lossy-{d}", colour, **options)


def of_others() -> Iterator[tuple[str, Callable[[], Case]]]:
    for d in ("<M8[s]", ">M8[ns]", "<m8[ms]"):
        times = partial(lambda d: picture((900,), "<i8", 20).astype(d), d)
        yield case(f"times-{d[:3]}", times, model="series-1")
    yield case("booleans", lambda: noise((40, 40), 2, 21).astype(bool))
    for d in ("<c8", ">c16"):
        yield case(f"complex-{d}", lambda d=d: (field((20, 20), "f8") + 1j).astype(d))
    fields = [("a", "<u2"), ("b", ">f4"), ("c", "S3")]
    yield case("structured", lambda: np.array([(i, i / 3, b"xyz") for i in range(90)], fields))
    yield case("text", lambda: np.array(["one", "two", "three"] * 20, "<U5"))
    yield case("text-other", lambda: np.array(["one", "two", "three"] * 20, ">U5"))
    yield case("constant", lambda: np.full((50, 50), 1.5, ">f8"))
    yield case("empty", lambda: np.zeros((0, 5), ">u2"))


def digest(array: Array) -> str:
    """Of an array's type, shape and bits; byte order is part of its type."""
    head = f"{array.dtype.str} {array.shape} {array.flags.f_contiguous}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def write(folder: Path) -> list[str]:
    """Frames, and what each decodes to."""
    folder.mkdir(parents=True, exist_ok=True)
    found, wrong = {}, []
    for name, make in cases():
        codec, array = make()
        frame = codec.encode(array)
        (folder / f"{name}.frame").write_bytes(frame)
        found[name] = digest(latrans.decode(frame))
        if codec.mode == "lossless" and found[name] != digest(array):
            wrong.append(f"{name}: not what was encoded")
    (folder / "values.json").write_text(json.dumps(found, indent=1), "utf-8")
    return wrong


def check(folder: Path) -> list[str]:
    """What differs from the machine that wrote the folder."""
    expected = json.loads((folder / "values.json").read_text("utf-8"))
    wrong = []
    for name, make in cases():
        frame = (folder / f"{name}.frame").read_bytes()
        if problem := compared(frame, expected[name], digest):
            wrong.append(f"{name}: {problem}")
        codec, array = make()
        mine = codec.encode(array)
        if mine != frame:
            wrong.append(f"{name}: {len(mine)} other bytes than the {len(frame)} there")
    golden.read_models()
    for name, entry in json.loads(golden.RECORD.read_text("utf-8")).items():
        frame = golden.path_of(name).read_bytes()
        if problem := compared(frame, entry["sha256"], golden.digest_of):
            wrong.append(f"golden {name}: {problem}")
    return wrong


def compared(frame: bytes, expected: str, digest_of: Callable[[Array], str]) -> str:
    """What is wrong with a frame's values, if anything."""
    try:
        found = digest_of(latrans.decode(frame))
    except Exception as error:  # all are reported
        return f"{type(error).__name__}: {error}"
    return "" if found == expected else "other values"


if __name__ == "__main__":
    problems = {"write": write, "check": check}[sys.argv[1]](Path(sys.argv[2]))
    print(*problems, sep="\n")
    where = f"{sys.byteorder}-endian, NumPy {np.__version__}, {latrans.engine()}"
    print(f"{sum(1 for _ in cases())} frames, {len(problems)} wrong; {where}")
    sys.exit(bool(problems))
