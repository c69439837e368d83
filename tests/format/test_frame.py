"""Frames say what they hold: the header's bytes are those of FORMAT.md 2, and are read back."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile import sealed
from latrans.errors import CodecError, ConfigError
from latrans.format.frame import LATENT_DTYPES, MODES, Frame, pack, unpack
from latrans.format.varint import Reader, pack_varint
from random_arrays import NUMBERS, OTHERS, dtype_of

U1 = np.dtype(np.uint8)
DIGEST = bytes(range(8))

# FORMAT.md 2.3: the position is the code.
CODES = (
    "|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8", "<c8",
    "<c16", ">u2", ">i2", ">u4", ">i4", ">u8", ">i8", ">f2", ">f4", ">f8", ">c8", ">c16",
)  # fmt: skip


class TestLiteralBytes:
    """Written out by hand from FORMAT.md: to change one of these is to change the format."""

    def test_model_frame(self):
        frame = Frame("lossless", U1, (28, 28), model_digest=DIGEST, model_version=3, residual=b"r")
        header = b"\xca\x13" + b"\x02" + b"\x0a" + b"\x1c\x1c" + DIGEST
        assert pack(frame) == header + b"r" + struct.pack("<I", zlib.crc32(header + b"r"))

    def test_fallback_frame(self):
        frame = Frame("lossless", np.dtype(">c16"), (), residual=b"\0")
        assert pack(frame)[:-4] == b"\xca\x10" + b"\x22" + b"\xc0" + b"\0"

    def test_everything_at_once(self):
        frame = Frame(
            "bounded",
            np.dtype("<f4"),
            (1, 2, 300, 1, 1, 1, 1),
            True,
            DIGEST,
            300,
            "int16",
            0.25,
            b"maps",
            b"latents",
            b"residual",
        )
        assert pack(frame)[:-4] == (
            b"\xca\x1f\xac\x02"  # version 300 follows the nibble 15
            + bytes((1 | 2 << 2 | 1 << 4 | 1 << 6,))
            + bytes((10 << 3 | 7, 7))  # float32, seven dimensions
            + b"\x01\x02\xac\x02\x01\x01\x01\x01"
            + DIGEST
            + struct.pack("<d", 0.25)
            + b"\x04\x07"
            + b"mapslatentsresidual"
        )

    def test_structured_dtype(self):
        frame = Frame("lossless", np.dtype([("é", ">i2")]), (1,), residual=b"\0\0\0")
        text = "[('é', '>i2')]".encode()
        assert pack(frame)[:-4] == (
            b"\xca\x10\x22" + bytes((31 << 3 | 1, len(text))) + text + b"\x01" + b"\0\0\0"
        )

    def test_dtype_codes(self):
        for code, text in enumerate(CODES):
            assert pack(Frame("lossless", np.dtype(text), (1,)))[3] == code << 3 | 1
        assert pack(Frame("lossless", np.dtype("<M8[s]"), (1,)))[3] == 31 << 3 | 1


class TestPackAndUnpack:
    @given(
        mode=st.sampled_from(MODES),
        dtype=st.sampled_from(NUMBERS + OTHERS).map(dtype_of),
        shape=st.lists(st.integers(0, 300), max_size=9)
        .map(tuple)
        .filter(lambda shape: np.prod([max(1, n) for n in shape], dtype=float) < 1e9),
        fortran=st.booleans(),
        digest=st.none() | st.binary(min_size=8, max_size=8),
        version=st.integers(0, 1 << 40),
        latent_dtype=st.sampled_from(LATENT_DTYPES),
        max_error=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        sections=st.tuples(st.binary(), st.binary(max_size=300), st.binary()),
    )
    def test_are_inverses(
        self, mode, dtype, shape, fortran, digest, version, latent_dtype, max_error, sections
    ):
        maps, latents, residual = sections
        frame = Frame(
            mode,
            dtype,
            shape,
            fortran,
            digest,
            version,
            latent_dtype,
            max_error if mode == "bounded" else None,
            maps,
            latents if latent_dtype != "none" else b"",
            residual,
        )
        found = unpack(pack(frame))
        assert found == frame
        assert found.dtype.str == dtype.str
        assert pack(found) == pack(frame)

    def test_of_memoryviews(self):
        data = pack(Frame("lossless", U1, (3,), residual=b"\0abc"))
        for wrap in (memoryview, bytearray, lambda d: memoryview(d).cast("b")):
            assert unpack(wrap(data)).shape == (3,)


class TestRefusals:
    def body(self) -> bytearray:
        return bytearray(pack(Frame("lossless", U1, (3,), residual=b"\0abc"))[:-4])

    @pytest.mark.parametrize("flags", [0x03 | 0x20, 0x80 | 0x20 | 2])
    def test_unknown_flags(self, flags):
        body = self.body()
        body[2] = flags
        with pytest.raises(CodecError, match="unknown flags"):
            unpack(sealed(body))

    @pytest.mark.parametrize("code", [25, 30])
    def test_unknown_dtype_codes(self, code):
        body = self.body()
        body[3] = code << 3 | 1
        with pytest.raises(CodecError, match="dtype code"):
            unpack(sealed(body))

    def test_too_large_chunks_are_refused_on_both_sides(self):
        shape = (1 << 20, 1 << 20, 2)
        with pytest.raises(ConfigError, match="too large for one chunk"):
            pack(Frame("lossless", U1, shape))
        body = b"\xca\x10\x22\x0b" + b"".join(map(pack_varint, shape)) + b"\0"
        with pytest.raises(CodecError, match="claims shape"):
            unpack(sealed(body))

    def test_objects(self):
        with pytest.raises(TypeError, match="Python objects"):
            pack(Frame("lossless", np.dtype(object), (1,)))


class TestVarints:
    @given(st.integers(0, (1 << 63) - 1))
    def test_come_back(self, value):
        data = pack_varint(value)
        reader = Reader(data)
        assert reader.varint() == value
        assert reader.remaining == 0
        assert len(data) == max(1, -(-value.bit_length() // 7))

    def test_literal_bytes(self):
        assert pack_varint(0) == b"\0"
        assert pack_varint(127) == b"\x7f"
        assert pack_varint(128) == b"\x80\x01"
        assert pack_varint(300) == b"\xac\x02"

    @pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 8, b"\xff" * 9 + b"\x01"])
    def test_that_do_not_end_are_refused(self, data):
        with pytest.raises(CodecError):
            Reader(data).varint()

    @pytest.mark.parametrize("n", [-1, 4, 1 << 62])
    def test_readers_do_not_run_past_the_end(self, n):
        with pytest.raises(CodecError, match="ends early"):
            Reader(b"abc").take(n)
