"""Columns of arrays: Parquet files, memory of a long stream, bytes on the wire.

``python benchmarks/columns.py --data ../shared/data`` measures all three, or those that are named
(``digits``, ``stream``, ``flight``).  Sizes are those of whole files, with all that Parquet adds.
"""

from __future__ import annotations

import argparse
import io
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import latrans
import latrans.arrow as la
from latrans.arrow import flight

Array = np.ndarray[Any, Any]

WINDOW = 6500  # samples of a recording per row


def digits(data: Path) -> None:
    """28 x 28 drawings as rows, lossless and as 16 latents each."""
    for name in ("train_10k", "test_5k"):
        images = np.load(data / "mnist" / f"{name}.npz")["data"]
        tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(images)
        table = pa.table({"image": tensors})
        raw = pa.table({"image": pa.array([image.tobytes() for image in images])})
        pngs = pa.table({"image": pa.array([imagecodecs.png_encode(i, level=9) for i in images])})
        zstd = {"compression": "zstd", "compression_level": 19}
        sizes = {
            "raw": images.nbytes,
            "PNG per row, bytes alone": sum(map(len, pngs["image"].to_pylist())),
            "PNG per row, Parquet zstd-19": parquet(pngs, **zstd),
            "Parquet zstd-19, tensors": parquet(table, **zstd),
            "Parquet zstd-19, bytes": parquet(raw, use_dictionary=False, **zstd),
        }
        for mode in ("lossless", "lossy"):
            file = io.BytesIO()
            start = time.perf_counter()
            la.write_parquet(table, file, {"image": latrans.Codec("digits-1", mode)})
            middle = time.perf_counter()
            found = la.read_parquet(file)
            seconds = middle - start, time.perf_counter() - middle
            if mode == "lossless" and found != table:
                raise SystemExit("the digits did not come back")
            sizes[f"latrans, {mode}"] = file.tell()
            print(f"{name} {mode}: written in {seconds[0]:.1f} s, read in {seconds[1]:.1f} s")
        for label, nbytes in sizes.items():
            ratio = images.nbytes / nbytes
            print(f"  {label:30} {nbytes:9,}  {nbytes / len(images):7.1f} B/row  {ratio:6.2f}")


def parquet(table: pa.Table, **options: Any) -> int:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.tell()


def stream(nbytes: int) -> None:
    """Peak memory of a table of `nbytes` that is made while it is written."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:256, 0:256]
    texture = rng.normal(0, 2, (512, 512))
    per_batch = 64
    n_batches = -(-nbytes // (per_batch * 256 * 256 * 2))
    image = pa.fixed_shape_tensor(pa.uint16(), (256, 256))
    schema = pa.schema([("time", pa.int64()), ("image", image)])

    def batches() -> Iterator[pa.RecordBatch]:
        for i in range(n_batches):
            images = np.empty((per_batch, 256, 256), np.uint16)
            for j in range(per_batch):
                y, x = rng.integers(0, 256, 2)
                images[j] = 900 + rows + columns * j // 16 + texture[y : y + 256, x : x + 256]
            tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(images)
            times = pa.array(np.arange(per_batch) + i * per_batch)
            yield pa.RecordBatch.from_arrays([times, tensors], schema=schema)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream.parquet"
        start = time.perf_counter()
        reader = pa.RecordBatchReader.from_batches(schema, batches())
        la.write_parquet(reader, path, {"image": "image-fast-1"})
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kB on Linux
        raw = n_batches * per_batch * 256 * 256 * 2
        print(
            f"{raw / 1e9:.2f} GB to {path.stat().st_size / 1e9:.2f} GB in {seconds:.0f} s, "
            f"{raw / 1e6 / seconds:.1f} MB/s; peak memory of the process {peak / 1e6:.0f} MB"
        )


def wire(data: Path) -> None:
    """Bytes of a recording over a connection: Flight with frames, and with zstd alone."""
    signal = np.load(data / "ecg_eeg" / "mitbih_dev.npz")["data"]
    windows = pa.FixedShapeTensorArray.from_numpy_ndarray(signal.reshape(-1, WINDOW))
    table = pa.table({"signal": windows})
    found = {}
    for label, codecs in (("zstd", {}), ("latrans", {"signal": "series-1"})):
        with flight.Server(tables={"ecg": table}, codecs=codecs) as server:
            with counted(server.location) as (location, count), flight.Client(location) as client:
                if client.fetch("ecg").read_all() != table:
                    raise SystemExit("the recording did not come back")
            found[label] = count()
    for label, nbytes in found.items():
        ratio = found["zstd"] / nbytes
        print(f"  {label:10} {nbytes:9,} bytes on the wire, {ratio:.2f} times fewer than zstd")


@contextmanager
def counted(location: str) -> Iterator[tuple[str, Any]]:
    """A connection in front of another that counts all bytes, both ways."""
    host, _, port = location.removeprefix("grpc://").rpartition(":")
    listening = socket.create_server(("127.0.0.1", 0))
    counts: list[int] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with source, target:  # where one end closes, the other must
            while True:
                try:
                    data = source.recv(1 << 16)
                    target.sendall(data)
                except OSError:
                    return
                if not data:
                    return
                counts.append(len(data))

    def serve() -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            far = socket.create_connection((host, int(port)))
            for ends in ((near, far), (far, near)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"grpc://127.0.0.1:{listening.getsockname()[1]}", lambda: sum(counts)
    finally:
        listening.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", help="digits, stream, flight; all by default")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of the stream")
    args = parser.parse_args()
    parts = args.parts or ["stream", "digits", "flight"]  # the peak is that of all before it
    for part in parts:
        print(part)
        if part == "stream":
            stream(int(args.gigabytes * 1e9))
        elif part == "digits":
            digits(args.data)
        elif part == "flight":
            wire(args.data)
        else:
            parser.error(f"unknown part {part!r}")


if __name__ == "__main__":
    main()
