"""Rate and distortion of a lossy codec beside JPEG, JPEG 2000, JPEG XL and WebP.

Sizes are those of whole files and frames.  PSNR is that of the mean squared error over all
samples, against 255 for bytes and the picture's own range otherwise.  BD-rate is the mean
difference in rate at equal PSNR, by monotone cubics through log rate, where JPEG 2000 (OpenJPEG,
9/7 irreversible, one layer, PSNR-targeted) takes 0.2 to 1.8 bits per sample.  JPEG XL and WebP
aim at eyes more than at squared error: they are references here, not beaten codecs.

``python benchmarks/lossy.py --data ../shared/data --csv rates.csv --plot rates.png`` measures the
dev files; ``python benchmarks/lossy.py a.npz folder`` any others.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

import latrans
from latrans.cli import figures
from latrans.process.whole_files import replacing

Array = np.ndarray[Any, Any]
Curve = list[tuple[float, float]]  # bits per sample, PSNR in dB

RATES = (0.25, 0.5, 1.0, 1.5)
LOW, HIGH = 0.2, 1.8
ANCHOR = "JPEG 2000"

# File, name of the set, and which pictures of it.
DEV: tuple[tuple[str, str, Callable[[Array], list[Array]]], ...] = (
    ("photo/kodak_landscape_dev", "Kodak, green", lambda a: list(a[..., 1])),
    ("photo/kodak_landscape_dev", "Kodak, RGB", list),
    ("microscopy/em_vnc_stack1_dev", "EM", lambda a: [a[0], a[2]]),
    ("microscopy/fluor_bbbc022_3ch_u16", "fluorescence BBBC022", list),
    ("microscopy/fluor_cherry_u16", "fluorescence mCherry", lambda a: [a]),
    ("microscopy/brightfield_t_dev", "brightfield", lambda a: [a[0], a[2]]),
)


def codecs(model: str) -> dict[str, Callable[[Array], Iterator[tuple[bytes, Array]]]]:
    """Per codec, encoded and decoded pictures from coarse to fine."""

    def ours(a: Array) -> Iterator[tuple[bytes, Array]]:
        for quality in range(4, 101, 6):
            codec = latrans.Codec(model, "lossy", quality=quality, axes=_axes(a))
            frame = codec.encode(a)
            yield frame, codec.decode(frame)

    def jpeg2000(a: Array) -> Iterator[tuple[bytes, Array]]:
        # The encoder takes the dtype's range for the peak.
        shift = 20 * np.log10(_dtype_range(a) / peak(a))
        for level in np.arange(20, 70, 2.5):
            data = imagecodecs.jpeg2k_encode(
                a, level=level + shift, reversible=False, codecformat="j2k"
            )
            yield data, imagecodecs.jpeg2k_decode(data)

    def jpeg(a: Array) -> Iterator[tuple[bytes, Array]]:
        for level in (5, 10, 20, 35, 50, 65, 80, 90, 95) if a.dtype == np.uint8 else ():
            data = imagecodecs.jpeg8_encode(a, level=level, optimize=True)
            yield data, imagecodecs.jpeg8_decode(data)

    def jpegxl(a: Array) -> Iterator[tuple[bytes, Array]]:
        for distance in (14, 9, 6, 4, 2.5, 1.5, 1.0, 0.6, 0.35, 0.2):
            data = imagecodecs.jpegxl_encode(a, distance=distance, effort=7)
            yield data, imagecodecs.jpegxl_decode(data)

    def webp(a: Array) -> Iterator[tuple[bytes, Array]]:
        if a.dtype == np.uint8:
            colours = a if a.ndim == 3 else np.repeat(a[..., None], 3, 2)
            for level in (5, 20, 40, 60, 75, 85, 92, 97):
                data = imagecodecs.webp_encode(colours, level=level, lossless=False, method=6)
                found = imagecodecs.webp_decode(data)[..., :3]
                yield data, found if a.ndim == 3 else found[..., 1]

    return {model: ours, ANCHOR: jpeg2000, "JPEG": jpeg, "JPEG XL": jpegxl, "WebP": webp}


def peak(a: Array) -> float:
    return 255.0 if a.dtype == np.uint8 else max(1.0, float(a.max()) - float(a.min()))


def psnr(a: Array, b: Array) -> float:
    error = float(((a.astype(np.float64) - b.astype(np.float64)) ** 2).mean())
    return 10 * np.log10(peak(a) ** 2 / max(error, 1e-12))


def curve(a: Array, encode: Callable[[Array], Iterator[tuple[bytes, Array]]]) -> Curve:
    """Points up to a little beyond the range of interest; each better than the one before."""
    points: Curve = []
    for data, found in encode(a):
        bits, quality = 8 * len(data) / a.size, psnr(a, found)
        if not points or (bits > points[-1][0] and quality > points[-1][1]):
            points.append((bits, quality))
        if bits > 1.15 * HIGH:
            break
    return points


def monotone(x: Array, y: Array, at: Array) -> Array:
    """Monotone cubic through points (Fritsch and Butland 1984), without ends of their own."""
    h, slope = np.diff(x), np.diff(y) / np.diff(x)
    if len(x) == 2:
        return y[0] + slope[0] * (at - x[0])
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    inner = (w1 + w2) / (w1 / slope[:-1] + w2 / slope[1:])
    d = np.concatenate([slope[:1], inner, slope[-1:]])
    i = np.clip(np.searchsorted(x, at) - 1, 0, len(h) - 1)
    t = (at - x[i]) / h[i]
    return (
        y[i] * (1 + 2 * t) * (1 - t) ** 2
        + d[i] * h[i] * t * (1 - t) ** 2
        + y[i + 1] * t**2 * (3 - 2 * t)
        + d[i + 1] * h[i] * t**2 * (t - 1)
    )


def at_rate(points: Curve, rates: Array) -> Array:
    """PSNR at rates; NaN where the curve does not reach."""
    if len(points) < 3:
        return np.full(np.shape(rates), np.nan)
    x, y = np.log([p[0] for p in points]), np.array([p[1] for p in points])
    rates = np.asarray(rates, np.float64)
    inside = (rates >= points[0][0]) & (rates <= points[-1][0])
    return np.where(inside, monotone(x, y, np.log(rates)), np.nan)


def bd_rate(anchor: Curve, points: Curve) -> float:
    """Mean difference in rate at equal PSNR, in per cent."""
    if min(len(anchor), len(points)) < 3:
        return float("nan")
    ends = np.clip([LOW, HIGH], anchor[0][0], anchor[-1][0])
    low, high = at_rate(anchor, ends)
    low, high = max(low, points[0][1]), min(high, points[-1][1])
    if not high > low:
        return float("nan")
    grid = np.linspace(low, high, 200)
    logs = [
        monotone(np.array([p[1] for p in c]), np.log([p[0] for p in c]), grid)
        for c in (anchor, points)
    ]
    return 100 * (float(np.exp((logs[1] - logs[0]).mean())) - 1)


def dev_sets(data: Path, only: str) -> Iterator[tuple[str, list[Array]]]:
    for file, name, pick in DEV:
        if only.lower() in name.lower():
            pictures = pick(np.load(data / f"{file}.npz")["data"])
            yield name, [np.ascontiguousarray(p) for p in pictures]


def named_sets(paths: list[Path], most: int) -> Iterator[tuple[str, list[Array]]]:
    """The first pictures of .npy and .npz files, and of those in folders."""
    for path in paths:
        for file in sorted(path.glob("**/*.np[yz]")) if path.is_dir() else [path]:
            loaded = np.load(file)
            array = loaded if file.suffix == ".npy" else loaded[loaded.files[0]]
            if array.ndim < 2 or array.dtype not in (np.uint8, np.uint16):
                print(f"{file}: {array.dtype} of shape {array.shape} left out", file=sys.stderr)
                continue
            size = 3 if array.ndim > 2 and array.shape[-1] == 3 else 2
            flat = array.reshape(-1, *array.shape[-size:])
            yield file.stem, [np.ascontiguousarray(p) for p in flat[:most]]


def _axes(a: Array) -> str:
    return "yx" if a.ndim == 2 else "yxc"


def _dtype_range(a: Array) -> float:
    return float(np.iinfo(a.dtype).max)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="instead of the dev files")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="", help="dev sets whose name contains this")
    parser.add_argument("--model", default="image-lossy-1")
    parser.add_argument("--most", type=int, default=3, help="pictures of each named file")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    sets = named_sets(args.files, args.most) if args.files else dev_sets(args.data, args.only)

    every: list[tuple[str, int, str, Curve]] = []
    print(f"{'set':22} {'codec':14}" + "".join(f"{r:>9} b" for r in RATES) + "   BD-rate")
    for name, pictures in sets:
        by_codec: dict[str, list[Curve]] = defaultdict(list)
        start = time.perf_counter()
        for (number, picture), (label, encode) in itertools.product(
            enumerate(pictures), codecs(args.model).items()
        ):
            found = curve(picture, encode)
            if found:
                by_codec[label].append(found)
                every.append((name, number, label, found))
        for label, curves in by_codec.items():
            levels = np.mean([at_rate(c, np.array(RATES)) for c in curves], 0)
            bd = np.mean([bd_rate(a, c) for a, c in zip(by_codec[ANCHOR], curves, strict=True)])
            cells = "".join(f"{v:8.2f} dB" if np.isfinite(v) else f"{'-':>11}" for v in levels)
            change = f"{bd:+7.1f} %" if np.isfinite(bd) else f"{'-':>7}"
            print(f"{name[:22]:22} {label:14}{cells}  {change}", flush=True)
        print(f"{'':22} {len(pictures)} pictures in {time.perf_counter() - start:.0f} s")
    if args.csv:
        with replacing(args.csv) as partial, partial.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("set", "picture", "codec", "bits_per_sample", "psnr_db"))
            for name, number, label, points in every:
                writer.writerows((name, number, label, f"{b:.5f}", f"{q:.4f}") for b, q in points)
    if args.plot:
        draw(every, args.plot)
    return 0


def draw(every: list[tuple[str, int, str, Curve]], target: Path) -> None:
    """Mean PSNR against rate, one panel per set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(e[0] for e in every))
    labels = list(dict.fromkeys(e[2] for e in every))
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(4.4 * columns, 3.4 * rows), squeeze=False, layout="constrained"
    )
    rates = np.geomspace(0.1, 2.0, 60)
    for panel, name in zip(panels.flat, names, strict=False):
        for colour, label in enumerate(labels):
            curves = [at_rate(e[3], rates) for e in every if e[0] == name and e[2] == label]
            if curves:
                width = 2.2 if colour == 0 else 1.2
                panel.plot(rates, np.mean(curves, 0), color=f"C{colour}", label=label, lw=width)
        panel.set(title=name, xlabel="bits per sample", ylabel="PSNR, dB")
        panel.grid(alpha=0.3)
    for panel in panels.flat[len(names) :]:
        panel.axis("off")
    panels.flat[0].legend(fontsize="small")
    figures.save(figure, target, 130)


if __name__ == "__main__":
    sys.exit(main())
