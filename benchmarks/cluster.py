"""Transcoding on a cluster of this machine's processes: crashes, scaling, cost of a task.

    python benchmarks/cluster.py --mb 1000 --real ../shared/data/medical/ct_philips_stereotaxis.npz
    python benchmarks/cluster.py --mb 128 --parts scaling,overhead

The source is a stack of 1024 x 1024 planes of 16 bits, Blosc-compressed: every other plane is
made up, smooth with noise of its own; those between are mirrored and shifted cuts of the real
array, where one is given.  Parts:

crash      two workers; one is killed (SIGKILL) half-way; afterwards every chunk is compared
rerun      the whole job, scheduler and workers, is killed half-way, and run again
scaling    one worker and two, in turns
overhead   what a task costs beside its work
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

EDGE = 1024
PARTS = "crash,rerun,scaling,overhead"


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 1 if a chunk was lost or not what was promised."""
    args = _parser().parse_args(argv)
    if args.job:  # the job that `rerun` kills
        summary, _ = transcoded(args.job[0], args.job[1], args.workers, args.block_mb)
        print(summary)
        return 0
    folder = Path(tempfile.mkdtemp(prefix="latrans-cluster-", dir=args.folder))
    try:
        source = folder / "source.zarr"
        started = time.perf_counter()
        array = make_source(source, args.mb, args.real)
        print(
            f"source: {array.dtype} {array.shape}, {array.nbytes / 1e6:.0f} MB, "
            f"{array.nbytes_stored() / 1e6:.0f} MB as Blosc, made in "
            f"{time.perf_counter() - started:.0f} s\n"
        )
        good = True
        for part in args.parts.split(","):
            good &= {"crash": crash, "rerun": rerun, "scaling": scaling, "overhead": overhead}[
                part
            ](args, source, folder / f"{part}.zarr")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mb", type=float, default=128, help="of samples (default 128)")
    parser.add_argument("--real", type=Path, metavar="FILE.npz", help="real planes of 16 bits")
    parser.add_argument("--parts", default=PARTS, metavar="PART,...")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--block-mb", type=float, default=67.1, help="samples of a task")
    parser.add_argument("--runs", type=int, default=3, help="of `scaling`")
    parser.add_argument("--folder", type=Path, help="for temporary arrays")
    parser.add_argument("--job", nargs=2, metavar=("SRC", "DST"), help=argparse.SUPPRESS)
    return parser


def make_source(path: Path, mb: float, real: Path | None) -> Any:
    """Planes as the head of this file says."""
    import zarr

    n_planes = max(2, round(mb * 1e6 / (2 * EDGE * EDGE)))
    array = zarr.create_array(
        path,
        shape=(n_planes, EDGE, EDGE),
        chunks=(1, 256, 256),
        dtype="u2",
        compressors=zarr.codecs.BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"),
    )
    pictures = None
    if real is not None:
        pictures = np.load(real)["data"]
        pictures = np.ascontiguousarray(pictures.reshape(-1, *pictures.shape[-2:]), "u2")
    y, x = np.mgrid[:EDGE, :EDGE] / EDGE
    for i in range(n_planes):
        rng = np.random.default_rng(i)
        if pictures is not None and i % 2:
            plane = _tiled(pictures[i % len(pictures)], rng)
        else:
            waves = sum(np.sin(rng.uniform(2, 40) * (x * rng.normal() + y)) for _ in range(3))
            plane = 2000 + 400 * waves + rng.normal(0, 6, (EDGE, EDGE))
        array[i] = plane.astype("u2")
    return array


def _tiled(picture: Any, rng: Any) -> Any:
    picture = np.roll(picture, rng.integers(0, min(picture.shape), 2), (0, 1))
    picture = picture[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
    row = np.concatenate([picture, picture[:, ::-1]], 1)
    whole = np.concatenate([row, row[::-1]], 0)
    repeats = [-(-EDGE // n) for n in whole.shape]
    return np.tile(whole, repeats)[:EDGE, :EDGE]


@contextmanager
def cluster(n_workers: int) -> Iterator[Any]:
    """A client of that many processes, each with one thread."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as local,
        Client(local) as client,
    ):
        client.wait_for_workers(n_workers)
        yield client


def transcoded(
    source: Any, target: Any, n_workers: int, block_mb: float, watch: Any = None
) -> tuple[Any, tuple[float, float]]:
    """The summary of a transfer on a fresh cluster, with what its workers used."""
    from latrans.dask import transcode

    with cluster(n_workers) as client:
        before = sum(cpu for cpu, _ in client.run(_used).values())
        summary = transcode(
            source,
            target,
            chunks=(1, 512, 512),
            block_nbytes=int(block_mb * 1e6),
            client=client,
            progress=partial(watch, client) if watch else False,
        )
        used = client.run(_used).values()
    return summary, (sum(cpu for cpu, _ in used) - before, max(peak for _, peak in used))


def crash(args: argparse.Namespace, source: Path, target: Path) -> bool:
    """A worker is killed half-way."""
    import zarr

    total, seen, killed = zarr.open_array(source).nbytes, [0], []

    def kill_half_way(client: Any, nbytes: int) -> None:
        seen[0] += nbytes
        if not killed and seen[0] >= total / 2:
            killed.append(client.run(os.getpid).popitem()[1])
            os.kill(killed[0], signal.SIGKILL)
            print(f"killed worker {killed[0]} after {seen[0] / 1e6:.0f} MB")

    summary, _ = transcoded(source, target, args.workers, args.block_mb, kill_half_way)
    print(f"{args.workers} workers, one killed:\n{summary}")
    return bool(killed) & _compared(source, target)


def rerun(args: argparse.Namespace, source: Path, target: Path) -> bool:
    """The whole job is killed half-way."""
    command = [sys.executable, __file__, "--job", str(source), str(target)]
    command += ["--workers", str(args.workers), "--block-mb", str(args.block_mb)]
    import zarr

    n_bytes = zarr.open_array(source).nbytes
    half = max(1, int(n_bytes / (args.block_mb * 1e6) / 2))
    with subprocess.Popen(command, start_new_session=True) as process:
        while process.poll() is None and len(_done(target)) < half:
            time.sleep(0.05)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    time.sleep(1)
    done = _done(target)
    before = {path: path.stat().st_mtime_ns for path in _chunks(target)}
    print(f"killed the job with {len(done)} blocks done, {len(before)} chunks there")
    subprocess.run(command, check=True)
    kept = sum(path.stat().st_mtime_ns == mtime for path, mtime in before.items())
    print(f"{kept} of these chunks were not written again")
    return _compared(source, target)


def scaling(args: argparse.Namespace, source: Path, target: Path) -> bool:
    """One worker and two, in turns, since the machine may be busy with others."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(args.runs):
        for n_workers in rates:
            shutil.rmtree(target, ignore_errors=True)
            summary, (cpu, peak) = transcoded(source, target, n_workers, args.block_mb)
            rates[n_workers].append(summary.mb_per_second)
            idle = 1 - summary.task_seconds / (n_workers * summary.seconds)
            print(
                f"{n_workers} workers: {summary.mb_per_second:.1f} MB/s, "
                f"{summary.n_blocks} tasks of {summary.task_seconds / summary.n_blocks:.2f} s "
                f"({cpu / summary.n_blocks:.2f} s of CPU), "
                f"{100 * idle:.1f} % of the workers' time outside of tasks, peak {peak:.0f} MB; "
                f"requests per chunk: {summary.n_gets / summary.n_chunks:.2f} GET, "
                f"{summary.n_puts / summary.n_chunks:.2f} PUT",
                flush=True,
            )
    middle = {n: statistics.median(found) for n, found in rates.items()}
    print(f"medians {middle[1]:.1f} and {middle[2]:.1f} MB/s: {middle[2] / middle[1]:.2f} times\n")
    return True


def overhead(args: argparse.Namespace, source: Path, target: Path) -> bool:
    """Tasks that do nothing, submitted as a transfer submits them."""
    import zarr

    from latrans.dask import run
    from latrans.transfer.job import prepare
    from latrans.transfer.summary import Record

    job = prepare(zarr.open_array(source, mode="r"), target, block_nbytes=1 << 20)
    plan = job.plans[0]
    n_tasks = 2000
    with cluster(args.workers) as client:
        client.run(_used)
        started = time.perf_counter()
        tasks = ((plan, i) for i in range(n_tasks))
        records = list(run.run(client, tasks, job.plans, lambda nbytes: None, work=_nothing))
        seconds = (time.perf_counter() - started) / n_tasks
    assert all(isinstance(record, Record) for record in records)
    print(f"{1e3 * seconds:.2f} ms per task of {args.workers} workers that does nothing\n")
    return True


def _nothing(plan: Any, i: int) -> Any:
    from latrans.transfer.summary import Record

    return Record(plan.name, i)


def _used() -> tuple[float, float]:
    """Seconds of CPU and peak MB of this process; loads what tasks need, too."""
    import resource

    import latrans.transfer.move  # noqa: F401

    used = resource.getrusage(resource.RUSAGE_SELF)
    # Not ru_maxrss, which begins with the parent's.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return used.ru_utime + used.ru_stime, int(peak[1]) / 1e3 if peak else 0.0


def _chunks(target: Path) -> list[Path]:
    return [path for path in (target / "c").rglob("*") if path.is_file() and "." not in path.name]


def _done(target: Path) -> list[Path]:
    return [path for path in (target / ".latrans").glob("*/*") if path.name.isdigit()]


def _compared(source: Path, target: Path) -> bool:
    """Decode every chunk once more, and compare."""
    import zarr

    from latrans.transfer.verify import check, pairs

    (pair,) = pairs(zarr.open_array(source, mode="r"), zarr.open_array(target, mode="r"))
    found = [check(pair, i) for i in range(len(pair.grid))]
    n_different = sum(difference.n_different for difference, _ in found)
    n_failed = sum(len(failures) for _, failures in found)
    n_chunks = len(_chunks(target))
    print(
        f"compared: {n_chunks} chunks of {pair.target.nchunks}, {n_failed} unreadable, "
        f"{n_different} samples differ\n"
    )
    return not n_different and not n_failed and n_chunks == pair.target.nchunks


if __name__ == "__main__":
    sys.exit(main())
