"""latrans as a numcodecs codec: the checks of numcodecs' own suite, and what Zarr relies on."""

from __future__ import annotations

import array
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numcodecs.compat import ensure_bytes, ensure_ndarray

import latrans
from adapter_samples import DTYPES, assert_same_bits, make_array
from latrans.errors import CodecError, ConfigError
from latrans.numcodecs import Latrans


@pytest.fixture(scope="module")
def codec() -> Latrans:
    return Latrans()


class TestRoundTrip:
    """What numcodecs.tests.common checks; its wheels no longer ship it."""

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_array_comes_back_with_dtype_shape_order_and_bits(self, codec, dtype, order):
        given_array = np.asarray(make_array(dtype), order=order)
        found = codec.decode(codec.encode(given_array))
        assert type(found) is np.ndarray
        assert found.dtype == given_array.dtype
        assert found.dtype.str == given_array.dtype.str  # byte order too
        assert found.shape == given_array.shape
        assert found.flags.f_contiguous == given_array.flags.f_contiguous
        assert found.tobytes("A") == given_array.tobytes("A")
        assert found.flags.writeable

    @pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda b: array.array("b", b)])
    @pytest.mark.parametrize("dtype", ["|u1", "<i2", "<f4"])
    def test_untyped_buffers_are_lossless_in_every_mode(self, wrap, dtype):
        data = make_array(dtype).tobytes()
        for config in (
            {},
            {"mode": "bounded", "max_error": 9.0, "axes": "yx", "fill_value": 7},
            {"mode": "lossy"},
        ):
            codec = Latrans(**config)
            found = ensure_ndarray(codec.decode(codec.encode(wrap(data))))
            assert found.ndim == 1
            assert found.tobytes() == data

    @pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda b: array.array("b", b)])
    def test_frames_are_read_from_any_buffer(self, codec, wrap):
        expected = make_array("<i2")
        assert_same_bits(codec.decode(wrap(ensure_bytes(codec.encode(expected)))), expected)

    def test_frames_are_read_from_numpy_arrays(self, codec):
        expected = make_array("<i2")
        frame = np.frombuffer(codec.encode(expected), np.uint8)
        assert_same_bits(codec.decode(frame), expected)
        spread = np.repeat(frame, 2)[::2]
        assert_same_bits(codec.decode(spread), expected)

    @pytest.mark.parametrize(
        "view",
        [
            lambda a: a[::2, ::3],
            lambda a: a[::-1, ::-1],
            lambda a: np.broadcast_to(a[:1], a.shape),
            lambda a: a.reshape(5, 4, 12).transpose(1, 0, 2),
        ],
    )
    def test_non_contiguous_input(self, codec, view):
        expected = view(make_array("<u2"))
        assert_same_bits(codec.decode(codec.encode(expected)), expected.copy())

    def test_read_only_input_and_input_is_left_alone(self, codec):
        expected = make_array("<f4")
        expected[3, 3] = np.nan
        kept = expected.copy()
        expected.flags.writeable = False
        assert_same_bits(codec.decode(codec.encode(expected)), kept)
        assert expected.tobytes() == kept.tobytes()

    @pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (1, 1, 1), (2, 1, 3, 1, 2)])
    def test_small_shapes(self, codec, shape):
        expected = make_array("<i4", shape)
        assert_same_bits(codec.decode(codec.encode(expected)), expected)

    def test_nan_payloads_and_negative_zero_survive(self, codec):
        words = np.array([0x7FC00001, 0xFFC12345, 0x7F800000, 0xFF800000, 0x80000000, 1], "u4")
        expected = np.resize(words, (16, 16)).view("<f4")
        assert_same_bits(codec.decode(codec.encode(expected)), expected)

    def test_empty_buffers(self, codec):
        assert bytes(codec.decode(codec.encode(b""))) == b""


class TestOut:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_decoding_into_an_array_of_the_same_kind(self, codec, dtype, order):
        expected = np.asarray(make_array(dtype), order=order)
        out = np.empty_like(expected)
        found = codec.decode(codec.encode(expected), out=out)
        assert np.shares_memory(found, out)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert out.tobytes("A") == expected.tobytes("A")

    def test_decoding_into_plain_memory(self, codec):
        expected = make_array("<i2")
        for out in (bytearray(expected.nbytes), np.empty(expected.nbytes, np.uint8)):
            codec.decode(codec.encode(expected), out=out)
            assert bytes(out) == expected.tobytes()

    def test_decoding_into_a_zero_dimensional_array(self, codec):
        out = np.empty((), "<f8")
        codec.decode(codec.encode(np.array(2.5)), out=out)
        assert out == 2.5

    @pytest.mark.parametrize("out", [bytearray(7), np.empty((19, 12), "<i2")])
    def test_out_of_another_size_is_refused(self, codec, out):
        with pytest.raises(ValueError, match=r".+"):
            codec.decode(codec.encode(make_array("<i2")), out=out)

    def test_non_contiguous_out_is_refused(self, codec):
        with pytest.raises(ValueError, match="contiguous"):
            codec.decode(codec.encode(make_array("<i2")), out=np.empty((40, 12), "<i2")[::2])

    def test_object_out_is_refused(self, codec):
        with pytest.raises(TypeError):
            codec.decode(codec.encode(np.arange(10)), out=np.empty(10, object))


class TestRefused:
    @pytest.mark.parametrize("items", [["foo", "bar"], [1, None], [[1], [2, 3]]])
    def test_object_arrays_are_a_type_error(self, codec, items):
        objects = np.empty(len(items), object)
        objects[:] = items
        with pytest.raises(TypeError):
            codec.encode(objects)

    def test_structured_arrays_that_hold_objects_are_a_type_error(self, codec):
        with pytest.raises(TypeError):
            codec.encode(np.zeros(3, [("a", "i4"), ("b", object)]))

    @pytest.mark.parametrize("junk", [b"", b"\xca", b"not a frame at all", bytes(100)])
    def test_what_is_no_frame_is_a_codec_error(self, codec, junk):
        with pytest.raises(CodecError):
            codec.decode(junk)
        with pytest.raises(CodecError):
            codec.decode(np.frombuffer(junk, np.uint8))

    def test_non_buffers_are_a_type_error(self, codec):
        for junk in (None, 3, [1, 2, 3]):
            with pytest.raises(TypeError):
                codec.encode(junk)
            with pytest.raises(TypeError):
                codec.decode(junk)


class TestThin:
    """The class adds nothing to latrans.Codec."""

    @pytest.mark.parametrize(
        "config", [{}, {"mode": "bounded", "max_error": 0.5}, {"axes": "yx", "fill_value": 0}]
    )
    def test_frames_are_those_of_codec(self, config):
        values = make_array("<f4")
        frame = Latrans(**config).encode(values)
        assert frame == latrans.Codec(**config).encode(values)
        assert_same_bits(latrans.Codec(**config).decode(frame), Latrans(**config).decode(frame))


class TestThreads:
    def test_one_instance_serves_many_threads(self, codec):
        arrays = [
            make_array(dtype, (24, 24), seed) for seed in range(12) for dtype in ("|u1", "<f4")
        ]
        expected = [codec.encode(a) for a in arrays]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(codec.encode, arrays)) == expected
            for found, values in zip(pool.map(codec.decode, expected), arrays, strict=True):
                assert_same_bits(found, values)


class TestBatches:
    def test_they_are_what_is_made_one_by_one(self):
        rng = np.random.default_rng(3)
        codec = Latrans(model="digits-1")
        chunks = [rng.integers(0, 9, (28, 28)).cumsum(1).astype("u1") for _ in range(9)]
        chunks += [chunks[0].astype(">i2"), chunks[0][:5], np.zeros((0, 3), "f4")]
        for n in (None, 1, 3):
            frames = codec.encode_batch(chunks, n)
            assert frames == [codec.encode(chunk) for chunk in chunks]
            found = codec.decode_batch([bytearray(frame) for frame in frames], threads=n)
            for back, chunk in zip(found, chunks, strict=True):
                assert_same_bits(back, chunk)

    def test_buffers_without_a_type_may_be_among_them(self, codec):
        chunks = [b"bytes", array.array("i", range(90)), np.arange(9.0), bytearray(50)]
        assert codec.encode_batch(chunks, 2) == [codec.encode(chunk) for chunk in chunks]

    def test_threads_that_are_no_number_are_refused(self, codec):
        for batch in (codec.encode_batch, codec.decode_batch):
            with pytest.raises(ConfigError, match="threads"):
                batch([], 0)
