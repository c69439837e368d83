"""Reports: what was measured as text, as CSV and as a picture."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from latrans.cli import console, figures
from latrans.process.whole_files import replacing
from latrans.rivals import all_rivals
from ratio_measure import LOSSLESS, Row, machine

_COLUMNS = [
    *("category", "file", "mode", "dtype", "shape", "axes"),
    *("model", "digest", "bits", "error"),
    *("best", "best_bits", "ratio", "encode_mb_s", "decode_mb_s"),
]
_MARKS = {
    "*": "exceeds its bound by the rounding of floats, counted",
    "!": "exceeds its bound or lost a value, not counted",
}


def text(rows: list[Row]) -> str:
    """A table per category, lossless and bounded apart, with geometric means of the ratios."""
    parts, notes = [], set()
    for bounded in (False, True):
        chosen = [row for row in rows if (row.mode != LOSSLESS) == bounded]
        for category in dict.fromkeys(row.item.category for row in chosen):
            inside = [row for row in chosen if row.item.category == category]
            what = "within a fraction of the range" if bounded else LOSSLESS
            parts.append(f"{category}, {what}, bits per sample\n{_table(inside, notes)}")
            parts.append(f"{category}: {summary(inside)}")
        if chosen:
            parts.append(f"all {'bounded' if bounded else LOSSLESS}: {summary(chosen)}")
    return "\n\n".join([*parts, *sorted(notes)])


def summary(rows: list[Row]) -> str:
    """Geometric mean of the ratios and how many are above 1.00."""
    ratios = [row.ratio for row in rows if math.isfinite(row.ratio)]
    if not ratios:
        return "no rival to compare with"
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    above = sum(ratio > 1 for ratio in ratios)
    return (
        f"{len(ratios)} figures, geometric mean of the ratio to the best {mean:.4f}, "
        f"{above} above 1.00"
    )


def _table(rows: list[Row], notes: set[str]) -> str:
    labels = _labels(rows)
    lines = []
    for row in rows:
        cells = []
        for label in labels:
            if label not in row.rivals:
                cells.append("-")
                continue
            mark = _mark(row, label)
            if mark:
                notes.add(f"{mark} {_MARKS[mark]}")
            cells.append(f"{row.rival_bits(label):.3f}{mark}")
        lines.append(
            [
                row.item.name.removeprefix(f"{row.item.category}/"),
                row.mode,
                row.model,
                f"{row.bits:.3f}" + ("" if row.kept else " WRONG"),
                *cells,
                row.best or "-",
                f"{row.ratio:.3f}" if row.best else "-",
            ]
        )
    return console.table(["file", "mode", "model", "latrans", *labels, "best", "ratio"], lines)


def _mark(row: Row, label: str) -> str:
    outcome = row.rivals[label]
    if outcome.kept():
        return ""
    return "*" if outcome.kept(rounded=True) else "!"


def _labels(rows: list[Row]) -> list[str]:
    """Rivals that have a figure, in their usual order."""
    present = {label for row in rows for label in row.rivals}
    return [rival.label for rival in all_rivals() if rival.label in present]


def write_csv(rows: list[Row], path: Path) -> None:
    """One line per array and mode, with the machine that measured it."""
    labels = _labels(rows)
    described = machine()
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        pairs = [f"{label} {what}" for label in labels for what in ("bits", "error")]
        writer.writerow([*_COLUMNS, *pairs, *described])
        for row in rows:
            best = f"{row.rival_bits(row.best):.5f}" if row.best else ""
            shape = "x".join(map(str, row.shape))
            cells = [row.item.category, row.item.name, row.mode, row.dtype, shape, row.axes]
            cells += [row.model, row.digest, f"{row.bits:.5f}", f"{row.error:.5f}"]
            cells += [row.best, best, f"{row.ratio:.5f}"]
            cells += [f"{row.encode_mb_s:.3f}", f"{row.decode_mb_s:.3f}"]
            for label in labels:
                found = label in row.rivals
                cells.append(f"{row.rival_bits(label):.5f}" if found else "")
                cells.append(f"{row.rivals[label].error:.5f}" if found else "")
            writer.writerow([*cells, *described.values()])


def plot(rows: list[Row], path: Path) -> None:
    """Ratio to the best rival of every array and mode, by category."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [row for row in rows if math.isfinite(row.ratio)]
    figure, axis = pyplot.subplots(figsize=(8, 1 + 0.22 * len(shown)), layout="constrained")
    categories = list(dict.fromkeys(row.item.category for row in shown))
    colours = [f"C{categories.index(row.item.category) % 10}" for row in shown]
    places = list(range(len(shown)))[::-1]
    axis.hlines(places, 1, [row.ratio for row in shown], colors=colours)
    axis.scatter([row.ratio for row in shown], places, c=colours, s=24)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_yticks(places, [f"{row.item.name}, {row.mode}" for row in shown], fontsize=7)
    axis.set_xlabel("bits of latrans per bit of the best rival (left of 1: latrans is smaller)")
    axis.set_ylim(-1, len(shown))
    figures.save(figure, path, 150)
    pyplot.close(figure)
