"""latrans in arrays of Zarr format 3: the codec's three layers, its metadata, its place in shards
and pipelines."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import pickle
import threading
from typing import Any

import numpy as np
import pytest
import zarr
from dask.base import tokenize
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.abc.codec import ArrayArrayCodec, SupportsSyncCodec
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import BufferPrototype, cpu, default_buffer_prototype
from zarr.core.dtype import get_data_type_from_native_dtype, parse_data_type
from zarr.registry import get_codec_class

import latrans
import latrans.codec
from adapter_samples import (
    ABSENT,
    DTYPES,
    assert_same_bits,
    create,
    make_array,
    run_python,
)
from latrans.errors import CodecError, ConfigError, ModelNotFoundError
from latrans.zarr import LatransCodec

pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")

CONFIGS: list[dict[str, Any]] = [
    {},
    {"mode": "bounded", "max_error": 0.25},
    {"mode": "bounded", "max_error": 1e-3, "fill_value": 1e20},
    {"axes": "yx", "fill_value": -(2**63)},
    {"model": ABSENT, "mode": "lossy"},
]


def make_spec(
    shape: tuple[int, ...],
    dtype: Any,
    order: str = "C",
    prototype: BufferPrototype | None = None,
) -> ArraySpec:
    return ArraySpec(
        shape=shape,
        dtype=get_data_type_from_native_dtype(np.dtype(dtype)),
        fill_value=0,
        config=ArrayConfig(order=order, write_empty_chunks=False),
        prototype=prototype or default_buffer_prototype(),
    )


def pair(values: np.ndarray[Any, Any]) -> tuple[Any, ArraySpec]:
    return cpu.NDBuffer.from_numpy_array(values), make_spec(values.shape, values.dtype)


class TestLayers:
    """Zarr may call in batches, one by one on its loop, or one by one in threads."""

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_all_layers_write_and_read_the_same(self, dtype):
        codec, values = LatransCodec(), make_array(dtype)
        chunk, spec = pair(values)

        async def by_loop() -> Any:
            (batched,) = await codec.encode([(chunk, spec)])
            single = await codec._encode_single(chunk, spec)
            return (
                batched,
                single,
                await codec.decode([(single, spec)]),
                await codec._decode_single(batched, spec),
            )

        batched, single, (from_batch,), from_single = asyncio.run(by_loop())
        frames = [b.to_bytes() for b in (batched, single, codec._encode_sync(chunk, spec))]
        assert frames == [latrans.Codec().encode(values)] * 3
        for found in (from_batch, from_single, codec._decode_sync(single, spec)):
            assert found.dtype == values.dtype
            assert_same_bits(found.as_numpy_array(), values)

    def test_none_entries_keep_their_places_in_batches_of_mixed_shapes(self):
        arrays = [make_array("<i2", shape, seed) for seed, shape in enumerate([(4, 4), (3, 9), ()])]
        chunks = [(None, pair(arrays[0])[1]), *map(pair, arrays), (None, pair(arrays[1])[1])]
        chunks.insert(2, (None, pair(arrays[2])[1]))

        async def there_and_back() -> Any:
            frames = await LatransCodec().encode(iter(chunks))
            specs = (spec for _, spec in chunks)
            return frames, await LatransCodec().decode(zip(frames, specs, strict=True))

        for results in asyncio.run(there_and_back()):
            assert len(results) == 6
            assert [result is None for result in results] == [True, False, True, False, False, True]
        found = [r.as_numpy_array() for r in results if r is not None]
        for result, expected in zip(found, arrays, strict=True):
            assert_same_bits(result, expected)

    def test_batches_without_chunks(self):
        spec = make_spec((2, 2), "u1")

        async def calls() -> Any:
            codec = LatransCodec()
            return [
                await codec.encode([]), await codec.decode([]),
                await codec.encode([(None, spec)] * 3), await codec.decode([(None, spec)] * 3),
            ]  # fmt: skip

        assert asyncio.run(calls()) == [[], [], [None] * 3, [None] * 3]

    def test_work_stays_off_the_event_loop(self, monkeypatch):
        threads = []
        for name in ("encode_batch", "decode_batch"):
            original = getattr(latrans.codec.Codec, name)

            def watched(self: Any, *arguments: Any, original: Any = original) -> Any:
                threads.append(threading.current_thread())
                with pytest.raises(RuntimeError):
                    asyncio.get_running_loop()
                return original(self, *arguments)

            monkeypatch.setattr(latrans.codec.Codec, name, watched)
        values = make_array("<i2")
        assert_same_bits(create("v3", data=values, chunks=(7, 5))[:], values)
        assert threads
        assert "zarr_io" not in {thread.name for thread in threads}

    def test_the_synchronous_layer_is_the_one_that_zarr_looks_for(self):
        assert isinstance(LatransCodec(), SupportsSyncCodec)

    def test_size_is_not_fixed(self):
        assert LatransCodec.is_fixed_size is False
        with pytest.raises(NotImplementedError):
            LatransCodec().compute_encoded_size(100, make_spec((10, 10), "u1"))


class TestSpecification:
    """What comes back follows the chunk's specification, what is stored only its values."""

    @pytest.mark.parametrize("dtype", ["|u1", "<i2", ">f4"])
    def test_frames_do_not_depend_on_memory_order(self, dtype):
        values = make_array(dtype)
        spec = make_spec(values.shape, dtype)
        layouts = [
            values,
            np.asfortranarray(values),
            np.repeat(values, 2, axis=1)[:, ::2],
            values.astype(values.dtype.newbyteorder()),
        ]
        frames = {
            LatransCodec()._encode_sync(cpu.NDBuffer.from_numpy_array(a), spec).to_bytes()
            for a in layouts
        }
        assert len(frames) == 1

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("written", ["<i4", ">i4"])
    @pytest.mark.parametrize("asked", ["<i4", ">i4"])
    def test_byte_order_and_memory_order_are_those_asked_for(self, order, written, asked):
        values = make_array(written)
        frame = LatransCodec()._encode_sync(*pair(values))
        buffer = LatransCodec()._decode_sync(frame, make_spec(values.shape, asked, order))
        found = buffer.as_numpy_array()
        assert found.dtype.str == asked
        assert found.flags[f"{order}_CONTIGUOUS"]
        np.testing.assert_array_equal(found, values)

    def test_buffers_are_of_the_prototype(self):
        class MyBuffer(cpu.Buffer):
            pass

        class MyNDBuffer(cpu.NDBuffer):
            pass

        values = make_array("<i2")
        spec = make_spec(values.shape, "<i2", prototype=BufferPrototype(MyBuffer, MyNDBuffer))
        frame = LatransCodec()._encode_sync(MyNDBuffer.from_numpy_array(values), spec)
        assert type(frame) is MyBuffer
        assert type(LatransCodec()._decode_sync(frame, spec)) is MyNDBuffer

    @pytest.mark.parametrize(
        ("dtype", "shape"),
        [
            ("<f4", (20, 12)),
            ("<u4", (20, 12)),
            ("<i8", (20, 12)),
            ("<i4", (12, 20)),
            ("<i4", (240,)),
        ],
    )
    def test_a_frame_of_another_kind_is_refused_with_both_named(self, dtype, shape):
        # Same number of bytes or not, it must never be reinterpreted.
        frame = LatransCodec()._encode_sync(*pair(make_array("<i4")))
        with pytest.raises(CodecError) as caught:
            LatransCodec()._decode_sync(frame, make_spec(shape, dtype))
        for part in ("int32", "(20, 12)", str(np.dtype(dtype)), str(shape)):
            assert part in str(caught.value)

    @pytest.mark.parametrize(("written", "asked"), [("<M8[s]", "<M8[ms]"), ("<U3", "<U4")])
    def test_units_and_lengths_belong_to_the_dtype(self, written, asked):
        frame = LatransCodec()._encode_sync(*pair(make_array(written)))
        with pytest.raises(CodecError):
            LatransCodec()._decode_sync(frame, make_spec((20, 12), asked))

    def test_a_chunk_that_is_not_what_zarr_announces_is_refused(self):
        chunk = cpu.NDBuffer.from_numpy_array(make_array("<i2"))
        for shape, dtype in [((20, 12), "<f4"), ((12, 20), "<i2")]:
            with pytest.raises(ConfigError, match="int16"):
                LatransCodec()._encode_sync(chunk, make_spec(shape, dtype))

    def test_decoded_chunks_are_writable(self):
        chunk, spec = pair(make_array("<i2"))
        frame = LatransCodec()._encode_sync(chunk, spec)
        assert LatransCodec()._decode_sync(frame, spec).as_numpy_array().flags.writeable


class TestRefused:
    @pytest.mark.parametrize("dtype", ["string", "variable_length_bytes"])
    def test_dtypes_of_variable_size_are_refused_when_the_array_is_made(self, dtype):
        for kind in ("v3", "v3-sharded"):
            with pytest.raises(ConfigError, match="cannot store dtype"):
                create(kind, shape=(4,), dtype=dtype)

    def test_both_checks_refuse_them(self):
        dtype = parse_data_type("string", zarr_format=3)
        with pytest.raises(ConfigError, match="cannot store dtype"):
            LatransCodec().validate(shape=(4,), dtype=dtype, chunk_grid=None)
        spec = dataclasses.replace(make_spec((4,), "u1"), dtype=dtype)
        with pytest.raises(ConfigError, match="cannot store dtype"):
            LatransCodec().evolve_from_array_spec(spec)

    @pytest.mark.parametrize("axes", ["yx", "tyxc", "x"])
    @pytest.mark.parametrize("kind", ["v3", "v3-sharded"])
    def test_axes_that_do_not_fit_are_refused_when_the_array_is_made(self, axes, kind):
        with pytest.raises(ConfigError, match="dimensions"):
            create(kind, codec={"axes": axes}, shape=(4, 4, 4), dtype="u1")

    def test_a_numcodecs_codec_is_no_serializer(self):
        from latrans.numcodecs import Latrans

        with pytest.raises(TypeError):
            zarr.create_array({}, shape=(4, 4), dtype="u1", serializer=Latrans())


class TestMetadata:
    @pytest.mark.parametrize("config", CONFIGS)
    def test_configuration_survives_json(self, config):
        codec = LatransCodec(**config)
        stored = json.loads(json.dumps(codec.to_dict(), allow_nan=False))
        expected = {"model": "image-1", "mode": "lossless", **config}
        assert stored == {"name": "latrans", "configuration": expected}
        assert LatransCodec.from_dict(stored) == codec

    @pytest.mark.parametrize("config", CONFIGS)
    def test_zarr_json_holds_it_and_a_reopened_array_has_it(self, config, tmp_path):
        create("v3", tmp_path, config, shape=(4, 4), dtype="<f4")
        stored = json.loads((tmp_path / "zarr.json").read_text())
        assert stored["codecs"] == [LatransCodec(**config).to_dict()]
        assert zarr.open_array(tmp_path).serializer == LatransCodec(**config)

    @pytest.mark.parametrize("serializer", [{"name": "latrans"}, LatransCodec().to_dict()])
    def test_a_configuration_as_plain_data(self, serializer):
        values = make_array("<i2")
        z = create("v3", data=values, serializer=serializer)
        assert z.serializer == LatransCodec()
        assert_same_bits(z[:], values)

    @pytest.mark.parametrize(
        "data",
        [
            {},
            {"name": "latrans", "configuration": {"model_id": "x"}},
            {"name": "latrans", "configuration": {"mode": "perfect"}},
            {"name": "latrans", "configuration": {"model": None}},
            {"name": "latrans", "configuration": []},
            {"name": "other", "configuration": {}},
            {"configuration": {}},
        ],
    )
    def test_what_cannot_be_used_is_never_a_key_error(self, data):
        with pytest.raises((ValueError, TypeError)) as caught:
            LatransCodec.from_dict(data)
        assert not isinstance(caught.value, KeyError)

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
    def test_any_configuration_works_or_is_a_config_error(self, configuration):
        try:
            codec = LatransCodec.from_dict({"name": "latrans", "configuration": configuration})
        except ConfigError:
            return
        assert LatransCodec.from_dict(json.loads(json.dumps(codec.to_dict()))) == codec

    @pytest.mark.parametrize("config", CONFIGS)
    def test_copies_and_pickles_are_equal(self, config):
        codec = LatransCodec(**config)
        pickled = pickle.dumps(codec)
        assert len(pickled) < 1000
        for again in (
            copy.copy(codec), copy.deepcopy(codec), dataclasses.replace(codec),
            pickle.loads(pickled),
        ):  # fmt: skip
            assert again == codec
            assert hash(again) == hash(codec)
            assert tokenize(again) == tokenize(codec)
            assert again.to_dict() == codec.to_dict()

    def test_different_configurations_are_different_tokens(self):
        assert len({tokenize(LatransCodec(**config)) for config in CONFIGS}) == len(CONFIGS)

    def test_an_instance_cannot_be_changed(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            LatransCodec().mode = "lossy"

    def test_evolving_takes_nothing_over(self):
        codec = LatransCodec()
        assert codec.evolve_from_array_spec(make_spec((100, 200), "<f4")) == codec

    def test_the_registry_finds_the_class(self):
        assert get_codec_class("latrans") is LatransCodec


class TestShards:
    def test_inner_chunks_are_frames_and_read_alone(self):
        values = make_array("<i2", (32, 32))
        z = create("v3-sharded", data=values, chunks=(4, 4))
        assert z.metadata.to_dict()["codecs"][0]["configuration"]["codecs"] == (
            LatransCodec().to_dict(),
        )
        assert_same_bits(z[5:7, 9:30], values[5:7, 9:30])
        z[3:6, 3:6] = values[3:6, 3:6] = -1
        assert_same_bits(zarr.open_array(z.store)[:], values)

    def test_empty_inner_chunks_and_index_at_the_start(self):
        values = np.zeros((16, 16), "<i2")
        values[5, 5] = 1
        codec = ShardingCodec(
            chunk_shape=(4, 4), codecs=[LatransCodec(), Crc32cCodec()], index_location="start"
        )
        z = create("v3", data=values, chunks=(8, 8), serializer=codec)
        assert_same_bits(zarr.open_array(z.store)[:], values)

    def test_shards_in_shards(self):
        values = make_array("<f4", (32, 32))
        inner = ShardingCodec(chunk_shape=(4, 4), codecs=[LatransCodec(), ZstdCodec()])
        outer = ShardingCodec(chunk_shape=(8, 8), codecs=[inner])
        z = create("v3", data=values, chunks=(16, 16), serializer=outer)
        assert_same_bits(zarr.open_array(z.store)[1:30, 7], values[1:30, 7])

    def test_order_f_in_shards(self):
        values = make_array("<i4", (16, 16))
        z = create("v3-sharded", data=np.asfortranarray(values), chunks=(4, 8), order="F")
        assert_same_bits(z[:], values)


class TestPipelines:
    def test_between_other_codecs(self):
        values = make_array("<f4", (6, 10, 8))
        z = zarr.create_array(
            {}, data=values, chunks=(4, 5, 8), filters=[TransposeCodec(order=(2, 0, 1))],
            serializer=LatransCodec(), compressors=[ZstdCodec(), Crc32cCodec()],
        )  # fmt: skip
        assert_same_bits(zarr.open_array(z.store)[:], values)

    def test_after_a_codec_that_changes_the_dtype(self, tmp_path):
        values = make_array("<f4").round()
        z = create("v3", tmp_path, data=values, chunks=(20, 12), filters=[ToInt16()])
        assert_same_bits(z[:], values)
        frame = (tmp_path / "c" / "0" / "0").read_bytes()
        assert_same_bits(latrans.Codec().decode(frame), values.astype("<i2"))

    def test_copying_an_array_keeps_the_codec(self):
        values = make_array("<i2")
        z = create("v3", data=values, chunks=(8, 8))
        again = zarr.from_array({}, data=z)
        assert again.serializer == LatransCodec()
        assert_same_bits(again[:], values)

    def test_without_latrans_the_default_serializer_is_untouched(self):
        assert isinstance(zarr.create_array({}, shape=(4,), dtype="i2").serializer, BytesCodec)


@dataclasses.dataclass(frozen=True)
class ToInt16(ArrayArrayCodec):
    """float32 to int16, as a codec before ours may do."""

    is_fixed_size = True

    def resolve_metadata(self, chunk_spec: ArraySpec) -> ArraySpec:
        dtype = get_data_type_from_native_dtype(np.dtype("<i2"))
        return dataclasses.replace(chunk_spec, dtype=dtype, fill_value=np.int16(0))

    async def _encode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        return cpu.NDBuffer.from_numpy_array(chunk_data.as_numpy_array().astype("<i2"))

    async def _decode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        return cpu.NDBuffer.from_numpy_array(chunk_data.as_numpy_array().astype("<f4"))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        return input_byte_length // 2


class TestModels:
    def test_the_error_reaches_the_caller_through_every_layer(self):
        codec = LatransCodec(model=ABSENT)
        chunk, spec = pair(make_array("|u1", (32, 32)))
        for call in (
            lambda: codec._encode_sync(chunk, spec),
            lambda: asyncio.run(codec._encode_single(chunk, spec)),
            lambda: asyncio.run(codec.encode([(None, spec), (chunk, spec)])),
        ):
            with pytest.raises(ModelNotFoundError, match="0" * 16):
                call()

    def test_a_model_object_is_stored_by_digest_and_found_again(self, tmp_path):
        model = latrans.open_model("image-1")
        values = make_array("|u1", (32, 32))
        z = create("v3", tmp_path, {"model": model}, data=values)
        assert f'"sha256:{model.digest}"' in (tmp_path / "zarr.json").read_text()
        again = zarr.open_array(tmp_path)
        assert again.serializer == z.serializer
        again[:16] = values[:16]
        assert_same_bits(again[:], values)
        assert len(pickle.dumps(z.serializer)) < 1000  # the weights stay here


class TestFreshInterpreter:
    def test_writing_needs_no_import_of_latrans_and_loads_no_torch(self):
        run_python(
            """
            import sys, numpy as np, zarr
            values = np.arange(32 * 32, dtype="i4").reshape(32, 32)
            codec = {"name": "latrans", "configuration": {"model": "image-1"}}
            z = zarr.create_array({}, data=values, chunks=(8, 8), shards=(16, 16),
                                  serializer=codec, compressors=None)
            assert (z[:] == values).all()
            heavy = {"torch", "dask", "pyarrow", "xarray"} & set(sys.modules)
            assert not heavy, heavy
            """
        )

    def test_an_array_pickled_here_works_there(self, tmp_path):
        values = make_array("<i2")
        z = create("v3", tmp_path, data=values, chunks=(8, 8))
        run_python(
            f"""
            import pickle
            z = pickle.loads({pickle.dumps(z)!r})
            assert z[:].sum() == {int(values.sum())}
            z[:8] = 0
            """
        )
        assert not z[:8].any()
