"""This build of latrans beside an older one, in the same run: how many times as fast it is.

    python benchmarks/builds.py --against OLD

OLD is a folder that an older build was installed into (``pip install --target OLD --no-deps .`` in
a checkout of it).  Each build runs in a process of its own, on one thread; the two take turns, so
that a busy moment of the machine meets both.  Medians of all rounds, in microseconds per chunk, and
the older one's over this one's.  The frames of both builds are compared.  Then 64 chunks of 256x256
on two threads: how many times as fast as on one, which needs two idle cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

CASES = {
    "28x28 uint16": ("image-1", 28, "uint16"),
    "64x64 uint16": ("image-1", 64, "uint16"),
    "256x256 uint16": ("image-1", 256, "uint16"),
    "64x64 float32": ("field-1", 64, "float32"),
    "256x256 float32": ("field-1", 256, "float32"),
}
WAYS = ("encode", "decode")
BATCH, THREADS = 64, 2

# What each build runs: a line names a case and a way, the answer is the time of some calls.
WORKER = """
import hashlib, sys, time
import numpy as np
import latrans

def chunk(edge, dtype):
    rng = np.random.default_rng(0)
    walk = rng.normal(size=(edge, edge)).cumsum(0).cumsum(1)
    smooth = (walk - walk.min()) / np.ptp(walk) * 4000 + rng.normal(size=walk.shape) * 5 + 20
    return (smooth / 37 if dtype == "float32" else smooth).astype(dtype)

made = {}
for line in sys.stdin:
    model, edge, dtype, way, n, batch, threads = line.split()
    if (model, edge, dtype) not in made:
        codec, array = latrans.Codec(model), chunk(int(edge), dtype)
        made[model, edge, dtype] = codec, array, codec.encode(array)
    codec, array, frame = made[model, edge, dtype]
    given, call = (array, codec.encode) if way == "encode" else (frame, codec.decode)
    if batch != "1":
        given = [given] * int(batch)
        both = codec.encode_batch if way == "encode" else codec.decode_batch
        call = lambda chunks: both(chunks, threads=int(threads))
    call(given)
    start = time.perf_counter()
    for _ in range(int(n)):
        call(given)
    seconds = (time.perf_counter() - start) / int(n)
    print(seconds, hashlib.sha256(frame).hexdigest(), flush=True)
"""


class Build:
    """A process that imports latrans from a folder, or as it is installed."""

    def __init__(self, folder: Path | None) -> None:
        environment = dict(os.environ, LATRANS_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        if folder is not None:
            environment["PYTHONPATH"] = str(folder.resolve())
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(
        self, case: tuple[str, int, str], way: str, n: int, batch: int = 1, threads: int = 1
    ) -> tuple[float, str]:
        """Seconds of one call, the mean of n, and the digest of the frame."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(*case, way, n, batch, threads, file=self._process.stdin, flush=True)
        seconds, digest = self._process.stdout.readline().split()
        return float(seconds), digest

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def main(argv: list[str] | None = None) -> int:
    """Print the table; 1 if the builds write different frames."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", type=Path, required=True, metavar="OLD")
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    args = parser.parse_args(argv)
    if not (args.against / "latrans").is_dir():
        parser.error(f"{args.against} holds no latrans: install an older build there")
    builds = [Build(args.against), Build(None)]
    print(f"{'chunk':16s} {'way':7s} {'older':>9s} {'this':>9s}  times as fast")
    same = True
    for name, case in CASES.items():
        for way in WAYS:
            rounds: list[Any] = [[build.ask(case, way, 5) for build in builds] for _ in range(3)]
            n = max(3, int(0.02 / rounds[-1][1][0]))
            rounds = [[build.ask(case, way, n) for build in builds] for _ in range(args.rounds)]
            older, this = (statistics.median(r[i][0] for r in rounds) for i in range(2))
            same &= rounds[0][0][1] == rounds[0][1][1]
            print(f"{name:16s} {way:7s} {older * 1e6:9.0f} {this * 1e6:9.0f}  {older / this:.2f}")
    print(f"{BATCH} chunks of 256x256 uint16, {THREADS} threads: times as fast as one")
    for way in WAYS:
        gains: list[list[float]] = [[], []]
        for _ in range(max(3, args.rounds // 3)):
            for build, found in zip(builds, gains, strict=True):
                one, more = (
                    build.ask(CASES["256x256 uint16"], way, 1, BATCH, threads)[0]
                    for threads in (1, THREADS)
                )
                found.append(one / more)
        older, this = (statistics.median(found) for found in gains)
        print(f"{way:7s} older {older:.2f}  this {this:.2f}")
    for build in builds:
        build.close()
    print("the frames are the same" if same else "THE FRAMES DIFFER")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
