"""Latents of arrays: from frames where these hold them, else by encoding; mapped and saved."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans
from latrans.errors import ConfigError

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
zarr = pytest.importorskip("zarr")

from latrans.dask import map_latents, save_latents
from latrans.numcodecs import Latrans
from latrans.zarr import LatransCodec
from latrans.zarr.chunk_sizes import chunk_nbytes
from stored_samples import CHUNKS, LAYOUTS, make_stack, written


@pytest.fixture(scope="module")
def stack() -> np.ndarray[Any, Any]:
    return make_stack()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_latents_come_from_frames_without_decoding_pixels(
    layout: str, stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = written(stack, layout, mode="lossy")
    encoded = map_latents(da.from_array(stack, chunks=CHUNKS), "image-1").compute()

    def refuse(*_: Any) -> None:
        raise AssertionError("pixels were decoded")

    array[0, :32, :32] = stack[:1, :32, :32] + 1  # so that every chunk is stored
    monkeypatch.setattr(importlib.import_module("latrans.chunk.decode"), "decode", refuse)
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
