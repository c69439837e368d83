"""Value coder: small samples of one shape, coded value by value (FORMAT.md 6.7).

Digits and the like are mostly saturated, with edges that could be anything: no offset from an
expected value describes that.  Here a network sees the values around a pixel and the
reconstruction, and names one of a few dozen classes; each class owns a table over all 256 values.
Pixel after pixel is coded for all samples of a chunk at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ...coding.rans import sequences
from ...coding.rans.tables import Frequencies, starts
from ...coding.schedule import n_states
from ...engine.program import Program

Array = npt.NDArray[Any]
Run = Callable[[Program, Array], Array]

N_VALUES = 256
ESCAPE = N_VALUES  # values that a class never met, 8 raw bits follow
N_SYMBOLS = N_VALUES + 1
UP, LEFT, RIGHT = 4, 4, 3
TAPS = tuple(
    (dy, dx)
    for dy in range(-UP, 1)
    for dx in range(-LEFT, RIGHT + 1)
    if (dy < 0 or dx < 0) and dy * dy + dx * dx <= 17
)
RECONSTRUCTION = tuple((dy, dx) for dy in range(-2, 3) for dx in range(-2, 3))
N_INPUTS = len(TAPS) + len(RECONSTRUCTION) + 2
_BATCH = 1 << 17  # network inputs in memory at once


@dataclass(frozen=True)
class ValuePredictor:
    """What a model of small samples knows about values.

    Attributes
    ----------
    shape : (rows, columns) of a sample.
    network : Program
        Inputs 0 to 255: causal values, reconstruction around the pixel, row and column.  As
        many outputs as classes; the largest, the first of equals, names the class.
    tables : (classes, N_SYMBOLS) uint16
    """

    shape: tuple[int, int]
    network: Program
    tables: Frequencies

    has_reconstruction = True

    @property
    def experts(self) -> tuple[tuple[Program, ...], ...]:
        return ((self.network,),)

    def spec(self) -> dict[str, Any]:
        return {"geometry": "values", "shape": list(self.shape)}

    def problems(self) -> str | None:
        """What is wrong with the parts' shapes, or None."""
        if self.tables.ndim != 2 or self.tables.shape[1] != N_SYMBOLS or not len(self.tables):
            return f"value tables have shape {self.tables.shape}, expected (classes, {N_SYMBOLS})"
        if self.network.output_channels != len(self.tables):
            return f"{self.network.output_channels} outputs for {len(self.tables)} value tables"
        net = self.network
        if net.input_shape != (N_INPUTS,):
            return f"network takes {net.input_shape} inputs, expected ({N_INPUTS},)"
        if net.input_lo > 0 or net.input_hi < N_VALUES - 1:
            return f"network takes {net.input_lo} to {net.input_hi}, expected all 256 values"
        return None


class ValueCoder(Protocol):
    """Codes items (items, rows, columns) with one predictor; safe to share between threads."""

    def encode(self, items: Array, reconstructions: Array) -> bytes:
        """The residual section of items and their reconstructions, both 0 to 255."""

    def classes(self, items: Array, reconstructions: Array) -> Array:
        """Class of every pixel, (items, rows, columns)."""

    def decode(self, section: bytes, reconstructions: Array) -> Array:
        """Inverse of `encode`: (items, rows, columns) int64."""


class ReferenceValueCoder:
    """NumPy, slow, the definition."""

    def __init__(self, predictor: ValuePredictor, run: Run) -> None:
        self.predictor = predictor
        self._run = run
        self._rans = sequences
        self._starts = starts(predictor.tables)
        self._tables = self._rans.Tables(predictor.tables)

    def encode(self, items: Array, reconstructions: Array) -> bytes:
        """The residual section of items and their reconstructions, both 0 to 255."""
        classes = self.classes(items, reconstructions)
        # Pixel by pixel, all items of each.
        value = items.reshape(len(items), -1).T.reshape(-1).astype(np.int64)
        table = classes.reshape(len(items), -1).T.reshape(-1)
        states = n_states(value.size)
        lane = np.tile(np.arange(len(items)) % states, items[0].size)
        frequency = self.predictor.tables[table, value].astype(np.int64)
        escaped = frequency == 0
        symbol = np.where(escaped, ESCAPE, value)
        start = self._starts[table, symbol].astype(np.int64)
        frequency = self.predictor.tables[table, symbol].astype(np.int64)
        # An escaped value's raw bits follow it at once.
        repeat = 1 + escaped
        last = np.cumsum(repeat) - 1
        lane, start, frequency = (np.repeat(a, repeat) for a in (lane, start, frequency))
        bits = np.full(lane.size, 12)
        raw = last[escaped]
        start[raw], frequency[raw], bits[raw] = value[escaped], 1, 8
        data: bytes = self._rans.encode(lane, start, frequency, bits, states)
        return data

    def classes(self, items: Array, reconstructions: Array) -> Array:
        """Class of every pixel, (items, rows, columns)."""
        rows, columns = self.predictor.shape
        canvas, padded = _canvas(items), _padded(reconstructions)
        out = np.empty(items.shape, np.int64)
        step = max(1, _BATCH // (rows * columns))
        for first in range(0, len(items), step):
            part = slice(first, first + step)
            inputs = [
                canvas[part, UP + dy : UP + dy + rows, LEFT + dx : LEFT + dx + columns]
                for dy, dx in TAPS
            ]
            inputs += [
                padded[part, 2 + dy : 2 + dy + rows, 2 + dx : 2 + dx + columns]
                for dy, dx in RECONSTRUCTION
            ]
            y, x = np.mgrid[0:rows, 0:columns]
            n = inputs[0].shape
            inputs += [np.broadcast_to(_position(a, m), n) for a, m in ((y, rows), (x, columns))]
            flat = np.stack(inputs, -1).reshape(-1, N_INPUTS)
            out[part] = self._run(self.predictor.network, flat).argmax(1).reshape(n)
        return out

    def decode(self, section: bytes, reconstructions: Array) -> Array:
        """Inverse of `encode`: (items, rows, columns) int64."""
        n_items = len(reconstructions)
        rows, columns = self.predictor.shape
        states = n_states(n_items * rows * columns)
        decoder = self._rans.Decoder(section, states)
        canvas = _canvas(np.zeros((n_items, rows, columns), np.int64))
        padded = _padded(reconstructions)
        lanes = np.arange(n_items) % states
        no_raw = np.zeros(N_SYMBOLS, np.int64)
        inputs = np.empty((n_items, N_INPUTS), np.int32)
        for y in range(rows):
            for x in range(columns):
                for i, (dy, dx) in enumerate(TAPS):
                    inputs[:, i] = canvas[:, UP + y + dy, LEFT + x + dx]
                for i, (dy, dx) in enumerate(RECONSTRUCTION):
                    inputs[:, len(TAPS) + i] = padded[:, 2 + y + dy, 2 + x + dx]
                inputs[:, -2] = _position(y, rows)
                inputs[:, -1] = _position(x, columns)
                table = self._run(self.predictor.network, inputs).argmax(1)
                # An escaped symbol's number is the value itself.
                values, _ = decoder.pop(self._tables, lanes, table, ESCAPE, N_VALUES - 1, no_raw)
                canvas[:, UP + y, LEFT + x] = values
        decoder.finish()
        return canvas[:, UP:, LEFT : LEFT + columns]


def _position(index: Any, n: int) -> Any:
    return index * 255 // max(1, n - 1)


def _canvas(items: Array) -> Array:
    return np.pad(items.astype(np.int32), ((0, 0), (UP, 0), (LEFT, RIGHT)))


def _padded(reconstructions: Array) -> Array:
    return np.pad(reconstructions.astype(np.int32), ((0, 0), (2, 2), (2, 2)))
