"""Batches of Zarr's chunks: their size, what shares them, errors and cancellation."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import zarr

import latrans.zarr
from adapter_samples import assert_same_bits, create, make_array, make_pairs, make_spec
from latrans.batch import queue
from latrans.errors import CodecError, ConfigError
from latrans.numcodecs import Latrans
from latrans.zarr import LatransCodec

ROWS, COLUMNS = 40, 25  # chunks: a thousand


def picture(rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray[Any, Any]:
    """Chunks of 8 x 8, none of them empty."""
    steps = np.random.default_rng(3).integers(0, 4, (8 * rows, 8 * columns))
    return (1 + steps.cumsum(1) % 250).astype("u1")


@pytest.fixture(params=["open", "closed"])
def batches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Open batches, and those that a device gets as one; this engine works as one, too."""
    if request.param == "closed":
        monkeypatch.setenv("LATRANS_ENGINE", "native")
        monkeypatch.setattr(queue, "_DEVICE_ENGINE", "native")
    kind: str = request.param
    return kind


@pytest.mark.parametrize("place", ["memory", "local"])
@pytest.mark.usefixtures("batches")
class TestSizes:
    """Mean and largest batch of a thousand chunks, with what Zarr does by default."""

    def sizes(self, place: str, tmp_path: Any, **options: Any) -> Any:
        values = picture()
        with latrans.zarr.batch_sizes() as sizes:
            z = create("v3", None if place == "memory" else tmp_path, data=values, **options)
            assert_same_bits(z[:], values)
        assert sum(sizes.encode) == sum(sizes.decode) == ROWS * COLUMNS
        return sizes

    def test_default_configuration(self, place, tmp_path):
        sizes = self.sizes(place, tmp_path, chunks=(8, 8))
        assert np.mean(sizes.encode) >= 8
        assert np.mean(sizes.decode) >= 8

    def test_more_chunks_under_way(self, place, tmp_path):
        with zarr.config.set({"async.concurrency": 64}):
            sizes = self.sizes(place, tmp_path, chunks=(8, 8))
        for found in (sizes.encode, sizes.decode):
            # Files on a busy machine take their time.
            assert max(found) >= (64 if place == "memory" else 48)
            assert np.mean(found) >= 16

    def test_shards(self, place, tmp_path):
        sizes = self.sizes(place, tmp_path, chunks=(8, 8), shards=(64, 40))
        assert np.mean(sizes.encode) >= 8
        assert np.mean(sizes.decode) >= 8

    def test_batches_of_the_pipeline_join(self, place, tmp_path):
        with zarr.config.set({"codec_pipeline.batch_size": 16}):
            sizes = self.sizes(place, tmp_path, chunks=(8, 8))
        for found in (sizes.encode, sizes.decode):
            assert max(found) > 16
            assert np.mean(found) >= (64 if place == "memory" else 32)


class TestTogether:
    def test_chunks_of_any_shape_and_configuration_share_a_flush(self, batches):
        codecs = [LatransCodec(), LatransCodec("series-1"), LatransCodec(axes="yx")]
        arrays = [make_array("<i2", shape) for shape in [(4, 4), (3, 9), (20, 12)]]
        pairs = make_pairs(arrays)

        async def there_and_back() -> Any:
            work = [codec._encode_single(*pair) for codec in codecs for pair in pairs]
            frames = await asyncio.gather(*work)
            specs = [spec for _ in codecs for _, spec in pairs]
            work = [codecs[0]._decode_single(*pair) for pair in zip(frames, specs, strict=True)]
            return frames, await asyncio.gather(*work)

        with latrans.zarr.batch_sizes() as sizes:
            frames, found = asyncio.run(there_and_back())
        assert sizes.encode == [3, 3, 3]
        assert sizes.decode == [9]
        alone = [c._encode_sync(*pair).to_bytes() for c in codecs for pair in pairs]
        assert [frame.to_bytes() for frame in frames] == alone
        for buffer, array in zip(found, arrays * 3, strict=True):
            assert_same_bits(buffer.as_numpy_array(), array)

    def test_one_chunk_after_the_other_waits_for_none(self, monkeypatch):
        monkeypatch.setenv("LATRANS_ENGINE", "native")
        monkeypatch.setattr(queue, "_DEVICE_ENGINE", "native")
        monkeypatch.setattr(queue, "_QUIET_SECONDS", 60)
        z = create("v3", data=picture(4, 4), chunks=(8, 8))
        with latrans.zarr.batch_sizes() as sizes:
            for i in range(16):
                z.blocks[i // 4, i % 4]
        assert sizes.decode == [1] * 16

    def test_a_device_gets_a_flush_as_one(self, monkeypatch):
        # The engine's name alone decides how chunks are handed over; none runs here.
        calls = []

        def code(self: Any, kind: str, chunks: Any, threads: int) -> list[int]:
            calls.append((kind, len(chunks), threads))
            return [7] * len(chunks)

        monkeypatch.setattr(LatransCodec, "code", code)
        monkeypatch.setenv("LATRANS_ENGINE", "torch:cuda:0")
        monkeypatch.setenv("LATRANS_NUM_THREADS", "3")
        pairs = make_pairs([make_array("<i2")] * 9)

        async def encode() -> Any:
            return await asyncio.gather(*(LatransCodec()._encode_single(*p) for p in pairs))

        assert asyncio.run(encode()) == [7] * 9
        assert calls == [("encode", 9, 3)]

    @pytest.mark.parametrize("batches", ["closed"], indirect=True)
    @pytest.mark.usefixtures("batches")
    def test_a_device_gets_chunks_of_threads_together(self):
        numcodec, codec = Latrans(), LatransCodec()
        arrays = [make_array("<i2", (8, 8), seed) for seed in range(200)]
        expected = [latrans.encode(array) for array in arrays]

        def there_and_back(array: Any) -> Any:
            chunk, spec = make_pairs([array])[0]
            frame = codec._encode_sync(chunk, spec)
            assert_same_bits(codec._decode_sync(frame, spec).as_numpy_array(), array)
            assert numcodec.encode(array) == frame.to_bytes()
            assert_same_bits(numcodec.decode(frame.to_bytes()), array)
            return frame.to_bytes()

        with ThreadPoolExecutor(16) as pool, latrans.zarr.batch_sizes() as sizes:
            assert list(pool.map(there_and_back, arrays)) == expected
        assert sum(sizes.encode) == sum(sizes.decode) == 400
        assert max(sizes.encode + sizes.decode) > 1
        with pytest.raises(CodecError):
            numcodec.decode(b"no frame")

    @pytest.mark.parametrize("batches", ["closed"], indirect=True)
    @pytest.mark.usefixtures("batches")
    def test_a_device_gets_chunks_of_format_2_together(self):
        values = picture()
        with latrans.zarr.batch_sizes() as sizes:
            z = create("v2", data=values, chunks=(8, 8))
            assert_same_bits(z[:], values)
        assert np.mean(sizes.encode) >= 2
        assert np.mean(sizes.decode) >= 2

    def test_counting_ends(self):
        with latrans.zarr.batch_sizes() as outer:
            with latrans.zarr.batch_sizes() as inner:
                create("v3", data=make_array("<i2"), chunks=(20, 12))
            create("v3", data=make_array("<i2"), chunks=(20, 12))
        assert (inner.encode, outer.encode) == ([1], [1, 1])


class TestErrors:
    def test_each_chunk_has_its_own(self):
        arrays = [make_array("<i2", (8, 8), seed) for seed in range(8)]
        pairs = make_pairs(arrays)
        pairs[3] = (pairs[3][0], make_spec((4, 4), "<f4"))

        async def encode() -> Any:
            codec = LatransCodec()
            work = [codec._encode_single(*pair) for pair in pairs]
            return await asyncio.gather(*work, return_exceptions=True)

        found = asyncio.run(encode())
        assert [isinstance(f, Exception) for f in found] == [i == 3 for i in range(8)]
        assert isinstance(found[3], ConfigError)
        for i in (0, 7):
            assert found[i].to_bytes() == latrans.encode(arrays[i])

    def test_others_of_a_device_batch_are_coded(self, monkeypatch):
        monkeypatch.setenv("LATRANS_ENGINE", "torch")
        monkeypatch.setattr(
            LatransCodec, "code", lambda self, kind, chunks, n: [1 // c for c, _ in chunks]
        )
        monkeypatch.setattr("latrans.zarr.codec._nbytes", lambda *_: 1)

        async def encode() -> Any:
            work = [LatransCodec()._encode_single(i, None) for i in (1, 0, 1)]
            return await asyncio.gather(*work, return_exceptions=True)

        first, failed, last = asyncio.run(encode())
        assert (first, last) == (1, 1)
        assert isinstance(failed, ZeroDivisionError)

    def test_chunks_beside_a_damaged_one_are_read(self, tmp_path):
        values = picture(4, 4)
        create("v3", tmp_path, data=values, chunks=(8, 8))
        (tmp_path / "c" / "1" / "2").write_bytes(b"not a frame")
        z = zarr.open_array(tmp_path)
        with pytest.raises(CodecError):
            z[:]
        assert_same_bits(z[16:], values[16:])

    def test_others_are_written_when_one_fails(self, monkeypatch):
        original = LatransCodec._to_array

        def failing(self: Any, chunk: Any, spec: Any) -> Any:
            array = original(self, chunk, spec)
            if array[0, 0] == 251:
                raise CodecError("this one")
            return array

        monkeypatch.setattr(LatransCodec, "_to_array", failing)
        values = picture(3, 3)
        values[8, 8] = 251
        store = zarr.storage.MemoryStore()
        z = create("v3", store, shape=values.shape, dtype="u1", chunks=(8, 8))
        with pytest.raises(CodecError, match="this one"):
            z[:] = values
        deadline = time.monotonic() + 30  # Zarr tells of the error while others are written
        while len(store._store_dict) < 9 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sorted(store._store_dict) == sorted(
            ["zarr.json", *(f"c/{i}/{j}" for i in range(3) for j in range(3) if (i, j) != (1, 1))]
        )

    def test_a_number_of_threads_that_is_none_is_told(self, monkeypatch):
        monkeypatch.setenv("LATRANS_NUM_THREADS", "many")
        with pytest.raises(ConfigError, match="LATRANS_NUM_THREADS"):
            create("v3", data=make_array("<i2"), chunks=(8, 8))
        monkeypatch.delenv("LATRANS_NUM_THREADS")
        create("v3", data=make_array("<i2"), chunks=(8, 8))

    def test_cancelling_one_leaves_the_others(self):
        pairs = make_pairs([make_array("<i2")] * 6)

        async def encode() -> Any:
            tasks = [asyncio.ensure_future(LatransCodec()._encode_single(*p)) for p in pairs]
            await asyncio.sleep(0)
            tasks[0].cancel()  # before the flush
            await asyncio.sleep(0.001)
            tasks[1].cancel()  # perhaps after
            return await asyncio.gather(*tasks, return_exceptions=True)

        found = asyncio.run(encode())
        assert isinstance(found[0], asyncio.CancelledError)
        assert {f.to_bytes() for f in found[2:]} == {latrans.encode(make_array("<i2"))}

    def test_a_loop_that_ends_early_harms_nobody(self):
        pair = make_pairs([picture()])[0]

        async def give_up() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(LatransCodec()._encode_single(*pair), 0.001)

        asyncio.run(give_up())
        assert asyncio.run(LatransCodec()._encode_single(*pair)).to_bytes() == latrans.encode(
            picture()
        )
