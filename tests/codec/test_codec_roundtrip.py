"""Lossless means that every array comes back: bits, dtype, byte order, shape, memory order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import latrans
from latrans.coding.schedule import TRACK_BLOCK
from latrans.fallback import payload
from latrans.format.frame import Frame, pack
from random_arrays import NUMBERS, OTHERS, SPECIAL, dtype_of, random_array, random_content
from synthetic_models import KINDS, make_model

pytestmark = pytest.mark.filterwarnings("error")

N_SEEDS, N_PER_SEED = 10, 1000  # together the ten thousand of the contract


def assert_comes_back(codec: latrans.Codec, array: Any) -> bytes:
    frame = codec.encode(array)
    assert_same(codec.decode(frame), np.asarray(array))
    return frame


def assert_same(found: Any, expected: np.ndarray) -> None:
    assert type(found) is np.ndarray
    assert found.dtype == expected.dtype
    assert found.dtype.str == expected.dtype.str
    assert found.shape == expected.shape
    assert found.flags.writeable
    in_fortran_order = expected.ndim > 1 and expected.flags.f_contiguous
    if in_fortran_order and not expected.flags.c_contiguous:
        assert found.flags.f_contiguous
    else:
        assert found.flags.c_contiguous
    for part, wanted in zip(_without_padding(found), _without_padding(expected), strict=True):
        assert part.tobytes() == wanted.tobytes()


def _without_padding(array: np.ndarray) -> list[np.ndarray]:
    """Fields of a structured array, whose padding NumPy itself does not keep; else the array."""
    return [array[name] for name in array.dtype.names] if array.dtype.names else [array]


@pytest.fixture(scope="module")
def codecs() -> list[latrans.Codec]:
    shipped = [latrans.Codec("image-1"), latrans.Codec("image-1", fill_value=1e20)]
    made = [latrans.Codec(make_model(kind)) for kind in KINDS]
    return [*shipped, *made, latrans.Codec(make_model("track"), fill_value=-9999)]


class TestEveryArray:
    @pytest.mark.parametrize("seed", range(N_SEEDS))
    def test_ten_thousand_random_arrays(self, codecs, thorough, seed):
        rng = np.random.default_rng(seed)
        for _ in range(N_PER_SEED if thorough else N_PER_SEED // 50):
            assert_comes_back(codecs[rng.integers(len(codecs))], random_array(rng))

    @pytest.mark.parametrize("kind", KINDS)
    def test_random_arrays_where_the_model_is_made_to_code_them(
        self, models, always_model, thorough, kind
    ):
        rng = np.random.default_rng(7)
        codec = latrans.Codec(models[kind])
        n_by_model = 0
        for i in range(400 if thorough else 20):
            dtype = np.dtype(NUMBERS[i % len(NUMBERS)])
            shape = [(8, 8), (3, 8, 8), (1, 1), (5, 9), (1, 40), (40, 1), (2, 3, 4, 5)][i % 7]
            frame = assert_comes_back(codec, random_content(rng, dtype, shape))
            n_by_model += not latrans.inspect(frame).fallback
        assert n_by_model > (5 if thorough else -1)

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("name", NUMBERS + OTHERS)
    def test_every_dtype(self, codecs, name, order):
        rng = np.random.default_rng(3)
        for shape in [(), (0,), (1,), (3, 0, 2), (7, 5), (2, 3, 4)]:
            array = random_content(rng, dtype_of(name), shape)
            assert_comes_back(codecs[0], np.asarray(array, order=order))

    @pytest.mark.parametrize(
        "array",
        [
            pytest.param(np.float32(3.5), id="scalar"),
            pytest.param([[1, 2], [3, 4]], id="list"),
            pytest.param(np.full((16, 16), np.float32(np.nan)), id="all NaN"),
            pytest.param(np.full((16, 16), np.float32(-0.0)), id="all negative zero"),
            pytest.param(np.full((50, 50), np.float32(1e20)), id="all fill"),
            pytest.param(np.zeros((1,) * 20), id="twenty dimensions"),
            pytest.param(np.zeros((2,) * 6 + (1,) * 8, np.uint8), id="more than seven"),
            pytest.param(np.arange(2**16, dtype=np.uint16).view(np.float16), id="all float16"),
            pytest.param(np.tile(SPECIAL, (9, 3)), id="special float32"),
            pytest.param(np.tile(SPECIAL, (9, 3)).astype(">f4"), id="special big-endian"),
            pytest.param(np.array([[-(2**31), 2**31 - 1]] * 9, np.int32), id="int32 limits"),
            pytest.param(np.array([[0, 2**32 - 1]] * 9, np.uint32), id="uint32 limits"),
            pytest.param(np.array([[-(2**63), 2**63 - 1]] * 9), id="int64 limits"),
            pytest.param(np.array([[0, 2**64 - 1]] * 9, np.uint64), id="uint64 limits"),
            pytest.param(np.arange(2**40, 2**40 + 99).reshape(9, 11), id="int64, offset"),
            pytest.param(np.array(["NaT", "2001-02-03"] * 9, "M8[s]"), id="NaT"),
            pytest.param(np.broadcast_to(np.uint8(3), (30, 40)), id="one item, broadcast"),
            pytest.param(np.ma.masked_array(np.arange(12).reshape(3, 4)), id="masks nothing"),
        ],
    )
    def test_awkward_arrays(self, codecs, array):
        for codec in codecs:
            assert_comes_back(codec, array)

    @settings(max_examples=300)
    @given(
        array=hnp.arrays(
            dtype=st.one_of(hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.boolean_dtypes()),
            shape=hnp.array_shapes(min_dims=0, min_side=0, max_side=9),
        ),
        kind=st.sampled_from(KINDS),
    )
    def test_whatever_hypothesis_thinks_of(self, models, array, kind):
        assert_comes_back(latrans.Codec(models[kind]), array)

    @pytest.mark.parametrize("shape", [(300, 350), (3, 130, 260), (6, 70, 40, 3)])
    @pytest.mark.parametrize("dtype", ["u1", "<i2", "<f4"])
    def test_planes_of_several_bands_and_references(self, models, thorough, shape, dtype):
        rng = np.random.default_rng(5)
        size = shape if thorough else tuple(-(-n // 8) for n in shape)
        wave = np.indices(size).sum(0) / 9
        array = (120 + 70 * np.sin(wave) + rng.normal(0, 2, size)).astype(dtype)
        frame = assert_comes_back(latrans.Codec(models["plane"]), array)
        assert not latrans.inspect(frame).fallback

    @pytest.mark.parametrize("n", [1, 2, 4095, 4096, 8193, TRACK_BLOCK + 1, TRACK_BLOCK + 70])
    @pytest.mark.parametrize("n_channels", [1, 3])
    def test_tracks_of_several_lanes_and_blocks(self, models, thorough, n, n_channels):
        if not thorough:
            n = n % 5000 + 1
        rng = np.random.default_rng(n)
        common = np.cumsum(rng.integers(-9, 10, n))
        array = (common + rng.integers(-2, 3, (n_channels, n))).astype(np.int32)
        codec = latrans.Codec(models["track"], axes="ct")
        frame = assert_comes_back(codec, array)
        assert latrans.inspect(frame).fallback == (n < 64)
        if n < 10_000:
            assert_comes_back(latrans.Codec(models["track"], axes="tc"), array.T)
            assert_comes_back(latrans.Codec(models["track"], axes="ntc"), np.stack([array.T] * 2))

    def test_a_last_block_that_resembles_the_block_before(self, models, thorough):
        if not thorough:
            pytest.skip("two blocks take minutes on the reference engine")
        rng = np.random.default_rng(0)
        first = np.resize(rng.normal(0, 1000, TRACK_BLOCK), TRACK_BLOCK + 3000)
        array = np.stack([first, first + rng.normal(0, 1, first.size)]).astype(np.int32)
        assert_comes_back(latrans.Codec(models["track"], axes="ct"), array)


class TestWhatIsNotAnArrayOfNumbers:
    @pytest.mark.parametrize(
        "array",
        [
            np.array([1, "a", None], object),
            np.zeros(3, [("a", "i4"), ("b", object)]),
            [1, "a", None, {}],
        ],
        ids=["objects", "a field of objects", "list of objects"],
    )
    def test_objects_are_a_type_error(self, codecs, array):
        with pytest.raises(TypeError, match="Python objects"):
            codecs[0].encode(array)

    def test_text_of_any_length_is_a_type_error(self, codecs):
        if not hasattr(np.dtypes, "StringDType"):
            pytest.skip("NumPy before 2 has no such type")
        with pytest.raises(TypeError, match="Python objects"):
            codecs[0].encode(np.array(["text"], np.dtypes.StringDType()))

    @pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
    def test_raw_bytes_come_back_as_bytes_and_need_no_model(self, wrap):
        data = bytes(range(256)) * 3
        codec = latrans.Codec("no-such-model")
        found = codec.decode(codec.encode(wrap(data)))
        assert found.dtype == np.uint8
        assert found.tobytes() == data


class TestTheWayInDoesNotMatter:
    def test_frames_do_not_depend_on_strides_or_flags(self, codecs):
        base = np.add.outer(np.arange(30), 2 * np.arange(40)).astype(np.int16)
        frame = codecs[0].encode(base)
        read_only = base.copy()
        read_only.flags.writeable = False
        wide = np.repeat(base, 3, axis=1)[:, ::3]
        for same in (read_only, wide, base[::-1][::-1], base.copy("F").copy("C")):
            assert codecs[0].encode(same) == frame

    def test_byte_order_changes_the_header_only(self, codecs, always_model):
        array = np.add.outer(np.arange(30), np.arange(40) % 9) ** 2
        little = codecs[0].encode(array.astype("<i2"))
        big = codecs[0].encode(array.astype(">i2"))
        assert len(little) == len(big)
        assert little[4:-4] == big[4:-4]

    def test_no_memory_leaks_into_the_padding_between_fields(self, codecs):
        dtype = dtype_of("(aligned)")
        for array in (np.ones((40, 3), dtype)[::2], np.ones((40, 3), dtype).T[::2]):
            np.full((40, 3, 2), 0x5A5A5A5A5A5A5A5A)  # noise that allocations would find
            frame = codecs[0].encode(array)
            padding = np.frombuffer(codecs[0].decode(frame).tobytes("A"), np.uint8)
            assert not padding.reshape(-1, dtype.itemsize)[:, 1:8].any()

    def test_batches_are_the_frames_of_their_arrays(self, codecs):
        rng = np.random.default_rng(2)
        arrays = [random_array(rng) for _ in range(12)]
        frames = codecs[0].encode_batch(arrays)
        assert frames == [codecs[0].encode(a) for a in arrays]
        for found, array in zip(codecs[0].decode_batch(frames), arrays, strict=True):
            assert_same(found, array)

    def test_encoding_leaves_the_array_alone(self, codecs):
        rng = np.random.default_rng(4)
        for codec in codecs:
            array = random_content(rng, np.dtype("<f4"), (20, 30))
            before = array.tobytes()
            codec.encode(array)
            assert array.tobytes() == before

    @pytest.mark.parametrize("dtype", ["u1", ">i2", "<f4", "<c8"])
    def test_out_is_filled_and_returned(self, codecs, dtype):
        array = random_content(np.random.default_rng(6), np.dtype(dtype), (20, 30))
        frame = codecs[0].encode(array)
        for out in (
            np.zeros_like(array),
            np.zeros_like(array, order="F"),
            np.zeros_like(array.T).T,
        ):
            assert codecs[0].decode(frame, out=out) is out
            assert out.tobytes() == array.tobytes()


class TestSize:
    @pytest.mark.parametrize("kind", KINDS)
    def test_never_worse_than_the_fallback_by_more_than_32_bytes(self, models, thorough, kind):
        rng = np.random.default_rng(8)
        codec = latrans.Codec(models[kind])
        for _ in range(300 if thorough else 10):
            array = random_array(rng)
            if array.dtype.names is None:  # the text of a structured dtype has any length
                plain = np.ascontiguousarray(array)
                assert len(codec.encode(array)) <= len(payload.encode(plain)) + 32

    @pytest.mark.parametrize("where", ["first", "middle", "last", "checkered"])
    def test_nor_where_only_a_part_of_a_large_chunk_suits_the_model(self, models, thorough, where):
        rng = np.random.default_rng(9)
        n = 512 if thorough else 64
        noise = (
            rng.integers(0, 2, (n, n)).astype(np.uint8) * 255
        )  # one bit for zstd, two for tables
        smooth = np.add.outer(np.arange(n), np.arange(n)).astype(np.uint8)
        third = np.arange(n) * 3 // n
        rows = {"first": third == 0, "middle": third == 1, "last": third == 2}
        chosen = rows.get(where, np.arange(n) % 2 == 0)
        array = np.where(chosen[:, None], noise, smooth)
        size = len(latrans.Codec(models["plane"]).encode(array))
        assert size <= len(payload.encode(array)) + 32

    def test_a_limit_spares_the_fallback_work_but_no_bytes_that_count(self):
        rng = np.random.default_rng(10)
        arrays = {
            "noise": rng.integers(0, 256, 1 << 17).astype(np.uint8),
            "walk": np.cumsum(rng.integers(-9, 10, 1 << 16)).astype(np.int32),
            "text": np.tile(rng.integers(0, 256, 999), 100).astype(np.uint8),
            "floats": np.sin(np.arange(1 << 15) / 99).astype(np.float64),
        }
        for name, array in arrays.items():
            best = payload.encode(array)
            assert payload.encode(array, 2 * len(best)) == best, name
            assert payload.encode(array, len(best) + 1) == best, name
            # Nothing comes near: the bytes as they are.
            assert len(payload.encode(array, len(best) // 4)) == 1 + array.nbytes, name

    def test_header_and_checksum_of_a_small_image_stay_below_20_bytes(self, models):
        y, x = np.mgrid[:28, :28]
        image = (128 + 90 * np.sin(x / 6) * np.cos(y / 5)).astype(np.uint8)
        frame = latrans.Codec(models["plane"]).encode(image)
        info = latrans.inspect(frame)
        assert not info.fallback
        assert info.nbytes - info.residual_nbytes < 20

    def test_header_and_checksum_of_a_fallback_frame_stay_below_20_bytes(self):
        assert len(pack(Frame("lossless", np.dtype(np.uint8), (28, 28)))) < 20
