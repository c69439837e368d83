"""transcode, to_zarr and from_zarr on Dask's schedulers, and on clusters that lose workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans
import synthetic_models
from transfer_samples import check_chunks_are_whole, field, n_finished

zarr = pytest.importorskip("zarr")
da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

from latrans.dask import ModelPlugin, from_zarr, to_zarr, transcode
from latrans.dask import run as runs
from latrans.errors import ConfigError, TransferError
from latrans.transfer.options import TransferOptions
from latrans.zarr import LatransCodec

SMALL = 20_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        resources={"GPU": 1},
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    with distributed.Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture
def source(tmp_path: Path) -> Path:
    zarr.create_array(tmp_path / "a.zarr", data=field((512, 640)), chunks=(100, 100))
    return tmp_path / "a.zarr"


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_local_schedulers(source: Path, scheduler: str) -> None:
    target = source.with_name("b.zarr")
    summary = transcode(
        source, target, chunks=(64, 64), block_nbytes=10 * SMALL, scheduler=scheduler
    )
    assert summary.n_chunks == 80
    np.testing.assert_array_equal(zarr.open_array(target)[...], field((512, 640)))


def test_windows_cover_every_block(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_WINDOW", 3)
    target, told = source.with_name("b.zarr"), []
    transcode(
        source,
        target,
        chunks=(64, 64),
        block_nbytes=5 * SMALL,
        scheduler="threads",
        progress=told.append,
    )
    assert sum(told) == field((512, 640)).nbytes
    np.testing.assert_array_equal(zarr.open_array(target)[...], field((512, 640)))


def test_a_cluster_with_resources_and_a_model_it_has_no_file_of(client: Any, source: Path) -> None:
    path, target = source.with_name("own.safetensors"), source.with_name("b.zarr")
    synthetic_models.make_model("plane", seed=11).save(path)
    codec = LatransCodec(path)
    model = latrans.open_model(path)
    path.unlink()
    summary = transcode(
        source,
        target,
        LatransCodec(model),
        chunks=(64, 64),
        model_storage="name",
        block_nbytes=SMALL,
        client=client,
        resources={"GPU": 1},
        engine="native",
    )
    assert codec.model.endswith("own.safetensors")
    assert zarr.open_array(target).serializer.model == f"sha256:{model.digest}"
    np.testing.assert_array_equal(zarr.open_array(target)[...], field((512, 640)))
    assert summary.n_blocks > runs._AHEAD_LEAST
    client.cluster.scale(3)
    client.wait_for_workers(3)
    found = client.run(_has_model, model.digest)
    assert set(found.values()) == {True}
    assert len(found) == 3
    client.cluster.scale(2)


def _has_model(digest: str) -> bool:
    from latrans.models import store

    return store.is_loaded(digest)


def test_what_workers_cannot_see_is_refused(client: Any, source: Path) -> None:
    with pytest.raises(ConfigError, match="memory"):
        transcode(field(), source.with_name("b.zarr"), client=client)
    with pytest.raises(ConfigError, match="memory"):
        transcode(source, zarr.storage.MemoryStore(), client=client)
    with pytest.raises(ConfigError, match="both"):
        transcode(source, source.with_name("c.zarr"), client=client, scheduler="threads")
    with pytest.raises(ConfigError, match="clusters"):
        transcode(source, source.with_name("c.zarr"), resources={"GPU": 1}, scheduler="threads")


def test_a_task_that_no_worker_can_hold_is_refused(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small:
        def scheduler_info(self, n_workers: int = 5) -> Any:
            return {"workers": {"tcp://one": {"memory_limit": 40 << 20, "nthreads": 2}}}

    with pytest.raises(ConfigError, match=r"2 tasks of .* worker tcp://one"):
        transcode(source, source.with_name("b.zarr"), client=Small())


def test_a_worker_that_is_killed_loses_nothing(client: Any, source: Path) -> None:
    target = source.with_name("b.zarr")
    killed = []

    def kill_once(nbytes: int) -> None:
        if not killed and n_finished(target) >= 10:
            pid = next(iter(client.run(os.getpid).values()))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    summary = transcode(
        source, target, chunks=(64, 64), block_nbytes=8192, client=client, progress=kill_once
    )
    assert killed
    assert summary.n_blocks == 80
    assert check_chunks_are_whole(target) == 80
    np.testing.assert_array_equal(zarr.open_array(target)[...], field((512, 640)))
    client.wait_for_workers(2)


def test_a_block_that_kills_every_worker_is_reported(source: Path) -> None:
    from latrans.transfer.job import prepare

    job = prepare(
        zarr.open_array(source), source.with_name("b.zarr"), TransferOptions(block_nbytes=SMALL)
    )
    plan, i = next(iter(job.pending()))
    with pytest.raises(TransferError, match="its workers died"):
        job.finish([runs.lost(plan, i, RuntimeError("thrice"))])


JOB = """
import sys
from distributed import Client, LocalCluster
from latrans.dask import transcode

if __name__ == "__main__":
    options = dict(n_workers=1, threads_per_worker=2, dashboard_address=None)
    with LocalCluster(processes=False, **options) as cluster, Client(cluster):
        summary = transcode(sys.argv[1], sys.argv[2], chunks=(64, 64), block_nbytes=8192)
        print(summary.n_blocks, summary.n_resumed)
"""


def test_the_whole_job_killed_and_run_again(source: Path) -> None:
    script, target = source.with_name("job.py"), source.with_name("b.zarr")
    script.write_text(textwrap.dedent(JOB))
    command = [sys.executable, str(script), str(source), str(target)]
    with subprocess.Popen(command, start_new_session=True) as process:
        while n_finished(target) < 20:
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
    time.sleep(0.3)
    done = n_finished(target)
    check_chunks_are_whole(target)
    assert 20 <= done < 80
    completed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert completed.stdout.split() == ["80", str(done)]
    assert check_chunks_are_whole(target) == 80
    np.testing.assert_array_equal(zarr.open_array(target)[...], field((512, 640)))


# --- dask arrays --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["threads", "cluster"])
def test_dask_arrays_there_and_back(client: Any, tmp_path: Path, where: str) -> None:
    array = da.from_array(field((300, 400)), chunks=(70, 130))
    on: Any = {"client": client} if where == "cluster" else {"scheduler": where}
    summary = to_zarr(
        array + 1,
        tmp_path / "b.zarr",
        LatransCodec("image-1"),
        chunks=(50, 100),
        dimension_names=("y", "x"),
        attributes={"unit": "m"},
        block_nbytes=SMALL,
        **on,
    )
    stored = zarr.open_array(tmp_path / "b.zarr", mode="r")
    assert stored.metadata.dimension_names == ("y", "x")
    assert dict(stored.attrs) == {"unit": "m"}
    assert (stored.chunks, summary.n_chunks) == ((50, 100), 24)
    back = from_zarr(tmp_path / "b.zarr", block_nbytes=SMALL)
    assert back.chunks[1] == (200, 200)
    assert all(n % 50 == 0 for n in back.chunks[0])
    np.testing.assert_array_equal(back.compute(scheduler="threads"), field((300, 400)) + 1)


def test_chunks_that_fit_are_not_cut_anew(tmp_path: Path) -> None:
    array = da.from_array(field((300, 400)), chunks=(100, 400))
    summary = to_zarr(array, tmp_path / "b.zarr", chunks=(50, 100), scheduler="threads")
    assert summary.n_blocks == 3


def test_dask_arrays_go_on_where_they_stopped(tmp_path: Path) -> None:
    calls: list[Any] = []

    def fails_late(block: Any) -> Any:
        calls.append(1)
        if len(calls) > 7:
            raise RuntimeError("stopped")
        return block

    values = da.from_array(field((400, 400)), chunks=(100, 100))
    broken = values.map_blocks(fails_late, dtype="u2", name="same")
    options: dict[str, Any] = {"chunks": (100, 100), "scheduler": "synchronous"}
    with pytest.raises(RuntimeError, match="stopped"):
        to_zarr(broken, tmp_path / "b.zarr", **options)
    with pytest.raises(ConfigError, match="incomplete"):
        from_zarr(tmp_path / "b.zarr")
    with pytest.raises(ConfigError, match="another transfer"):
        to_zarr(values, tmp_path / "b.zarr", **options)
    done = n_finished(tmp_path / "b.zarr")
    assert 0 < done < 16
    repaired = values.map_blocks(lambda block: block, dtype="u2", name="same")
    summary = to_zarr(repaired, tmp_path / "b.zarr", **options)
    assert summary.n_resumed == done
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "b.zarr")[...], field((400, 400)))


def test_what_is_no_dask_array_or_codec_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ndarray; expected a Dask array.*from_array"):
        to_zarr(field(), tmp_path / "b.zarr")
    with pytest.raises(ConfigError, match="codec is a NoneType; expected a codec of latrans"):
        to_zarr(da.from_array(field()), tmp_path / "b.zarr", None)
    assert not (tmp_path / "b.zarr").exists()


def test_plugins_pickle_small_and_know_their_models() -> None:
    import pickle

    plugin = ModelPlugin("image-1", "field-1")
    assert plugin.name == ModelPlugin("field-1", "image-1").name
    assert plugin.name != ModelPlugin("image-1", "field-1", engine="reference").name
    sizes = sum(len(latrans.open_model(name).data) for name in ("image-1", "field-1"))
    assert len(pickle.dumps(plugin)) < sizes + 1000
