"""Golden frames: their inputs, and how they were made.

``python tests/golden/make.py --replace`` writes models, frames and what they decode to anew: only
for a commit that changes the format or output bytes, and says so.  Tests never write here.

Inputs are made by integer arithmetic alone, models were made once by `synthetic_models`.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import latrans
from latrans.models.model import Model
from places import GOLDEN

HERE = GOLDEN / "format-1"
MODELS = HERE / "models.tar.xz"
RECORD = HERE / "golden.json"
KINDS = ("plane", "track", "dense", "conv", "values")


@dataclass(frozen=True)
class Case:
    """An array, and the synthetic model and options that encode it.

    `pinned` is False where Zstandard or Blosc, whose own releases differ, wrote a part.
    """

    array: np.ndarray
    model: str | None
    options: dict[str, Any] = field(default_factory=dict)
    pinned: bool = True


def cases() -> dict[str, Case]:
    """Everything that the format can say, in small."""
    y, x = np.mgrid[0:12, 0:16]
    noise = (x * 7919 + y * 104729) * 2654435761 % 2**32 >> 29
    picture = 90 + (x * x + 3 * x * y - y * y) // 6 + noise // 2
    t = np.arange(120)
    wave = (t % 40 - 20) ** 2 // 4 + (t * 2654435761 % 2**32 >> 30)
    items = picture[:8, :8] + np.arange(0, 40, 10).reshape(-1, 1, 1)
    grid = (picture / 8).astype("<f4")
    masked = np.where(noise == 0, np.float32("nan"), grid)
    masked[3:6, 4:9] = 1e20
    planes = np.stack([picture, picture * 2 + noise // 3, 300 - picture])
    turned = picture * np.complex64(0.3 + 0.4j)
    bounded = {"mode": "bounded", "max_error": 0.75}
    lossy = {"mode": "lossy"}
    return {
        "bytes": Case(picture.astype("u1"), "plane"),
        "big-endian-column-major": Case(np.asfortranarray(picture.astype(">i2")), "plane"),
        "stack": Case(planes.astype("<u2"), "plane", {"axes": "zyx"}),
        "colour": Case(np.stack([picture + noise % 2, picture, picture], -1).astype("u1"), "plane"),
        "palette": Case((noise % 3).astype("<i4") * 70_000, "plane", pinned=False),
        "offset": Case(picture.astype("<i8") + 2**40, "plane"),
        "float-grid": Case(grid, "plane"),
        "float-bits": Case((picture / 81).astype("<f4"), "plane", pinned=False),
        "float-mask": Case(masked, "plane", {"fill_value": 1e20}, pinned=False),
        "half-precision": Case(grid.astype("<f2"), "plane"),
        "double-precision": Case(grid.astype(">f8"), "plane"),
        "track": Case(wave.astype("<i2"), "track"),
        "channels": Case(np.stack([wave, 2 * wave, wave // 2]).astype("<i4"), "track"),
        "times": Case((wave + 10**9).astype("<M8[s]"), "track"),
        "dense": Case(items.astype("u1"), "dense"),
        "dense-lossy": Case(items.astype("u1"), "dense", lossy),
        "conv": Case(picture.astype("<i2"), "conv"),
        "conv-lossy": Case(picture.astype("<i2"), "conv", lossy),
        "conv-bounded": Case(grid, "conv", bounded),
        "values": Case(items.astype("u1"), "values"),
        "bounded": Case((picture / 81 * 7).astype("<f4"), "plane", bounded),
        "bounded-mask": Case(masked, "plane", {**bounded, "fill_value": 1e20}, pinned=False),
        "bounded-complex": Case(turned.astype(">c8"), "plane", bounded),
        "bounded-integers": Case(wave.astype("<u2"), "track", {"mode": "bounded", "max_error": 2}),
        "fallback-raw": Case(noise[:3, :7].astype("|V1"), None),
        "fallback-constant": Case(np.full((3, 5), 2.5 - 1j), None),
        "fallback-empty": Case(np.zeros((2, 0, 3), "<f4"), None),
        "fallback-zstandard": Case(
            np.tile(noise[:2, :9], (5, 5)).astype("<i8"), None, pinned=False
        ),
        "fallback-blosc": Case(np.arange(200, dtype="<c8") * 3, None, pinned=False),
        "fallback-structured": Case(np.zeros(2, [("a", ">i2"), ("b", "<M8[ms]")]), None),
    }


def encode(case: Case, models: Mapping[str, Model], engine: str | None = None) -> bytes:
    """The frame of a case: the model's, even where the fallback's would be smaller."""
    codec = latrans.Codec(models[case.model or "plane"], engine=engine, **case.options)
    if case.model is None:
        return codec.encode(case.array)
    with mock.patch("latrans.codec.smaller_of", lambda packed, *_: packed):
        return codec.encode(case.array)


def read_models() -> dict[str, Model]:
    with tarfile.open(MODELS) as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name: latrans.open_model(file.read()) for name, file in files.items() if file}


def path_of(name: str) -> Path:
    return HERE / f"{name}.frame"


def digest_of(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def described(frame: bytes) -> dict[str, Any]:
    """What a frame says about itself and holds."""
    info, array = latrans.inspect(frame), latrans.decode(frame)
    return {
        "mode": info.mode,
        "max_error": info.max_error,
        "model": info.model_digest,
        "latents": info.latent_dtype,
        "dtype": str(array.dtype.str if array.dtype.names is None else array.dtype.descr),
        "shape": list(array.shape),
        "order": info.order,
        "sha256": digest_of(array),
    }


def main() -> None:
    from synthetic_models import make_model

    with tarfile.open(MODELS, "w:xz") as archive:
        for kind in KINDS:
            data = make_model(kind).data
            entry = tarfile.TarInfo(kind)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    models = read_models()
    frames = {name: encode(case, models) for name, case in cases().items()}
    for name, case in cases().items():
        assert latrans.inspect(frames[name]).fallback == (case.model is None), name
    for old in HERE.glob("*.frame"):
        old.unlink()
    for name, frame in frames.items():
        path_of(name).write_bytes(frame)
    record = {name: described(frame) for name, frame in frames.items()}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--replace"]:
        raise SystemExit(__doc__)
    main()
