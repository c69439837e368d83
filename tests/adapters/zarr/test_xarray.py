"""Datasets of xarray: written with latrans through `encoding`, and read back as they were."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import latrans.zarr
from latrans.numcodecs import Latrans
from latrans.zarr import LatransCodec

xarray = pytest.importorskip("xarray", reason="xarray is not installed")
pytestmark = [
    pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata"),
]

DIMENSIONS = ("time", "lat", "lon")


@pytest.fixture
def dataset() -> Any:
    rng = np.random.default_rng(5)
    field = rng.normal(0, 0.1, (4, 12, 20)).cumsum(1).cumsum(2).astype("f4")
    field[:, :2, :3] = np.nan
    counts = rng.integers(0, 300, (4, 12, 20)).astype("u2")
    return xarray.Dataset(
        {
            "field": (DIMENSIONS, field, {"units": "K"}),
            "counts": (DIMENSIONS, counts),
        },
        coords={
            "time": np.arange("2001-01-01", "2001-01-05", dtype="M8[D]").astype("M8[ns]"),
            "lat": np.linspace(-60, 60, 12),
            "lon": np.arange(20.0),
        },
        attrs={"title": "a test"},
    )


def encoding(zarr_format: int, **codec: Any) -> dict[str, Any]:
    chunks = {"chunks": (2, 6, 20)}
    if zarr_format == 2:
        return {"compressors": Latrans(axes="tyx", **codec), **chunks}
    return {"serializer": LatransCodec(axes="tyx", **codec), "compressors": (), **chunks}


@pytest.mark.parametrize("zarr_format", [3, 2])
class TestDatasets:
    def test_round_trip(self, zarr_format, dataset, tmp_path):
        slots = {name: encoding(zarr_format, model="field-1") for name in ("field", "counts")}
        dataset.to_zarr(tmp_path / "a", encoding=slots, zarr_format=zarr_format)
        with xarray.open_zarr(tmp_path / "a") as found:
            xarray.testing.assert_identical(found.load(), dataset)
            assert found["field"].dims == DIMENSIONS
        stored = latrans.zarr.open(tmp_path / "a", "field")
        codec = stored.metadata.compressor if zarr_format == 2 else stored.serializer
        assert (codec.model, codec.axes) == ("field-1", "tyx")

    def test_within_a_bound(self, zarr_format, dataset, tmp_path):
        slots = {"field": encoding(zarr_format, mode="bounded", max_error=0.01)}
        dataset[["field"]].to_zarr(tmp_path / "a", encoding=slots, zarr_format=zarr_format)
        with xarray.open_zarr(tmp_path / "a") as found:
            field = found["field"].load()
        error = np.abs(field.astype("f8") - dataset["field"].astype("f8"))
        assert 0 < error.max() <= 0.01
        assert (field.isnull() == dataset["field"].isnull()).all()

    def test_arrays_that_we_created_open_as_a_dataset(self, zarr_format, dataset, tmp_path):
        field = dataset["field"]
        latrans.zarr.create(
            tmp_path / "a", name="field", data=field.values, model="field-1",
            dimension_names=DIMENSIONS, zarr_format=zarr_format, model_storage="beside",
        )  # fmt: skip
        latrans.zarr.open(tmp_path / "a")  # its models
        with xarray.open_zarr(tmp_path / "a", consolidated=False) as found:
            assert found["field"].dims == DIMENSIONS
            np.testing.assert_array_equal(found["field"], field)


@pytest.mark.parametrize("zarr_format", [3, 2])
class TestEncodingThatTravels:
    """What xarray makes of a dataset keeps the codec that the dataset was read with."""

    @pytest.fixture
    def found(self, zarr_format, dataset, tmp_path) -> Any:
        latrans.zarr.create(
            tmp_path / "a", name="field", data=dataset["field"].values, model="field-1",
            dimension_names=DIMENSIONS, zarr_format=zarr_format,
        )  # fmt: skip
        with xarray.open_zarr(tmp_path / "a", consolidated=False) as found:
            yield found

    @pytest.mark.parametrize(
        ("change", "axes"),
        [
            (lambda a: a.isel(time=0), "yx"),
            (lambda a: a.isel(lon=0), None),
            (lambda a: a.expand_dims("run"), "ntyx"),
            (lambda a: a.stack(p=("lat", "lon")).drop_vars(["p", "lat", "lon"], errors="ignore"),
             None),
            (lambda a: a.isel(time=slice(0, 3)), "tyx"),
            (lambda a: a.transpose("lat", "lon", "time"), "yxt"),
            (lambda a: a.transpose("lon", "time", "lat").isel(lat=0), "xt"),
            (lambda a: a.copy(deep=True).transpose("lat", "time", "lon"), "ytx"),
            (lambda a: pickle.loads(pickle.dumps(a.load())).transpose("lat", "time", "lon"), "ytx"),
        ],
    )  # fmt: skip
    def test_derived_axes_follow_the_dimensions(self, zarr_format, found, tmp_path, change, axes):
        changed = change(found["field"])
        for key in ("chunks", "preferred_chunks"):
            changed.encoding.pop(key, None)
        changed.to_dataset(name="b").to_zarr(
            tmp_path / "b", zarr_format=zarr_format, consolidated=False
        )
        with xarray.open_zarr(tmp_path / "b", consolidated=False) as again:
            np.testing.assert_array_equal(again["b"], changed)
            if zarr_format == 3:  # in format 2 a codec never learns of what array it is
                assert again["b"].encoding["serializer"].axes == axes

    def test_appending_keeps_axes(self, zarr_format, dataset, tmp_path):
        slots = {"field": encoding(zarr_format)}
        dataset[["field"]].to_zarr(
            tmp_path / "a", encoding=slots, zarr_format=zarr_format, consolidated=False
        )
        dataset[["field"]].to_zarr(tmp_path / "a", append_dim="time", consolidated=False)
        stored = latrans.zarr.open(tmp_path / "a", "field")
        codec = stored.metadata.compressor if zarr_format == 2 else stored.serializer
        assert codec.axes == "tyx"
        assert stored.shape == (8, 12, 20)

    @pytest.mark.parametrize(
        ("change", "axes"),
        [
            (lambda a: a.isel(time=0), "yx"),
            (lambda a: a.isel(lon=0), None),
            (lambda a: a.expand_dims("run"), "ntyx"),
            (lambda a: a.transpose("lat", "lon", "time"), "yxt"),
        ],
    )
    def test_axes_in_shards_follow_the_chunks(self, zarr_format, dataset, tmp_path, change, axes):
        if zarr_format == 2:
            pytest.skip("shards are of format 3")
        slots = {"field": {**encoding(3), "shards": (4, 12, 20)}}
        dataset[["field"]].to_zarr(tmp_path / "a", encoding=slots, consolidated=False)
        with xarray.open_zarr(tmp_path / "a", consolidated=False) as found:
            changed = change(found["field"].load())
        sizes = {"time": 2, "lat": 6, "lon": 20, "run": 1}
        changed.encoding["chunks"] = tuple(sizes[name] for name in changed.dims)
        changed.encoding["shards"] = changed.shape
        changed.to_dataset(name="b").to_zarr(tmp_path / "b", consolidated=False)
        with xarray.open_zarr(tmp_path / "b", consolidated=False) as again:
            np.testing.assert_array_equal(again["b"], changed)
            assert again["b"].encoding["serializer"].axes == axes
