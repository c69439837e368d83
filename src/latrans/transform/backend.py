"""What engines do for a transform, and how it is defined.

Coefficients are coded in the order of `residual.schedule`, so that those of one step can be
decoded side by side.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..engine import Engine
from ..entropy.reference import Decoder
from ..entropy.tables import Frequencies, slots, starts
from ..program import Program
from ..residual.fixed import Ints
from ..residual.geometry import GEOMETRIES
from ..residual.schedule import LANES, n_states, steps
from . import contexts, lifting, signs
from .bands import Band
from .contexts import LEFT, NEIGHBOURS, UP, Inputs, Mask, Surroundings, canvas, causal, gather
from .operations import Operations, band_operations
from .symbols import ESCAPE, N_TOKENS, raw_length, untokenise

N_CLASSES = 64
_CENTRE = 32  # class of a network output of 0; 16 of its units are one class


def class_of(output: Ints) -> Ints:
    """Class from the network's output."""
    return np.clip(((output + 8) >> 4) + _CENTRE, 0, N_CLASSES - 1)


class Decoding(Protocol):
    """A stream that is being read."""

    def raw(self, bits: int) -> int:
        """The next raw bits, from the first state."""

    def symbol(self, table: int) -> int:
        """The next symbol of a table of means, from the first state."""

    def band(self, band: Band, known: Inputs) -> tuple[Ints, Ints]:
        """Values and classes, (rows, columns) each, of the next band."""

    def finish(self) -> None:
        """Check that the stream ends here; `CodecError` otherwise."""


class Parts(Protocol):
    """What of a transform an engine needs."""

    @property
    def network(self) -> Program: ...
    @property
    def tables(self) -> Frequencies: ...
    @property
    def means(self) -> Frequencies: ...
    @property
    def sign_tables(self) -> Frequencies: ...
    @property
    def sign_weights(self) -> signs.Weights: ...


class Backend(Protocol):
    """Runs a transform's network on bands."""

    def split(self, plane: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """`lifting.split`."""

    def join(self, low: Ints, horizontal: Ints, vertical: Ints, diagonal: Ints) -> Ints:
        """`lifting.join`."""

    def known(self, surroundings: Surroundings) -> Inputs:
        """`contexts.known`."""

    def classify(self, known: Inputs, magnitudes: Ints, wanted: Mask | None = None) -> Ints:
        """Class of every coefficient of a band, or of those wanted; the others 0."""

    def operations(self, band: Band, values: Ints, classes: Ints, n_states: int) -> Operations:
        """`operations.band_operations`."""

    def decoding(self, data: bytes, n_samples: int) -> Decoding:
        """Start reading a stream."""


class ReferenceBackend:
    """The definition, in NumPy."""

    split = staticmethod(lifting.split)
    join = staticmethod(lifting.join)
    known = staticmethod(contexts.known)

    def __init__(self, parts: Parts, engine: Engine) -> None:
        self._network, self._run = parts.network, engine.run
        self.tables, self.means, self.signs = (
            (t, starts(t), slots(t)) for t in (parts.tables, parts.means, parts.sign_tables)
        )
        self.sign_weights = parts.sign_weights
        self._parts = parts

    def classify(self, known: Inputs, magnitudes: Ints, wanted: Mask | None = None) -> Ints:
        rows, columns = magnitudes.shape
        around = canvas(rows, columns)
        around[UP:, LEFT : LEFT + columns] = magnitudes
        classes = self.answer(causal(gather(around)), known)
        return classes if wanted is None else np.where(wanted, classes, 0)

    def answer(self, own: Ints, known: Inputs) -> Ints:
        """Classes (...) from both kinds of inputs, (inputs, ...) each."""
        x = np.concatenate([own, known]).reshape(len(own) + len(known), -1).T
        output = self._run(self._network, x.astype(np.int32))[:, 0]
        return class_of(output.astype(np.int64)).reshape(known.shape[1:])

    def operations(self, band: Band, values: Ints, classes: Ints, n_states: int) -> Operations:
        return band_operations(band, values, classes, self._parts, n_states)

    def decoding(self, data: bytes, n_samples: int) -> Decoding:
        return ReferenceDecoding(self, data, n_samples)


class ReferenceDecoding:
    """Reads bands with `ReferenceBackend`."""

    def __init__(self, backend: ReferenceBackend, data: bytes, n_samples: int) -> None:
        self._backend = backend
        self._n_states = n_states(n_samples)
        self._decoder = Decoder(data, self._n_states)

    def raw(self, bits: int) -> int:
        return self._decoder.pop_raw(0, bits)

    def symbol(self, table: int) -> int:
        return self._pop(0, self._backend.means, table)

    def _pop(self, lane: int, tables: tuple[Any, Any, Any], table: int) -> int:
        frequencies, first, slot = (t[table] for t in tables)
        return self._decoder.pop(lane, slot, first, frequencies)

    def band(self, band: Band, known: Inputs) -> tuple[Ints, Ints]:
        rows, columns = known.shape[1:]
        around, signed = canvas(rows, columns), canvas(rows, columns)
        row = signs.row_of(band)
        weights = self._backend.sign_weights[row]
        values, classes = (np.zeros((rows, columns), np.int64) for _ in range(2))
        dy, dx = np.array(NEIGHBOURS, np.int64).T[:, :, None]
        for y, x in steps(GEOMETRIES["plane"], rows, columns, rows * columns):
            own = causal(around[UP + y + dy, LEFT + x + dx])
            here = self._backend.answer(own, known[:, y, x])
            n = signs.N_NEIGHBOURS
            lean = signs.leaning(signed[UP + y + dy[:n], LEFT + x + dx[:n]], weights)
            found = self._values((y % LANES % self._n_states).tolist(), here, row, lean)
            values[y, x], classes[y, x] = found, here
            around[UP + y, LEFT + x] = np.abs(found)
            signed[UP + y, LEFT + x] = signs.clipped(found)
        return values, classes

    def _values(self, lanes: list[int], classes: Ints, row: int, lean: Ints) -> Ints:
        """Values of one step: tokens of all lanes, then escapes, then signs and raw bits."""
        b, decoder = self._backend, self._decoder
        pairs = zip(lanes, classes.tolist(), strict=True)
        token = np.array([self._pop(lane, b.tables, c) for lane, c in pairs], np.int64)
        for i in np.flatnonzero(token == ESCAPE):
            token[i] = min(decoder.pop_raw(lanes[i], 8), N_TOKENS - 1)
        n_raw = raw_length(token)
        raw: Any = np.zeros_like(token)
        minus = lean < 0
        for i in np.flatnonzero(token):
            # Larger tokens are larger magnitudes, and both are cut alike.
            table = int(signs.table_of(row, lean[i], token[i]))
            minus[i] ^= bool(self._pop(lanes[i], b.signs, table))
            if n_raw[i]:
                raw[i] = decoder.pop_raw(lanes[i], int(min(n_raw[i], 16)))
        for i in np.flatnonzero(n_raw > 16):
            raw[i] |= decoder.pop_raw(lanes[i], int(n_raw[i] - 16)) << 16
        magnitude = untokenise(token, raw)
        return np.where(minus, -magnitude, magnitude)

    def finish(self) -> None:
        self._decoder.finish()
