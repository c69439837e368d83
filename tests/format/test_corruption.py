"""Damage is a CodecError or harmless: never a crash, a hang, wrong data, or memory not earned."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import latrans
from hostile import sealed
from latrans.coding.tokens import ESCAPE, N_SYMBOLS
from latrans.errors import CodecError, ModelError
from latrans.fallback import payload as fallback
from latrans.format.frame import Frame, pack, pack_varint, unpack
from latrans.models.model import Model
from places import SUPPORT
from small_frames import Small, small_frames
from synthetic_models import KINDS

HOSTILE = SUPPORT / "hostile.py"
N_PARTS = 6


@pytest.fixture(scope="module")
def frames(models) -> dict[str, Small]:
    for model in models.values():
        latrans.open_model(model)
    return small_frames(models)


def run_hostile(*arguments: str) -> dict[str, int]:
    """Run `hostile.py`, check that nothing unforeseen happened, and return its counts."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(HOSTILE), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=900, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert not report["problems"], "\n".join(report["problems"][:20])
    return report


class TestSmallFrames:
    def test_they_come_back(self, frames):
        for name, small in frames.items():
            found = latrans.decode(small.frame)
            assert (found.shape, found.dtype) == (small.array.shape, small.array.dtype), name
            if latrans.inspect(small.frame).mode == "lossless":
                assert found.tobytes() == small.array.tobytes(), name

    def test_they_use_every_part_of_the_format(self, frames):
        parts = [unpack(small.frame) for small in frames.values()]
        assert {p.mode for p in parts} == {"lossy", "bounded", "lossless"}
        assert {p.latent_dtype for p in parts} >= {"none", "int8"}
        assert {p.residual[0] for p in parts if p.fallback} == {0, 1, 2, 3}
        single = [p.maps for p in parts if p.maps[:1] == b"\0"]
        assert {m[2] & 63 for m in single} >= {1, 2, 3, 4, 5, 6}  # kinds of value maps
        assert {m[2] >> 6 for m in single} >= {0, 1, 2}  # single, exceptions
        bits = (1, 2, 4, 8)
        assert {bit for bit in bits for p in parts if p.maps and p.maps[0] & bit} == {*bits}
        assert {small.kind for small in frames.values()} >= set(KINDS)


class TestTheChecksum:
    """Any single damaged byte, and any missing end, is noticed before anything is parsed."""

    def test_every_truncation_is_a_codec_error(self, frames):
        for small in frames.values():
            for n in range(len(small.frame)):
                with pytest.raises(CodecError):
                    latrans.decode(small.frame[:n])

    def test_every_value_of_every_byte_is_a_codec_error(self, frames, thorough):
        for small in frames.values():
            if len(small.frame) > 400:
                continue
            for i in range(0, len(small.frame), 1 if thorough else 10):
                damaged = bytearray(small.frame)
                for flip in range(1, 256, 1 if len(small.frame) < 130 else 12):
                    damaged[i] = small.frame[i] ^ flip
                    with pytest.raises(CodecError):
                        unpack(damaged)

    def test_bytes_after_the_end_are_a_codec_error(self, frames):
        for small in frames.values():
            for more in (b"\0", b"\0\0\0\0", small.frame):
                with pytest.raises(CodecError):
                    latrans.decode(small.frame + more)

    @pytest.mark.parametrize("data", [b"", b"\xca", b"\0" * 100, b"PK\x03\x04" * 9, b"\xca" * 9])
    def test_other_bytes_are_a_codec_error(self, data):
        for use in (latrans.decode, latrans.inspect):
            with pytest.raises(CodecError):
                use(data)

    @pytest.mark.parametrize("version", [0, 2, 15])
    def test_another_format_version_says_update(self, frames, version):
        body = bytearray(frames["plane"].frame[:-4])
        body[1] = version << 4 | body[1] & 15
        with pytest.raises(CodecError, match="update latrans"):
            latrans.decode(sealed(body))


class TestBehindTheChecksum:
    """The same with a checksum that fits, in a process with 2 GiB and a clock."""

    @pytest.mark.parametrize("part", range(N_PARTS))
    def test_damaged_frames(self, thorough, part):
        report = run_hostile(
            "frames", str(part), str(N_PARTS), "thorough" if thorough else "little"
        )
        assert report["refused"] > 300

    @pytest.mark.parametrize("kind", KINDS)
    def test_damaged_models(self, kind):
        report = run_hostile("models", kind)
        assert report["refused"] > 1000
        assert report["accepted"] > 10  # flips in weights are none of the reader's business

    def test_frames_of_one_kind_of_model_read_by_another(self, models, frames):
        for small in frames.values():
            parts = unpack(small.frame)
            if parts.fallback:
                continue
            for model in models.values():
                at = small.frame.index(parts.model_digest)
                body = bytearray(small.frame[:-4])
                body[at : at + 8] = bytes.fromhex(model.digest[:16])
                try:
                    found = latrans.decode(sealed(body))
                except CodecError:
                    continue
                assert found.shape == small.array.shape


class TestClaims:
    """Sizes in a header are refused before memory is taken for them."""

    def claim(self, shape: tuple[int, ...], small: Small) -> bytes:
        """The frame with another shape (of as many dimensions) in its header."""
        body, ndim = small.frame[:-4], small.array.ndim
        old = b"".join(pack_varint(n) for n in small.array.shape)
        at = body.index(old, 4)
        assert len(shape) == ndim
        return sealed(body[:at] + b"".join(map(pack_varint, shape)) + body[at + len(old) :])

    def assert_refused_cheaply(self, frame: bytes) -> None:
        tracemalloc.start()
        try:
            with pytest.raises(CodecError):
                latrans.decode(frame)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 1 << 20

    @pytest.mark.parametrize("n", [1 << 25, 1 << 32, 1 << 38, 1 << 52, (1 << 62) + 1])
    def test_giant_shapes(self, frames, n):
        for name, small in frames.items():
            if name not in ("fallback, structured", "fallback, out of order"):  # text comes first
                for at in range(small.array.ndim):
                    shape = list(small.array.shape)
                    shape[at] = n
                    if name != "fallback, empty" or n > 1 << 38:
                        self.assert_refused_cheaply(self.claim(tuple(shape), small))

    @pytest.mark.parametrize("n", [fallback.MAX_CONSTANT_NBYTES // 8 + 1, 1 << 36])
    def test_constants(self, n):
        frame = Frame("lossless", np.dtype("f8"), (n,), residual=b"\3" + b"\1" * 8)
        self.assert_refused_cheaply(pack(frame))

    def test_constants_that_encoders_write(self):
        n = fallback.MAX_CONSTANT_NBYTES
        for size in (n, n + 1):
            array = np.zeros(size, np.uint8)
            frame = latrans.encode(memoryview(array))
            assert np.array_equal(latrans.decode(frame), array)
            assert (len(frame) < 20) == (size == n)

    def test_zstandard_and_blosc_headers(self):
        n = 1 << 39
        zstd = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", n) + b"\x01\0\0"
        blosc = struct.pack("<BBBBIII", 2, 1, 0x91, 1, 0xFFFFFF00, 1 << 20, 16)
        for payload, size in ((b"\1" + zstd, n), (b"\2" + blosc, 0xFFFFFF00)):
            frame = Frame("lossless", np.dtype("u1"), (size,), residual=payload)
            self.assert_refused_cheaply(pack(frame))

    def test_many_dimensions(self):
        for ndim in (65, 1000, 1 << 40):
            body = b"\xca\x10\x22" + bytes((1 << 3 | 7,)) + pack_varint(ndim) + b"\1" * 70 + b"\0\5"
            self.assert_refused_cheaply(sealed(body))
        with pytest.raises(CodecError):
            latrans.decode(pack(Frame("lossless", np.dtype("u1"), (1,) * 65, residual=b"\0\5")))

    @pytest.mark.parametrize(
        "text",
        [
            b"O",
            b"|O8",
            b"V99999999999",
            b"U1000000000",
            b"(2,3)f4",
            b"f4,f4,O",
            b"[('a','O')]",
            b"[('a','<f4'),('a','<f4')]",
            b"{'names':['a'],'formats':['O'],'offsets':[0],'itemsize':8}",
            b"{'names':['a'],'formats':['u1'],'offsets':[-5],'itemsize':8}",
            b"{'names':['a'],'formats':['u1'],'offsets':[99],'itemsize':8}",
            b"[" * 5000,
            b"(" * 100_000,
            b"__import__('os').system('true')",
            b"[x for x in (1,)]",
            b"",
            b"\xff\xfe",
        ],
        ids=lambda text: text[:30].decode("latin-1"),
    )
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_dtypes_that_are_none(self, text):
        body = b"\xca\x10\x22" + bytes((31 << 3 | 1,)) + pack_varint(len(text)) + text
        with pytest.raises(CodecError):
            latrans.decode(sealed(body + b"\x01" + b"\0" + b"\0" * 24))

    def test_models_of_absurd_size(self, models):
        with pytest.raises(ModelError):
            Model.from_bytes(struct.pack("<Q", 1 << 60) + models["plane"].data[8:])
        with pytest.raises(ModelError, match="at most"):
            Model.from_bytes(bytes((1 << 26) + 1))

    def test_what_readers_would_refuse_is_left_to_the_fallback(
        self, models, always_model, thorough
    ):
        model = models["plane"]
        tables = model.predictor.tables.copy()
        tables[0] = np.where(np.arange(N_SYMBOLS) == 0, 4095, np.arange(N_SYMBOLS) == ESCAPE)
        sure = replace(model, predictor=replace(model.predictor, tables=tables))
        for side, by_fallback in ((300, False), (3000, True))[: 2 if thorough else 0]:
            array = np.zeros((side, side), np.uint8)
            frame = latrans.Codec(sure).encode(array)
            assert latrans.inspect(frame).fallback == by_fallback
            assert np.array_equal(latrans.decode(frame), array)
