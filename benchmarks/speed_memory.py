"""Peak memory of one encode or decode, in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import latrans
from latrans.cli import console
from speed_measure import Contender

NBYTES = 64 << 20  # of arrays, which are repeated until they have as much
ALLOWED_TIMES, ALLOWED_MORE = 6, 50 << 20

Array = np.ndarray[Any, Any]


def report(contender: Contender, array: Array) -> str:
    """What encoding and decoding take beyond what was there before, input and output included."""
    assert contender.codec is not None
    larger = enlarged(array)
    with tempfile.TemporaryDirectory() as folder:
        source, frame = Path(folder) / "array.npy", Path(folder) / "frame"
        np.save(source, larger)
        context = multiprocessing.get_context("spawn")
        cells = []
        for what in ("encode", "decode"):
            with ProcessPoolExecutor(1, context) as pool:
                peak = pool.submit(_peak, contender.codec, what, source, frame).result()
            allowed = ALLOWED_TIMES * larger.nbytes + ALLOWED_MORE
            verdict = "within" if peak <= allowed else "above"
            cells.append(f"{what} {console.size(peak)} ({verdict} {console.size(allowed)})")
    return f"peak memory, {contender.label}, {console.size(larger.nbytes)}: {', '.join(cells)}"


def enlarged(array: Array) -> Array:
    """The array, repeated along its first dimension (planes: rows) up to NBYTES.

    Noise in the lowest bits keeps the repeats from being found, which would leave the array to the
    fallback.
    """
    whole = np.concatenate([array] * max(1, NBYTES // array.nbytes))
    bits = whole.view(f"u{whole.itemsize}")
    bits ^= np.random.default_rng(0).integers(0, 2, whole.shape, bits.dtype)
    return whole


def _peak(codec: latrans.Codec, what: str, source: Path, frame: Path) -> int:
    """Bytes at the highest point, less those before the input was read; in a child process."""
    few = np.zeros([8] * np.load(source, mmap_mode="r").ndim, np.uint8)
    codec.decode(codec.encode(few))  # models and libraries are loaded
    before = _resident()
    data: Any = np.load(source) if what == "encode" else frame.read_bytes()
    # The high-water mark of the process may be older than this; a thread looks at what is.
    highest, done = [0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            highest[0] = max(highest[0], _resident())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    marked = _high_water()
    watcher.start()
    if what == "encode":
        frame.write_bytes(codec.encode(data))
    else:
        codec.decode(data)
    done.set()
    watcher.join()
    after = _high_water()
    return max(highest[0], after if after > marked else 0) - before


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def _high_water() -> int:
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
