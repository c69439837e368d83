"""Parquet files with tensor columns: streamed, self-contained, small, and safe to open."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from adapter_samples import run_python
from arrow_samples import counting, drawings, frames_of, table, tensors
from latrans.arrow import dataset, encode_table, models, read_parquet, write_parquet
from latrans.errors import CodecError, ConfigError

IMAGE = {"image": "digits-1"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.parquet"


@pytest.fixture
def written(path: Path) -> Path:
    write_parquet(table(40), path, IMAGE, row_group_size=10)
    return path


def column_of(path: Path, name: str) -> Any:
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    return next(column for column in columns if column.path_in_schema.split(".")[0] == name)


@pytest.mark.parametrize("nulls", [False, True])
def test_a_table_comes_back(path: Path, nulls: bool) -> None:
    whole = table(40, nulls)
    write_parquet(whole, path, IMAGE, row_group_size=7)
    assert pq.ParquetFile(path).metadata.num_row_groups == 6
    found = read_parquet(path)
    assert found.schema.equals(whole.schema, check_metadata=True)
    assert found.combine_chunks() == whole.combine_chunks()


def test_encoded_columns_come_back_as_they_were(written: Path, tmp_path: Path) -> None:
    encoded = read_parquet(written, decode=False)
    assert frames_of(encoded["image"]) == frames_of(encode_table(table(40), IMAGE)["image"])
    # Written again, nothing is decoded.
    write_parquet(dataset(written, decode=False), tmp_path / "again.parquet")
    assert read_parquet(tmp_path / "again.parquet", decode=False) == encoded
    assert models.MODELS in dataset(tmp_path / "again.parquet").metadata


def test_encoded_columns_have_no_second_compression(written: Path) -> None:
    image, label = column_of(written, "image"), column_of(written, "label")
    assert image.compression == "UNCOMPRESSED"
    assert "DELTA_BYTE_ARRAY" in image.encodings
    assert not image.has_dictionary_page
    assert not image.is_stats_set
    assert label.compression == "ZSTD"
    assert label.is_stats_set
    assert column_of(written, "nested").compression == "ZSTD"


def test_headers_that_all_frames_share_are_stored_once(path: Path) -> None:
    images = drawings(200)
    write_parquet(
        pa.table({"image": tensors(images)}), path, {"image": latrans.Codec("digits-1", "lossy")}
    )
    frames = frames_of(read_parquet(path, decode=False)["image"])
    assert column_of(path, "image").total_compressed_size < sum(map(len, frames)) - 12 * len(images)


def test_options_of_other_columns_are_theirs(path: Path) -> None:
    options = {
        "compression_level": {"nested.a": 19},
        "use_dictionary": False,
        "write_statistics": ["label"],
    }
    plain = {"column_encoding": {"label": "DELTA_BINARY_PACKED"}}
    write_parquet(table(), path, IMAGE, compression={"label": "snappy"}, **options, **plain)
    assert column_of(path, "label").compression == "SNAPPY"
    assert column_of(path, "label").is_stats_set
    assert "DELTA_BINARY_PACKED" in column_of(path, "label").encodings
    assert column_of(path, "nested").compression == "ZSTD"
    assert not column_of(path, "nested").has_dictionary_page
    assert read_parquet(path) == table()


def test_the_schema_names_the_models(written: Path) -> None:
    digest = latrans.open_model("digits-1").digest
    schema = pq.read_schema(written)
    assert json.loads(schema.metadata[models.MODELS]) == {digest: "digits-1"}


def test_models_that_auto_chose_are_named(path: Path) -> None:
    write_parquet(table(), path, {"image": "auto"}, model_in_footer=True)
    metadata = dataset(path).metadata
    named = json.loads(metadata[models.MODELS])
    chosen = {
        latrans.inspect(f).model_digest
        for f in frames_of(read_parquet(path, decode=False)["image"])
    }
    assert {digest[:16] for digest in named} == chosen - {None}
    assert read_parquet(path) == table()


def test_memory_holds_one_batch_of_a_stream(path: Path) -> None:
    taken = []

    def batches() -> Iterator[Any]:
        for i in range(30):
            taken.append(i)
            yield table(4).to_batches()[0]

    def so_far(rows: int) -> None:
        written.append((rows, len(taken)))

    written: list[tuple[int, int]] = []
    reader = pa.RecordBatchReader.from_batches(table(4).schema, batches())
    write_parquet(reader, path, IMAGE, row_group_size=8, progress=so_far)
    # A group is written before the batch after it is taken.
    assert written == [(8, 2 * (i + 1)) for i in range(15)]
    assert dataset(path).count_rows() == 120


def test_a_long_stream_needs_little_memory(path: Path) -> None:
    run_python(f"""
        import resource
        import numpy as np, pyarrow as pa, latrans.arrow as la
        kind = pa.fixed_shape_tensor(pa.uint16(), (512, 512))
        schema = pa.schema([("image", kind)])
        def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        def batches(n):
            for i in range(n):
                rows = np.full((8, 512, 512), i, np.uint16)
                image = pa.FixedShapeTensorArray.from_numpy_ndarray(rows)
                yield pa.RecordBatch.from_arrays([image], schema=schema)
        def write(n):
            stream = pa.RecordBatchReader.from_batches(schema, batches(n))
            la.write_parquet(stream, {str(path)!r}, {{"image": "image-fast-1"}})
        la.parquet.GROUP_NBYTES = la.columns.SLICE_NBYTES = 4 << 20
        write(4)
        before = peak()
        write(30)  # 126 MB
        assert peak() - before < 40, (before, peak())
        assert sum(map(len, la.dataset({str(path)!r}).to_batches())) == 240
        assert peak() - before < 60, (before, peak())
    """)


def test_row_groups_hold_so_many_decoded_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latrans.arrow.parquet.GROUP_NBYTES", 5 * 784)
    write_parquet(table(40), path, IMAGE)
    assert 6 <= pq.ParquetFile(path).metadata.num_row_groups <= 8
    assert read_parquet(path).combine_chunks() == table(40).combine_chunks()


def test_empty_tables_come_back(path: Path) -> None:
    write_parquet(table(4).slice(0, 0), path, IMAGE)
    assert read_parquet(path) == table(4).slice(0, 0)


def test_filters_and_projections_decode_only_what_is_asked_for(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = counting(monkeypatch)
    found = read_parquet(written, columns=["image"], filters=[("label", "==", 3)])
    assert found.column_names == ["image"]
    assert np.array_equal(found["image"].combine_chunks().to_numpy_ndarray(), drawings(40)[3::4])
    assert sum(counts) == 10
    counts.clear()
    assert read_parquet(written, columns=["label"])["label"] == table(40)["label"]
    assert dataset(written).count_rows(pa.compute.field("label") == 1) == 10
    assert sum(counts) == 0


def test_row_groups_without_matches_are_not_read(path: Path) -> None:
    rows = pa.table({"n": range(40), "image": tensors(drawings(40))})
    write_parquet(rows, path, IMAGE, row_group_size=10)
    data = bytearray(path.read_bytes())
    last = pq.ParquetFile(path).metadata.row_group(3).column(1)
    for i in range(last.data_page_offset, last.data_page_offset + last.total_compressed_size):
        data[i] = 0
    path.write_bytes(data)
    found = read_parquet(path, filters=pa.compute.field("n") < 12)
    assert found == rows.slice(0, 12)
    with pytest.raises(CodecError):
        read_parquet(path)


def test_datasets_scan_in_batches_and_as_streams(written: Path) -> None:
    data = dataset(written)
    assert data.schema == table().schema
    batches = list(data.to_batches(batch_size=6))
    assert max(map(len, batches)) == 6
    assert pa.Table.from_batches(batches).combine_chunks() == table(40).combine_chunks()
    assert pa.table(data).combine_chunks() == table(40).combine_chunks()
    assert data.to_reader(["label"]).schema.names == ["label"]


def test_large_batches_are_decoded_in_slices(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latrans.arrow.tensor.decode.SLICE_NBYTES", 3 * 784)
    assert {len(batch) for batch in dataset(written).to_batches()} <= {1, 3}
    assert read_parquet(written).combine_chunks() == table(40).combine_chunks()
    varying = pa.table({"a": [list(range(700)), [1, 2], None, [3], list(range(900)), []]})
    write_parquet(varying, written, {"a": "series-1"})
    batches = list(dataset(written).to_batches())
    assert len(batches) > 1
    assert pa.Table.from_batches(batches)["a"].to_pylist() == varying["a"].to_pylist()


def test_files_of_different_codecs_are_one_dataset(tmp_path: Path) -> None:
    write_parquet(table(4), tmp_path / "a.parquet", IMAGE)
    write_parquet(table(4, nulls=True), tmp_path / "b.parquet", {"image": "image-1"})
    found = read_parquet(tmp_path)
    expected = pa.concat_tables([table(4), table(4, nulls=True)])
    assert found.combine_chunks() == expected.combine_chunks()
    parts = [tmp_path / "b.parquet", tmp_path / "a.parquet"]
    assert len(read_parquet(parts, filters=[("label", "in", [1, 2])])) == 4
    other = pa.table({"label": [1], "image": tensors(np.zeros((1, 4, 4), np.uint8))})
    write_parquet(other, tmp_path / "c.parquet", IMAGE)
    with pytest.raises(CodecError, match=r"shape \(4, 4\) in .*c.parquet"):
        read_parquet(tmp_path, columns=["image"])


def test_partitions_are_columns(tmp_path: Path) -> None:
    for year in (1, 2):
        (tmp_path / f"year={year}").mkdir()
        write_parquet(table(4), tmp_path / f"year={year}" / "a.parquet", IMAGE)
    data = dataset(tmp_path, partitioning="hive")
    found = data.to_table(["year", "image"], pa.compute.field("year") == 2)
    assert found["year"].to_pylist() == [2] * 4


def test_files_in_memory_and_urls_work() -> None:
    file = io.BytesIO()
    write_parquet(table(), file, IMAGE)
    assert read_parquet(io.BytesIO(file.getvalue())) == table()
    pytest.importorskip("fsspec")
    write_parquet(table(), "memory://folder/table.parquet", IMAGE)
    assert read_parquet("memory://folder/table.parquet") == table()


def test_file_urls_are_local_paths(path: Path) -> None:
    pytest.importorskip("fsspec")
    write_parquet(table(), f"file://{path}", IMAGE)
    assert read_parquet(path) == table()
    with pytest.raises(ConfigError, match="nowhere"):
        write_parquet(table(), "nowhere://x", IMAGE)


@pytest.mark.parametrize(
    "options",
    [{"columns": ["none"]}, {"filters": [("none", "==", 1)]}, {"filters": [("label", "~", 1)]}],
)
def test_unknown_columns_and_filters_are_config_errors(
    written: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        read_parquet(written, **options)


@pytest.mark.parametrize("data", [b"bytes", [1, 2], {"a": 1}, None])
def test_what_is_no_table_is_refused(path: Path, data: Any) -> None:
    with pytest.raises(ConfigError, match="is not a table"):
        write_parquet(data, path, IMAGE)
    with pytest.raises(ConfigError, match="is not a table"):
        encode_table(data, IMAGE)
