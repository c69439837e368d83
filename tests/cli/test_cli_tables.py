"""``latrans compress`` and ``decompress`` on Parquet files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from latrans import cli

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from arrow_samples import drawings, frames_of, same, station, table
from latrans.arrow import ColumnsType, dataset, encode_table, models, read_parquet


def run(*argv: str | Path) -> int:
    return cli.main([str(arg) for arg in argv])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    pq.write_table(table(20), path, row_group_size=8)
    return path


def test_a_table_is_compressed_and_comes_back(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed, back = source.with_name("out.parquet"), source.with_name("back.parquet")
    columns = ("--columns", "image=digits-1")
    assert run("compress", source, packed, *columns, "--row-group-size", 7) == 0
    assert "20 rows" in capsys.readouterr().out
    assert pq.ParquetFile(packed).metadata.num_row_groups == 3
    found = read_parquet(packed, decode=False)
    assert frames_of(found["image"]) == frames_of(encode_table(table(20), {"image": "digits-1"})[1])
    assert run("decompress", packed, back) == 0
    assert pq.read_table(back).combine_chunks() == table(20).combine_chunks()


def test_lossy_columns_shapes_and_models_in_the_footer(tmp_path: Path) -> None:
    images = drawings(20)
    rows = {"a": [row.tobytes() for row in images], "b": images.reshape(20, 784).tolist()}
    source, packed = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(pa.table(rows), source)
    shapes = ("--shapes", "a=28x28,b=28x28", "--dtypes", "a=uint8,b=uint8")
    columns = ("--columns", "a=digits-1,b=digits-1", "--mode", "lossy", "--model-in-footer")
    assert run("compress", source, packed, *columns, *shapes) == 2  # b says its type itself
    pq.write_table(
        pa.table({"a": rows["a"], "b": pa.array(rows["b"], pa.list_(pa.uint8()))}), source
    )
    shapes = ("--shapes", "a=28x28,b=28x28", "--dtypes", "a=uint8")
    assert run("compress", source, packed, *columns, *shapes) == 0
    found = read_parquet(packed)
    assert np.array_equal(*(found[name].combine_chunks().to_numpy_ndarray() for name in "ab"))
    assert any(key.startswith(models.MODEL) for key in dataset(packed).metadata)


def test_columns_of_numbers_are_compressed_together(tmp_path: Path) -> None:
    source, packed, back = (tmp_path / f"{name}.parquet" for name in "abc")
    pq.write_table(station(600), source)
    air = ("--together", "air=table-1", "pressure", "warmth")
    other = ("--together", "other=series-1", "count", "ticks")
    assert run("compress", source, packed, *air, *other, "--row-group-size", 250) == 0
    types = read_parquet(packed, decode=False).schema.types
    assert sum(isinstance(kind, ColumnsType) for kind in types) == 2
    assert run("decompress", packed, back) == 0
    same(pq.read_table(back), station(600))


def test_bounds_are_for_columns_that_are_named_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    source, packed = tmp_path / "a.parquet", tmp_path / "b.parquet"
    values = {
        "id": np.arange(900) * 7919 % 1000,
        "index": np.arange(900.0),
        "label": rng.integers(0, 9, (900, 4, 4), np.int32),
        "warmth": rng.normal(size=900).cumsum(),
        "image": rng.normal(size=(900, 4, 4)).cumsum(1).astype(np.float32),
    }
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray
    pq.write_table(pa.table({k: tensor(v) if v.ndim > 1 else v for k, v in values.items()}), source)
    together = ("--together", "all=table-1", "id", "index", "warmth")
    columns = ("--columns", "label=image-1,image=field-1")
    bounds = ("--bounds", "warmth=0.5,image=0.25")
    assert run("compress", source, packed, *together, *columns, *bounds) == 0
    assert "lossless, warmth within 0.5, image within 0.25" in capsys.readouterr().out
    found = read_parquet(packed)
    for name, bound in {"id": 0, "index": 0, "label": 0, "warmth": 0.5, "image": 0.25}.items():
        column = found[name].combine_chunks()
        there = column.to_numpy_ndarray() if values[name].ndim > 1 else column.to_numpy()
        error = np.abs(there.astype(float) - values[name]).max()
        assert (0 < error <= bound) if bound else error == 0, name
    # A bound without a name is for the one column that there is.
    one = ("--columns", "image=field-1", "--max-error", 0.25, "--overwrite")
    assert run("compress", source, packed, *one) == 0
    image = read_parquet(packed)["image"].combine_chunks().to_numpy_ndarray()
    assert 0 < np.abs(image - values["image"]).max() <= 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--columns"),
        (("--together", "s=table-1", "label", "--max-error", "2"), "--bounds NAME=2"),
        (("--columns", "image=image-1,label=image-1", "--max-error", "2"), "--bounds NAME=2"),
        (("--columns", "image=image-1", "--bounds", "other=2"), "not among the columns"),
        (("--columns", "image=image-1", "--bounds", "image=two"), "are not numbers"),
        (("--columns", "image=image-1", "--bounds", "image=0"), "max_error"),
        (("--columns", "image=image-1", "--bounds", "image=1", "--max-error", "1"), "either"),
        (
            ("--columns", "image=image-1", "--bounds", "image=1", "--mode", "lossless"),
            "takes no maximum",
        ),
        (("--columns", "image=image-1", "--mode", "bounded"), "needs bounds"),
        (("--together", "sensors", "label"), "NAME=VALUE"),
        (("--together", "sensors=table-1"), "no columns"),
        (("--together", "sensors=table-1", "image"), "holds no numbers"),
        (("--columns", "image"), "NAME=VALUE"),
        (("--columns", "picture=digits-1"), "no column 'picture'"),
        (("--columns", "label=digits-1"), "holds no arrays"),
        (("--columns", "image=nothing-1"), "no model named"),
        (("--columns", "image=digits-1", "--shapes", "image=axb"), "28x28"),
        (("--columns", "image=digits-1", "--chunks", "4,4"), "for arrays"),
        (("--columns", "image=digits-1", "--row-group-size", "0"), "row_group_size"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    source: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = source.with_name("out.parquet")
    assert run("compress", source, packed, *options) == 2
    found = capsys.readouterr().err
    assert message in found
    assert found.count("\n") == 1
    assert list(source.parent.iterdir()) == [source]


def test_targets_are_parquet_and_replaced_only_when_asked(source: Path) -> None:
    columns = ("--columns", "image=digits-1")
    assert run("compress", source, source.with_name("out.zarr"), *columns) == 2
    assert run("compress", source.with_name("x.npy"), source.with_name("o.parquet"), *columns) == 2
    assert run("decompress", source, source.with_name("out.npy")) == 2
    before = source.read_bytes()
    assert run("compress", source, source, *columns) == 2
    assert source.read_bytes() == before
    assert run("compress", source, source, *columns, "--overwrite") == 0
    assert read_parquet(source).combine_chunks() == table(20).combine_chunks()


def test_damaged_files_are_one_line(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source.write_bytes(source.read_bytes()[:-9])
    assert run("decompress", source, source.with_name("back.parquet")) == 2
    assert "cannot be read as Parquet" in capsys.readouterr().err


def test_an_array_is_no_source_of_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 4), np.uint8))
    assert run("compress", tmp_path / "a.npy", tmp_path / "out.parquet") == 2
    assert "pipelines/to_parquet.py" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
