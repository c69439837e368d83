"""Encoded columns in the layouts that other libraries give them: read as what they are."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans

pa = pytest.importorskip("pyarrow")
ds = pytest.importorskip("pyarrow.dataset")

from arrow_samples import drawings, frames_of, same, station, table
from latrans.arrow import (
    ColumnsType,
    TensorArray,
    TensorType,
    decode_array,
    decode_columns,
    decode_table,
    encode_array,
    encode_columns,
    encode_table,
    read_parquet,
    write_parquet,
)
from latrans.arrow.columns.type import STORAGE
from latrans.errors import CodecError, ConfigError

BYTES = (pa.binary(), pa.large_binary(), pa.binary_view())
GROUP = ["ticks", "pressure", "warmth", "count", "open"]
IMAGES = drawings(40)


def handed(storage: Any, kind: Any) -> Any:
    """A column as another library hands it over: its storage, and the type by name."""
    metadata = {
        "ARROW:extension:name": kind.extension_name,
        "ARROW:extension:metadata": kind.__arrow_ext_serialize__(),
    }
    field = pa.field("a", storage.type, metadata=metadata)
    batch = pa.RecordBatch.from_arrays([storage], schema=pa.schema([field]))
    return pa.RecordBatch._import_from_c_capsule(*batch.__arrow_c_array__()).column(0)


@pytest.fixture(scope="module")
def encoded() -> Any:
    """Drawings, every third of them null, in a slice that begins at the second."""
    column = encode_table(table(12, nulls=True), {"image": "digits-1"})["image"]
    return column.combine_chunks()[1:]


@pytest.fixture(scope="module")
def grouped() -> Any:
    return encode_columns(station(300), GROUP, name="sensors")


@pytest.mark.parametrize("kind", BYTES, ids=str)
def test_frames_are_read_in_the_layout_that_they_have(kind: Any, encoded: Any) -> None:
    column = handed(encoded.storage.cast(kind), encoded.type)
    assert isinstance(column, TensorArray)
    assert column.type.storage_type == column.storage.type == kind
    assert decode_array(column) == decode_array(encoded)
    assert decode_array(column[2:7]) == decode_array(encoded[2:7])
    assert len(decode_array(column[:0])) == 0
    assert np.array_equal(column[1].as_py(), encoded[1].as_py())
    assert [row is None for row in column.to_pylist()] == [
        row is None for row in encoded.to_pylist()
    ]
    there = np.flatnonzero(column.is_valid())
    frames = [column[int(i)] for i in there]
    assert np.array_equal(latrans.Codec().decode_batch(frames), [row.as_py() for row in frames])
    assert decode_table(pa.table({"a": column})).column("a").chunk(0) == decode_array(encoded)


@pytest.mark.parametrize("kind", BYTES, ids=str)
def test_what_is_written_again_has_the_usual_layout(
    kind: Any, encoded: Any, tmp_path: Path
) -> None:
    source = pa.table({"a": handed(encoded.storage.cast(kind), encoded.type), "n": range(11)})
    assert encode_table(source, {}).schema.field("a").type == encoded.type
    write_parquet(source, tmp_path / "a.parquet")
    found = read_parquet(tmp_path / "a.parquet", decode=False)
    assert found.schema.field("a").type == encoded.type
    assert frames_of(found["a"]) == encoded.storage.to_pylist()


@pytest.mark.parametrize("kind", BYTES, ids=str)
@pytest.mark.parametrize("names", [("row", "data"), ("data", "row")])
def test_values_of_columns_are_read_in_the_layout_that_they_have(
    kind: Any, names: tuple[str, ...], grouped: Any
) -> None:
    storage = grouped["sensors"].combine_chunks().storage
    children = {"row": storage.field("row"), "data": storage.field("data").cast(kind)}
    struct = pa.StructArray.from_arrays([children[name] for name in names], names=list(names))
    column = handed(struct, grouped.schema.field("sensors").type)
    assert isinstance(column.type, ColumnsType)
    i = grouped.schema.get_field_index("sensors")
    given = grouped.set_column(i, pa.field("sensors", column.type), column)
    same(decode_columns(given), station(300))
    usual = encode_table(given, {})
    assert usual.schema.field("sensors").type.storage_type == STORAGE
    same(decode_columns(usual), station(300))


@pytest.mark.parametrize("kind", [pa.string(), pa.binary(16), pa.list_(pa.uint8())], ids=str)
def test_other_layouts_are_refused_by_name(kind: Any, encoded: Any) -> None:
    with pytest.raises(CodecError, match=r"latrans\.tensor column is stored as .*; expected large"):
        handed(pa.nulls(3, kind), encoded.type)


@pytest.mark.parametrize(
    "fields",
    [
        [("row", pa.int64()), ("data", pa.string())],
        [("row", pa.float64()), ("data", pa.binary())],
        [("row", pa.int64()), ("other", pa.binary())],
        [("row", pa.int64()), ("data", pa.binary()), ("more", pa.int8())],
    ],
    ids=str,
)
def test_other_structs_are_refused_by_name(fields: Any, grouped: Any) -> None:
    with pytest.raises(CodecError, match=r"latrans\.columns column is stored as struct"):
        handed(pa.nulls(3, pa.struct(fields)), grouped.schema.field("sensors").type)


@pytest.mark.parametrize("kind", BYTES[:2], ids=str)
def test_offsets_outside_of_the_bytes_are_codec_errors(kind: Any, encoded: Any) -> None:
    width = np.int64 if kind == pa.large_binary() else np.int32
    for offsets in ([0, 9, 4], [0, 1 << 30, 8]):
        buffers = [None, pa.py_buffer(np.array(offsets, width)), pa.py_buffer(b"x" * 10)]
        storage = pa.Array.from_buffers(kind, 2, buffers)
        tensor = TensorType(encoded.type.cells, encoded.type.configuration, kind)
        with pytest.raises(CodecError, match="damaged"):
            decode_array(pa.ExtensionArray.from_storage(tensor, storage))
        with pytest.raises(CodecError, match="damaged"):
            decode_array(storage)


def test_types_of_other_layouts_are_others_and_travel(encoded: Any, grouped: Any) -> None:
    tensor, group = encoded.type, grouped.schema.field("sensors").type
    struct = pa.struct([("row", pa.int64()), ("data", pa.binary())])
    for usual, other in (
        (tensor, TensorType(tensor.cells, tensor.configuration, pa.binary())),
        (
            group,
            ColumnsType(group.columns, group.positions, group.bounds, group.configuration, struct),
        ),
    ):
        assert other != usual
        assert pickle.loads(pickle.dumps(other)) == other


def test_datasets_whose_files_have_other_layouts_are_read(
    encoded: Any, grouped: Any, tmp_path: Path
) -> None:
    image = encoded.take(pa.array([1] * 300))
    whole = grouped.append_column("image", image)
    write_parquet(whole, tmp_path / "a.parquet")
    narrow = []
    for field in whole.schema:
        if isinstance(field.type, TensorType):
            kind = TensorType(field.type.cells, field.type.configuration, pa.binary())
            field = field.with_type(kind)
        narrow.append(field)
    other = ds.dataset(tmp_path / "a.parquet", schema=pa.schema(narrow, whole.schema.metadata))
    found = decode_columns(decode_table(other))
    same(found.drop_columns(["image"]), station(300))
    assert np.array_equal(found["image"].chunk(0)[0].to_numpy(), encoded[1].as_py())
    write_parquet(other, tmp_path / "b.parquet")
    same(read_parquet(tmp_path / "b.parquet"), found)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("layouts") / "table.parquet"
    whole = station(40).append_column("image", table(40)["image"])
    write_parquet(whole, path, {"image": "digits-1"}, tables={"sensors": (GROUP, "table-1")})
    return path


def test_frames_of_polars_are_tables(path: Path, tmp_path: Path) -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    frame = pl.read_parquet(path)
    whole = station(40).append_column("image", table(40)["image"])
    found = decode_columns(decode_table(frame))
    same(found.select(GROUP), whole.select(GROUP).replace_schema_metadata(None))
    assert found.column("image").chunk(0) == whole.column("image").chunk(0)
    assert decode_table(pa.table(frame.select("image"))).schema == whole.select(["image"]).schema
    write_parquet(frame, tmp_path / "p.parquet")
    same(read_parquet(tmp_path / "p.parquet"), found)
    few = frame.filter(pl.col("place") % 4 == 1)
    assert len(decode_table(few)) == len(few) > 0


def test_series_of_other_libraries_are_columns(path: Path) -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    arrow = read_parquet(path, columns=["image"], decode=False)["image"]
    frames = frames_of(arrow)
    objects = np.empty(len(frames), object)
    objects[:] = frames
    for column in (
        pl.read_parquet(path)["image"],
        pl.Series(frames),
        pandas.read_parquet(path)["image"],
        pandas.Series(frames, dtype=pandas.ArrowDtype(pa.large_binary())),
        arrow,
        arrow.combine_chunks(),
        pa.chunked_array([pa.array(frames[:9]), pa.array(frames[9:])]),
        pa.array(frames, pa.binary_view()),
        pa.array(frames).dictionary_encode(),
        frames,
        tuple(frames),
        objects,
    ):
        found = decode_array(column)
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        assert np.array_equal(found.to_numpy_ndarray(), IMAGES), type(column)
        assert np.array_equal(latrans.Codec().decode_batch(column), IMAGES), type(column)
    assert np.array_equal(latrans.Codec().decode(arrow[3]), IMAGES[3])
    series = pl.Series([[1, 2, 3], None, [4]], dtype=pl.List(pl.Int16))
    assert decode_array(encode_array(series, "series-1")).to_pylist() == series.to_list()


def test_what_is_no_column_is_refused() -> None:
    frame = latrans.Codec("digits-1").encode(IMAGES[0])
    for wrong in (frame, 3, None, [frame, "a", 1]):
        with pytest.raises(ConfigError, match="not a column"):
            decode_array(wrong)
    with pytest.raises(TypeError, match="found NoneType: leave missing values out"):
        latrans.Codec().decode_batch([frame, None])
    with pytest.raises(TypeError, match="leave missing values out"):
        latrans.Codec().decode_batch(pa.array([frame, None]))
