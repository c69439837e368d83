"""How commands end: an interrupt, a request to end, a full disk, a pipe that nobody reads."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter_samples import heed_interrupts
from cli_samples import run
from latrans.cli import command
from places import ROOT
from transfer_samples import field, n_finished

zarr = pytest.importorskip("zarr")

posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
PIPELINES = ROOT / "pipelines"
LATRANS = [sys.executable, "-m", "latrans"]
SMALL_BLOCKS = ["--chunks", "32,32", "--block-mb", "0.0083"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", field((512, 1280)))
    return tmp_path / "a.npy"


def stopped(
    argv: list[Any], number: int, when: Callable[[], bool], group: bool = True
) -> tuple[int, str, int]:
    """Exit status, stderr, and process group of a command that is sent a signal once it is time."""
    with subprocess.Popen(
        list(map(str, argv)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    ) as process:
        deadline = time.monotonic() + 60
        while not when():
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        (os.killpg if group else os.kill)(process.pid, number)
        _, said = process.communicate(timeout=60)
        return process.returncode, said, process.pid


def assert_all_ended(group: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("processes are left")


@posix
@pytest.mark.parametrize(
    ("number", "status", "words"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
)
@pytest.mark.parametrize("workers", [[], ["--workers", "2"]], ids=["alone", "workers"])
def test_a_transfer_that_is_stopped_says_so_in_one_line(
    source: Path, number: int, status: int, words: str, workers: list[str]
) -> None:
    target = source.with_name("a.zarr")
    argv = [*LATRANS, "compress", source, target, *SMALL_BLOCKS, *workers]
    for goal in (1, 8):
        found, said, group = stopped(argv, number, lambda goal=goal: n_finished(target) > goal)
        assert (found, said) == (status, f"latrans: {words}\n")
        assert_all_ended(group)
    assert run("verify", source, target) == 1
    assert run("compress", source, target, *SMALL_BLOCKS) == 0
    assert run("verify", source, target) == 0
    assert not list(target.rglob("*.partial"))


@posix
def test_workers_end_with_a_process_that_is_killed(source: Path) -> None:
    target = source.with_name("a.zarr")
    argv = [*LATRANS, "compress", source, target, *SMALL_BLOCKS, "--workers", "2"]
    found, _, group = stopped(argv, signal.SIGKILL, lambda: n_finished(target) > 2, group=False)
    assert found == -9
    assert_all_ended(group)


@posix
@pytest.mark.parametrize("workers", [[], ["--workers", "2"]], ids=["threads", "cluster"])
def test_a_pipeline_that_is_interrupted_says_so_in_one_line(
    source: Path, workers: list[str]
) -> None:
    pytest.importorskip("distributed")
    target, stored = source.with_name("a.zarr"), source.with_name("z.zarr")
    zarr.create_array(stored, data=np.load(source), chunks=(32, 32))
    argv = [sys.executable, PIPELINES / "transcode.py", stored, target, *SMALL_BLOCKS, *workers]
    found, said, group = stopped(argv, signal.SIGINT, lambda: n_finished(target) > 2)
    ours = [line for line in said.splitlines() if " - distributed." not in line]  # its logs
    assert (found, ours) == (130, ["latrans: interrupted"])
    assert_all_ended(group)


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_file_that_is_begun_is_taken_away(source: Path, number: int) -> None:
    target, back = source.with_name("a.zarr"), source.with_name("b.npy")
    large = np.tile(np.load(source), (24, 1))  # several blocks
    np.save(source, large)
    assert run("compress", source, target) == 0
    begun = lambda: any(source.parent.glob(".b.npy.*.partial"))  # noqa: E731
    found, said, _ = stopped([*LATRANS, "decompress", target, back], number, begun)
    assert found == 128 + number
    assert said.count("\n") == 1
    assert {path.name for path in source.parent.iterdir()} == {"a.npy", "a.zarr"}


def limited(argv: list[Any], nbytes: int) -> tuple[int, str]:
    """Exit status and stderr of a command whose files may have so many bytes."""
    resource = pytest.importorskip("resource")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, nbytes))  # noqa: E731
    done = subprocess.run(
        list(map(str, argv)), capture_output=True, text=True, timeout=60, preexec_fn=limit
    )
    return done.returncode, done.stderr


@posix
def test_what_finds_no_room_is_not_there(source: Path) -> None:
    target, back = source.with_name("a.zarr"), source.with_name("b.npy")
    assert run("compress", source, target) == 0
    status, said = limited([*LATRANS, "decompress", target, back], 100_000)
    assert (status, said) == (1, f"latrans: {back}: {os.strerror(errno.EFBIG)}\n")
    options = ["--steps", "2", "--recipe", "field"]
    model = source.with_name("m.safetensors")
    if pytest.importorskip("torch"):
        status, said = limited([*LATRANS, "train", source, "--out", model, *options], 1000)
        assert (status, said) == (1, f"latrans: {model}: {os.strerror(errno.EFBIG)}\n")
    assert {path.name for path in source.parent.iterdir()} == {"a.npy", "a.zarr"}


@posix
def test_tables_that_find_no_room_are_not_there(tmp_path: Path) -> None:
    pa, la = pytest.importorskip("pyarrow"), pytest.importorskip("latrans.arrow")
    rows = np.random.default_rng(0).integers(0, 255, (200, 28, 28), np.uint8)
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(rows)
    table, encoded, back = (tmp_path / f"{name}.parquet" for name in "abc")
    pa.parquet.write_table(pa.table({"image": column}), table)
    argv = [*LATRANS, "compress", table, encoded, "--columns", "image=digits-1"]
    status, said = limited(argv, 10_000)
    assert (status, said.count("\n")) == (1, 1), said
    assert str(encoded) in said
    la.write_parquet(pa.table({"image": column}), encoded, {"image": "digits-1"})
    status, said = limited([*LATRANS, "decompress", encoded, back], 10_000)
    assert (status, said.count("\n")) == (1, 1), said
    assert {path.name for path in tmp_path.iterdir()} == {"a.parquet", "b.parquet"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_one_line_that_names_the_target(
    source: Path,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = source.with_name("a.zarr")
    whole = zarr.storage.LocalStore.set

    async def full(self: Any, key: str, value: Any) -> None:
        if "c/" in key:
            raise OSError(number, os.strerror(number))
        await whole(self, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(zarr.storage.LocalStore, "set", full)
        assert run("compress", source, target) == 1
    assert capsys.readouterr().err == f"latrans: {target}: {os.strerror(number)}\n"
    assert zarr.open_array(target, mode="r").attrs["latrans_transfer"]["state"] == "incomplete"
    assert run("compress", source, target) == 0


@posix
def test_a_pipe_that_nobody_reads_is_no_error() -> None:
    for argv in (["models"], ["--help"]):
        program = f"import sys, latrans.cli; sys.exit(latrans.cli.main({argv}))"
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert done.returncode in (0, 1)
        assert done.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_output_that_finds_no_room_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*LATRANS, "models"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == f"latrans: standard output: {os.strerror(errno.ENOSPC)}\n"


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "x"), 2, "'x'"),
        (OSError(errno.EIO, "Input/output error", "x"), 1, "x: "),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "target.zarr: "),
        (MemoryError("of 9 GB"), 1, "not enough memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), 2, "reset"),
    ],
)
def test_what_ends_a_command_is_told_by_its_status(
    error: BaseException, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise error

    assert command.run(work, "target.zarr") == status
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_other_errors_are_not_hidden() -> None:
    def work() -> int:
        raise KeyError("a mistake of ours")

    with pytest.raises(KeyError):
        command.run(work)


@posix
def test_signals_are_as_they_were_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert command.run(lambda: 0) == 0
    assert signal.getsignal(signal.SIGTERM) == before


def test_figures_are_written_whole(tmp_path: Path) -> None:
    from latrans.cli import figures

    class Broken:
        def savefig(self, path: Path, **options: Any) -> None:
            path.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        figures.save(Broken(), tmp_path / "a.png", 100)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (7,), (5, 6), (4, 5, 6), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["<i2", ">f8", "M8[s]", "i4,f8"])
def test_npy_files_are_those_of_numpy(
    tmp_path: Path, order: Any, shape: tuple[int, ...], dtype: str
) -> None:
    from latrans.cli import npy
    from latrans.transfer.blocks import BlockGrid

    values = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    values = np.asarray(values, order=order)
    np.save(tmp_path / "expected.npy", values)
    for edge in (1, 2, 4, 100):
        grid = BlockGrid(shape, (edge,) * len(shape))
        fortran = order == "F" and len(shape) > 1
        with npy.writing(tmp_path / "found.npy", values.dtype, shape, fortran) as target:
            for block in reversed(list(grid)):
                target[block] = values[block]
        expected = (tmp_path / "expected.npy").read_bytes()
        assert (tmp_path / "found.npy").read_bytes() == expected


def test_a_program_of_ones_own_ends_as_pythons_do(tmp_path: Path) -> None:
    """The library itself installs no handlers and exits for nobody."""
    program = """
    import signal
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    import latrans, latrans.transfer, latrans.zarr
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(program)]).returncode == 0
