"""``latrans suggest``: what the shipped codecs and others make of a sample of your data."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..conventions import declared
from ..errors import ConfigError, RivalError
from ..missing import Missing, as_number
from . import arrays, console

MAX_SAMPLES = 1 << 17  # seconds with the slowest of the rivals
_WORTH = 0.97  # a trained model that takes less than this share of the best rival is worth it


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "suggest",
        help="try the shipped codecs and others on a sample of your data",
        description="Encode and decode the middle of an array with every shipped codec that takes "
        "it and with every other codec that is installed; print sizes and speeds, one thread "
        "each, and what to do next.",
    )
    parser.add_argument(
        "source", metavar="DATA", help="a.npy, a.npz, a.npz:key, images or a Zarr array"
    )
    parser.add_argument("--axes", help="one letter per dimension, as in zyx or tc")
    parser.add_argument(
        "--bound", type=float, metavar="E", help="largest error, in units of the data; floats only"
    )
    parser.add_argument(
        "--fill-value", type=as_number, action="append", metavar="V",
        help="marks missing samples, beside what the array declares; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=int, default=MAX_SAMPLES, metavar="N", help="default: %(default)s"
    )
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class _Row:
    label: str
    nbytes: int
    encode_seconds: float
    decode_seconds: float
    error: float  # in units of the bound
    model: str = ""  # one of ours


def run(args: argparse.Namespace) -> int:
    from .. import auto, sample

    with arrays.open_source(args.source) as source:
        if args.bound is not None and (source.dtype.kind != "f" or not args.bound > 0):
            raise ConfigError(f"--bound is for floats and above 0, found dtype {source.dtype}")
        if source.dtype.kind not in "biuf" or 0 in source.shape or not source.shape:
            raise ConfigError(
                f"array of dtype {source.dtype} and shape {tuple(source.shape)}: only numbers are "
                "tried, one sample at least"
            )
        shape = tuple(source.shape)
        args.missing = Missing.of(args.fill_value)
        if args.bound is not None:  # as `compress` will
            found = declared(source)
            args.missing = found if args.missing is None else args.missing.joined(found)
        piece = sample.crop(source, args.axes, max(1, args.samples))
    native = piece.astype(piece.dtype.newbyteorder("="), copy=False)
    models = auto.candidates(native, args.axes)
    rows = [_ours(model.name, native, axes, args) for model, axes in models]
    axes = _axes_of(rows, models) or args.axes or "n" * (native.ndim - 1) + "t"
    rivals, absent = _rivals(native, axes, args)
    rows = sorted(rows + rivals, key=lambda row: row.nbytes)

    print(
        f"{args.source}: {native.dtype} {shape}, axes {axes}; "
        f"sample {native.shape}, {console.size(native.nbytes)}"
    )
    print(_table(rows, native, args.bound))
    for line in absent:
        print(f"not tried: {line}")
    if args.axes is None and native.ndim > 1:
        print("axes were guessed; planes of one volume or film do better with --axes zyx or tyx")
    print()
    print(_advice(rows, native, axes, args))
    return 0


def _ours(name: str, piece: np.ndarray[Any, Any], axes: str, args: argparse.Namespace) -> _Row:
    from .. import Codec
    from ..rivals.measure import timed

    mode = "lossless" if args.bound is None else "bounded"
    missing = args.missing or Missing()
    limits = missing.ranges or None
    codec = Codec(name, mode, args.bound, missing.values or None, axes, valid_range=limits)
    outcome = timed(lambda: codec.encode(piece), codec.decode, len, piece, args.bound, args.missing)
    times = outcome.encode_seconds, outcome.decode_seconds
    return _Row(f"latrans {name}", outcome.nbytes, *times, outcome.error, name)


def _axes_of(rows: list[_Row], found: list[tuple[Any, str]]) -> str | None:
    """Axes of the shipped codec that did best: how the data is laid out, if nobody said."""
    if not rows:
        return None
    best = min(range(len(rows)), key=lambda i: rows[i].nbytes)
    return found[best][1]


def _rivals(
    piece: np.ndarray[Any, Any], axes: str, args: argparse.Namespace
) -> tuple[list[_Row], list[str]]:
    """Rows of the rivals that take the piece, and what those that are not installed lack."""
    from ..rivals import all_rivals
    from ..rivals.measure import measure

    rows, absent = [], []
    for rival in all_rivals():
        if rival.bounded != (args.bound is not None) or not rival.suits(piece, axes):
            continue
        try:
            outcome = measure(rival, piece, axes, args.bound, args.missing)
        except RivalError as error:
            absent.append(str(error))
            continue
        if not outcome.kept(rounded=True):
            absent.append(f"{rival.label} came back off by {outcome.error:.3g} bounds")
            continue
        times = outcome.encode_seconds, outcome.decode_seconds
        rows.append(_Row(rival.label, outcome.nbytes, *times, outcome.error))
    return rows, absent


def _table(rows: list[_Row], piece: np.ndarray[Any, Any], bound: float | None) -> str:
    header = ["codec", "bits per sample", "ratio", "encode MB/s", "decode MB/s"]
    if bound is not None:
        header.append("largest error / bound")
    lines = []
    for i, row in enumerate(rows):
        cells = [
            row.label + ("  <- smallest" if i == 0 else ""),
            f"{row.nbytes * 8 / piece.size:.3f}",
            f"{piece.nbytes / row.nbytes:.2f}",
            f"{piece.nbytes / 1e6 / row.encode_seconds:.2f}",
            f"{piece.nbytes / 1e6 / row.decode_seconds:.2f}",
        ]
        lines.append(cells + ([f"{row.error:.3f}"] if bound is not None else []))
    return console.table(header, lines)


def _advice(
    rows: list[_Row], piece: np.ndarray[Any, Any], axes: str, args: argparse.Namespace
) -> str:
    ours = min((r for r in rows if r.model), key=lambda r: r.nbytes, default=None)
    best = min((r.nbytes for r in rows if not r.model), default=None)
    options = f" --axes {axes}" if ours is not None else ""
    recipe = _recipe(piece, axes)
    train = (
        f"latrans train {args.source} --recipe {recipe} --axes {axes} --out mine.safetensors"
        "   # needs latrans[train]"
    )
    if ours is None:
        return f"No shipped codec takes this array. To train one:\n  {train}"
    if args.bound is not None:
        options += f" --max-error {args.bound:g}"
    for value in args.fill_value or ():
        options += f" --fill-value {value!r}"
    compress = f"latrans compress {args.source} OUT.zarr --model {ours.model}{options}"
    share = ours.nbytes / best if best else -math.inf
    if share < _WORTH:
        return f"{ours.model} suits this data:\n  {compress}"
    if share <= 1:
        text = f"{ours.model} is smallest by {100 * (1 - share):.1f} %"
    else:
        text = f"None of the shipped codecs suits this data: {rows[0].label} is smaller"
    return f"{text}. A model of your own may do better:\n  {train}"


def _recipe(piece: np.ndarray[Any, Any], axes: str) -> str:
    if "x" not in axes:
        return "series"
    if piece.dtype.kind == "f":
        return "field"
    return "digits" if piece.dtype == np.uint8 and piece.shape[-2:] == (28, 28) else "image"
