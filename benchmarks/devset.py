"""Sizes of the shipped codecs on a folder of dev files, beside the rivals measured there.

The folder holds ``rivals.json``: for each dev file its dtype, shape and what other codecs made of
it, in bits per sample.  Every file is encoded as one frame (digits: 1,000 images per frame),
decoded and compared; float32 files are also stored with a bound of 1e-3 of their range, and the
bound is checked in float64.  Run ``python benchmarks/devset.py --data ../shared/data``.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

import latrans
from latrans.errors import LatransError
from latrans.frame import unpack

RELATIVE_ERROR = "0.001"  # the key that rivals.json uses

# Which codec suits a folder, and the axes of its files where they are not the folder's usual.
MODELS = {
    "mnist": ("digits-1", "nyx"),
    "photo": ("image-1", "yx"),
    "microscopy": ("image-1", "zyx"),
    "satellite": ("image-1", "cyx"),
    "medical": ("image-1", "zyx"),
    "ecg_eeg": ("series-1", "ct"),
    "seismic": ("series-1", "ct"),
    "ephys": ("series-1", "tc"),
    "speech": ("series-1", "t"),
    "imu": ("series-1", "tc"),
    "sensor_table": ("series-1", "tc"),
    "climate": ("field-1", "zyx"),
    "simulation": ("field-1", "zyx"),
}
AXES = {
    "photo/kodak_landscape_dev": "nyxc",
    "microscopy/brightfield_t_dev": "tyx",
    "microscopy/fluor_bbbc022_3ch_u16": "cyx",
    "microscopy/fluor_cherry_u16": "yx",
    "ecg_eeg/mitbih_dev": "nt",
    "seismic/phasenet_NC_events_i32": "nct",
    "climate/echam_t_rh_3d_f32": "nzyx",
    "climate/iris_ostia_sst_fill1e20_f32": "tyx",
    "simulation/plot3d_combustor_5var_f32": "nzyx",
}
FILL_VALUES = {"climate/iris_ostia_sst_fill1e20_f32": 1e20}
ITEMS_PER_FRAME = {"mnist": 1000}


@dataclass(frozen=True)
class Row:
    """One file in one mode."""

    file: str
    mode: str
    model: str
    bits: float  # per sample, headers included
    best_rival: str
    best_bits: float
    ratio: float  # bits / best_bits
    max_error: float  # largest difference, as a fraction of the bound where there is one
    ok: bool
    fallback: int  # frames that hold the fallback codec's bytes
    encode_mb_s: float
    decode_mb_s: float
    rivals: str


def measure(key: str, array: np.ndarray[Any, Any], mode: str, entry: dict[str, Any]) -> Row:
    """Encode, decode, compare; a row for the table."""
    folder = key.split("/")[0]
    model, axes = MODELS[folder]
    fill_value = FILL_VALUES.get(key)
    bound = None
    if mode == "bounded":
        valid = _valid(array, fill_value).astype(np.float64)
        bound = float(RELATIVE_ERROR) * float(valid.max() - valid.min())
    codec = latrans.Codec(
        model, mode, max_error=bound, fill_value=fill_value, axes=AXES.get(key, axes)
    )
    n = ITEMS_PER_FRAME.get(folder, len(array))
    parts = [array[i : i + n] for i in range(0, len(array), n)]

    start = time.perf_counter()
    frames = [codec.encode(part) for part in parts]
    middle = time.perf_counter()
    decoded = np.concatenate([codec.decode(frame) for frame in frames])
    end = time.perf_counter()

    ok, error = _compare(array, decoded, bound, fill_value)
    bits = sum(map(len, frames)) * 8 / array.size
    rivals = _rivals(entry, mode)
    best = min(rivals, key=rivals.__getitem__, default="")
    return Row(
        file=key,
        mode=mode,
        model=model,
        bits=bits,
        best_rival=best,
        best_bits=rivals.get(best, float("nan")),
        ratio=bits / rivals[best] if best else float("nan"),
        max_error=error,
        ok=ok,
        fallback=sum(unpack(frame).fallback for frame in frames),
        encode_mb_s=array.nbytes / 1e6 / (middle - start),
        decode_mb_s=array.nbytes / 1e6 / (end - middle),
        rivals=" ".join(f"{name}={value:.3f}" for name, value in sorted(rivals.items())),
    )


def _valid(array: np.ndarray[Any, Any], fill_value: float | None) -> np.ndarray[Any, Any]:
    keep = np.isfinite(array)
    if fill_value is not None:
        keep &= array != array.dtype.type(fill_value)
    return array[keep]


def _compare(
    array: np.ndarray[Any, Any],
    decoded: np.ndarray[Any, Any],
    bound: float | None,
    fill_value: float | None,
) -> tuple[bool, float]:
    """Whether the promise holds, and the largest difference found."""
    if array.dtype != decoded.dtype or array.shape != decoded.shape:
        return False, float("nan")
    if bound is None:
        same = array.tobytes() == decoded.tobytes()
        return same, 0.0 if same else float("nan")
    wide, wide_decoded = array.astype(np.float64), decoded.astype(np.float64)
    bounded = np.isfinite(wide)
    if fill_value is not None:
        bounded &= array != array.dtype.type(fill_value)
    kept = np.array_equal(wide[~bounded], wide_decoded[~bounded], equal_nan=True)
    error = float(np.abs(wide - wide_decoded, where=bounded, out=np.zeros_like(wide)).max())
    return bool(kept and error <= bound), error / bound


def _rivals(entry: dict[str, Any], mode: str) -> dict[str, float]:
    if mode == "bounded":
        # The second figure is the largest error they made, as a fraction of the bound.
        return {
            name: bits
            for name, (bits, _) in entry.get("bounded", {}).get(RELATIVE_ERROR, {}).items()
        }
    # Some WebP figures in the file are not bits per sample (they run into the millions).
    most = 8 * np.dtype(entry["dtype"]).itemsize
    return {name: bits for name, bits in entry["lossless"].items() if bits < 2 * most}


def rows(data: Path, only: str, modes: list[str]) -> Iterator[Row]:
    """Measure the dev files whose key contains `only`."""
    for key, entry in sorted(json.loads((data / "rivals.json").read_text()).items()):
        if only not in key:
            continue
        array = np.load(data / f"{key}.npz")["data"]
        for mode in modes:
            if mode == "bounded" and array.dtype.kind != "f":
                continue
            try:
                yield measure(key, array, mode, entry)
            except LatransError as error:
                print(f"{key:42} {mode:9} {type(error).__name__}: {error}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="", help="files whose name contains this")
    parser.add_argument("--mode", choices=["lossless", "bounded"], action="append")
    parser.add_argument("--out", type=Path, help="write a CSV file")
    args = parser.parse_args()
    if not (args.data / "rivals.json").is_file():
        parser.error(f"{args.data} holds no rivals.json: give the folder of dev files with --data")

    found = []
    print(
        f"{'file':38} {'mode':8} {'model':8} {'bits':>8} {'best':>8} {'ratio':>6} "
        f"{'error':>6} {'enc':>6} {'dec':>6}  rivals, bits per sample"
    )
    for row in rows(args.data, args.only, args.mode or ["lossless", "bounded"]):
        found.append(row)
        print(
            f"{row.file:38} {row.mode:8} {row.model:8} {row.bits:8.4f} {row.best_bits:8.4f} "
            f"{row.ratio:6.3f} {row.max_error:6.3f} {row.encode_mb_s:6.1f} {row.decode_mb_s:6.1f}  "
            f"{row.rivals}{'' if row.ok else '  WRONG'}{'  fallback' if row.fallback else ''}",
            flush=True,
        )
    for mode in ("lossless", "bounded"):
        ratios = np.array([r.ratio for r in found if r.mode == mode and np.isfinite(r.ratio)])
        if ratios.size:
            print(
                f"{mode}: {ratios.size} files, geometric mean of the ratio "
                f"{np.exp(np.log(ratios).mean()):.4f}, at most 1.00 on {(ratios <= 1).sum()}, "
                f"at most 1.03 on {(ratios <= 1.03).sum()}"
            )
    if args.out:
        with args.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, [f.name for f in fields(Row)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in found)
    wrong = [row for row in found if not row.ok]
    if wrong:
        print(f"{len(wrong)} files did not come back as promised", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
