"""``latrans demo``: real arrays as Zarr, with latrans and with the usual codecs, side by side."""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import ConfigError, LatransError, RivalError
from ..transfer.compare import Difference, difference
from . import arrays, console
from .demo_data import MissingSample, Sample, samples

RELATIVE_ERROR = 1e-3
_RIVALS = ("zstd", "Blosc", "pcodec", "JPEG XL")
_NEEDED = {"pcodec": "pcodec", "JPEG XL": "imagecodecs"}  # packages of rivals
_INSTALL = "To see all: pip install 'latrans[demo]', from a checkout: pip install '.[demo]'"
_MIN_SECONDS = 0.2  # repeat what is faster, and keep the best
_RUNS = 3  # at most

T = TypeVar("T")


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "demo",
        help="compress pictures and recordings that are already on this machine",
        description="Write real pictures and recordings from installed packages as Zarr arrays, "
        "with latrans and with zstd, Blosc and pcodec; read everything back, check it, print "
        "sizes and speeds, and draw what latrans did. Needs no network and no training.",
    )
    parser.add_argument("--out", type=Path, default=Path("latrans-demo"), metavar="DIR")
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class DemoResult:
    """One array, written and read back with one codec."""

    n_bytes: int
    encode_seconds: float
    decode_seconds: float
    difference: Difference


def run(args: argparse.Namespace) -> int:
    with warnings.catch_warnings():
        # Zarr points out that the names of numcodecs' codecs are not in its specification.
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr")
        return _run(args.out)


def _run(out: Path) -> int:
    rows, first, exact = [], None, True
    absent: dict[str, list[str]] = {}  # by what is missing: samples, codecs, the picture
    raw = np.zeros(1 + len(_RIVALS))
    total = np.zeros((1 + len(_RIVALS), 3))  # bytes, encode and decode seconds of every codec
    for sample in samples():
        if isinstance(sample, MissingSample):
            absent.setdefault(sample.reason, []).append(sample.name)
            continue
        first = first or sample
        folder = out / sample.name.replace(",", "").replace(" ", "_")
        found: list[DemoResult | None] = [_store(sample, folder / "latrans.zarr", _latrans(sample))]
        for name in _RIVALS:
            found.append(_if_there(absent, name, partial(_rival, sample, folder, name)))
        exact &= all(f is None or not f.difference.n_different for f in found)
        for i, stored in enumerate(found):
            if stored is not None:
                raw[i] += sample.array.nbytes
                total[i] += stored.n_bytes, stored.encode_seconds, stored.decode_seconds
        rows.append(_row(sample, sample.name, found))
        if sample.array.dtype.kind == "f":
            bound = RELATIVE_ERROR * _range(sample.array)
            loose = _latrans(sample, mode="bounded", max_error=bound)
            bounded = _store(sample, folder / "latrans-bounded.zarr", loose)
            exact &= bounded.difference.worst <= bound
            rows.append(_row(sample, f"  within {RELATIVE_ERROR:g} of range", [bounded]))
        print(f"{sample.name}: done", flush=True)

    if not rows:
        raise ConfigError(f"there is no array to show: {_absent(absent)}. {_INSTALL}")
    header = ("bits per sample", "dtype", "samples", "latrans", *_RIVALS, "encode", "decode")
    print("\n" + console.table(header, rows))
    print("\nspeed of all lossless rows, MB/s, files included")
    speeds = [
        (name, f"{raw[i] / 1e6 / total[i, 1]:.1f}", f"{raw[i] / 1e6 / total[i, 2]:.1f}")
        for i, name in enumerate(("latrans", *_RIVALS))
        if raw[i]
    ]
    print(console.table(("", "encode", "decode"), speeds))
    print(
        "\nEvery array came back exactly, and every bounded one within its bound."
        if exact
        else "\nSome arrays did not come back as promised."
    )
    assert first is not None
    picture = _if_there(absent, "the picture", partial(_draw, first, out / "demo.png"))
    print(f"Arrays and a picture are in {out}: {picture}" if picture else f"Arrays are in {out}")
    if absent:
        print(f"\nNot shown: {_absent(absent)}. {_INSTALL}")
    return 0 if exact else 1


def _if_there(absent: dict[str, list[str]], what: str, make: Callable[[], T]) -> T | None:
    """What is made by an optional package; None, and noted, where that is missing or fails."""
    try:
        return make()
    except LatransError:
        raise
    except ModuleNotFoundError as error:
        reason = f"{(error.name or str(error)).partition('.')[0]} is not installed"
    except Exception as error:  # a library that is here may be broken: others are not
        reason = f"{type(error).__name__}: {error}"
    names = absent.setdefault(reason, [])
    names += [what] if what not in names else []
    return None


def _absent(absent: dict[str, list[str]]) -> str:
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in absent.items())


def _draw(sample: Sample, path: Path) -> Path:
    from .demo_picture import draw

    return draw(sample, path)


def _row(sample: Sample, name: str, found: list[DemoResult | None]) -> list[str]:
    bits = [f"{f.n_bytes * 8 / sample.array.size:.3f}" if f else "-" for f in found]
    ours = found[0]
    assert ours is not None
    return [
        name,
        str(sample.array.dtype),
        str(sample.array.size),
        *bits,
        *["-"] * (1 + len(_RIVALS) - len(bits)),
        f"{sample.array.nbytes / 1e6 / ours.encode_seconds:.1f}",
        f"{sample.array.nbytes / 1e6 / ours.decode_seconds:.1f}",
    ]


def _latrans(sample: Sample, **options: Any) -> dict[str, Any]:
    from ..zarr import LatransCodec

    codec = LatransCodec(model=sample.model, axes=sample.axes, **options)
    return {"serializer": codec, "compressors": None}


def _rival(sample: Sample, folder: Path, name: str) -> DemoResult | None:
    """The same array with another codec; None where that codec does not take its dtype."""
    from zarr.codecs import BloscCodec, ZstdCodec
    from zarr.codecs.numcodecs import PCodec

    module = _NEEDED.get(name)
    if module is not None and importlib.util.find_spec(module) is None:
        raise ModuleNotFoundError(f"no module {module}", name=module)
    dtype = sample.array.dtype
    if name == "JPEG XL":
        return _jpegxl(sample)
    if name == "pcodec" and dtype.itemsize == 1:
        return None
    return _store(
        sample,
        folder / f"{name}.zarr",
        {
            "zstd": {"compressors": ZstdCodec(level=19)},
            "Blosc": {
                "compressors": BloscCodec(
                    cname="zstd", clevel=9, shuffle="bitshuffle", typesize=dtype.itemsize
                )
            },
            "pcodec": {"serializer": PCodec(level=8), "compressors": None},
        }[name],
    )


def _store(sample: Sample, path: Path, codecs: dict[str, Any]) -> DemoResult:
    import zarr

    arrays.remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    array = zarr.create_array(
        zarr.storage.LocalStore(path),
        shape=sample.array.shape,
        dtype=sample.array.dtype,
        chunks=sample.chunks,
        **codecs,
    )

    def write() -> None:
        array[...] = sample.array

    encode_seconds, _ = _timed(write)
    decode_seconds, decoded = _timed(lambda: zarr.open_array(path, mode="r")[...])
    return DemoResult(
        arrays.stored_nbytes(path) - (path / "zarr.json").stat().st_size,
        encode_seconds,
        decode_seconds,
        difference(sample.array, np.asarray(decoded)),
    )


def _jpegxl(sample: Sample) -> DemoResult | None:
    from ..rivals import named
    from ..rivals.apart import measure

    (rival,) = named("JPEG XL e7")
    if not rival.suits(sample.array, sample.axes):
        return None
    try:
        runs = [measure(rival, sample.array, sample.axes, None, None) for _ in range(_RUNS)]
    except RivalError as error:
        print(f"{sample.name}: {error}")
        return None
    wrong = any(run.error for run in runs)
    return DemoResult(
        runs[0].nbytes,
        min(run.encode_seconds for run in runs),
        min(run.decode_seconds for run in runs),
        Difference(n_different=sample.array.size if wrong else 0),
    )


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    best = np.inf
    for _ in range(_RUNS):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
        if best > _MIN_SECONDS:
            break
    return float(best), result


def _range(array: np.ndarray[Any, Any]) -> float:
    valid = array[np.isfinite(array)].astype(np.float64)
    return float(valid.max() - valid.min())
