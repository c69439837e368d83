"""Tables of every make: slices, empty chunks, no rows, nulls at the ends, doubled names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")

from arrow_samples import same, station, table
from latrans.arrow import (
    decode_columns,
    decode_table,
    encode_columns,
    encode_table,
    read_parquet,
    write_parquet,
)

GROUP = ["pressure", "count", "open", "warmth"]
IMAGE = {"image": "digits-1"}
WHOLE = station(40).append_column("image", table(40, nulls=True)["image"])


def nulls(n: int) -> Any:
    columns = [pa.nulls(n, f.type) if f.nullable else pa.array([True] * n) for f in WHOLE.schema]
    return pa.table(columns, schema=WHOLE.schema)


@pytest.mark.parametrize(
    "source",
    [
        WHOLE[:0],
        WHOLE[3:31],
        WHOLE[5:6],
        pa.concat_tables([WHOLE[:0], WHOLE[3:7], WHOLE[7:7], WHOLE[9:30], WHOLE[39:], WHOLE[:0]]),
        pa.concat_tables([nulls(3), WHOLE[1:9], nulls(2)]),
        nulls(7),
    ],
    ids=["no rows", "slice", "one row", "empty chunks", "nulls at the ends", "only nulls"],
)
def test_tables_of_every_make_come_back(source: Any, tmp_path: Path) -> None:
    path, stream = tmp_path / "a.parquet", tmp_path / "a.arrow"
    write_parquet(source, path, IMAGE, tables={"group": (GROUP, "table-1")})
    same(read_parquet(path), source)
    encoded = encode_columns(encode_table(source, IMAGE), GROUP)
    same(decode_table(decode_columns(encoded)), source)
    same(decode_columns(decode_table(encoded)), source)
    with pa.OSFile(str(stream), "wb") as file, pa.ipc.new_file(file, encoded.schema) as writer:
        writer.write_table(encoded, max_chunksize=11)
    with pa.memory_map(str(stream)) as file:
        mapped = pa.ipc.open_file(file).read_all()
        same(decode_columns(decode_table(mapped)), source)


def test_tables_without_chunks_come_back(tmp_path: Path) -> None:
    empty = pa.table([pa.chunked_array([], f.type) for f in WHOLE.schema], schema=WHOLE.schema)
    write_parquet(empty, tmp_path / "a.parquet", IMAGE, tables={"group": (GROUP, "table-1")})
    found = read_parquet(tmp_path / "a.parquet")
    assert found.schema.equals(WHOLE.schema, check_metadata=True)
    encoded = encode_columns(encode_table(empty, IMAGE), GROUP)
    for found in (decode_columns(decode_table(encoded)), decode_table(decode_columns(encoded))):
        assert found.schema.equals(WHOLE.schema, check_metadata=True)
        assert len(found) == 0


def test_columns_of_one_name_are_kept_apart() -> None:
    image = WHOLE["image"]
    names = ["image", "place", "place", "pressure"]
    columns = [image, WHOLE["place"], WHOLE["place"].slice(0).cast("int32"), WHOLE["pressure"]]
    source = pa.table(columns, names=names)
    assert decode_table(encode_table(source, IMAGE)).equals(source)
    assert decode_columns(encode_columns(source, ["pressure"])).equals(source)
    one = encode_table(pa.table({"image": image}), IMAGE)["image"]
    twice = pa.table([one, one], names=["image", "image"])
    assert decode_table(twice).equals(pa.table([image, image], names=["image", "image"]))


def test_frames_of_pandas_keep_their_index_and_categories(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    values = {"a": np.arange(6.0), "c": pandas.Categorical(list("xyxyxy"))}
    for index in (list("pqrstu"), [3, 4, 5, 6, 9, 1], range(2, 8)):
        frame = pandas.DataFrame(values, index=pandas.Index(index, name="k"))
        write_parquet(frame, tmp_path / "p.parquet", tables={"group": (["a"], "table-1")})
        for found in (
            read_parquet(tmp_path / "p.parquet"),
            decode_columns(encode_columns(frame, ["a"])),
        ):
            pandas.testing.assert_frame_equal(found.to_pandas(), frame)
