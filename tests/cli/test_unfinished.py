"""Arrays that a job has left half-written say so, are refused, and are begun anew by the same."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_samples import picture
from places import ROOT

pytest.importorskip("distributed")
zarr = pytest.importorskip("zarr")

from latrans.dask import save_latents
from latrans.errors import ConfigError
from latrans.transfer.progress import refuse_unfinished, unfinished

SCRIPT = ROOT / "pipelines" / "to_parquet.py"


def interrupted(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def test_rows_that_become_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = pytest.importorskip("latrans.arrow.folders")
    images = np.stack([picture(28, 28) + i for i in range(12)])
    folder = folders.plan(images, tmp_path / "rows", part_rows=4)
    for start in folder.starts:
        folders.write_part(folder, images, start, "image-1")
    target = tmp_path / "a.zarr"

    def script(*options: str) -> int:
        argv = [str(SCRIPT), str(tmp_path / "rows"), str(target), *options, "--quiet"]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as found:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        return int(found.value.code or 0)

    with monkeypatch.context() as patch:
        patch.setattr(folders, "copy_part", interrupted)
        assert script() == 130
    with pytest.raises(ConfigError, match="incomplete"):
        refuse_unfinished(zarr.open_array(target))
    assert script("--model", "field-1") != 0  # another array's place
    assert script() == 0
    assert unfinished(zarr.open_array(target)) is None
    assert np.array_equal(zarr.open_array(target)[:], images)


def test_latents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = zarr.create_array(tmp_path / "s.zarr", data=picture(64, 96), chunks=(32, 32))
    target = tmp_path / "l.zarr"
    where: dict[str, Any] = {"scheduler": "synchronous", "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr("latrans.dask.run.run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_latents(source, target, "image-1", **where)
    with pytest.raises(ConfigError, match="incomplete"):
        refuse_unfinished(zarr.open_array(target))
    save_latents(source, target, "image-1", **where)
    assert unfinished(zarr.open_array(target)) is None
    with pytest.raises(ConfigError, match="exists"):
        save_latents(source, target, "image-1", **where)
