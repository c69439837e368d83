"""Arrays as folders of Parquet files: parts whole or absent, and back the array that it was."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from places import ROOT

pytest.importorskip("pyarrow")

from arrow_samples import drawings
from latrans.arrow import folders, read_parquet
from latrans.errors import CodecError, ConfigError

SCRIPT = ROOT / "pipelines" / "to_parquet.py"
IMAGES = drawings(22)


def written(path: Any, source: Any = IMAGES, **options: Any) -> folders.Folder:
    folder = folders.plan(source, path, part_rows=8, **options)
    for start in folder.starts:
        folders.write_part(folder, source, start, "digits-1")
    return folder


@pytest.mark.parametrize("where", ["local", "memory"])
def test_an_array_comes_back_from_its_parts(tmp_path: Path, where: str) -> None:
    if where == "memory":
        pytest.importorskip("fsspec")
    path = tmp_path / "rows" if where == "local" else f"memory://rows{id(tmp_path)}"
    folder = written(path, column="image")
    assert folders.open_folder(path) == folder
    target = np.zeros_like(IMAGES)
    assert sum(folders.copy_part(folder, target, i) for i in folder.starts) == IMAGES.nbytes
    assert np.array_equal(target, IMAGES)
    parts = [folders.read_part(folder, start) for start in folder.starts]
    assert list(map(len, parts)) == [8, 8, 6]
    table = read_parquet(path)
    assert table["index"].to_pylist() == list(range(22))
    assert table.column_names == ["index", "image"]


def test_parts_that_are_there_are_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path)
    (tmp_path / "part-000000000008.parquet").unlink()
    with pytest.raises(ConfigError, match="lacks the part of 8 rows from row 8"):
        folders.open_folder(tmp_path)
    taken: list[slice] = []

    class Watched:
        shape, dtype = IMAGES.shape, IMAGES.dtype

        def __getitem__(self, rows: slice) -> Any:
            taken.append(rows)
            return IMAGES[rows]

    with ThreadPoolExecutor(2) as pool:
        sizes = list(
            pool.map(lambda i: folders.write_part(folder, Watched(), i, "digits-1"), folder.starts)
        )
    assert taken == [slice(8, 16)]
    assert sizes == [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    assert folders.open_folder(tmp_path) == folder


def test_parts_of_another_array_or_codec_are_not_taken_for_done(tmp_path: Path) -> None:
    folder = written(tmp_path)
    assert folders.write_part(folder, IMAGES, 8, "digits-1")
    with pytest.raises(ConfigError, match="another codec"):
        folders.write_part(folder, IMAGES, 8, "image-1")
    other = folders.plan(IMAGES[:20], tmp_path, part_rows=8)
    with pytest.raises(ConfigError, match="another array"):
        folders.write_part(other, IMAGES[:20], 8, "digits-1")


def test_damaged_and_swapped_parts_are_noticed(tmp_path: Path) -> None:
    folder = written(tmp_path)
    first, second, _ = sorted(tmp_path.iterdir())
    second.write_bytes(first.read_bytes())
    with pytest.raises(CodecError, match="does not hold rows 8 to 15"):
        folders.read_part(folder, 8)
    second.write_bytes(first.read_bytes()[:-10])
    with pytest.raises(CodecError, match="cannot be read"):
        folders.read_part(folder, 8)
    folders.remove_parts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_array_of_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no rows"):
        folders.plan(np.zeros(5), tmp_path)
    with pytest.raises(ConfigError, match="no rows"):
        folders.plan(IMAGES[:0], tmp_path)
    with pytest.raises(ConfigError, match="cast"):
        folders.plan(np.zeros((2, 5), "M8[s]"), tmp_path)
    with pytest.raises(ConfigError, match="at least 1"):
        folders.plan(IMAGES, tmp_path, part_rows=0)
    with pytest.raises(ConfigError, match="not a group"):
        folders.plan({}, tmp_path)
    with pytest.raises(ConfigError, match="not a folder"):
        folders.open_folder(tmp_path)


def test_the_pipeline_goes_there_and_back(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    pytest.importorskip("latrans.cli.pipeline", reason="needs the jobs of latrans.dask")
    zarr.create_array(
        tmp_path / "a.zarr",
        data=IMAGES.astype(">i2"),
        chunks=(4, 28, 28),
        attributes={"title": "rings"},
        dimension_names=["n", "y", "x"],
    )

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *map(str, arguments), "--model", "image-1"],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("a.zarr", "rows", "--rows", 8, "--column", "image", "--model-in-footer")
    assert len(list((tmp_path / "rows").iterdir())) == 3
    run("rows", "b.zarr", "--threads", 2)
    back = zarr.open_array(tmp_path / "b.zarr")
    assert np.array_equal(back[...], IMAGES)
    assert (back.chunks, dict(back.attrs)) == ((4, 28, 28), {"title": "rings"})
    assert back.metadata.dimension_names == ("n", "y", "x")
