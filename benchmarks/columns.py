"""Columns of arrays and of numbers: Parquet files, memory of a long stream, bytes on the wire.

``python benchmarks/columns.py --data ../shared/data`` measures all four, or those that are named
(``digits``, ``sensors``, ``stream``, ``flight``).  Sizes are those of whole files, with all that
Parquet adds, unless they are called bare.
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
import pcodec
import pyarrow as pa
import pyarrow.parquet as pq
from pcodec import standalone

import latrans
import latrans.arrow as la
from latrans.arrow import flight

Array = np.ndarray[Any, Any]

WINDOW = 6500  # samples of a recording per row
STATION = ("PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "RAIN", "WSPM")
WHOLE = ("PM2.5", "PM10", "CO")
DECIMAL = ("TEMP", "PRES", "DEWP", "WSPM")
BOUNDS = {"PM2.5": 2, "PM10": 2, "CO": 50, "TEMP": 0.25, "PRES": 0.25, "DEWP": 0.25, "WSPM": 0.25}


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
            sizes[f"latrans, {mode}"] = len(file.getbuffer())
            print(f"{name} {mode}: written in {seconds[0]:.1f} s, read in {seconds[1]:.1f} s")
        for label, nbytes in sizes.items():
            ratio = images.nbytes / nbytes
            print(f"  {label:30} {nbytes:9,}  {nbytes / len(images):7.1f} B/row  {ratio:6.2f}")


def parquet(table: pa.Table, **options: Any) -> int:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.tell()


def sensors(data: Path) -> None:
    """The table of a station that no model was trained on: as it is, and of mixed types."""
    values = np.load(data / "sensor_table" / "beijing_Gucheng_f32.npz")["data"]
    columns = dict(zip(STATION, np.ascontiguousarray(values.T), strict=True))
    plain = pa.table({name: pa.array(column) for name, column in columns.items()})
    measure("float32", plain)
    # Whole numbers and decimals in types of their own, nulls for what was not measured; the others
    # keep NaN.
    for name in (*WHOLE, *DECIMAL):
        column = columns[name]
        missing = np.isnan(column)
        if name in WHOLE:
            numbers = np.where(missing, 0, column).astype(np.int32 if name == "CO" else np.int16)
        else:
            numbers = np.array([float(str(value)) for value in column])
        columns[name] = pa.array(numbers, mask=missing)
    measure("mixed types", pa.table(columns))


def measure(title: str, table: pa.Table) -> None:
    """Sizes of a table of numbers."""
    names = table.column_names
    zstd = {"compression": "zstd", "compression_level": 19}
    split = [f.name for f in table.schema]
    packed = [numbers_and_nulls(table[name]) for name in names]
    pcodecs = pa.table({n: [b"".join(parts)] for n, parts in zip(names, packed, strict=True)})
    plain = {"use_dictionary": False, "write_statistics": False}
    sizes = {
        "raw": sum(map(len_of, table.columns)),
        "Parquet zstd-19, byte stream split": parquet(
            table, use_dictionary=False, use_byte_stream_split=split, **zstd
        ),
        "Parquet zstd-19, dictionaries": parquet(table, **zstd),
        "pcodec per column, bare": sum(len(part) for parts in packed for part in parts),
        "pcodec per column, in Parquet": parquet(pcodecs, compression="none", **plain),
    }
    for bounds in (None, BOUNDS):
        label = "latrans, lossless" if bounds is None else "latrans, within bounds"
        file = io.BytesIO()
        start = time.perf_counter()
        la.write_parquet(table, file, tables={"station": (names, "table-1", bounds)})
        middle = time.perf_counter()
        found = la.read_parquet(file)
        seconds = middle - start, time.perf_counter() - middle
        for name in names:
            expect(table[name], found[name], 0 if bounds is None else bounds.get(name, 0))
        frames = [v["data"] for v in la.read_parquet(file, decode=False)["station"].to_pylist()]
        sizes[f"{label}, bare"] = sum(len(frame) for frame in frames if frame is not None)
        sizes[label] = len(file.getbuffer())
        print(f"{title}, {label}: written in {seconds[0]:.1f} s, read in {seconds[1]:.1f} s")
    for label, nbytes in sizes.items():
        like = "latrans, lossless, bare" if label.endswith("bare") else "latrans, lossless"
        saved = 1 - sizes[like] / nbytes
        print(f"  {label:35} {nbytes:9,}  {like} is smaller by {saved:6.1%}")


def numbers_and_nulls(column: pa.ChunkedArray) -> list[bytes]:
    """A column as pcodec has it, the best of two levels, and where its nulls are."""
    array = np.ascontiguousarray(column.drop_null().to_numpy())
    levels = [pcodec.ChunkConfig(compression_level=level) for level in (8, 12)]
    parts = [min((standalone.simple_compress(array, level) for level in levels), key=len)]
    if column.null_count:
        nulls = np.packbits(np.asarray(column.is_null())).tobytes()
        parts.append(pa.Codec("zstd", 19).compress(nulls, asbytes=True))
    return parts


def len_of(column: pa.ChunkedArray) -> int:
    return len(column) * column.type.bit_width // 8 + -(-len(column) // 8) * bool(column.null_count)


def expect(column: pa.ChunkedArray, found: pa.ChunkedArray, bound: float) -> None:
    """Leave where a column did not come back: bit for bit, or within a bound."""
    same = column.type == found.type and column.is_null().equals(found.is_null())
    one, other = (np.asarray(c.drop_null()) for c in (column, found))
    if bound:
        off = np.abs(one.astype(float) - other.astype(float))
        same = same and np.array_equal(np.isnan(one), np.isnan(other)) and np.nanmax(off) <= bound
    if not same or (not bound and one.tobytes() != other.tobytes()):
        raise SystemExit("a column did not come back")


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
    parser.add_argument("parts", nargs="*", help="digits, sensors, stream, flight; all by default")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of the stream")
    args = parser.parse_args()
    parts = args.parts or [
        "stream",
        "digits",
        "sensors",
        "flight",
    ]  # the peak is that of all before it
    for part in parts:
        print(part)
        if part == "stream":
            stream(int(args.gigabytes * 1e9))
        elif part == "digits":
            digits(args.data)
        elif part == "sensors":
            sensors(args.data)
        elif part == "flight":
            wire(args.data)
        else:
            parser.error(f"unknown part {part!r}")


if __name__ == "__main__":
    main()
