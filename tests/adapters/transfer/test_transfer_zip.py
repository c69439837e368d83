"""ZIP files as targets and sources: whole or not at all, gone on with, read by all commands."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_samples import files, run
from latrans.errors import ConfigError, TransferError
from latrans.transfer import local, transcode
from latrans.transfer.sources import open_zarr
from transfer_samples import field

zarr = pytest.importorskip("zarr")

CUT: dict[str, Any] = {"chunks": (64, 64), "block_nbytes": 20_000}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", field())
    return tmp_path / "a.npy"


def test_a_zip_is_one_file_that_all_commands_read(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = source.with_name("a.zip")
    assert run("compress", source, target, "--chunks", "64,64", "--axes", "yx") == 0
    assert files(source.parent) == {"a.npy", "a.zip"}
    with zipfile.ZipFile(target) as packed:
        assert packed.testzip() is None
        names = packed.namelist()
    assert (names[0], len(names)) == ("zarr.json", 21)
    store = zarr.storage.ZipStore(target, mode="r")
    array = zarr.open_array(store, mode="r")
    np.testing.assert_array_equal(array[...], field())
    assert dict(array.attrs) == {}
    store.close()
    assert run("verify", source, target) == 0
    assert run("inspect", target) == 0
    assert "stored           20" in capsys.readouterr().out
    assert run("suggest", target, "--samples", 500) == 0
    import latrans.zarr
    from latrans.train.files import open_arrays

    np.testing.assert_array_equal(latrans.zarr.open(target)[...], field())
    assert [named.array.shape for named in open_arrays(target)] == [field().shape]
    assert run("decompress", target, source.with_name("b.npy")) == 0
    np.testing.assert_array_equal(np.load(source.with_name("b.npy")), field())
    assert run("compress", target, source.with_name("c.zarr"), "--workers", 2) == 0
    np.testing.assert_array_equal(zarr.open_array(source.with_name("c.zarr"))[...], field())


def test_groups_travel_with_models_and_consolidated_metadata(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    data = xarray.Dataset(
        {"v": (("y", "x"), field((200, 200), "f4")), "s": (("y",), [f"{i}" for i in range(200)])},
        coords={"x": np.linspace(0, 1, 200)},
    )
    for version in (2, 3):
        data.to_zarr(tmp_path / f"{version}.zarr", zarr_format=version, consolidated=True)
        target = tmp_path / f"{version}.zip"
        transcode(
            tmp_path / f"{version}.zarr", target, "field-1", zarr_format=version,
            model_storage="beside",
        )  # fmt: skip
        store = zarr.storage.ZipStore(target, mode="r")
        xarray.testing.assert_identical(data, xarray.open_zarr(store, consolidated=True).load())
        group = zarr.open_group(store, mode="r")
        assert "models" in group
        assert "latrans_transfer" not in group.attrs
        assert "latrans_transfer" not in group["v"].attrs
        assert run("verify", tmp_path / f"{version}.zarr", target) == 0


def test_commands_take_an_array_inside_a_zip_by_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("deep/er", data=field())
    assert run("compress", tmp_path / "a.zarr", tmp_path / "a.zip") == 0
    inside = tmp_path / "a.zip" / "deep" / "er"
    for line in (("inspect", inside), ("suggest", inside, "--samples", 500)):
        assert run(*line) == 0
    assert run("verify", tmp_path / "a.zarr" / "deep" / "er", inside) == 0
    assert run("compress", inside, tmp_path / "b.zarr") == 0
    assert run("decompress", inside, tmp_path / "b.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), field())
    capsys.readouterr()
    assert run("inspect", tmp_path / "a.zip") == 2
    assert "arrays in it: deep/er: name one, as in" in capsys.readouterr().err
    assert run("inspect", tmp_path / "a.zip" / "no") == 2
    assert "holds no Zarr array or group" in capsys.readouterr().err


def test_stopped_half_way_it_is_no_zip_and_is_gone_on_with(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, move, calls = source.with_name("a.zip"), local.move, []

    def stopped(plan: Any, i: int) -> Any:
        if len(calls) == 7:
            raise KeyboardInterrupt
        calls.append(i)
        return move(plan, i)

    with monkeypatch.context() as patch:
        patch.setattr(local, "move", stopped)
        with pytest.raises(KeyboardInterrupt):
            transcode(source, target, **CUT)
    assert files(source.parent) == {"a.npy", "a.zip.partial"}
    with pytest.raises(ConfigError, match="unfinished"):
        transcode(source, target, **CUT, resume=False)
    with pytest.raises(ConfigError, match="another transfer"):
        transcode(source, target, chunks=(32, 32))
    assert transcode(source, target, **CUT).n_resumed == 7
    assert files(source.parent) == {"a.npy", "a.zip"}
    np.testing.assert_array_equal(open_zarr(str(target))[...], field())
    again = source.with_name("b.zip")
    transcode(source, again, **CUT)
    assert again.read_bytes() == target.read_bytes()


def test_a_full_disk_while_packing_loses_nothing(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = source.with_name("a.zip")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("latrans.transfer.archive._add", full)
        with pytest.raises(OSError, match="No space left"):
            transcode(source, target, **CUT)
    assert files(source.parent) == {"a.npy", "a.zip.partial"}
    summary = transcode(source, target, **CUT)
    assert summary.n_resumed == summary.n_blocks
    assert files(source.parent) == {"a.npy", "a.zip"}


def test_a_zip_that_exists_stays_until_another_is_complete(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = source.with_name("a.zip")
    transcode(source, target, **CUT)
    before = target.read_bytes()
    with pytest.raises(ConfigError, match="complete"):
        transcode(source, target, **CUT)
    with monkeypatch.context() as patch:
        patch.setattr("latrans.transfer.move._carry", lambda *args: 1 / 0)
        with pytest.raises(TransferError):
            transcode(source, target, chunks=(32, 32), overwrite=True)
    assert target.read_bytes() == before
    transcode(source, target, chunks=(32, 32), overwrite=True)
    assert open_zarr(str(target)).chunks == (32, 32)


def test_dask_writes_zip_files(source: Path) -> None:
    dask_array = pytest.importorskip("dask.array")
    from latrans import dask

    target = source.with_name("a.zip")
    where = {"scheduler": "threads", "progress": False}
    dask.to_zarr(dask_array.from_array(field(), chunks=(128, 160)), target, **where)
    assert not dask.verify(str(target), str(source), **where).failures
    assert (dask.from_zarr(target) == field()).all().compute(scheduler="threads")
    assert dask.scores(str(target)).shape == (1, 1)
    dask.transcode(str(target), source.with_name("b.zip"), **where)
    np.testing.assert_array_equal(open_zarr(str(source.with_name("b.zip")))[...], field())


def test_zip_files_that_cannot_be_made_or_read_are_refused(source: Path) -> None:
    (source.parent / "folder.zip").mkdir()
    (source.parent / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    for target, expected in (
        (source.parent / "folder.zip", "is a folder"),
        ("s3://bucket/a.zip", "locally"),
    ):
        with pytest.raises(ConfigError, match=expected):
            transcode(source, target)
    with pytest.raises(ConfigError, match="cut short"):
        open_zarr(str(source.parent / "cut.zip"))


def test_a_zipped_folder_is_opened_where_its_store_is(source: Path) -> None:
    transcode(source, source.parent / "in" / "a.zarr", **CUT)
    shutil.make_archive(str(source.with_name("made")), "zip", source.parent / "in")
    np.testing.assert_array_equal(open_zarr(str(source.with_name("made.zip")))[...], field())
