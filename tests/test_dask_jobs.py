"""Analysis on Dask: sizes and frames of stored chunks, scores, latents, training on samples."""

from __future__ import annotations

import hashlib
import importlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import latrans
from latrans.errors import CodecError, ConfigError

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
zarr = pytest.importorskip("zarr")

from latrans.dask import (  # noqa: E402
    fit,
    map_latents,
    robust_z,
    run,
    save_latents,
    scores,
    verify,
)
from latrans.dask.fit import Blocks, draw  # noqa: E402
from latrans.frames import configuration, frames_of  # noqa: E402
from latrans.numcodecs import Latrans  # noqa: E402
from latrans.sizes import bits_per_sample, chunk_nbytes, samples_of_chunks  # noqa: E402
from latrans.zarr import LatransCodec  # noqa: E402

LAYOUTS: dict[str, dict[str, Any]] = {
    "v3": {},
    "v2": {"zarr_format": 2},
    "shards": {"shards": (2, 64, 128)},
}
CHUNKS = (1, 32, 32)
ANOMALY = (1, 1, 2)


@pytest.fixture(scope="module")
def stack() -> np.ndarray[Any, Any]:
    """Three smooth planes with a noisy square in one chunk, and a chunk of nothing."""
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(80), np.arange(100)) // 2
    planes = np.stack([ramp + 5 * i for i in range(3)]) + rng.integers(0, 3, (3, 80, 100))
    planes[1, 32:64, 64:96] = rng.integers(0, 250, (32, 32))
    planes[0, :32, :32] = 0
    return planes.astype(np.uint8)


def written(data: Any, layout: str, store: Any = None, **options: Any) -> Any:
    """A Zarr array of latrans."""
    values = {"model": "image-1", **options}
    codec: dict[str, Any] = {"serializer": LatransCodec(**values), "compressors": None}
    if layout == "v2":
        codec = {"compressors": Latrans(**values)}
    return zarr.create_array(
        {} if store is None else store, name="deep/a", data=data, chunks=CHUNKS,
        **codec, **LAYOUTS[layout],
    )  # fmt: skip


def regions(array: Any) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    grid = [math.ceil(n / step) for n, step in zip(array.shape, array.chunks, strict=True)]
    for place in np.ndindex(*grid):
        sides = zip(place, array.chunks, array.shape, strict=True)
        yield place, tuple(slice(i * step, min((i + 1) * step, n)) for i, step, n in sides)


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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_latents_come_from_frames_without_decoding_pixels(
    layout: str, stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = written(stack, layout, mode="lossy")
    encoded = map_latents(da.from_array(stack, chunks=CHUNKS), "image-1").compute()

    def refuse(*_: Any) -> None:
        raise AssertionError("pixels were decoded")

    array[0, :32, :32] = stack[:1, :32, :32] + 1  # so that every chunk is stored
    monkeypatch.setattr(importlib.import_module("latrans.chunk"), "decode", refuse)
    monkeypatch.setattr(latrans.Codec, "_decode", refuse)
    monkeypatch.setattr(latrans.Codec, "_encode", refuse)
    stored = map_latents(array)
    assert (stored.shape, stored.dtype) == ((3, 12, 10, 13), np.int8)
    assert stored.chunks == ((1, 1, 1), (12,), (4, 4, 2), (4, 4, 4, 1))
    found = stored.compute(scheduler="threads")
    assert np.array_equal(found[1:, :, :8, :12], encoded[1:, :, :8, :12])


def test_frames_without_latents_of_the_model_are_encoded(stack: Any) -> None:
    lossless = written(stack, "v3")
    wanted = map_latents(da.from_array(stack, chunks=CHUNKS), "image-1").compute()
    found = map_latents(lossless).compute()  # one chunk is not stored
    assert np.array_equal(found[:, :, :8, :12], wanted[:, :, :8, :12])
    other = written(stack, "v3", mode="lossy", model="image-lossy-1")
    assert map_latents(other, "image-1").dtype == np.int8
    assert map_latents(other).dtype == np.int32
    turned = written(stack, "v3", mode="lossy", axes="zxy")
    assert np.array_equal(
        map_latents(turned, axes="zyx").compute()[1:, :, :8, :12],
        map_latents(da.from_array(np.asarray(turned[...]), chunks=CHUNKS), "image-1")
        .compute()[1:, :, :8, :12],
    )  # fmt: skip


def test_frames_of_transposed_chunks_are_not_taken_for_chunks(stack: Any) -> None:
    options: dict[str, Any] = {"serializer": LatransCodec(mode="lossy"), "compressors": None}
    turn = [zarr.codecs.TransposeCodec(order=(0, 2, 1))]
    sharding = zarr.codecs.ShardingCodec(
        chunk_shape=CHUNKS, codecs=[*turn, LatransCodec(mode="lossy")]
    )
    for codecs in (
        {**options, "filters": turn, "chunks": CHUNKS},
        {"serializer": sharding, "compressors": None, "chunks": (1, 64, 64)},
    ):
        array = zarr.create_array({}, data=stack, **codecs)
        blocks = da.from_array(np.asarray(array[...]), chunks=CHUNKS)
        wanted = map_latents(blocks, "image-1").compute()
        assert np.array_equal(map_latents(array).compute(), wanted)
        assert chunk_nbytes(array).shape == (3, 3, 4)


def test_latents_are_saved_with_a_record_of_what_failed(stack: Any, tmp_path: Path) -> None:
    array = written(stack, "v3", tmp_path / "a.zarr", mode="lossy")
    target = tmp_path / "l.zarr"
    options: dict[str, Any] = {"block_nbytes": 20_000, "scheduler": "threads", "progress": False}
    summary = save_latents(array, target, **options)
    saved = zarr.open_array(target, mode="r")
    wanted = map_latents(array).compute()
    assert np.array_equal(saved[...], wanted)
    assert saved.chunks == (1, 12, 4, 4)
    assert saved.attrs["latrans_latents"]["model"] == "image-1"
    assert (summary.nbytes, summary.n_chunks, summary.failures) == (stack.nbytes, 36, ())
    assert summary.stored_nbytes > 0 < summary.read_nbytes
    with pytest.raises(ConfigError, match="exists: choose another name"):
        save_latents(array, target, **options)
    with pytest.raises(ConfigError, match="use map_latents"):
        save_latents(da.from_array(stack), target, "image-1")
    damaged = tmp_path / "a.zarr" / "deep" / "a" / "c" / "1" / "1" / "2"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    summary = save_latents(array, target, overwrite=True, **options)
    assert [failure.chunk for failure in summary.failures] == [(1, 1, 2)]
    assert "checksum" in summary.failures[0].reason
    wanted[1, :, 4:8, 8:12] = 0
    assert np.array_equal(zarr.open_array(target)[...], wanted)


def test_latents_have_the_dimensions_that_are_documented() -> None:
    rng = np.random.default_rng(0)

    def latents(shape: Any, chunks: Any, model: str, **options: Any) -> Any:
        data = rng.integers(0, 255, shape).astype(np.uint8)
        mapped = map_latents(da.from_array(data, chunks=chunks), model, **options)
        computed = mapped.compute()
        assert (computed.shape, computed.dtype) == (mapped.shape, mapped.dtype)
        return data, computed

    data, found = latents((4, 20, 30, 2), (2, 16, 16, 2), "image-1", axes="tyxc")
    assert found.shape == (4, 2, 12, 3, 4)
    # In the order of the source, whatever the order in which planes are coded.
    assert np.array_equal(
        found[0, 1, :, :2, :2], latrans.Codec("image-1").latents(data[0, :16, :16, 1])[0]
    )
    data, found = latents((2, 20, 30, 4), (2, 16, 16, 4), "image-1", axes="cyxn")
    assert np.array_equal(
        found[1, 3, :, :2, :2], latrans.Codec("image-1").latents(data[1, :16, :16, 3])[0]
    )
    assert latents((6, 28, 28), (4, 28, 28), "digits-1")[1].shape == (6, 16)
    assert latents((2, 20, 30), (1, 16, 16), "image-lossy-1", quality=30)[1].shape == (2, 20, 30)
    assert latents((20, 30), (20, 30), "image-1")[1].shape == (12, 3, 4)


def test_latents_of_what_no_model_takes_are_zero() -> None:
    field = np.random.default_rng(0).normal(size=(32, 64)).astype(np.float32)
    field[:, :32] = np.nan
    found = map_latents(da.from_array(field, chunks=32), "image-1").compute()
    assert not found[:, :, :4].any()
    assert found[:, :, 4:].any()


def test_models_and_arrays_without_latents_are_refused(stack: Any) -> None:
    blocks = da.from_array(stack, chunks=CHUNKS)
    with pytest.raises(ConfigError, match=r"field-1.*digits-1, image-1, image-lossy-1"):
        map_latents(blocks, "field-1")
    with pytest.raises(ConfigError, match="takes samples of"):
        map_latents(blocks, "digits-1")
    with pytest.raises(ConfigError, match="name a model"):
        map_latents(blocks)
    with pytest.raises(ConfigError, match="no latents; expected real numbers"):
        map_latents(blocks.astype("c8"), "image-1")


def test_graphs_are_named_by_what_they_compute(stack: Any) -> None:
    blocks = da.from_array(stack, chunks=CHUNKS)
    assert map_latents(blocks, "image-1").name == map_latents(blocks, "image-1").name
    assert map_latents(blocks, "image-1").name != map_latents(blocks, "image-lossy-1").name
    array = written(stack, "v3", mode="lossy")
    assert map_latents(array).name == map_latents(array).name
    for codec in (latrans.Codec, LatransCodec, Latrans):
        one, same, other = (dask.base.tokenize(codec(m)) for m in ("image-1", "image-1", "rgb-1"))
        assert one == same != other
    model = latrans.open_model("digits-1")
    mine = [dask.base.tokenize(latrans.Codec(replace(model, name="mine"))) for _ in range(2)]
    assert mine[0] == mine[1]


def test_all_schedulers_agree_and_models_travel(tmp_path: Path) -> None:
    """With a model that workers have no file of, in processes and on a cluster."""
    distributed = pytest.importorskip("distributed")
    digits = np.random.default_rng(0).integers(0, 255, (12, 28, 28)).astype(np.uint8)
    mine = replace(latrans.open_model("digits-1"), name="mine")
    path = tmp_path / "digits.zarr"
    zarr.create_array(
        path, data=digits, chunks=(4, 28, 28), serializer=LatransCodec(mine), compressors=None
    )

    def both() -> tuple[Any, Any, Any]:
        blocks = da.from_array(digits, chunks=(4, 28, 28))
        stored = map_latents(path, mine).compute()
        return map_latents(blocks, mine).compute(), stored, scores(blocks, mine)

    results = []
    for scheduler in ("synchronous", "threads", "processes"):
        with dask.config.set(scheduler=scheduler, num_workers=1):
            results.append(both())
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        results.append(both())
        summary = save_latents(path, tmp_path / "l.zarr", progress=False)
        assert (summary.n_chunks, summary.failures) == (3, ())
        assert np.array_equal(zarr.open_array(tmp_path / "l.zarr")[...], results[0][0])
        assert verify(path, progress=False).nbytes == digits.nbytes
        told: list[int] = []
        parts = [da.ones(3, chunks=3) * i for i in range(5)]
        values = run.values_of(client, parts, told.append)
        assert [value.tolist() for value in values] == [[float(i)] * 3 for i in range(5)]
        assert told == [1] * 5
    for result in results:
        for part, expected in zip(result, results[0], strict=True):
            assert np.array_equal(part, expected)
    assert np.array_equal(results[0][0], results[0][1])


def test_pieces_are_drawn_by_seed_within_bounds_and_once() -> None:
    huge = zarr.create_array({}, shape=(10**5, 8192, 8192), chunks=(1, 256, 256), dtype="u2")
    blocks = Blocks.of(huge, "zyx")
    pieces = draw([blocks], 1 << 23, 0, "zyx")
    sizes = [math.prod(s.stop - s.start for s in p.region) for p in pieces]
    assert len(pieces) == 8
    assert sum(sizes) <= 1 << 23
    assert draw([blocks], 1 << 23, 0, "zyx") == pieces
    assert draw([blocks], 1 << 23, 1, "zyx") != pieces
    small = Blocks.of(da.zeros((9, 8, 8), dtype="u1", chunks=(1, 8, 8)), None)
    assert len(draw([small], 10**9, 0)) == 9  # all blocks, none twice
    assert len(set(map(str, draw([small], 10**9, 0)))) == 9
    assert len(draw([small], 1, 0)) == 1


def test_fit_computes_only_what_it_draws_and_says_what_that_was() -> None:
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 40, (16, 64, 64)).cumsum(1).astype(np.uint16)
    seen: list[int] = []

    def note(block: Any, block_info: Any = None) -> Any:
        seen.append(block_info[0]["chunk-location"][0])
        return block

    source = da.from_array(stack, chunks=(1, 64, 64)).map_blocks(note, dtype=stack.dtype)
    seen.clear()
    options: dict[str, Any] = {"samples": 5 * 4096, "steps": 10, "progress": False, "name": "mine"}
    with dask.config.set(scheduler="synchronous"):
        model = fit(source, "field", **options)
        sampling = model.training["sampling"]
        named = sampling["held"] + sampling["trained"]
        assert sorted(f"0[{i}:{i + 1}, 0:64, 0:64]" for i in seen) == sorted(named)
        assert len(named) == 5
        assert (len(sampling["held"]), sampling["seed"]) == (1, 0)
        assert [entry["name"] for entry in model.training["data"]] == sampling["trained"]
        held = int(sampling["held"][0][2:].partition(":")[0])
        frame = latrans.Codec(model).encode(stack[held : held + 1])
        assert sampling["held_bits_per_sample"] == round(len(frame) * 8 / 4096, 4)
        assert fit(source, "field", **options).digest == model.digest
    assert latrans.Model.from_bytes(model.data).training["sampling"] == sampling


def test_fit_takes_several_arrays_and_refuses_what_says_nothing() -> None:
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 40, (64, 64)).cumsum(1).astype(np.uint16)
    stored = zarr.create_array({}, data=image, chunks=(32, 32))
    flat = da.full((64, 64), 7, dtype="u2", chunks=32)
    model = fit(
        [da.from_array(image, chunks=32), stored, flat],
        "field",
        steps=10,
        progress=False,
        axes="yx",
    )
    named = model.training["sampling"]["trained"] + model.training["sampling"]["held"]
    assert {name[0] for name in named} == {"0", "1"}  # what is flat teaches nothing
    assert "1[0:64, 0:64]" in named  # chunks that are small come together
    for entry in model.training["data"]:
        rows, columns = (slice(*map(int, s.split(":"))) for s in entry["name"][2:-1].split(", "))
        piece = np.ascontiguousarray(image[rows, columns])
        assert hashlib.sha256(piece.tobytes()).hexdigest() == entry["sha256"]
    with pytest.raises(ConfigError, match="constant"):
        fit(flat, "field")
    with pytest.raises(ConfigError, match="integers or floats"):
        fit(flat.astype("c8"), "field")
    with pytest.raises(ConfigError, match="no samples"):
        fit(da.zeros((0, 4), chunks=4), "field")
    with pytest.raises(ConfigError, match="unknown size"):
        fit(flat[flat > 3], "field")
