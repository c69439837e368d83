"""Columns that lost their type in other libraries: decoded by what frames say, or said so."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans
from latrans import cli

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from arrow_samples import drawings, frames_of, same, station, table, tensors
from latrans.arrow import (
    dataset,
    decode_columns,
    decode_table,
    encode_columns,
    encode_table,
    flight,
    read_parquet,
    write_parquet,
)
from latrans.errors import CodecError, ConfigError, LatransWarning

IMAGES = drawings(12)
FRAMES = latrans.Codec("digits-1").encode_batch(list(IMAGES))
GROUP = {"sensors": (["pressure", "count"], "table-1")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_parquet(table(12, nulls=True), tmp_path / "a.parquet", {"image": "digits-1"})
    return tmp_path / "a.parquet"


def plain(where: Path) -> Any:
    """A file as a library without extension types reads it: no types, no metadata."""
    found = pq.read_table(where)
    columns = [
        pa.chunked_array([getattr(chunk, "storage", chunk) for chunk in column.chunks])
        for column in found.columns
    ]
    return pa.table(columns, names=found.column_names)


def test_tables_of_other_libraries_are_decoded(path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    expected = table(12, nulls=True)["image"].combine_chunks()
    for found in (
        pandas.read_parquet(path),
        duckdb.sql(f"select * from '{path}'"),
        duckdb.sql(f"select * from '{path}'").to_arrow_table(),
        plain(path),
    ):
        image = decode_table(found)["image"].combine_chunks()
        assert list(image.type.shape) == [28, 28]
        assert image.storage.equals(expected.storage), type(found)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
def test_bytes_that_are_all_frames_are_decoded(kind: Any) -> None:
    column = pa.chunked_array(
        [pa.array(part, kind) for part in ([None], FRAMES[:5], [], [None, *FRAMES[5:]], [None])]
    )
    found = decode_table(pa.table({"n": range(15), "a": column[:15]}))
    assert found["a"].null_count == 3
    assert np.array_equal(found["a"].drop_null().combine_chunks().to_numpy_ndarray(), IMAGES)
    assert found["n"].to_pylist() == list(range(15))


@pytest.mark.parametrize(
    "values",
    [
        [],
        [None, None],
        [b""],
        [b"\xca\x10"],
        [b"\xca\x10 and what follows is no frame"],
        [*FRAMES, b"another"],
        [*FRAMES, b"\xca\x20 of another version"],
    ],
    ids=range(7),
)
def test_other_bytes_stay_bytes_and_are_refused_by_name(values: list[Any]) -> None:
    source = pa.table({"a": pa.array(values, pa.binary())})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_table(source).equals(source)
    with pytest.raises(ConfigError, match=r"column 'a' is binary.*nothing to decode"):
        decode_table(source, columns=["a"])


def test_a_damaged_frame_among_others_is_an_error() -> None:
    damaged = FRAMES[3][:-1] + bytes([FRAMES[3][-1] ^ 1])
    with pytest.raises(CodecError, match="checksum"):
        decode_table(pa.table({"a": [*FRAMES, damaged]}))


def test_frames_that_no_column_holds_are_left_with_a_warning() -> None:
    codec = latrans.Codec()
    several = [codec.encode(np.zeros(3, np.uint8)), codec.encode(np.zeros(3, np.int16))]
    for values in (several, [codec.encode(np.zeros(3, np.complex64))]):
        source = pa.table({"a": values})
        with pytest.warns(LatransWarning, match="column 'a' holds frames, but was not decoded"):
            assert decode_table(source).equals(source)
        with pytest.raises(ConfigError, match="column 'a'"):
            decode_table(source, columns=["a"])


def test_files_that_lost_their_types_are_read_and_streams_of_them_say_so(path: Path) -> None:
    lost = path.with_name("lost.parquet")
    pq.write_table(plain(path), lost)
    expected = table(12, nulls=True)["image"].combine_chunks()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_parquet(lost)["image"].combine_chunks().storage.equals(expected.storage)
        assert len(read_parquet(lost, columns=["label"])) == 12
        assert read_parquet(lost, decode=False)["image"].type == pa.large_binary()
        assert len(read_parquet(lost, columns=[])) == 12
    with pytest.warns(LatransWarning, match=r"lost.parquet: column 'image' holds frames"):
        assert len(list(dataset(lost).to_batches())) == 1
    with (
        flight.Server(tables={"t": plain(path)}) as server,
        pytest.warns(LatransWarning, match="the stream: column 'image' holds frames"),
    ):
        flight.Client(server.location).fetch("t").read_all()


def test_columns_stored_as_one_need_their_type_and_say_so(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    path, lost = tmp_path / "a.parquet", tmp_path / "lost.parquet"
    write_parquet(station(90), path, tables=GROUP)
    expected = station(90).select(GROUP["sensors"][0])
    for found in (pandas.read_parquet(path), duckdb.sql(f"from '{path}'"), plain(path)):
        with pytest.raises(ConfigError, match=r"column 'sensors' .* give schema="):
            decode_columns(found)
        with pytest.warns(LatransWarning, match="column 'sensors' .* lost its type"):
            decode_table(found)
        decoded = decode_columns(found, schema=pq.read_schema(path)).select(expected.column_names)
        same(decoded.replace_schema_metadata(None), expected.replace_schema_metadata(None))
    pq.write_table(plain(path), lost)
    with pytest.warns(LatransWarning, match=r"lost.parquet: column 'sensors' .* lost its type"):
        assert "sensors" in read_parquet(lost).column_names
    other = pa.table({"s": pa.array([{"row": 1, "data": b"x"}, None])})
    assert decode_columns(other).equals(other)


def test_files_of_which_some_are_encoded_are_refused_by_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [i.tobytes() for i in IMAGES]}), tmp_path / "plain.parquet")
    write_parquet(
        pa.table({"image": tensors(IMAGES)}), tmp_path / "image.parquet", {"image": "digits-1"}
    )
    pq.write_table(station(30), tmp_path / "station.parquet")
    write_parquet(station(30), tmp_path / "group.parquet", tables=GROUP)
    for one, other in (("plain", "image"), ("station", "group")):
        for pair in ((one, other), (other, one)):
            paths = [tmp_path / f"{name}.parquet" for name in pair]
            for decode in (True, False):
                with pytest.raises(CodecError, match=rf"{pair[1]}.parquet.* read these files one"):
                    dataset(paths, decode).to_table()


def test_columns_of_folders_are_kept(tmp_path: Path) -> None:
    for year, place in ((2013, "a"), (2014, "b")):
        folder = tmp_path / "t" / f"year={year}" / f"place name={place}"
        folder.mkdir(parents=True)
        write_parquet(
            station(60, seed=year).append_column("image", table(60)["image"]),
            folder / "x.parquet",
            {"image": "digits-1"},
            tables=GROUP,
        )
    found = read_parquet(tmp_path / "t")
    assert found.column_names[-2:] == ["year", "place name"]
    assert found["year"].to_pylist() == [2013] * 60 + [2014] * 60
    assert found["place name"].to_pylist() == ["a"] * 60 + ["b"] * 60
    same(found.slice(60, 60).select(station(1).column_names), station(60, seed=2014))
    assert set(pq.read_table(tmp_path / "t").column_names) - {"sensors"} <= set(found.column_names)
    assert len(read_parquet(tmp_path / "t", filters=[("year", "=", 2014)])) == 60
    assert read_parquet(tmp_path / "t", columns=["year"]).schema.names == ["year"]
    late = [("year", "=", 2013), ("pressure", ">", 0.0)]
    assert set(read_parquet(tmp_path / "t", ["year", "image"], late)["year"].to_pylist()) == {2013}
    files = sorted((tmp_path / "t").rglob("*.parquet"))
    assert read_parquet(files)["year"].equals(found["year"])
    assert "year" not in read_parquet(files[0]).column_names
    back = tmp_path / "back.parquet"
    assert cli.main(["decompress", str(files[0]), str(back)]) == 0


def test_a_column_in_the_files_is_not_replaced_by_their_folders(tmp_path: Path) -> None:
    (tmp_path / "t" / "label=x").mkdir(parents=True)
    write_parquet(table(12), tmp_path / "t" / "label=x" / "a.parquet", {"image": "digits-1"})
    assert read_parquet(tmp_path / "t") == table(12)


def test_decompress_refuses_what_it_cannot_decode(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost, back = path.with_name("lost.parquet"), path.with_name("back.parquet")
    pq.write_table(plain(path), lost)
    assert cli.main(["decompress", str(lost), str(back)]) == 2
    assert "column 'image' holds frames" in capsys.readouterr().err
    assert not back.exists()


def test_each_decoder_leaves_what_is_of_the_other() -> None:
    encoded = encode_table(encode_columns(station(12), ["pressure", "count"]), {})
    image = encode_table(table(12), {"image": "digits-1"})["image"]
    both = encoded.append_column("image", image)
    assert frames_of(decode_columns(both)["image"]) == frames_of(image)
    assert decode_table(both).schema.field("columns").type == encoded.schema.field("columns").type
