"""Sizes and frames of stored chunks, and scores: what is unlike the rest, without decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from latrans.errors import CodecError, ConfigError

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
zarr = pytest.importorskip("zarr")

from latrans.dask import fit, map_latents, robust_z, scores
from latrans.zarr import LatransCodec
from latrans.zarr.chunk_sizes import bits_per_sample, chunk_nbytes, samples_of_chunks
from latrans.zarr.frame_reader import configuration, frames_of
from stored_samples import ANOMALY, CHUNKS, LAYOUTS, make_stack, regions, written


@pytest.fixture(scope="module")
def stack() -> np.ndarray[Any, Any]:
    return make_stack()


class Counting(zarr.storage.WrapperStore):  # type: ignore[misc]
    """A store that counts the bytes that are read through it."""

    read: ClassVar[list[int]] = []

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        found = await super().get(key, prototype, byte_range)
        self.read.append(0 if found is None else len(found))
        return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["memory", "local", "fsspec"])
def test_sizes_of_chunks_are_those_of_their_frames(
    layout: str, kind: str, stack: Any, tmp_path: Path
) -> None:
    if kind == "fsspec":
        pytest.importorskip("fsspec")
    stores = {"memory": {}, "local": tmp_path / "a.zarr", "fsspec": f"memory://{tmp_path.name}.z"}
    array = written(stack, layout, stores[kind])
    nbytes = chunk_nbytes(array)
    assert nbytes.shape == (3, 3, 4)
    for place, region in regions(array):
        frames = frames_of(array, region)
        assert [len(frame) for frame in frames] == [n for n in [nbytes[place]] if n >= 0]
        assert np.prod([s.stop - s.start for s in region]) == samples_of_chunks(array)[place]
    assert nbytes[0, 0, 0] == -1  # all fill value, not stored
    assert (nbytes < 0).sum() == 1


def test_sizes_take_no_reading_but_of_shard_indices(stack: Any) -> None:
    for layout, expected in (("v3", 0), ("shards", 4)):
        array = written(stack, layout)
        counting = Counting(array.store)
        again = zarr.open_array(counting, path="deep/a", mode="r")
        counting.read.clear()
        assert np.array_equal(chunk_nbytes(again), chunk_nbytes(array))
        assert len(counting.read) == expected
        assert sum(counting.read) <= expected * (16 * 2 * 2 * 4 + 4)


@pytest.mark.parametrize("location", ["start", "end"])
def test_an_index_is_read_where_it_lies(location: str, stack: Any) -> None:
    sharding = zarr.codecs.ShardingCodec(
        chunk_shape=(1, 40, 50), codecs=[zarr.codecs.BytesCodec()], index_location=location
    )
    array = zarr.create_array(
        {}, shape=stack.shape, dtype="u1", chunks=(2, 80, 100), serializer=sharding,
        compressors=None, filters=None,
    )  # fmt: skip
    array[:2] = stack[:2]
    assert chunk_nbytes(array).tolist() == [[[2000, 2000]] * 2] * 2 + [[[-1, -1]] * 2]


def test_shards_behind_another_codec_count_as_chunks(stack: Any) -> None:
    sharding = zarr.codecs.ShardingCodec(chunk_shape=(1, 40, 50))
    with pytest.warns(match="partial reads"):
        array = zarr.create_array(
            {}, data=stack, chunks=(1, 80, 100), serializer=sharding,
            compressors=zarr.codecs.GzipCodec(),
        )  # fmt: skip
    assert chunk_nbytes(array).sum() + len(array.store._store_dict["zarr.json"]) == (
        array.nbytes_stored()
    )


def test_a_shard_that_is_cut_short_is_reported(stack: Any) -> None:
    array = written(stack, "shards")
    key = "deep/a/c/0/0/0"
    array.store._store_dict[key] = array.store._store_dict[key][:20]
    with pytest.raises(CodecError, match="shorter than its index"):
        chunk_nbytes(array)


def test_an_array_of_another_codec_has_scores_but_no_frames(stack: Any) -> None:
    array = zarr.create_array({}, data=stack, chunks=CHUNKS)
    assert np.nanmean(scores(array)) > 0
    assert configuration(array) is None
    with pytest.raises(ConfigError, match="not written with latrans"):
        frames_of(array, (slice(0, 1),) * 3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_find_what_is_unlike_the_rest(layout: str, stack: Any) -> None:
    array = written(stack, layout)
    bits = scores(array)
    assert bits.shape == (3, 3, 4)
    assert np.isnan(bits[0, 0, 0])
    assert np.nansum(bits * samples_of_chunks(array)) == 8 * chunk_nbytes(array).clip(0).sum()
    z = robust_z(bits, samples_of_chunks(array))
    assert np.unravel_index(np.nanargmax(z), z.shape) == ANOMALY
    assert z[ANOMALY] > 3.5


def test_scores_need_no_model(stack: Any, tmp_path: Path) -> None:
    array = written(stack, "v3", tmp_path / "a.zarr")
    metadata = tmp_path / "a.zarr" / "deep" / "a" / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"image-1"', '"nobody-has-it"'))
    found = scores(tmp_path / "a.zarr" / "deep" / "a")
    assert np.array_equal(found, bits_per_sample(array), equal_nan=True)


def test_a_group_is_refused_by_the_names_of_its_arrays(stack: Any) -> None:
    group = zarr.create_group({})
    group.create_array("planes", data=stack)
    for function in (scores, lambda source: map_latents(source, "image-1"), fit):
        with pytest.raises(ConfigError, match="arrays in it: planes"):
            function(group)


def test_scores_of_a_dask_array_come_from_encoding_it(stack: Any) -> None:
    blocks = da.from_array(stack, chunks=CHUNKS)
    bits = scores(blocks, "image-1")
    whole = bits_per_sample(written(stack, "v3"))[:, :2, :3]  # no edges: those are padded in Zarr
    assert np.nanmax(np.abs(bits[:, :2, :3] - whole)) == 0
    assert np.array_equal(bits, scores(blocks, LatransCodec("image-1")))
    with pytest.raises(ConfigError, match="need a codec"):
        scores(blocks)
    with pytest.raises(ConfigError, match="codec is int"):
        scores(blocks, 3)


def test_robust_z_stands_on_the_median() -> None:
    assert robust_z([2.0, 2.0, 2.0]).tolist() == [0.0, 0.0, 0.0]
    assert robust_z([2.0, 2.0, 2.0, 2.0, 7.0])[-1] > 3.5  # median deviation 0
    values = np.random.default_rng(0).normal(5, 2, 10001)
    values[:500] = 1e6
    assert np.isnan(robust_z([np.nan, 1.0])).tolist() == [True, False]
    assert np.abs(robust_z(values)[500:]).max() < 5
    assert robust_z(values)[:500].min() > 1e5
    kinds = np.arange(4) // 2
    assert np.array_equal(robust_z([1, 3, 1001, 1003], kinds), robust_z([1, 3, 1, 3]))
