"""Reports of speed: tables, CSV, and the picture of size against speed."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from latrans.cli import console, figures
from latrans.process.whole_files import replacing
from ratio_measure import machine
from speed_measure import Row, Small, Task

_WHAT = ("encode", "decode", "encode, all cores", "decode, all cores")


def title(task: Task) -> str:
    """What was measured."""
    bound = "" if task.bound is None else f" of the range, {task.bound:.4g}"
    return f"{task.item.name}: {task.array.dtype} {task.array.shape}, {task.mode}{bound}"


def table(rows: Sequence[Row]) -> str:
    """Size and speeds of every codec; million samples per second, then MB/s on one thread."""
    measured = [what for what in _WHAT if what in rows[0].seconds]
    header = ["codec", "bits/sample", "ratio", *(f"{w} Ms/s" for w in measured)]
    header += ["encode MB/s", "decode MB/s"]
    lines = []
    for row in rows:
        cells = [row.label, f"{8 * row.stored / row.n_samples:.3f}", f"{row.ratio:.3f}"]
        cells += [f"{row.mega_samples(what):.2f}" for what in measured]
        cells += [f"{row.mb_s(what):.1f}" for what in ("encode", "decode")]
        lines.append(cells)
    return console.table(header, lines)


def small_table(found: Sequence[Small]) -> str:
    """Chunks of one small plane each."""
    lines = []
    for row in found:
        cells = [f"{rate:.0f}" for rate in row.batch] + [f"{ms:.3f}" for ms in row.single]
        lines.append([f"{row.label}, chunks of {row.shape}", *cells])
    header = ["codec", "encode chunks/s", "decode chunks/s", "encode ms each", "decode ms each"]
    return console.table(header, lines)


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """One line per array, mode and codec, with the machine that measured it."""
    described = machine()
    header = ["category", "file", "mode", "dtype", "codec", "samples", "bytes", "stored", "ratio"]
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*header, *(f"{what} Ms/s" for what in _WHAT), *described])
        for row in rows:
            cells = [row.category, row.name, row.mode, row.dtype, row.label]
            sizes = [row.n_samples, row.nbytes, row.stored, f"{row.ratio:.4f}"]
            speeds = [f"{row.mega_samples(what):.3f}" for what in _WHAT]
            writer.writerow([*cells, *sizes, *speeds, *described.values()])


def plot(rows: Sequence[Row], path: Path) -> None:
    """Ratio against speed, an array to a row; the line joins what nothing beats in both."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lossless = [row for row in rows if ", quality" not in row.label]
    groups = list(dict.fromkeys((r.name, r.mode) for r in lossless))
    figure, axes = pyplot.subplots(
        len(groups), 2, figsize=(11, 2.8 * len(groups)), layout="constrained", squeeze=False
    )
    for line, (name, mode) in zip(axes, groups, strict=True):
        chosen = [r for r in lossless if (r.name, r.mode) == (name, mode)]
        for axis, what in zip(line, ("encode", "decode"), strict=True):
            _draw(axis, [(r.mb_s(what), r.ratio, r.label) for r in chosen])
            axis.set_title(f"{name}, {mode}: {what}", fontsize=9)
            axis.set_xlabel("MB/s on one thread")
            axis.set_ylabel("ratio")
    figures.save(figure, path, 80)
    pyplot.close(figure)


def _draw(axis: object, points: Sequence[tuple[float, float, str]]) -> None:
    """Points by name, those of latrans in colour, and the Pareto front."""
    from matplotlib.ticker import LogLocator

    for speed, ratio, label in points:
        ours = label.startswith("latrans")
        axis.scatter([speed], [ratio], c="C3" if ours else "C7", s=26, zorder=3)  # type: ignore[attr-defined]
        axis.annotate(  # type: ignore[attr-defined]
            label.removeprefix("latrans "), (speed, ratio), fontsize=7, xytext=(4, 3),
            textcoords="offset points", color="C3" if ours else "black",
        )  # fmt: skip
    front = [p for p in points if not any(q[0] > p[0] and q[1] > p[1] for q in points)]
    front.sort()
    axis.plot([p[0] for p in front], [p[1] for p in front], color="C0", linewidth=1)  # type: ignore[attr-defined]
    axis.set_xscale("log")  # type: ignore[attr-defined]
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # type: ignore[attr-defined]
    axis.xaxis.set_major_formatter("{x:g}")  # type: ignore[attr-defined]
    axis.xaxis.set_minor_formatter("")  # type: ignore[attr-defined]
    axis.margins(0.15)  # type: ignore[attr-defined]
