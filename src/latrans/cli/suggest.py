"""``latrans suggest``: what the shipped codecs and others make of a sample of your data."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ConfigError, RivalError
from ..missing.conventions import declared
from ..missing.missing import Missing, as_number
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
    parser.add_argument(
        "--axes",
        help="one letter per dimension, as in zyx or tc (default: by a Zarr array's names of "
        "dimensions, else guessed)",
    )
    parser.add_argument(
        "--bound", type=float, metavar="E", help="largest error, in units of the data"
    )
    parser.add_argument(
        "--fill-value", type=as_number, action="append", metavar="V",
        help="marks missing samples, beside what the array declares; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=int, default=MAX_SAMPLES, metavar="N", help="default: %(default)s"
    )
    arrays.add_models(parser, "one of your own to try, too, or one that wrote the data")
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class _Row:
    label: str
    nbytes: int
    encode_seconds: float
    decode_seconds: float
    error: float  # in units of the bound
    model: str = ""  # one of ours: what --model takes
    axes: str = ""  # of ours


def run(args: argparse.Namespace) -> int:
    from ..chunk import crop

    arrays.take_models(args)
    with arrays.open_source(args.source) as source:
        shape, dtype = tuple(source.shape), np.dtype(source.dtype)
        _check(dtype, shape, args.bound)
        args.missing = Missing.of(args.fill_value)
        if args.bound is not None:  # as `compress` will
            found = declared(source)
            args.missing = found if args.missing is None else args.missing.joined(found)
        named = args.axes or _named_axes(source)
        piece = crop.crop(source, named, max(1, args.samples))
    native = piece.astype(dtype.newbyteorder("="), copy=False)
    tried, absent = _models(native, named, args.model)
    rows = [_ours(model, label, native, axes, args) for model, label, axes in tried]
    axes = min(rows, key=lambda row: row.nbytes).axes if rows else ""
    axes = axes or named or "n" * (native.ndim - 1) + "t"
    rivals, lacking = _rivals(*_as_numbers(native, axes), args)
    rows = sorted(rows + rivals, key=lambda row: row.nbytes)

    print(
        f"{args.source}: {native.dtype} {shape}, axes {axes}; "
        f"sample {native.shape}, {console.size(native.nbytes)}"
    )
    print(_table(rows, native, args.bound))
    for line in absent + lacking:
        print(f"not tried: {line}")
    if named is None and native.ndim > 1:
        print("axes were guessed; planes of one volume or film do better with --axes zyx or tyx")
    elif args.axes is None and named is not None:
        print("axes come from the names of the dimensions")
    print()
    if any(_is_predicted(model, native, axes, args) for model, _, axes in tried):
        print(_advice(rows, native, axes, args))
    else:
        print(_no_model_helps(rows, native, args))
    return 0


def _check(dtype: np.dtype[Any], shape: tuple[int, ...], bound: float | None) -> None:
    if bound is not None and (dtype.kind not in "iuf" or not bound > 0):
        text = f"--bound is for integers and floats and above 0, found {bound:g} and dtype {dtype}"
        if dtype.kind == "c":
            text += ": without it, or latrans compress --max-error, which takes complex values, too"
        raise ConfigError(text)
    if dtype.hasobject or dtype.kind in "TU" or 0 in shape or not shape:
        raise ConfigError(
            f"array of dtype {dtype} and shape {shape}: suggest takes numbers, at least one of them"
        )


def _named_axes(source: Any) -> str | None:
    """Axes by the names that a Zarr array's dimensions have, where they say what those are."""
    from ..chunk.chunking import model_axes

    names = getattr(getattr(source, "metadata", None), "dimension_names", None)
    if names is None:
        names = getattr(source, "attrs", {}).get("_ARRAY_DIMENSIONS")
    return model_axes(None, tuple(source.shape), None, names)[0]


def _models(
    piece: np.ndarray[Any, Any], axes: str | None, own: list[str]
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Models to try, each as what --model takes, a label and axes; and why others are not."""
    from .. import open_model
    from ..chunk import choose_model
    from ..format import axes as letters
    from ..format.dtypes import to_numeric

    numeric, absent = to_numeric(piece), []
    found = [] if numeric is None else choose_model.candidates(numeric, axes, any_kind=True)
    tried = [(model.name, model.name, named) for model, named in found]
    for given in own:
        model = open_model(given)
        if model.lossy_only:
            absent.append(f"{given} is lossy only")
            continue
        try:
            named = axes or letters.default(model.axes, piece.shape, model.geometry)
            tried.append((given, model.name, letters.check(named, piece.ndim, model.geometry)))
        except ConfigError as error:
            absent.append(f"{given}: {error}")
    if not tried:  # so that what `compress` would make of it is in the table
        tried = [("image-1", "fallback", "")]
    return tried, absent


def _ours(
    model: str, label: str, piece: np.ndarray[Any, Any], axes: str, args: argparse.Namespace
) -> _Row:
    from .. import Codec
    from ..rivals.measure import timed

    mode = "lossless" if args.bound is None else "bounded"
    missing = args.missing or Missing()
    limits = missing.ranges or None
    codec = Codec(model, mode, args.bound, missing.values or None, axes or None, valid_range=limits)
    outcome = timed(lambda: codec.encode(piece), codec.decode, len, piece, args.bound, args.missing)
    times = outcome.encode_seconds, outcome.decode_seconds
    return _Row(f"latrans {label}", outcome.nbytes, *times, outcome.error, model, axes)


def _is_predicted(
    model: str, piece: np.ndarray[Any, Any], axes: str, args: argparse.Namespace
) -> bool:
    """Whether a model can take the piece at all: if none can, training another does not help."""
    from .. import open_model
    from ..chunk import encode
    from ..format.dtypes import to_numeric

    numeric = to_numeric(piece)
    if numeric is None:
        return False
    task = encode.Task(open_model(model), "lossless", None, args.missing, axes or None, None)
    if args.bound is not None:
        bounded = replace(task, mode="bounded", max_error=args.bound)
        if encode.encode(bounded, numeric, piece.dtype, False) is not None:
            return True
    return encode.encode(task, numeric, piece.dtype, False) is not None


def _as_numbers(piece: np.ndarray[Any, Any], axes: str) -> tuple[np.ndarray[Any, Any], str]:
    """The same bytes as numbers that other codecs take."""
    from ..format.dtypes import numeric_dtype

    numeric = numeric_dtype(piece.dtype)
    if numeric is not None:
        return piece.view(numeric), axes
    part = np.empty(0, piece.dtype).real.dtype if piece.dtype.kind == "c" else np.dtype(np.uint8)
    n = piece.dtype.itemsize // part.itemsize
    last = "c" if "c" not in axes else "n"
    return np.ascontiguousarray(piece).view(part).reshape(*piece.shape, n), axes + last


def _rivals(
    piece: np.ndarray[Any, Any], axes: str, args: argparse.Namespace
) -> tuple[list[_Row], list[str]]:
    """Rows of the rivals that take the piece, and what those that are not installed lack."""
    from ..rivals import all_rivals
    from ..rivals.apart import measure

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


def _no_model_helps(rows: list[_Row], piece: np.ndarray[Any, Any], args: argparse.Namespace) -> str:
    """What to do with data that only the fallback stores."""
    text = (
        f"No model, not even one of your own, can take this data ({piece.dtype} with these bits): "
        "latrans stores it with zstd or Blosc."
    )
    if rows[0].model == "":
        text += f" {rows[0].label} is smallest."
    if piece.dtype.kind == "f" and args.bound is None:
        text += (
            " Within an error bound it can be predicted; see what that gives:\n"
            f"  latrans suggest {args.source} --bound E"
        )
    if piece.dtype.kind == "c":
        text += (
            " Within an error bound it is predicted:\n"
            f"  latrans compress {args.source} OUT.zarr --model field-1 --max-error E"
        )
    return text


def _advice(
    rows: list[_Row], piece: np.ndarray[Any, Any], axes: str, args: argparse.Namespace
) -> str:
    ours = min((r for r in rows if r.model), key=lambda r: r.nbytes, default=None)
    best = min((r.nbytes for r in rows if not r.model), default=None)
    options = f" --axes {axes}"
    recipe = _recipe(piece, axes)
    train = (
        f"latrans train {args.source} --recipe {recipe} --axes {axes} --out mine.safetensors"
        "   # needs latrans[train]"
    )
    assert ours is not None
    if args.bound is not None:
        options += f" --max-error {args.bound:g}"
    for value in args.fill_value or ():
        options += f" --fill-value {value!r}"
    compress = f"latrans compress {args.source} OUT.zarr --model {ours.model}{options}"
    share = ours.nbytes / best if best else -math.inf
    if share < _WORTH:
        return f"{ours.model} suits this data:\n  {compress}"
    if share <= 1:
        text = f"{ours.model} is smallest by {100 * (1 - share):.1f} %:\n  {compress}\n"
    else:
        text = f"None of the shipped codecs suits this data: {rows[0].label} is smaller. "
    return f"{text}A model of your own may do better:\n  {train}"


def _recipe(piece: np.ndarray[Any, Any], axes: str) -> str:
    if "x" not in axes:
        return "series"
    if piece.dtype.kind == "f":
        return "field"
    return "digits" if piece.dtype == np.uint8 and piece.shape[-2:] == (28, 28) else "image"
