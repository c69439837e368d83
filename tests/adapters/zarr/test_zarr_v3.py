"""latrans in arrays of Zarr format 3: the codec's three layers, and what Zarr says of a chunk."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from zarr.core.buffer import BufferPrototype, cpu

import latrans
import latrans.codec
from adapter_samples import (
    DTYPES,
    assert_same_bits,
    create,
    make_array,
    make_pair,
    make_spec,
)
from latrans.errors import CodecError, ConfigError
from latrans.zarr import LatransCodec

pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")


class TestLayers:
    """Zarr may call in batches, one by one on its loop, or one by one in threads."""

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_all_layers_write_and_read_the_same(self, dtype):
        codec, values = LatransCodec(), make_array(dtype)
        chunk, spec = make_pair(values)

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
        chunks = [
            (None, make_pair(arrays[0])[1]),
            *map(make_pair, arrays),
            (None, make_pair(arrays[1])[1]),
        ]
        chunks.insert(2, (None, make_pair(arrays[2])[1]))

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
        abc = pytest.importorskip("zarr.abc.codec")
        if not hasattr(abc, "SupportsSyncCodec"):
            pytest.skip("this Zarr has no synchronous layer")
        assert isinstance(LatransCodec(), abc.SupportsSyncCodec)

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
    def test_byte_order_is_the_one_asked_for_and_memory_order_c(self, order, written, asked):
        values = make_array(written)
        frame = LatransCodec()._encode_sync(*make_pair(values))
        buffer = LatransCodec()._decode_sync(frame, make_spec(values.shape, asked, order))
        found = buffer.as_numpy_array()
        assert found.dtype.str == asked
        assert found.flags.c_contiguous  # filters before latrans flatten it
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
        frame = LatransCodec()._encode_sync(*make_pair(make_array("<i4")))
        with pytest.raises(CodecError) as caught:
            LatransCodec()._decode_sync(frame, make_spec(shape, dtype))
        for part in ("int32", "(20, 12)", str(np.dtype(dtype)), str(shape)):
            assert part in str(caught.value)

    @pytest.mark.parametrize(("written", "asked"), [("<M8[s]", "<M8[ms]"), ("<U3", "<U4")])
    def test_units_and_lengths_belong_to_the_dtype(self, written, asked):
        frame = LatransCodec()._encode_sync(*make_pair(make_array(written)))
        with pytest.raises(CodecError):
            LatransCodec()._decode_sync(frame, make_spec((20, 12), asked))

    def test_a_chunk_that_is_not_what_zarr_announces_is_refused(self):
        chunk = cpu.NDBuffer.from_numpy_array(make_array("<i2"))
        for shape, dtype in [((20, 12), "<f4"), ((12, 20), "<i2")]:
            with pytest.raises(ConfigError, match="int16"):
                LatransCodec()._encode_sync(chunk, make_spec(shape, dtype))

    def test_decoded_chunks_are_writable(self):
        chunk, spec = make_pair(make_array("<i2"))
        frame = LatransCodec()._encode_sync(chunk, spec)
        assert LatransCodec()._decode_sync(frame, spec).as_numpy_array().flags.writeable
