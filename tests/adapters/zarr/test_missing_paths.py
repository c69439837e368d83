"""Missing values and exact arrays on every path into latrans: what was there is there after it."""

from __future__ import annotations

import struct
from base64 import standard_b64encode
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

import latrans
import latrans.zarr
from latrans import dask as latrans_dask
from latrans.cli import main
from latrans.errors import ConfigError
from latrans.numcodecs import Latrans
from latrans.transfer import transcode
from latrans.transfer.compare import difference
from latrans.transfer.verify import pairs, violations
from latrans.zarr import LatransCodec

pytestmark = [
    pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata"),
]

SHAPE = (2, 150, 240)
ERROR = 4
Array = np.ndarray[Any, Any]


def packed(dtype: str = "u1", fill: Any = 255) -> Array:
    """Counts between 0 and 250 whose corner is missing; of floats, too."""
    rng = np.random.default_rng(0)
    values = (rng.integers(-3, 4, SHAPE).cumsum(2) + 120).clip(0, 250).astype(dtype)
    values[:, :40, :50] = fill
    return values


def gaps(values: Any, *fills: Any) -> Array:
    values = np.asarray(values)
    return np.isin(values, np.array(fills).astype(values.dtype))


def as_xarray(value: float) -> str:
    """A `_FillValue` of floats as xarray writes it into Zarr format 3."""
    return standard_b64encode(struct.pack("<d", value)).decode()


# dtype, what is missing, attributes, Zarr's fill value
DECLARED = {
    "_FillValue": ("u1", 255, {"_FillValue": 255}, 0),
    "missing_value": ("i2", -99, {"missing_value": -99}, 0),
    "missing values": ("i4", 7, {"missing_value": [-1, 7]}, 0),
    "valid_range": ("u2", 60000, {"valid_range": [0, 50000]}, 0),
    "valid_max": ("u1", 251, {"valid_max": 250}, 0),
    "fill_value": ("u1", 255, {}, 255),
    "floats": ("f4", 1e20, {"_FillValue": as_xarray(1e20)}, 0.0),
    "doubles": ("f8", -9999.0, {"missing_value": -9999.0}, np.nan),
    "zero": ("f4", 0.0, {"_FillValue": as_xarray(0.0)}, 0.0),
    "half": ("f2", -999.0, {"_FillValue": as_xarray(-999.0)}, 0.0),
}


@pytest.mark.parametrize("zarr_format", [3, 2])
@pytest.mark.parametrize("case", DECLARED)
class TestDeclared:
    """What attributes and metadata of a source declare as missing."""

    def source(self, case: str, zarr_format: int, store: Any) -> tuple[Any, Array, Any]:
        dtype, fill, attributes, fill_value = DECLARED[case]
        values = packed(dtype, fill)
        array = zarr.create_array(
            store, data=values, chunks=(1, 100, 100), attributes=attributes,
            fill_value=fill_value, zarr_format=zarr_format,
        )  # fmt: skip
        return array, values, fill

    def check(self, store: Any, values: Array, fill: Any) -> None:
        found = zarr.open_array(store, mode="r")[:]
        np.testing.assert_array_equal(gaps(found, fill), gaps(values, fill))
        error = np.abs(found.astype("f8") - values)[~gaps(values, fill)]
        assert 0 < error.max() <= ERROR

    def test_transcode(self, case, zarr_format):
        array, values, fill = self.source(case, zarr_format, MemoryStore())
        target = MemoryStore()
        codec = latrans.Codec("image-1", "bounded", ERROR)
        transcode(array, target, codec, zarr_format=zarr_format)
        self.check(target, values, fill)

    def test_dask_transcode_and_verify(self, case, zarr_format):
        array, values, fill = self.source(case, zarr_format, MemoryStore())
        target, codec = MemoryStore(), latrans.Codec("image-1", "bounded", ERROR)
        latrans_dask.transcode(array, target, codec, scheduler="threads", progress=False)
        self.check(target, values, fill)
        assert not latrans_dask.verify(target, array, progress=False).failures

    def test_compress_with_a_relative_error(self, case, zarr_format, tmp_path, capsys):
        array, values, fill = self.source(case, zarr_format, tmp_path / "a.zarr")
        share = ERROR / 250
        line = ["compress", array.store_path.store.root, tmp_path / "b.zarr"]
        assert main([*map(str, line), "--relative-error", str(share)]) == 0
        self.check(tmp_path / "b.zarr", values, fill)
        valid = values[~gaps(values, fill)].astype("f8")
        bound = float(f"{share * (valid.max() - valid.min()):g}")
        assert f"bounded within {bound:g}" in capsys.readouterr().out
        assert main(["verify", *map(str, line[1:])]) == 0

    def test_create(self, case, zarr_format):
        dtype, fill, attributes, fill_value = DECLARED[case]
        values, store = packed(dtype, fill), MemoryStore()
        latrans.zarr.create(
            store, data=values, max_error=ERROR, attributes=attributes, fill_value=fill_value,
            zarr_format=zarr_format,
        )  # fmt: skip
        self.check(store, values, fill)

    def test_to_zarr(self, case, zarr_format):
        dtype, fill, attributes, fill_value = DECLARED[case]
        values, store = packed(dtype, fill), MemoryStore()
        latrans_dask.to_zarr(
            da.from_array(values), store, latrans.Codec("image-1", "bounded", ERROR),
            attributes=attributes, fill_value=fill_value, zarr_format=zarr_format,
            scheduler="threads", progress=False,
        )  # fmt: skip
        self.check(store, values, fill)


def test_verification_finds_missing_values_that_moved():
    values = packed()
    source = zarr.create_array({}, data=values, attributes={"_FillValue": 255})
    moved = latrans.zarr.create({}, data=values, max_error=ERROR)
    (pair,) = pairs(source, moved)
    found = difference(values, moved[:], ERROR, pair.missing)
    assert violations(pair, found) == 2 * 40 * 50


def test_a_fill_value_of_zarr_reaches_the_codec():
    values = packed()
    for options in ({}, {"shards": SHAPE}):
        array = zarr.create_array(
            {}, shape=SHAPE, dtype="u1", chunks=(1, 150, 120), fill_value=255, compressors=None,
            serializer=LatransCodec("image-1", "bounded", ERROR), **options,
        )  # fmt: skip
        array[:] = values
        np.testing.assert_array_equal(gaps(array[:], 255), gaps(values, 255))
    plain = zarr.create_array({}, data=values, serializer=LatransCodec(), compressors=None)
    assert plain.serializer == LatransCodec()  # lossless, and the default of 0: nothing to say


def test_zeros_that_are_no_marks_cost_nothing():
    values = packed(fill=0)
    target = MemoryStore()
    transcode(zarr.create_array({}, data=values), target, LatransCodec("image-1", "bounded", ERROR))
    assert zarr.open_array(target).serializer.fill_value is None


@pytest.mark.parametrize("name", ["max_error", "relative_error"])
def test_bounds_above_the_range_of_what_is_left_are_refused(name, tmp_path):
    values = packed("f4", 1e20)
    if name == "max_error":
        with pytest.raises(ConfigError, match="larger than 1"):
            latrans.zarr.create({}, data=values, max_error=1e6, fill_value=1e20)
        with pytest.raises(ConfigError, match="larger than 1"):
            transcode(values, MemoryStore(), latrans.Codec("field-1", "bounded", 1e6, 1e20))
        limited = zarr.create_array({}, data=values, attributes={"valid_range": [0, 250]})
        with pytest.raises(ConfigError, match="larger than 250"):
            transcode(limited, MemoryStore(), latrans.Codec("field-1", "bounded", 1e6))
        return
    np.save(tmp_path / "a.npy", values)
    line = ["compress", str(tmp_path / "a.npy"), str(tmp_path / "b.zarr"), "--fill-value", "1e20"]
    assert main([*line, "--relative-error", "1.5"]) != 0
    assert not (tmp_path / "b.zarr").exists()


def test_what_is_all_missing_has_no_range(tmp_path, capsys):
    zarr.create_array(
        tmp_path / "a.zarr", data=np.full((200, 200), -9999.0), fill_value=-9999.0
    )  # fmt: skip
    line = ["compress", str(tmp_path / "a.zarr"), str(tmp_path / "b.zarr")]
    assert main([*line, "--relative-error", "0.01"]) != 0
    assert "all values that are not missing are equal" in capsys.readouterr().err


@pytest.mark.parametrize("zarr_format", [3, 2])
def test_datasets_of_xarray_keep_their_missing_values(zarr_format, tmp_path):
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    field = np.random.default_rng(0).normal(280, 1, SHAPE).cumsum(1).astype("f4")
    field[:, :30] = np.nan
    dataset = xarray.Dataset(
        {
            "sst": (("time", "lat", "lon"), field),
            "ndvi": (("time", "lat", "lon"), packed(), {"_FillValue": 255, "scale_factor": 0.004}),
        }
    )
    marks = {"sst": {"_FillValue": np.float32(1e20)}}
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format, encoding=marks)
    line = [str(tmp_path / "a.zarr"), str(tmp_path / "b.zarr")]
    assert main(["compress", *line, "--relative-error", "0.01"]) == 0
    assert main(["verify", *line]) == 0
    with xarray.open_zarr(line[0]) as before, xarray.open_zarr(line[1]) as after:
        for name in ("sst", "ndvi"):
            was, now = before[name].load(), after[name].load()
            np.testing.assert_array_equal(was.isnull(), now.isnull())
            bound = 0.0101 * float(was.max() - was.min())
            assert 0 < float(np.abs(was - now).max()) <= bound


@pytest.mark.parametrize("zarr_format", [3, 2])
def test_encodings_of_xarray_may_say_what_is_missing(zarr_format, tmp_path):
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    ways: list[dict[str, Any]] = [
        {"serializer": LatransCodec("image-1", "bounded", ERROR, 255)},
        {"serializer": LatransCodec("image-1", "bounded", ERROR), "fill_value": 255},
    ]
    if zarr_format == 2:
        ways = [{"compressors": Latrans("image-1", "bounded", ERROR, 255)}]
    dataset = xarray.Dataset({"ndvi": (("t", "y", "x"), packed(), {"_FillValue": 255})})
    for i, slots in enumerate(ways):
        place = tmp_path / f"{i}.zarr"
        marks = {"ndvi": {"compressors": (), **slots}}
        dataset.to_zarr(place, zarr_format=zarr_format, encoding=marks)
        with xarray.open_zarr(place) as found:
            np.testing.assert_array_equal(found["ndvi"].isnull(), gaps(packed(), 255))


def test_zeros_of_arrays_of_format_2_are_no_gaps_for_xarray(tmp_path):
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    latrans.zarr.create(
        tmp_path, name="n", data=np.zeros((64, 64), "u2"), dimension_names=["y", "x"],
        zarr_format=2,
    )  # fmt: skip
    with xarray.open_zarr(tmp_path, consolidated=False) as found:
        assert not found["n"].isnull().any()


def test_suggest_bounds_what_is_not_missing(tmp_path, capsys):
    values = np.random.default_rng(0).normal(0, 1, (96, 128)).cumsum(0).astype("f4")
    values[:20] = values[50, 7] = 3.0
    zarr.create_array(
        tmp_path / "a.zarr", data=values, attributes={"_FillValue": as_xarray(3.0)}
    )  # fmt: skip
    assert main(["suggest", str(tmp_path / "a.zarr"), "--bound", "0.5", "--axes", "yx"]) == 0
    (line,) = [row for row in capsys.readouterr().out.splitlines() if "latrans field-1" in row]
    assert float(line.split()[-1]) <= 1


def group(store: Any) -> dict[str, Array]:
    """A group of a picture and of what must not be off by a little; returns the latter."""
    rng = np.random.default_rng(0)
    root = zarr.open_group(
        store, mode="w",
        attributes={"ome": {"multiscales": [{"datasets": [{"path": "0"}]}]}, "coordinates": "lat"},
    )  # fmt: skip
    picture = rng.poisson(200, (256, 256)).astype("u2")
    root.create_array("0", data=picture, attributes={"coordinates": "lon", "grid_mapping": "crs"})
    cells = np.kron(np.arange(1, 1025).reshape(32, 32), np.ones((8, 8), int)).astype("i4")
    flags = rng.choice(np.array([1, 2, 4, 8], "u2"), (256, 256))
    sparse = root.create_group("graph", attributes={"encoding-type": "csr_matrix"})
    labels = root.create_group("labels", attributes={"ome": {"labels": ["nuclei"]}})
    nuclei = labels.create_group("nuclei", attributes={"ome": {"image-label": {}}})
    exact = {
        "labels/nuclei/0": (nuclei, "0", cells, {}),
        "qa": (root, "qa", flags, {"flag_masks": [1, 2, 4, 8]}),
        "mask": (root, "mask", (flags > 2).astype("i1"), {"dtype": "bool"}),
        "graph/indices": (sparse, "indices", rng.integers(0, 3000, 40000).astype("i4"), {}),
        "cell_id": (root, "cell_id", cells, {}),
        "lat": (root, "lat", rng.normal(size=(256, 256)), {}),
        "lon": (root, "lon", rng.normal(size=(256, 256)), {}),
        "t": (root, "t", np.arange(40000.0), {"units": "hours since 2000-01-01"}),
        "x_bounds": (root, "x_bounds", rng.normal(size=(20000, 2)), {}),
        "x": (root, "x", np.arange(256.0), {"bounds": "x_bounds", "axis": "X"}),
    }
    for parent, name, values, attributes in exact.values():
        parent.create_array(name, data=values, attributes=attributes)
    sparse.create_array("data", data=rng.normal(size=40000))
    return {path: values for path, (_, _, values, _) in exact.items()}


def check_exact(root: Any, exact: dict[str, Array]) -> None:
    for path, values in exact.items():
        assert root[path][:].tobytes() == values.tobytes(), path


class TestGroups:
    """Names, flags, indices and positions in groups that are stored within a bound."""

    def test_names_flags_and_positions_stay_exact_and_are_named(self):
        store, target = MemoryStore(), MemoryStore()
        exact = group(store)
        summary = transcode(store, target, LatransCodec("image-1", "bounded", 2))
        root = zarr.open_group(target, mode="r")
        check_exact(root, exact)
        named = "cell_id (index), graph/indices (index), labels/nuclei/0 (labels), qa (flags)"
        assert all(entry in summary.exact for entry in named.split(", "))
        assert "kept exact" in str(summary)
        assert "mask (flags)" in summary.exact
        assert root["0"].serializer.mode == "bounded"
        assert (root["0"][:] != zarr.open_group(store)["0"][:]).any()

    def test_models_that_are_lossy_only_leave_them_as_they_were(self):
        store, target = MemoryStore(), MemoryStore()
        exact = group(store)
        summary = transcode(store, target, LatransCodec("image-lossy-1", "lossy", quality=30))
        check_exact(zarr.open_group(target, mode="r"), exact)
        assert "qa (flags)" in summary.exact

    def test_what_is_asked_for_by_name_is_bounded(self):
        store, target = MemoryStore(), MemoryStore()
        group(store)
        codec = LatransCodec("image-1", "bounded", 2)
        assert transcode(store, target, codec, arrays=["cell_id"]).exact == ()
        assert zarr.open_group(target)["cell_id"].serializer.mode == "bounded"

    def test_quantities_that_are_called_an_index_are_none(self):
        root, target = zarr.create_group({}), MemoryStore()
        root.create_array("leaf_area_index", data=packed(), attributes={"scale_factor": 0.1})
        assert transcode(root, target, LatransCodec("image-1", "bounded", 2)).exact == ()

    def test_lossless_transfers_have_nothing_to_say(self):
        store = MemoryStore()
        group(store)
        summary = transcode(store, MemoryStore(), "image-1")
        assert summary.exact == ()
        assert "kept exact" not in str(summary)

    def test_the_command_line_says_so(self, tmp_path, capsys):
        exact = group(tmp_path / "a.zarr")
        line = ["compress", str(tmp_path / "a.zarr"), str(tmp_path / "b.zarr")]
        assert main([*line, "--relative-error", "0.01"]) == 0
        out = capsys.readouterr().out
        assert "kept exact" in out
        assert "bounded within" in out
        check_exact(zarr.open_group(tmp_path / "b.zarr"), exact)


def test_padding_of_records_is_neither_compared_nor_stored():
    inner = np.dtype([("a", "u1"), ("b", "f4")], align=True)
    dtype = np.dtype([("channel", "u1"), ("value", "f8"), ("more", inner, 2)], align=True)
    rng = np.random.default_rng(0)
    frames = set()
    for _ in range(3):
        records = np.frombuffer(rng.bytes(100 * dtype.itemsize), dtype).copy()  # junk in between
        for name, values in (("channel", np.arange(100) % 7), ("value", np.arange(100) / 8)):
            records[name] = values
        records["more"]["a"], records["more"]["b"] = 3, np.float32(0.5)
        frames.add(latrans.encode(records))
        flat, store = records[["channel", "value"]], MemoryStore()  # keeps what lies between
        transcode(flat, store, "image-1")
        assert (zarr.open_array(store)[:] == flat).all()
        again = records.copy()
        again.view("u1").reshape(100, -1)[:, 1:8] = 77  # padding after `channel`
        assert not difference(records, again).n_different
    assert len(frames) == 1


@pytest.mark.parametrize("shards", [None, (64, 64)])
def test_chunks_of_any_nan_are_moved_in_one_run(shards, tmp_path):
    values = np.ones((128, 128), "f4")
    values[:32, :32].view("u4")[:] = 0xFFC00000  # what 0 / 0 is on many machines
    values[64:, 64:].view("u4")[:] = 0x7F8007A2  # with a payload
    values[:32, 64:96] = np.nan
    options = {"chunks": (32, 32), "fill_value": float("nan")}
    latrans_dask.to_zarr(
        da.from_array(values, chunks=64), tmp_path / "a.zarr", "field-1", shards=shards,
        progress=False, **options,
    )  # fmt: skip
    found = zarr.open_array(tmp_path / "a.zarr")
    assert found[:].tobytes() == values.tobytes()
    source = zarr.create_array({}, data=values, config={"write_empty_chunks": True}, **options)
    for zarr_format in (2, 3):
        target = MemoryStore()
        transcode(source, target, "field-1", chunks="source", zarr_format=zarr_format)
        assert zarr.open_array(target)[:].tobytes() == values.tobytes()


@pytest.mark.parametrize("fill_value", [0.0, float("nan")])
def test_sparse_arrays_have_no_object_for_empty_chunks(fill_value, tmp_path):
    values = np.full((256, 256), fill_value, "f4")
    values[:64, :64] = np.arange(64)
    source = zarr.create_array(
        tmp_path / "a.zarr", data=values, chunks=(64, 64), fill_value=fill_value
    )  # fmt: skip
    transcode(source, tmp_path / "b.zarr", "field-1", chunks="source")
    files = [path for path in (tmp_path / "b.zarr" / "c").rglob("*") if path.is_file()]
    assert len(files) == 1
    assert zarr.open_array(tmp_path / "b.zarr")[:].tobytes() == values.tobytes()


def test_negative_zeros_of_records_and_complex_numbers_are_moved():
    pairs_ = np.zeros(100, [("a", "f4"), ("b", "i4")])
    pairs_["a"] = -0.0
    waves = np.full(100, complex(np.nan, 1))
    for values, fill in ((pairs_, None), (waves, complex(np.nan, 0))):
        store = MemoryStore()
        source = zarr.create_array(
            {}, data=values, chunks=(50,), fill_value=fill, config={"write_empty_chunks": True}
        ) if fill is not None else values  # fmt: skip
        transcode(source, store, "image-1", chunks=(50,))
        assert zarr.open_array(store)[:].tobytes() == values.tobytes()


def test_arrays_that_are_opened_to_go_on_keep_payloads():
    values = np.full((4, 4), np.nan, "f4")
    values.view("u4")[:] = 0x7F8007A2
    store = MemoryStore()
    options: dict[str, Any] = {"chunks": (4, 4), "fill_value": float("nan")}
    made = latrans.zarr.create(store, shape=(8, 4), dtype="f4", model="field-1", **options)
    made[:4] = values
    latrans.zarr.open(store, mode="r+", batch_size=2)[4:] = values
    assert latrans.zarr.open(store)[:].tobytes() == 2 * values.tobytes()


MASKED = np.ma.masked_array(np.arange(24, dtype="f4").reshape(4, 6), mask=np.eye(4, 6) > 0)
WAYS = {
    "encode": lambda: latrans.encode(MASKED),
    "encode_batch": lambda: latrans.Codec().encode_batch([MASKED]),
    "latents": lambda: latrans.Codec("digits-1").latents(np.ma.masked_all((28, 28), "u1")),
    "numcodecs": lambda: Latrans("field-1").encode(MASKED),
    "create": lambda: latrans.zarr.create({}, data=MASKED, fill_value=-999.0),
    "transcode": lambda: transcode(MASKED, MemoryStore()),
    "to_zarr": lambda: latrans_dask.to_zarr(
        da.from_array(MASKED, asarray=False), MemoryStore(), "field-1", progress=False
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_masked_arrays_are_refused_with_what_to_do(way):
    with pytest.raises(ConfigError, match="filled"):
        WAYS[way]()


def test_masked_arrays_written_to_zarr_are_refused():
    array = latrans.zarr.create({}, shape=(4, 6), dtype="f4", chunks=(4, 6))
    with pytest.raises(ConfigError, match="filled"):
        array[:] = MASKED


def test_masked_arrays_that_mask_nothing_are_arrays():
    values = np.ma.masked_array(np.arange(24).reshape(4, 6))
    np.testing.assert_array_equal(latrans.decode(latrans.encode(values)), values.data)
    np.testing.assert_array_equal(latrans.zarr.create({}, data=values)[:], values.data)


def test_marks_of_a_codec_add_to_those_of_an_array(tmp_path):
    values = packed("i2", -99)
    values[:, 50:60] = 7
    source = zarr.create_array(
        {}, data=values, fill_value=-99, zarr_format=2,
        attributes={"_ARRAY_DIMENSIONS": ["t", "y", "x"]},
    )  # fmt: skip
    for zarr_format in (2, 3):
        store = MemoryStore()
        codec = latrans.Codec("image-1", "bounded", ERROR, 7)
        transcode(source, store, codec, zarr_format=zarr_format)
        found = zarr.open_array(store)
        assert found.fill_value == -99  # or readers would see other gaps
        np.testing.assert_array_equal(gaps(found[:], 7, -99), gaps(values, 7, -99))
        np.testing.assert_array_equal(found[:][gaps(values, 7)], 7)


def test_marks_that_some_arrays_of_a_group_cannot_hold_are_for_the_others():
    root, target = zarr.create_group({}), MemoryStore()
    root.create_array("counts", data=packed())
    root.create_array("field", data=packed("f4", -9999))
    transcode(root, target, latrans.Codec("image-1", "bounded", ERROR, -9999))
    found = zarr.open_group(target)["field"][:]
    np.testing.assert_array_equal(gaps(found, -9999), gaps(root["field"][:], -9999))


def test_whatever_fill_value_a_dtype_cannot_hold_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="300 is not a value"):
        transcode(packed(), tmp_path / "a", latrans.Codec("image-1", "bounded", 1, 300))
    assert not (tmp_path / "a").exists()
