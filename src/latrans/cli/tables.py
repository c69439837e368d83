"""Tables on the command line: Parquet files whose columns become frames, and back."""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

from ..errors import ConfigError, LatransWarning
from . import arrays, console

SUFFIX = ".parquet"
_OF_ARRAYS = ("array", "chunks", "shards", "relative_error", "scheduler")  # options of `compress`
# Rows may be large.
_SCAN: dict[str, Any] = {"batch_size": 256, "batch_readahead": 1, "fragment_readahead": 1}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `compress` that are for tables."""
    table = parser.add_argument_group("Parquet files", "from SRC.parquet to DST.parquet")
    table.add_argument("--columns", metavar="NAME=MODEL,...", help="columns of arrays to compress")
    table.add_argument(
        "--together",
        nargs="+",
        action="append",
        metavar=("NAME=MODEL", "COLUMN"),
        help="columns of numbers to compress as one of that name; may be given more than once",
    )
    table.add_argument(
        "--bounds",
        metavar="NAME=E,...",
        help="largest absolute error of the columns named; all others are exact",
    )
    table.add_argument("--shapes", metavar="NAME=NxN,...", help="of rows that are lists or bytes")
    table.add_argument("--dtypes", metavar="NAME=DTYPE,...", help="of rows that are bytes")
    table.add_argument("--row-group-size", type=int, metavar="N", help="in rows")
    table.add_argument(
        "--model-in-footer",
        action=argparse.BooleanOptionalAction,
        help="put the models into the file (default: those that are not shipped)",
    )


def is_table(path: str) -> bool:
    return path.endswith(SUFFIX)


def are_meant(args: argparse.Namespace) -> bool:
    """Whether `compress` was asked for columns of tables."""
    return bool(args.columns or args.together) or is_table(args.source) or is_table(args.target)


def compress(args: argparse.Namespace) -> int:
    """``latrans compress SRC.parquet DST.parquet --columns image=digits-1``."""
    from .. import Codec
    from ..arrow import dataset, write_parquet

    _check(args.source, args.target)
    if not (args.columns or args.together):
        raise ConfigError(
            "say which columns to compress, as in --columns image=image-1 or --together "
            "sensors=table-1 time temperature"
        )
    for name in _OF_ARRAYS:
        if getattr(args, name):
            raise ConfigError(f"--{name.replace('_', '-')} is for arrays, not for tables")
    bounds = _bounds(args)
    if args.mode == "bounded" and not bounds:
        raise ConfigError("mode 'bounded' needs bounds: --bounds NAME=E,... for columns by name")
    if args.mode in ("lossless", "lossy") and bounds:
        raise ConfigError(f"mode {args.mode!r} takes no maximum error: leave one of them out")
    exact = "lossy" if args.mode == "lossy" else "lossless"
    rest = (args.fill_value, args.axes, None, args.quality, args.step)
    codecs = {
        name: Codec(model, "bounded" if name in bounds else exact, bounds.get(name), *rest)
        for name, model in _pairs(args.columns).items()
    }
    tables = {}
    for named, *together in args.together or ():
        for name, model in _pairs(named).items():
            within = {column: bounds[column] for column in together if column in bounds}
            tables[name] = (together, Codec(model, exact, None, *rest), within or None)
    known = {*codecs, *(column for together, *_ in tables.values() for column in together)}
    if unknown := [name for name in bounds if name not in known]:
        raise ConfigError(
            f"--bounds names {unknown[0]!r}, which is not among the columns to compress"
        )
    shapes = {name: _shape(text) for name, text in _pairs(args.shapes).items()}
    source = dataset(args.source, decode=False)
    n_rows, start = source.count_rows(), time.perf_counter()
    with (
        arrays.replacing(args.target, args.overwrite) as partial,
        console.progress("compress", n_rows) as advance,
    ):
        write_parquet(
            source.to_reader(**_SCAN),
            partial,
            codecs,
            tables=tables,
            shapes=shapes,
            dtypes=_pairs(args.dtypes),
            row_group_size=args.row_group_size,
            model_in_footer=args.model_in_footer,
            progress=advance,
        )
    print(
        f"{args.target}: {n_rows} rows, {_size(args.source)} to {_size(args.target)}, "
        f"{', '.join((*codecs, *tables))} {exact}"
        + "".join(f", {name} within {bound:g}" for name, bound in bounds.items())
        + f", {time.perf_counter() - start:.1f} s"
    )
    return 0


def decompress(args: argparse.Namespace) -> int:
    """``latrans decompress SRC.parquet DST.parquet``: a file that needs no latrans to read."""
    from ..arrow import dataset, write_parquet

    _check(args.source, args.target)
    source = dataset(args.source)
    n_rows = source.count_rows()
    try:
        with (
            arrays.replacing(args.target, args.overwrite) as partial,
            console.progress("decompress", n_rows) as advance,
            warnings.catch_warnings(),
        ):
            # What is left encoded is no file that needs no latrans.
            warnings.simplefilter("error", LatransWarning)
            write_parquet(source.to_reader(**_SCAN), partial, progress=advance)
    except LatransWarning as warning:
        raise ConfigError(str(warning)) from warning
    print(f"{args.target}: {n_rows} rows, {_size(args.source)} to {_size(args.target)}")
    return 0


def _check(source: str, target: str) -> None:
    if not (is_table(source) and is_table(target)):
        raise ConfigError(
            f"from a Parquet file to another, found {source} and {target}: columns are compressed "
            "by latrans compress A.parquet B.parquet --columns NAME=MODEL, and arrays become rows "
            "of Parquet files by pipelines/to_parquet.py"
        )


def _pairs(text: str | None) -> dict[str, str]:
    """``{"a": "x", "b": "y"}`` from "a=x,b=y"."""
    found = {}
    for part in text.split(",") if text else ():
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise ConfigError(f"{part!r} is not NAME=VALUE")
        found[name] = value
    return found


def _bounds(args: argparse.Namespace) -> dict[str, float]:
    """The bound of each column that has one."""
    if args.bounds is not None and args.max_error is not None:
        raise ConfigError("give either --bounds or --max-error")
    if args.max_error is not None:
        names = list(_pairs(args.columns))
        if args.together or len(names) != 1:
            raise ConfigError(
                "--max-error names no column, and some may hold identifiers, labels or times: "
                f"give --bounds NAME={args.max_error:g},... for those that may be off"
            )
        return {names[0]: args.max_error}
    try:
        return {name: float(text) for name, text in _pairs(args.bounds).items()}
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"--bounds {args.bounds} are not numbers: {error}") from error


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in text.split("x"))
    except ValueError as error:
        raise ConfigError(f"shape {text!r} is not of the form 28x28") from error


def _size(path: str) -> str:
    target = Path(path)
    files = target.rglob(f"*{SUFFIX}") if target.is_dir() else [target]
    return console.size(sum(file.stat().st_size for file in files))
