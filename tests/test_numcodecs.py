"""latrans as a numcodecs codec: the checks of numcodecs' own suite, and what Zarr relies on."""

from __future__ import annotations

import array
import copy
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask.base import tokenize
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs.compat import ensure_bytes, ensure_ndarray
from numcodecs.registry import get_codec

import latrans
from adapter_samples import ABSENT, DTYPES, assert_same_bits, make_array, run_python
from latrans.errors import CodecError, ConfigError, ModelNotFoundError
from latrans.frame import Frame, pack
from latrans.numcodecs import Latrans

CONFIGS: list[dict[str, Any]] = [
    {},
    {"model": "image-1"},
    {"mode": "bounded", "max_error": 0.25},
    {"mode": "bounded", "max_error": 1e-3, "fill_value": 1e20},
    {"fill_value": -9223372036854775807},
    {"axes": "yx"},
    {"model": ABSENT, "mode": "lossy", "axes": "tyx"},
]


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


class TestConfig:
    @pytest.mark.parametrize("config", CONFIGS)
    def test_configuration_survives_json_and_the_registry(self, config):
        codec = Latrans(**config)
        stored = codec.get_config()
        assert stored["id"] == "latrans"
        again = get_codec(json.loads(json.dumps(stored, allow_nan=False)))
        assert type(again) is Latrans
        assert again == codec
        assert again.get_config() == stored

    @pytest.mark.parametrize("config", CONFIGS)
    def test_configuration_names_model_and_mode_and_what_was_given(self, config):
        stored = Latrans(**config).get_config()
        expected = {"id": "latrans", "model": "image-1", "mode": "lossless", **config}
        assert stored == expected

    def test_the_engine_is_not_part_of_a_configuration(self):
        assert "engine" not in Latrans().get_config()

    @pytest.mark.parametrize("config", CONFIGS)
    def test_repr_is_the_call_that_makes_it(self, config):
        codec = Latrans(**config)
        assert eval(repr(codec), {"Latrans": Latrans}) == codec

    def test_repr_of_an_inline_model_is_short(self):
        codec = Latrans(model="data:application/octet-stream;base64," + "A" * 100_000)
        assert len(repr(codec)) < 300
        assert len(codec.get_config()["model"]) > 100_000

    @pytest.mark.parametrize("config", CONFIGS)
    def test_copies_and_pickles_are_equal(self, config):
        codec = Latrans(**config)
        for again in (
            copy.copy(codec),
            copy.deepcopy(codec),
            *map(_pickled, range(2, 6), [codec] * 4),
        ):
            assert again == codec
            assert hash(again) == hash(codec)
            assert again.get_config() == codec.get_config()
            assert tokenize(again) == tokenize(codec)

    def test_equality_and_hash_go_by_configuration(self):
        codecs = [Latrans(**config) for config in CONFIGS[1:]]
        assert len({*codecs, *map(copy.copy, codecs)}) == len(codecs)
        assert Latrans() == Latrans(model="image-1", mode="lossless")
        assert Latrans() != Latrans(mode="lossy")
        assert Latrans() != "latrans"

    @pytest.mark.parametrize("name", ["model", "mode", "max_error", "fill_value", "axes"])
    def test_an_instance_cannot_be_changed(self, name):
        codec = Latrans()
        with pytest.raises(AttributeError):
            setattr(codec, name, "lossy")

    def test_numpy_numbers_become_json_numbers(self):
        codec = Latrans(
            mode="bounded", max_error=np.float32(0.5), fill_value=np.array(-999, "i2")[()]
        )
        assert json.loads(json.dumps(codec.get_config())) == {
            "id": "latrans",
            "model": "image-1",
            "mode": "bounded",
            "max_error": 0.5,
            "fill_value": -999,
        }

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float32("nan")])
    def test_non_finite_fill_values_count_as_not_given(self, value):
        # They are kept exactly anyway, and JSON has no such numbers.
        assert Latrans(fill_value=value) == Latrans()

    def test_a_path_is_stored_as_a_string(self):
        assert Latrans(model=Path("some") / "model.safetensors").model == str(
            Path("some/model.safetensors")
        )

    @pytest.mark.parametrize(
        "config",
        [
            {"mode": "perfect"},
            {"mode": None},
            {"mode": ["lossless"]},
            {"mode": "bounded"},
            {"mode": "bounded", "max_error": 0},
            {"mode": "bounded", "max_error": -1.0},
            {"mode": "bounded", "max_error": float("nan")},
            {"mode": "bounded", "max_error": float("inf")},
            {"mode": "bounded", "max_error": "0.1"},
            {"mode": "bounded", "max_error": True},
            {"fill_value": "0"},
            {"fill_value": 1j},
            {"fill_value": 2**64},
            {"axes": 2},
            {"axes": ["y", "x"]},
            {"model": None},
            {"model": ""},
            {"model": 3},
            {"model": {"name": "image-1"}},
        ],
    )
    def test_unusable_values_are_a_config_error(self, config):
        with pytest.raises(ConfigError):
            get_codec({"id": "latrans", **config})

    def test_unknown_entries_are_a_config_error_that_names_them(self):
        with pytest.raises(ConfigError, match="level") as caught:
            get_codec({"id": "latrans", "model": "image-1", "level": 9})
        assert "max_error" in str(caught.value)  # what was expected

    @settings(deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from(["model", "mode", "max_error", "fill_value", "axes", "x", ""]),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text()
            | st.lists(st.text()),
        )
    )
    def test_no_configuration_raises_anything_but_a_config_error(self, config):
        try:
            codec = get_codec({"id": "latrans", **config})
        except ConfigError:
            return
        assert get_codec(json.loads(json.dumps(codec.get_config()))) == codec


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


class TestModels:
    def test_a_model_that_is_not_at_hand_shows_when_data_is_encoded(self):
        codec = get_codec({"id": "latrans", "model": ABSENT})  # no error yet
        with pytest.raises(ModelNotFoundError, match="0" * 16):
            codec.encode(make_array("|u1", (32, 32)))

    def test_an_unknown_name_is_named_in_the_error(self):
        codec = Latrans(model="no-such-model-7")
        with pytest.raises(ModelNotFoundError, match="no-such-model-7"):
            codec.encode(make_array("|u1", (32, 32)))

    def test_a_frame_whose_model_is_not_at_hand_names_its_digest(self, codec):
        frame = pack(
            Frame("lossless", np.dtype("u1"), (8, 8), model_digest=b"\xab" * 8, residual=bytes(40))
        )
        with pytest.raises(ModelNotFoundError, match="ab" * 8):
            codec.decode(frame)

    def test_a_model_object_is_stored_by_digest_and_found_again(self):
        model = latrans.open_model("image-1")
        codec = Latrans(model=model)
        assert codec.get_config()["model"] == f"sha256:{model.digest}"
        assert len(pickle.dumps(codec)) < 1000  # the weights stay here
        values = make_array("|u1", (32, 32))
        again = get_codec(json.loads(json.dumps(codec.get_config())))
        assert again == codec
        assert again.encode(values) == codec.encode(values)
        assert_same_bits(again.decode(codec.encode(values)), values)


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


class TestFreshInterpreter:
    def test_the_entry_point_needs_no_import_and_loads_no_heavy_library(self):
        run_python(
            """
            import sys, numcodecs, numpy as np
            assert "latrans" not in sys.modules
            codec = numcodecs.get_codec({"id": "latrans", "model": "image-1"})
            values = np.arange(24 * 24, dtype="u2").reshape(24, 24)
            assert (codec.decode(codec.encode(values)) == values).all()
            assert type(codec).__module__ == "latrans.numcodecs"
            heavy = {"torch", "zarr", "dask", "pyarrow", "xarray"} & set(sys.modules)
            assert not heavy, heavy
            """
        )

    def test_a_codec_pickled_here_works_there(self):
        codec = Latrans(mode="bounded", max_error=0.5)
        run_python(
            f"""
            import pickle
            codec = pickle.loads({pickle.dumps(codec)!r})
            assert codec.max_error == 0.5
            assert bytes(codec.decode(codec.encode(b"abc"))) == b"abc"
            """
        )


def _pickled(protocol: int, codec: Latrans) -> Latrans:
    again: Latrans = pickle.loads(pickle.dumps(codec, protocol))
    return again


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
