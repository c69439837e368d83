"""latrans.zarr.create and open: chunks that suit, and stores that carry their model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr

import latrans
import latrans.zarr
from adapter_samples import assert_same_bits, make_array
from latrans.batch import queue
from latrans.errors import ConfigError, ModelNotFoundError

FORMATS = pytest.mark.parametrize("zarr_format", [3, 2])


def image(shape: tuple[int, ...] = (40, 50)) -> np.ndarray[Any, Any]:
    return make_array("<i2", shape)


class TestChunks:
    @pytest.mark.parametrize(
        ("shape", "options", "chunks", "axes"),
        [
            ((2000, 3000), {}, (512, 512), None),
            ((100, 2000, 3000), {"axes": "zyx"}, (4, 512, 512), "zyx"),
            ((100, 2000, 3000), {"dimension_names": ["z", "y", "x"]}, (4, 512, 512), "zyx"),
            ((50, 700, 900), {"dimension_names": ["time", "lat", "lon"]}, (4, 512, 512), "tyx"),
            ((700, 900, 50), {"dimension_names": ["lat", "lon", "time"]}, (512, 512, 4), "yxt"),
            ((50, 700, 900), {"dimension_names": ["a", None, "b"]}, (4, 512, 512), None),
            ((1_000_000, 8), {"model": "series-1"}, (131072, 8), None),
            ((8, 1_000_000), {"model": "series-1"}, (8, 131072), None),
            ((1_000_000,), {"model": "series-1"}, (131072,), None),
            ((60_000, 28, 28), {"model": "digits-1"}, (1337, 28, 28), None),
            ((900, 800, 3), {"model": "rgb-1"}, (512, 512, 3), None),
            ((2000, 3000), {"model": "auto"}, (512, 512), None),
            ((9, 2000, 3000), {"model": "auto", "dimension_names": "zyx"}, (4, 512, 512), "zyx"),
            ((2000, 3000), {"chunks": (100, 200)}, (100, 200), None),
            ((), {}, (), None),
            ((0, 5), {}, (512, 5), None),
            ((0, 64), {"model": "series-1"}, (16384, 64), None),
            ((0, 64), {"model": "series-1", "dimension_names": "tc"}, (16384, 64), "tc"),
            ((0, 700, 900), {"dimension_names": ["time", "lat", "lon"]}, (4, 512, 512), "tyx"),
        ],
    )
    def test_they_suit_model_and_dimensions(self, shape, options, chunks, axes):
        z = latrans.zarr.create({}, shape=shape, dtype="u1", **options)
        assert z.chunks == chunks
        assert z.serializer.axes == axes
        assert z.metadata.codecs == (z.serializer,)  # nothing is compressed again

    def test_they_divide_shards(self):
        z = latrans.zarr.create({}, shape=(4000, 4000), dtype="u1", shards=(1000, 4000))
        assert (z.chunks, z.shards) == ((500, 500), (1000, 4000))

    @pytest.mark.parametrize(
        "options",
        [
            {"axes": "yxx"},
            {"chunks": "big"},
            {"batch_size": 0},
            {"batch_size": "many"},
            {"model_storage": "inside"},
            {"mode": "lossless", "max_error": 1.0},
            {"serializer": "auto"},
            {"compressors": None},
        ],
    )
    def test_arguments_that_do_not_go_together(self, options):
        with pytest.raises(ConfigError):
            latrans.zarr.create({}, shape=(8, 8), dtype="u1", **options)

    def test_an_array_needs_shape_and_dtype(self):
        for options in ({}, {"shape": (4,)}, {"dtype": "u1"}):
            with pytest.raises(ConfigError, match="shape and dtype"):
                latrans.zarr.create({}, **options)

    def test_absent_models_are_told_at_once(self):
        with pytest.raises(ModelNotFoundError):
            latrans.zarr.create({}, shape=(8, 8), dtype="u1", model="nobody-1")


@FORMATS
class TestArrays:
    def test_data_attributes_and_names(self, zarr_format, tmp_path):
        values = image()
        z = latrans.zarr.create(
            tmp_path, name="group/a", data=values, zarr_format=zarr_format,
            attributes={"unit": "m"}, dimension_names=["lat", "lon"],
        )  # fmt: skip
        assert type(z) is zarr.Array
        assert z.attrs["unit"] == "m"
        if zarr_format == 3:
            assert z.metadata.dimension_names == ("lat", "lon")
        else:
            assert z.attrs["_ARRAY_DIMENSIONS"] == ["lat", "lon"]
        assert_same_bits(latrans.zarr.open(tmp_path, "group/a")[:], values)
        assert_same_bits(zarr.open_group(tmp_path, mode="r")["group/a"][:], values)

    def test_modes(self, zarr_format):
        values = make_array("<f4", (64, 64))
        values[3] = 1e20
        z = latrans.zarr.create(
            {}, data=values, max_error=0.5, fill_value=1e20, zarr_format=zarr_format
        )
        found = z[:].astype("f8")
        assert 0 < np.abs(found - values).max() <= 0.5
        assert (found[3] == np.float32(1e20)).all()
        assert z.fill_value == np.float32(1e20)

    @pytest.mark.parametrize("fill_value", [None, np.nan, 0.0])
    def test_no_value_passes_for_the_fill_value(self, zarr_format, fill_value):
        values = np.array([[0x80000000, 0x7FC00001]] * 4, "u4").view("<f4")
        options = {} if fill_value is None else {"fill_value": fill_value}
        z = latrans.zarr.create({}, data=values, chunks=(4, 1), zarr_format=zarr_format, **options)
        assert_same_bits(z[:], values)

    def test_in_a_group(self, zarr_format):
        group = zarr.create_group({}, zarr_format=zarr_format)
        z = latrans.zarr.create(group, name="a", data=image(), model_storage="beside")
        assert z.metadata.zarr_format == zarr_format
        assert_same_bits(group["a"][:], image())
        assert_same_bits(latrans.zarr.open(group, "a")[:], image())

    def test_existing_arrays_are_replaced_only_when_asked(self, zarr_format, tmp_path):
        options: Any = {"data": image(), "zarr_format": zarr_format, "model_storage": "beside"}
        latrans.zarr.create(tmp_path, name="a", **options)
        with pytest.raises(Exception, match="exists"):
            latrans.zarr.create(tmp_path, name="a", **options)
        z = latrans.zarr.create(tmp_path, name="a", overwrite=True, **options)
        assert_same_bits(z[:], image())


class TestBatchSize:
    def test_it_is_that_of_the_handle(self):
        kept: dict[str, Any] = {}
        made = latrans.zarr.create(kept, shape=(8, 8), dtype="u1", batch_size=48)
        opened = latrans.zarr.open(kept, batch_size=24)
        for z, size in ((made, 48), (opened, 24), (latrans.zarr.open(kept), 1)):
            assert z.async_array.codec_pipeline.batch_size == size
        assert zarr.config.get("codec_pipeline.batch_size") == 1

    @pytest.mark.parametrize("zarr_format", [3, 2])
    @pytest.mark.parametrize("shards", [None, (32, 24)])
    @pytest.mark.parametrize("wrap", [np.asarray, zarr.array], ids=["numpy", "zarr"])
    def test_data_is_written_with_it(self, monkeypatch, zarr_format, shards, wrap):
        monkeypatch.setenv("LATRANS_ENGINE", "native")
        monkeypatch.setattr(queue, "_DEVICE_ENGINE", "native")  # batches as one
        values = make_array("<i2", (130, 90))
        if zarr_format == 2 and shards is not None:
            return
        with latrans.zarr.batch_sizes() as sizes:
            z = latrans.zarr.create(
                {}, data=wrap(values), chunks=(8, 6), shards=shards, batch_size=16,
                zarr_format=zarr_format,
            )  # fmt: skip
        assert_same_bits(z[:], values)
        if zarr_format == 3:  # format 2 hands over one by one
            assert max(sizes.encode) > 16

    def test_data_of_any_shape(self):
        for shape in ((), (0,), (1,), (7,), (3, 0, 2), (5, 9, 4)):
            values = make_array("<i2", shape)
            z = latrans.zarr.create({}, data=values, batch_size=2)
            assert_same_bits(z[...], values)


def test_open_says_which_path_a_store_does_not_have(tmp_path):
    latrans.zarr.create(tmp_path / "a.zarr", name="raw", data=make_array("<i2", (5, 9)))
    for store in (tmp_path / "a.zarr", str(tmp_path / "a.zarr")):
        with pytest.raises(FileNotFoundError, match=r"a\.zarr has no array or group 'rw'"):
            latrans.zarr.open(store, "rw")
