"""Transfers: what is moved, how the target looks, what is refused, what a failure leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latrans import Codec
from latrans.errors import ConfigError, ModelNotFoundError, TransferError
from latrans.transfer import blocks, memory, transcode
from latrans.zarr.zip_stores import METADATA
from transfer_samples import field

zarr = pytest.importorskip("zarr")

from latrans.transfer import job as jobs
from latrans.transfer import move as moves
from latrans.transfer import stores
from latrans.transfer.options import TransferOptions
from latrans.zarr import LatransCodec

SMALL = 20_000  # bytes of a block


def stored(path: Path, array: Any, **options: Any) -> Any:
    return zarr.create_array(path, data=array, **{"chunks": (50, 70), **options})


def unfinished(
    source: Any, target: Any, n_blocks: int, codec: Any = "image-1", **options: Any
) -> None:
    """Move some blocks as a process would that is killed after them."""
    job = jobs.prepare(source, target, TransferOptions(codec=codec, **options))
    for plan, i in list(job.pending())[:n_blocks]:
        moves.move(plan, i)


# --- blocks -------------------------------------------------------------------------------------


def test_blocks_are_known_by_number() -> None:
    grid = blocks.block_grid((17, 9, 11), (4, 3, 5), 2, 200)
    seen = np.zeros(grid.shape, int)
    for i in range(len(grid)):
        block = grid[i]
        seen[block] += 1
        units = blocks.BlockGrid(grid.shape, (4, 3, 5)).within(block)
        assert sum(np.zeros(grid.shape)[unit].size for unit in units) == seen[block].size
    assert (seen == 1).all()
    assert list(blocks.BlockGrid((), ())) == [()]
    assert list(blocks.BlockGrid((0, 4), (2, 2))) == []
    with pytest.raises(IndexError):
        grid[len(grid)]


# --- sources and targets ------------------------------------------------------------------------


@pytest.mark.parametrize("source_format", [2, 3])
@pytest.mark.parametrize("target_format", [2, 3])
def test_between_formats(tmp_path: Path, source_format: int, target_format: int) -> None:
    array = field()
    source = stored(tmp_path / "a.zarr", array, zarr_format=source_format, fill_value=7)
    source.attrs["unit"] = "m"
    summary = transcode(
        source, tmp_path / "b.zarr", block_nbytes=SMALL, zarr_format=target_format, chunks="source"
    )
    target = zarr.open_array(tmp_path / "b.zarr", mode="r")
    np.testing.assert_array_equal(target[...], array)
    assert target.metadata.zarr_format == target_format
    assert dict(target.attrs) == {"unit": "m"}
    assert target.fill_value == 7
    assert target.chunks == (50, 70)
    assert "latrans" in json.dumps(target.metadata.to_dict(), default=str)
    assert summary.nbytes == array.nbytes
    assert summary.n_blocks > 3
    files = [p for p in (tmp_path / "b.zarr").rglob("*") if p.is_file()]
    chunks = [p for p in files if p.name not in METADATA]
    assert summary.stored_nbytes == sum(p.stat().st_size for p in chunks)
    assert len(chunks) == summary.n_chunks


def test_sharded_targets_are_written_in_whole_shards(tmp_path: Path) -> None:
    array = field((300, 400))
    target = tmp_path / "b.zarr"
    summary = transcode(
        array, target, chunks=(50, 50), shards=(100, 200), block_nbytes=2 * 100 * 200 * 2
    )
    assert (summary.n_blocks, summary.n_chunks) == (3, 6)
    found = zarr.open_array(target, mode="r")
    assert (found.chunks, found.shards) == ((50, 50), (100, 200))
    np.testing.assert_array_equal(found[...], array)


@pytest.mark.parametrize("target", ["memory://one/b.zarr", "file"])
def test_targets_and_sources_by_url(tmp_path: Path, target: str) -> None:
    pytest.importorskip("fsspec")
    array = field()
    if target == "file":
        target = f"file://{tmp_path}/b.zarr"
    transcode(array, target, block_nbytes=SMALL)
    np.testing.assert_array_equal(zarr.open_array(target, mode="r")[...], array)
    transcode(target, tmp_path / "back.zarr", Codec("image-fast-1"))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "back.zarr")[...], array)


def test_several_processes(tmp_path: Path) -> None:
    array = field()
    stored(tmp_path / "a.zarr", array)
    transcode(tmp_path / "a.zarr", tmp_path / "b.zarr", block_nbytes=SMALL, workers=2)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "b.zarr")[...], array)
    with pytest.raises(ConfigError, match="memory"):
        transcode(array, tmp_path / "c.zarr", workers=2)


def test_stores_that_cannot_be_gone_on_with_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ZipStore"):
        transcode(field(), zarr.storage.ZipStore(tmp_path / "b.zip", mode="w"))


# --- promises -----------------------------------------------------------------------------------


def test_bounded_and_lossy_report_the_worst_error(tmp_path: Path) -> None:
    array = field(dtype="f4")
    codec = LatransCodec("field-1", mode="bounded", max_error=2.0)
    summary = transcode(array, tmp_path / "b.zarr", codec, block_nbytes=SMALL)
    found = zarr.open_array(tmp_path / "b.zarr", mode="r")[...]
    assert 0 < summary.worst <= 2.0
    assert summary.worst == np.abs(found.astype("f8") - array).max()
    lossy = LatransCodec("image-lossy-1", mode="lossy", quality=40)
    summary = transcode(array.astype("u2"), tmp_path / "c.zarr", lossy)
    assert summary.worst > 2
    assert summary.failures == ()


def test_a_chunk_that_comes_back_wrong_is_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = field((100, 140))
    decode = Codec._decode_some

    def wrong(self: Codec, frames: Any) -> Any:
        found = decode(self, frames)
        return [part + (part[0, 0] == array[50, 70]) for part in found]

    with monkeypatch.context() as patch:
        patch.setattr(Codec, "_decode_some", wrong)
        with pytest.raises(TransferError, match=r"chunk \(1, 1\)") as caught:
            transcode(array, tmp_path / "b.zarr", chunks=(50, 70))
    assert len(caught.value.summary.failures) == 1
    left = {str(p.relative_to(tmp_path / "b.zarr" / "c")) for p in tmp_path.glob("b.zarr/c/*/*")}
    assert left == {"0/0", "0/1", "1/0"}
    transcode(array, tmp_path / "b.zarr", chunks=(50, 70))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "b.zarr")[...], array)


def test_a_damaged_source_chunk_costs_only_the_chunks_that_need_it(tmp_path: Path) -> None:
    array = field((200, 280))
    stored(tmp_path / "a.zarr", array)
    damaged = tmp_path / "a.zarr" / "c" / "1" / "2"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(TransferError) as caught:
        transcode(tmp_path / "a.zarr", tmp_path / "b.zarr", chunks="source")
    assert [failure.chunk for failure in caught.value.summary.failures] == [(1, 2)]
    found = zarr.open_array(tmp_path / "b.zarr", mode="r")[...]
    array[50:100, 140:210] = 0
    np.testing.assert_array_equal(found, array)


def test_what_would_befall_every_chunk_stops_the_transfer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fails(self: Codec, arrays: Any) -> Any:
        calls.append(1)
        raise ModelNotFoundError("none")

    def full(*args: Any, **options: Any) -> Any:
        raise OSError(28, "No space left on device")

    source = stored(tmp_path / "a.zarr", field())
    job = jobs.prepare(source, tmp_path / "b.zarr", TransferOptions(block_nbytes=SMALL))
    plan, i = next(iter(job.pending()))
    with monkeypatch.context() as patch:
        patch.setattr(Codec, "_encode_some", fails)
        with pytest.raises(ModelNotFoundError):
            moves.move(plan, i)
    monkeypatch.setattr(moves, "_carry", full)
    with pytest.raises(OSError, match="No space"):
        moves.move(plan, i)


def test_a_block_that_cannot_be_noted_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any) -> None:
        raise OSError("connection reset")

    with monkeypatch.context() as patch:
        patch.setattr("latrans.transfer.progress.remember", fails)
        with pytest.raises(TransferError, match="cannot be noted"):
            transcode(field(), tmp_path / "b.zarr", chunks=(64, 64))
    assert transcode(field(), tmp_path / "b.zarr", chunks=(64, 64)).n_resumed == 0


# --- going on -----------------------------------------------------------------------------------


def test_only_unfinished_blocks_are_moved_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = field(dtype="f4")
    source = stored(tmp_path / "a.zarr", array)
    codec = LatransCodec("field-1", mode="bounded", max_error=1.0)
    options = {"block_nbytes": SMALL, "chunks": (50, 70)}
    unfinished(source, tmp_path / "b.zarr", 5, codec, **options)
    moved = []
    carry = moves._carry

    def counts(plan: Any, source: Any, target: Any, block: Any) -> Any:
        moved.append(block)
        return carry(plan, source, target, block)

    monkeypatch.setattr(moves, "_carry", counts)
    summary = transcode(source, tmp_path / "b.zarr", codec, **options)
    assert (summary.n_resumed, len(moved)) == (5, summary.n_blocks - 5)
    # The summary is that of the whole job.
    assert summary.nbytes == array.nbytes
    monkeypatch.undo()
    whole = transcode(source, tmp_path / "c.zarr", codec, **options)
    assert (summary.stored_nbytes, summary.worst) == (whole.stored_nbytes, whole.worst)


@pytest.mark.parametrize("change", ["data", "mode", "chunks", "model", "format", "verify"])
def test_another_transfer_does_not_go_on_with_it(tmp_path: Path, change: str) -> None:
    np.save(tmp_path / "a.npy", field(dtype="f4"))
    source, target = tmp_path / "a.npy", tmp_path / "b.zarr"
    from latrans.transfer.sources import NpyFile

    unfinished(NpyFile.open(source), target, 1, "field-1", block_nbytes=SMALL)
    codec: Any = "field-1"
    options: dict[str, Any] = {}
    if change == "data":
        np.save(source, field(dtype="f4", seed=1))
    elif change == "mode":
        codec = LatransCodec("field-1", mode="bounded", max_error=1)
    elif change == "chunks":
        options["chunks"] = (64, 64)
    elif change == "model":
        codec = "image-1"
    elif change == "format":
        options["zarr_format"] = 2
    else:
        options["verify"] = False
    with pytest.raises(ConfigError, match="unfinished result of another transfer"):
        transcode(source, target, codec, block_nbytes=SMALL, **options)
    transcode(source, target, codec, block_nbytes=SMALL, overwrite=True, **options)
    found = zarr.open_array(target, mode="r")[...]
    assert np.abs(found - np.load(source)).max() <= 1


def test_the_same_paths_written_otherwise_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = stored(tmp_path / "a.zarr", field())
    unfinished(source, tmp_path / "b.zarr", 2, block_nbytes=SMALL, chunks="source")
    monkeypatch.chdir(tmp_path)
    summary = transcode("a.zarr", "b.zarr", block_nbytes=SMALL, chunks="source")
    assert summary.n_resumed == 2


def test_complete_targets_and_foreign_files_need_overwrite(tmp_path: Path) -> None:
    target = tmp_path / "b.zarr"
    transcode(field(), target)
    with pytest.raises(ConfigError, match="is complete"):
        transcode(field(), target)
    transcode(field(seed=2), target, overwrite=True)
    np.testing.assert_array_equal(zarr.open_array(target)[...], field(seed=2))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="not a Zarr array"):
        transcode(field(), tmp_path / "folder")


def test_overwriting_takes_away_first_what_makes_a_target(tmp_path: Path) -> None:
    place = stores.open_target(tmp_path / "b.zarr")
    zarr.create_group(place.store).create_array("x", data=field(), chunks=(50, 70))
    deleted: list[str] = []

    class Recording(zarr.storage.WrapperStore):
        async def delete(self, key: str) -> None:
            deleted.append(key)
            await super().delete(key)

        async def delete_dir(self, prefix: str) -> None:
            deleted.append("all")
            await super().delete_dir(prefix)

    stores.clear(zarr.storage.StorePath(Recording(place.store)))
    assert set(deleted[:-1]) == {"zarr.json", "x/zarr.json"}
    assert deleted[-1] == "all"
    assert not stores.keys(place.store, "")


# --- memory -------------------------------------------------------------------------------------


def test_what_cannot_fit_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_nbytes", lambda: 60 << 20)
    array = np.zeros((4000, 4000), "u2")
    with pytest.raises(ConfigError, match=r"do not fit into the 62 MB of this machine.*smaller"):
        transcode(array, tmp_path / "b.zarr")
    assert not (tmp_path / "b.zarr").exists()
    transcode(array[:300, :300], tmp_path / "b.zarr", chunks=(100, 100), block_nbytes=SMALL)
    monkeypatch.undo()
    assert (memory.available_nbytes() or 1 << 40) > 60 << 20


def test_memory_of_a_task_grows_with_its_block() -> None:
    small = memory.task_nbytes(1 << 20, 1 << 18, np.dtype("u2"))
    large = memory.task_nbytes(1 << 26, 1 << 21, np.dtype("u2"))
    assert small < large < memory.task_nbytes(1 << 26, 1 << 21, np.dtype("f4"))
    memory.check(large, 2, 2 * large, "a test")
    memory.check(large, 2, None, "a test")
    with pytest.raises(ConfigError, match="use at most 1 at a time"):
        memory.check(large, 2, 2 * large - 1, "a test")


PEAK = """
import re, sys
from pathlib import Path
import zarr
from latrans.transfer.job import prepare
from latrans.transfer.move import move
from latrans.transfer.options import TransferOptions

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10

job = prepare(zarr.open_array(sys.argv[1], mode="r"), sys.argv[2], TransferOptions())
before = peak()
move(job.plans[0], 0)
print(peak() - before, job.needed_nbytes)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's peak memory")
def test_a_task_takes_no_more_than_was_projected(tmp_path: Path) -> None:
    array = np.tile(field((512, 512)), (16, 1, 1)).reshape(16, 512, 512)
    stored(tmp_path / "a.zarr", array, chunks=(1, 512, 512))
    command = [sys.executable, "-c", PEAK, str(tmp_path / "a.zarr"), str(tmp_path / "b.zarr")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, projected = map(int, done.stdout.split())
    assert array.nbytes < grown < projected


def test_all_ways_to_move_an_array_take_the_same_options() -> None:
    from inspect import signature

    from latrans import dask

    told = {field.name for field in fields(TransferOptions)}
    for move in (transcode, dask.transcode):
        found = {name: p.default for name, p in signature(move).parameters.items() if name in told}
        assert found.keys() == told
        assert found == {field.name: field.default for field in fields(TransferOptions)}
    assert told - {"arrays"} <= set(signature(dask.to_zarr).parameters)
    with pytest.raises(ConfigError, match="zarr_format is 4"):
        TransferOptions(zarr_format=4)
