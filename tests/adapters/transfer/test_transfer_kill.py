"""A transfer that is killed leaves chunks whole or absent, and a rerun moves only the others."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cli_samples import run
from transfer_samples import check_chunks_are_whole, chunk_files, field, n_finished

zarr = pytest.importorskip("zarr")

N_BLOCKS = 80  # of four chunks each


def command(source: Path, target: Path) -> list[str]:
    options = ["--chunks", "32,32", "--block-mb", "0.0083"]
    return [sys.executable, "-m", "latrans", "compress", str(source), str(target), *options]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills a process")
def test_killed_at_any_moment_and_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "a.npy", tmp_path / "a.zarr"
    array = field((512, 640))
    np.save(source, array)
    rng = np.random.default_rng()
    before = 0
    for goal in (0, 5, 30, 55):
        with subprocess.Popen(
            command(source, target), stdout=subprocess.PIPE, env=dict(os.environ)
        ) as process:
            deadline = time.monotonic() + 60
            while n_finished(target) < goal or not (target / "zarr.json").exists():
                assert process.poll() is None, "ended before it was killed"
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
        done = n_finished(target)
        assert before <= done < N_BLOCKS
        before = done
        assert check_chunks_are_whole(target) >= 4 * done
        assert zarr.open_array(target, mode="r").attrs["latrans_transfer"]["state"] == "incomplete"
        assert run("verify", source, target) == 1
        # What is there may not be written again: unlike the marks, files of chunks show it.
    finished = {path: path.stat().st_mtime_ns for path in chunk_files(target)}
    completed = subprocess.run(
        command(source, target), capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    found = re.search(r"blocks +(\d+), (\d+) of them", completed.stdout)
    assert found is not None
    assert (int(found[1]), int(found[2])) == (N_BLOCKS, done)
    kept = sum(path.stat().st_mtime_ns == mtime for path, mtime in finished.items())
    assert kept == 4 * done
    assert check_chunks_are_whole(target) == 4 * N_BLOCKS
    assert run("verify", source, target) == 0
    np.testing.assert_array_equal(zarr.open_array(target, mode="r")[...], array)
    left = {path.name for path in target.iterdir()}
    assert left == {"zarr.json", "c"}
    assert not list(target.rglob("*.partial"))


def test_two_transfers_at_once_do_no_harm(tmp_path: Path) -> None:
    source, target = tmp_path / "a.npy", tmp_path / "a.zarr"
    np.save(source, field((512, 640)))
    first = subprocess.Popen(command(source, target), stdout=subprocess.PIPE, env=dict(os.environ))
    while n_finished(target) < 3:
        assert first.poll() is None
        time.sleep(0.002)
    second = subprocess.Popen(command(source, target), stdout=subprocess.PIPE, env=dict(os.environ))
    for process in (first, second):
        process.communicate(timeout=60)
    if first.returncode or second.returncode:  # the one that ended last may find the marks gone
        assert 0 in (first.returncode, second.returncode)
    assert run("verify", source, target) == 0
