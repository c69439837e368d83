"""Other readers open the files: bytes and all other columns; one line decodes there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans

pa = pytest.importorskip("pyarrow")

from adapter_samples import run_python
from arrow_samples import counting, drawings, frames_of, table
from latrans.arrow import (
    dataset,
    decode_array,
    decode_table,
    encode_table,
    read_parquet,
    write_parquet,
)

IMAGES = drawings(40)
SURVIVORS = IMAGES[3::4]  # of label 3


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("interop") / "table.parquet"
    write_parquet(table(40), path, {"image": "digits-1"}, row_group_size=10)
    return path


@pytest.fixture(scope="module")
def frames(path: Path) -> list[Any]:
    return frames_of(read_parquet(path, decode=False)["image"])


def test_pyarrow_without_latrans(path: Path, frames: list[bytes]) -> None:
    run_python(f"""
        import sys
        sys.modules["latrans"] = None
        import pyarrow.parquet as pq
        table = pq.read_table({str(path)!r}, filters=[("label", "==", 1)])
        assert table.schema.names == ["label", "image", "nested"]
        assert table["image"].to_pylist() == {frames[1::4]!r}
        assert set(table["label"].to_pylist()) == {{1}}
        field = table.schema.field("image")
        assert field.metadata[b"ARROW:extension:name"] == b"latrans.tensor"
    """)


def test_pandas_without_latrans(path: Path, frames: list[bytes]) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    run_python(f"""
        import sys
        sys.modules["latrans"] = None
        import pandas
        frame = pandas.read_parquet({str(path)!r})
        assert frame["image"].tolist() == {frames!r}
        assert frame["label"].tolist() == {[i % 4 for i in range(40)]}
    """)


def test_pandas_decodes_in_one_line(path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.read_parquet(path)
    assert np.array_equal(latrans.Codec().decode_batch(frame["image"]), IMAGES)


def test_pandas_frames_are_written(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"n": range(40), "image": [image.tobytes() for image in IMAGES]})
    how = {"shapes": {"image": (28, 28)}, "dtypes": {"image": "u1"}}
    write_parquet(frame, tmp_path / "p.parquet", {"image": "digits-1"}, **how)
    found = pandas.read_parquet(tmp_path / "p.parquet")
    assert found["n"].tolist() == list(range(40))
    assert np.array_equal(latrans.Codec().decode_batch(found["image"]), IMAGES)


def test_polars_without_latrans(path: Path, frames: list[bytes]) -> None:
    pytest.importorskip("polars", reason="polars is not installed")
    run_python(f"""
        import sys
        sys.modules["latrans"] = None
        import polars
        frame = polars.read_parquet({str(path)!r})
        assert frame["image"].to_list() == {frames!r}
        assert frame["label"].to_list() == {[i % 4 for i in range(40)]}
    """)


def test_polars_filters_and_decodes_survivors_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    counts = counting(monkeypatch)
    frame = pl.scan_parquet(path).filter(pl.col("label") == 3).collect()
    images = latrans.Codec().decode_batch(frame["image"])
    assert np.array_equal(images, SURVIVORS)
    assert sum(counts) == len(SURVIVORS)


def test_polars_decodes_survivors_inside_of_a_query(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    counts = counting(monkeypatch)

    def brightness(frames: Any) -> Any:
        return pl.Series([image.mean() for image in latrans.Codec().decode_batch(frames)])

    decoded = pl.col("image").map_batches(brightness, return_dtype=pl.Float64)
    query = pl.scan_parquet(path).filter(pl.col("label") == 3).select(decoded)
    assert query.collect()["image"].to_list() == [image.mean() for image in SURVIVORS]
    assert sum(counts) == len(SURVIVORS)


def test_polars_and_arrow_hand_each_other_tables(path: Path, tmp_path: Path) -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    encoded = pl.read_parquet(path)
    column = decode_array(pa.array(encoded["image"].to_list()))
    assert np.array_equal(column.to_numpy_ndarray(), IMAGES)
    handed = pl.DataFrame(dataset(path))["image"].to_numpy()  # polars shows it flat
    assert np.array_equal(handed.reshape(IMAGES.shape), IMAGES)
    plain = pl.DataFrame({"n": range(40), "image": IMAGES}).select("n", "image")
    write_parquet(plain, tmp_path / "p.parquet", {"image": "digits-1"})
    found = read_parquet(tmp_path / "p.parquet")
    assert pl.DataFrame(found).equals(plain)
    assert decode_table(encode_table(plain, {"image": "digits-1"})).schema == found.schema
    shapes = {"image": (28, 28)}
    tensors = decode_table(encode_table(plain, {"image": "digits-1"}, shapes))["image"]
    assert np.array_equal(tensors.combine_chunks().to_numpy_ndarray(), IMAGES)


def test_files_that_others_wrote_anew_decode(path: Path, tmp_path: Path) -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    pl.scan_parquet(path).filter(pl.col("label") == 3).collect().write_parquet(
        tmp_path / "p.parquet"
    )
    found = read_parquet(tmp_path / "p.parquet")["image"]  # polars keeps the type
    assert np.array_equal(found.combine_chunks().to_numpy_ndarray(), SURVIVORS)
    duckdb.sql(f"copy (select image from '{path}' where label = 3) to '{tmp_path / 'd.parquet'}'")
    found = read_parquet(tmp_path / "d.parquet")["image"]  # duckdb keeps bytes, which say enough
    assert np.array_equal(found.combine_chunks().to_numpy_ndarray(), SURVIVORS)


def test_duckdb_without_latrans(path: Path, frames: list[bytes]) -> None:
    pytest.importorskip("duckdb", reason="duckdb is not installed")
    run_python(f"""
        import sys
        sys.modules["latrans"] = None
        import duckdb
        rows = duckdb.sql("select label, image from '{path}' where label = 1").fetchall()
        assert rows == [(1, frame) for frame in {frames[1::4]!r}]
    """)


def test_duckdb_filters_and_decodes_survivors_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    counts = counting(monkeypatch)
    found = duckdb.sql(f"select image from '{path}' where label = 3").fetchnumpy()
    assert np.array_equal(latrans.Codec().decode_batch(found["image"]), SURVIVORS)
    assert sum(counts) == len(SURVIVORS)


def test_duckdb_decodes_survivors_inside_of_a_query(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    counts = counting(monkeypatch)

    def brightness(frames: Any) -> Any:
        return pa.chunked_array(
            [[image.mean() for image in latrans.Codec().decode_batch(frames.to_pylist())]]
        )

    with duckdb.connect() as connection:
        connection.create_function("brightness", brightness, ["BLOB"], "DOUBLE", type="arrow")
        query = f"select brightness(image) from '{path}' where label = 3"
        found = [row[0] for row in connection.sql(query).fetchall()]
    assert sorted(found) == sorted(image.mean() for image in SURVIVORS)
    assert sum(counts) == len(SURVIVORS)


def test_duckdb_takes_decoded_streams_and_gives_tables(path: Path, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    reader = dataset(path).to_reader()  # noqa: F841 - duckdb finds it by its name
    result = duckdb.sql("select label, image from reader where label = 3")
    write_parquet(result, tmp_path / "d.parquet", {"image": "digits-1"}, shapes={"image": (28, 28)})
    found = read_parquet(tmp_path / "d.parquet")
    assert np.array_equal(found["image"].combine_chunks().to_numpy_ndarray(), SURVIVORS)


def test_tables_turn_into_pandas_frames_of_bytes(path: Path) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    encoded = read_parquet(path, decode=False)
    assert encoded.to_pandas()["image"].tolist() == frames_of(encoded["image"])
