"""Filters that ask whether arrays are null, on files of latrans and of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from arrow_samples import counting, station, table
from latrans.arrow import dataset, read_parquet, write_parquet
from latrans.errors import ConfigError

GROUP = {"sensors": (["pressure", "count"], "table-1")}
WHOLE = station(60).append_column("image", table(60, nulls=True)["image"])
field = pa.compute.field


def ours(path: Path) -> None:
    write_parquet(WHOLE, path, {"image": "digits-1"}, tables=GROUP, row_group_size=20)


def by_pyarrow(path: Path) -> None:
    ours(path)
    pq.write_table(read_parquet(path, decode=False), path, row_group_size=20)


def by_polars(path: Path) -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    ours(path)
    pl.read_parquet(path).write_parquet(path)


def without_group(path: Path) -> None:
    write_parquet(WHOLE, path, {"image": "digits-1"}, row_group_size=20)
    pq.write_table(read_parquet(path, decode=False), path, row_group_size=20)


@pytest.fixture(params=[ours, by_pyarrow, by_polars, without_group])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    request.param(tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


@pytest.mark.parametrize(
    "where",
    [
        field("image").is_valid(),
        field("image").is_null(),
        ~field("image").is_valid(),
        field("image").is_valid() & (field("place") > 5),
        field("image").is_null() | (field("place") == 4),
        field("image").is_valid() & (field("pressure") > 1000),
        field("image").is_null() & field("count").is_null(),
    ],
    ids=str,
)
def test_whether_arrays_are_null_can_be_asked(path: Path, where: Any) -> None:
    expected = WHOLE.filter(where)
    assert 0 < len(expected) < len(WHOLE)
    assert dataset(path).count_rows(where) == len(expected)
    for columns in (["place"], ["image", "place", "count"], ["image"], []):
        found = read_parquet(path, columns, filters=where)
        assert found.combine_chunks().equals(expected.select(columns).combine_chunks())
        assert found.schema.names == columns
        assert len(found) == len(expected)


def test_files_of_plain_tensors_are_filtered(tmp_path: Path) -> None:
    whole = WHOLE.filter(field("image").is_valid())  # older pyarrow writes no null tensors
    pq.write_table(whole, tmp_path / "a.parquet")
    for where in (field("place") > 5, field("image").is_valid() & (field("place") > 5)):
        found = read_parquet(tmp_path / "a.parquet", ["place"], where)
        assert found.combine_chunks().equals(whole.filter(where).select(["place"]).combine_chunks())


def test_null_rows_are_found_without_decoding_arrays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = counting(monkeypatch)
    where = field("image").is_null() & (field("place") > 3)
    assert dataset(path).count_rows(where) == len(WHOLE.filter(where))
    assert counts == []


def test_encoded_columns_are_filtered_undecoded(path: Path) -> None:
    where = field("image").is_valid()
    found = read_parquet(path, filters=where, decode=False)
    assert len(found) == 40
    assert found["image"].null_count == 0
    assert found.schema == read_parquet(path, decode=False).schema


@pytest.mark.parametrize(
    "where", [field("image") == b"x", [("image", "==", None)], field("nothing").is_valid()], ids=str
)
def test_other_questions_are_refused_and_blame_no_file(path: Path, where: Any) -> None:
    for ask in (dataset(path).to_table, dataset(path).count_rows):
        with pytest.raises(ConfigError, match="cannot be filtered like this"):
            ask(filter=where)
