"""Parquet files with numeric columns encoded together: filtered, rewritten, read elsewhere."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pc = pytest.importorskip("pyarrow.compute")

from adapter_samples import run_python
from arrow_samples import drawings, same, station, tensors
from latrans.arrow import ColumnsType, dataset, decode_columns, models, read_parquet, write_parquet
from latrans.arrow.columns import rows, value
from latrans.errors import CodecError, ConfigError
from synthetic_models import make_model

Array = np.ndarray[Any, Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "station.parquet"


GROUPS = {"air": (["pressure", "warmth"], "table-1"), "other": (["count", "ticks"], "series-1")}


def test_a_file_comes_back_in_its_order(path: Path) -> None:
    table = station(1000)
    write_parquet(table, path, tables=GROUPS, row_group_size=300)
    assert pq.ParquetFile(path).metadata.num_row_groups == 4
    same(read_parquet(path), table)
    assert dataset(path).schema.equals(table.schema, check_metadata=True)
    digests = json.loads(dataset(path).metadata[models.MODELS])
    assert set(digests.values()) == {"table-1", "series-1"}


def test_tensors_and_columns_share_a_file(path: Path) -> None:
    table = station(12).append_column("image", tensors(drawings(12)))
    write_parquet(table, path, {"image": "digits-1"}, tables=GROUPS, row_group_size=5)
    found = read_parquet(path, filters=pc.field("count") >= 0)
    kept = np.flatnonzero(np.asarray(table["count"].fill_null(-1)) >= 0)
    images = found["image"].combine_chunks().to_numpy_ndarray()
    assert np.array_equal(images, drawings(12)[kept])
    same(found.drop(["image"]), table.drop(["image"]).take(kept))


def test_a_file_may_be_written_and_read_in_memory() -> None:
    file = io.BytesIO()
    write_parquet(station(50), file, tables=GROUPS, row_group_size=20)
    same(read_parquet(file, filters=[("warmth", ">", 15)]), late(station(50)))


def late(table: pa.Table) -> pa.Table:
    return table.filter(pc.field("warmth") > 15)


@pytest.mark.parametrize(
    "where",
    [
        pc.field("place") == 3,
        pc.field("warmth") > 15,
        (pc.field("warmth") > 15) & (pc.field("place") < 9) & (pc.field("count") > 2),
        pc.field("place") > 99,
        pc.field("warmth") > 1e9,
    ],
    ids=str,
)
@pytest.mark.parametrize("names", [None, ["count", "name"], ["name"], ["pressure"]], ids=str)
def test_filters_see_decoded_columns(path: Path, where: Any, names: list[str] | None) -> None:
    table = station(1000)
    write_parquet(table, path, tables=GROUPS, row_group_size=300)
    expected = table.filter(where).select(names or table.column_names)
    same(read_parquet(path, names, where), expected)
    assert dataset(path).count_rows(where) == len(expected)


def test_only_what_is_asked_for_is_decoded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(station(1000), path, tables=GROUPS, row_group_size=100)
    calls: list[int] = []
    unpack = value.unpack

    def counted(data: bytes, dtypes: Any) -> Any:
        calls.append(len(dtypes))
        return unpack(data, dtypes)

    monkeypatch.setattr(rows, "unpack", counted)
    read_parquet(path, ["name", "place"])
    assert calls == []
    # Rows 250 to 266 lie in one row group, and the filter is of a column that is not encoded.
    table = station(1000).append_column("n", pa.array(range(1000)))
    write_parquet(table, path, tables=GROUPS, row_group_size=100)
    one_group = (pc.field("n") >= 250) & (pc.field("n") < 267)
    read_parquet(path, ["pressure"], one_group)
    assert calls == [2]
    read_parquet(path, ["name"], one_group & (pc.field("count") > 3))
    assert calls == [2, 2]


def test_filters_of_no_column_are_refused(path: Path) -> None:
    write_parquet(station(10), path, tables=GROUPS)
    with pytest.raises(ConfigError, match="filter"):
        read_parquet(path, filters=pc.field("nothing") > 1)
    with pytest.raises(ConfigError, match="no column 'air'"):
        read_parquet(path, ["air"])


def test_encoded_columns_are_written_as_they_are(path: Path, tmp_path: Path) -> None:
    table = station(1000)
    write_parquet(table, path, tables=GROUPS, row_group_size=500)
    encoded = read_parquet(path, decode=False)
    assert isinstance(encoded.schema.field("air").type, ColumnsType)
    same(decode_columns(encoded), table)
    # Row groups need not be those of the values.
    again = tmp_path / "again.parquet"
    write_parquet(dataset(path, decode=False), again, row_group_size=70)
    same(read_parquet(again), table)
    same(read_parquet(again, filters=pc.field("place") == 5), table.filter(pc.field("place") == 5))


def test_several_files_are_one_table(tmp_path: Path) -> None:
    parts = [station(100, seed) for seed in range(3)]
    for i, part in enumerate(parts):
        write_parquet(part, tmp_path / f"{i}.parquet", tables=GROUPS, row_group_size=40)
    same(read_parquet(tmp_path), pa.concat_tables(parts))
    other = station(10).rename_columns(
        ["name", "ticks", "pressure", "heat", "count", "open", "place", "far"]
    )
    groups = {"air": (["pressure", "heat"], "table-1"), "other": GROUPS["other"]}
    write_parquet(other, tmp_path / "9.parquet", tables=groups)
    with pytest.raises(CodecError, match="one by one"):
        read_parquet(tmp_path)


def test_numbers_of_rows_cost_next_to_nothing(path: Path) -> None:
    write_parquet(station(20000), path, tables={"all": (["ticks", "pressure", "count"], "table-1")})
    group = pq.ParquetFile(path).metadata.row_group(0)
    parts = [group.column(i) for i in range(group.num_columns)]
    sizes = {part.path_in_schema: part.total_compressed_size for part in parts}
    assert sizes["all.row"] < 250
    data = next(part for part in parts if part.path_in_schema == "all.data")
    assert data.compression == "UNCOMPRESSED"


def test_plain_readers_see_numbers_and_bytes(path: Path) -> None:
    table = station(100)
    write_parquet(table, path, tables=GROUPS)
    run_python(f"""
        import sys, pyarrow.parquet as pq
        table = pq.read_table({str(path)!r})
        assert "latrans" not in sys.modules
        assert table.column_names == ["name", "other", "air", "open", "place", "far"]
        assert str(table["air"].type).startswith("struct<row: int64, data: ")
        assert table["name"][3].as_py() == "station 0"
        assert sum(value["data"] is not None for value in table["air"].to_pylist()) == 1
    """)


def test_polars_filters_and_decodes(path: Path, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    table = station(100)
    write_parquet(table, path, tables=GROUPS)
    frame = polars.read_parquet(path)
    found = decode_columns(frame.filter(polars.col("place") % 5 == 0), pq.read_schema(path))
    kept = table.filter(pc.is_in(table["place"], pa.array([0, 5, 10, 15])))
    for name in ("pressure", "count", "ticks"):
        assert found[name].to_pylist() == kept[name].to_pylist()
    frame.write_parquet(tmp_path / "polars.parquet")
    again = read_parquet(tmp_path / "polars.parquet")
    assert again["pressure"].to_pylist() == table["pressure"].to_pylist()


def test_duckdb_filters_and_latrans_decodes(path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    table = station(100)
    write_parquet(table, path, tables=GROUPS)
    found = duckdb.sql(f"select air, place from '{path}' where place < 3").to_arrow_table()
    decoded = decode_columns(found, pq.read_schema(path))
    kept = table.filter(pc.field("place") < 3)
    assert decoded["pressure"].to_pylist() == kept["pressure"].to_pylist()
    assert decoded["place"].to_pylist() == kept["place"].to_pylist()


def test_a_missing_model_is_named_and_may_lie_in_the_file(path: Path) -> None:
    table = station(80)
    model = make_model("track")
    groups = {"air": (["pressure", "warmth"], model)}
    write_parquet(table, path, tables=groups, model_in_footer=False)
    run_python(f"""
        from latrans.arrow import read_parquet
        from latrans.errors import ModelNotFoundError
        assert len(read_parquet({str(path)!r}, ["name"])) == 80
        try:
            read_parquet({str(path)!r})
        except ModelNotFoundError as error:
            assert {model.digest[:16]!r} in str(error)
        else:
            raise AssertionError
    """)
    write_parquet(table, path, tables=groups)
    run_python(f"""
        from latrans.arrow import read_parquet
        assert read_parquet({str(path)!r})["warmth"].to_pylist()[3] == {table["warmth"][3].as_py()}
    """)
