"""``latrans bench``: how fast batches of chunks go through engines, side by side."""

from __future__ import annotations

import argparse
import itertools
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from . import arrays, console

if TYPE_CHECKING:
    from .bench_measure import Result, Side

Array = np.ndarray[Any, Any]


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "bench",
        help="time batches of chunks on the compiled engine, CPU tensors or a GPU",
        description="Encode and decode a batch of chunks by one engine or several, runs "
        "interleaved; print throughput with and without transfers to the device, the share of "
        "each stage, and the sizes of the batches that the device was given. Without DATA: "
        "smooth planes of 16 bits with noise.",
    )
    parser.add_argument(
        "source", metavar="DATA", nargs="?", help="a.npy, a.npz, a.npz:key or a Zarr array"
    )
    parser.add_argument("--model", default="image-1", help="name or file (default: image-1)")
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="D,D",
        help="of cpu, cuda, cuda:1, native; native, which stands for the compiled engine, is "
        "always measured beside the others (default: cpu)",
    )
    parser.add_argument("--batch", type=int, metavar="N", help="chunks in flight on a device")
    parser.add_argument("--count", type=int, metavar="N", help="chunks (default: the batch)")
    parser.add_argument(
        "--chunks", type=_shape, metavar="N,N", help="chunk shape (default: 256,256)"
    )
    parser.add_argument("--mode", choices=["lossless", "bounded", "lossy"], default="lossless")
    parser.add_argument("--max-error", type=float, metavar="E", help="of mode bounded")
    parser.add_argument("--axes", help="one letter per dimension, as in zyx or tc")
    parser.add_argument("--threads", type=int, metavar="N", help="of the host")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from ..engine import select
    from ..threads import count, in_flight
    from . import bench_measure

    names = engines(args.device)
    batch = max(in_flight(args.batch, select(name).in_flight or 64) for name in names)
    chunks = _chunks(args, batch if args.count is None else args.count)
    options = {"mode": args.mode, "max_error": args.max_error, "axes": args.axes}
    results = bench_measure.measure(
        names, args.model, options, chunks, args.batch, args.threads, max(1, args.runs)
    )
    nbytes = sum(chunk.nbytes for chunk in chunks)
    shapes = sorted({chunk.shape for chunk in chunks}, reverse=True)
    print(
        f"{args.source or 'synthetic planes'}: {len(chunks)} chunks of {chunks[0].dtype} "
        f"{', '.join(map(str, shapes[:3]))}{' ...' * (len(shapes) > 3)}, {console.size(nbytes)}; "
        f"model {args.model}, {args.mode}, {count(args.threads)} host threads, median of "
        f"{max(1, args.runs)}"
    )
    print(_speeds(results, nbytes, sum(chunk.size for chunk in chunks)))
    print(_shares(results))
    print(_groups(results))
    return _verdict(results)


def engines(devices: str) -> list[str]:
    """Names of engines, the compiled one first where it is there."""
    from ..engine import select

    named = []
    for word in map(str.strip, devices.split(",")):
        if word not in ("cpu", "native", "reference") and word.partition(":")[0] != "cuda":
            raise ConfigError(f"device is {word!r}; expected cpu, cuda, cuda:1 or native")
        named.append(word if word in ("native", "reference") else f"torch:{word}")
    beside = [name for name in ("native",) if all(select(n).host == name for n in named)]
    return list(dict.fromkeys([*beside, *named]))


def _shape(text: str) -> tuple[int, ...]:
    sizes = tuple(int(word) for word in text.split(","))
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected sizes of at least 1, as in 256,256")
    return sizes


def _chunks(args: argparse.Namespace, count: int) -> list[Array]:
    if count < 1:
        raise ConfigError(f"count is {count}; expected a number of at least 1")
    if args.source is None:
        return synthetic(args.chunks or (256, 256), count)
    with arrays.open_source(args.source) as source:
        shape = tuple(source.shape)
        edge = args.chunks or (1,) * (len(shape) - 2) + (256, 256)[-len(shape) :]
        if not shape or 0 in shape or len(edge) != len(shape):
            raise ConfigError(f"chunks {edge} do not fit an array of shape {shape}")
        corners = itertools.product(
            *(range(0, n, step) for n, step in zip(shape, edge, strict=True))
        )
        return [
            np.ascontiguousarray(
                source[tuple(slice(i, i + n) for i, n in zip(corner, edge, strict=True))]
            )
            for corner in itertools.islice(corners, count)
        ]


def synthetic(shape: tuple[int, ...], count: int) -> list[Array]:
    """Smooth planes of 16 bits with noise of a few units, each its own."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        smooth: Any = 20_000.0
        for n in shape:
            t = np.arange(n) / max(n, 64)
            phase, pitch = rng.random(2)
            smooth = np.add.outer(smooth, 3000 * np.sin(2 * math.pi * (phase + (1 + pitch) * t)))
        found.append(np.rint(smooth + rng.normal(0, 6, shape)).astype(np.uint16))
    return found


def _speeds(results: list[Result], nbytes: int, n_samples: int) -> str:
    rows = []
    for result in results:
        for name, side in _sides(result):
            rows.append(
                [
                    f"{result.engine.description}, {name}",
                    f"{nbytes / side.median / 1e9:.3g}",
                    f"{nbytes / side.without_transfers / 1e9:.3g}",
                    f"{n_samples / side.median / 1e6:.2f}",
                    f"{nbytes / result.nbytes:.3f}",
                ]
            )
    return console.table(["engine", "GB/s", "without transfers", "Ms/s", "ratio"], rows)


def _shares(results: list[Result]) -> str:
    sides = [(result, name, side) for result in results for name, side in _sides(result)]
    stages = list(dict.fromkeys(stage for _, _, side in sides for stage in side.stages))
    rows = []
    for stage in stages:
        cells = []
        for _, _, side in sides:
            share = side.stages.get(stage, 0) / (sum(side.stages.values()) or 1)
            cells.append(f"{100 * share:.1f}" if stage in side.stages else "-")
        rows.append([stage, *cells])
    header = [f"{result.engine.name} {name}" for result, name, _ in sides]
    return "\n" + console.table(["% of all stages' seconds", *header], rows)


def _groups(results: list[Result]) -> str:
    rows = []
    for result in results:
        for name, side in _sides(result):
            sizes: dict[str, list[int]] = defaultdict(list)
            for kind, size in side.groups:
                sizes[kind].append(size)
            for kind, found in sorted(sizes.items()):
                mean = f"{sum(found) / len(found):.1f}"
                what = f"{result.engine.name} {name}: {kind}"
                rows.append([what, str(len(found)), mean, str(max(found))])
    if not rows:
        return ""
    return "\n" + console.table(["calls of the device", "calls", "chunks each", "most"], rows)


def _sides(result: Result) -> list[tuple[str, Side]]:
    return [("encode", result.encode), ("decode", result.decode)]


def _verdict(results: list[Result]) -> int:
    """Say whether arrays came back and all engines wrote the same; the exit code."""
    wrong = [result.engine.name for result in results if not result.exact]
    other = [r.engine.name for r in results if r.frames != results[0].frames]
    for name in wrong:
        print(f"{name}: decoded arrays differ from their source")
    for name in other:
        print(f"{name}: other bytes than {results[0].engine.name}")
    if len(results) > 1 and not other:
        print("\nsame bytes from all")
    return int(bool(wrong or other))
