"""What engines do for a transform, and how it is defined.

Coefficients are coded in the order of `residual.schedule`, so that those of one step can be
decoded side by side.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..coding.fixed_point import Ints
from ..coding.geometry import GEOMETRIES
from ..coding.rans.reference import Decoder, encode
from ..coding.rans.tables import Frequencies, slots, starts
from ..coding.schedule import LANES, n_states, steps
from ..engine import Engine
from ..engine.program import Program
from . import lifting, predict, signs
from .bands import Subband
from .contexts import LEFT, NEIGHBOURS, UP, Inputs, Mask, Surroundings, canvas, causal, gather
from .operations import Operations, band_operations
from .quantise import dequantise
from .rdo import Chooser, Learned
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

    def band(self, around: Surroundings, code: int) -> tuple[Ints, Ints]:
        """Values and classes, (rows, columns) each, of the next band.

        Classes of zeros may be left out, as zeros.
        """

    def finish(self) -> None:
        """Check that the stream ends here; `CodecError` otherwise."""


class Encoding(Protocol):
    """A stream that is being written, from its end to its start."""

    def push(self, start: int, frequency: int, bits: int) -> None:
        """An interval of 2**bits, on the first state."""

    def band(self, band: Subband, values: Ints, classes: Ints) -> None:
        """A band's values."""

    def finish(self) -> bytes:
        """The whole stream."""


class Parts(Learned, Protocol):
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
    """Codes bands with a transform."""

    def working_dtype(self, largest: int) -> type[np.signedinteger[Any]]:
        """The type that planes of such magnitudes should have."""

    def split(self, plane: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """`lifting.split`."""

    def join(self, low: Ints, horizontal: Ints, vertical: Ints, diagonal: Ints) -> Ints:
        """`lifting.join`."""

    def classify(
        self, around: Surroundings, code: int, magnitudes: Ints, wanted: Mask | None = None
    ) -> Ints:
        """Class of every coefficient of a band, or of those wanted; the others 0."""

    def quantise(self, around: Surroundings, coefficients: Ints) -> tuple[int, int, Ints, Ints]:
        """Gain, code, values and classes of a band: `choice.Chooser`."""

    def restore(self, around: Surroundings, gain: int, values: Ints, classes: Ints) -> Ints:
        """Coefficients of a band."""

    def decoding(self, data: bytes, n_samples: int) -> Decoding:
        """Start reading a stream."""

    def encoding(self, n_samples: int) -> Encoding:
        """Start writing a stream."""


class ReferenceBackend:
    """The definition, in NumPy."""

    split = staticmethod(lifting.split)
    join = staticmethod(lifting.join)

    def __init__(self, parts: Parts, engine: Engine) -> None:
        self._network, self._run = parts.network, engine.run
        self.tables, self.means, self.signs = (
            (t, starts(t), slots(t)) for t in (parts.tables, parts.means, parts.sign_tables)
        )
        self.sign_weights = parts.sign_weights
        self._parts = parts
        self.quantise = Chooser(parts, self.classify)

    def working_dtype(self, largest: int) -> type[np.signedinteger[Any]]:
        return np.int64

    def classify(
        self, around: Surroundings, code: int, magnitudes: Ints, wanted: Mask | None = None
    ) -> Ints:
        rows, columns = magnitudes.shape
        own = canvas(rows, columns)
        own[UP:, LEFT : LEFT + columns] = magnitudes
        classes = self.answer(causal(gather(own)), around.inputs(code))
        return classes if wanted is None else np.where(wanted, classes, 0)

    def restore(self, around: Surroundings, gain: int, values: Ints, classes: Ints) -> Ints:
        band, low, parts = around.band, around.low, self._parts
        detail = dequantise(values, classes, parts.centroids, around.step)
        if gain and low is not None:
            detail = detail + predict.scaled(predict.expected(band, low, parts.prediction), gain)
        return detail

    def answer(self, own: Ints, known: Inputs) -> Ints:
        """Classes (...) from both kinds of inputs, (inputs, ...) each."""
        x = np.concatenate([own, known]).reshape(len(own) + len(known), -1).T
        output = self._run(self._network, x.astype(np.int32))[:, 0]
        return class_of(output.astype(np.int64)).reshape(known.shape[1:])

    def decoding(self, data: bytes, n_samples: int) -> Decoding:
        return ReferenceDecoding(self, data, n_samples)

    def encoding(self, n_samples: int) -> Encoding:
        return ReferenceEncoding(self._parts, n_states(n_samples))


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

    def band(self, around: Surroundings, code: int) -> tuple[Ints, Ints]:
        known = around.inputs(code)
        rows, columns = known.shape[1:]
        sizes, signed = canvas(rows, columns), canvas(rows, columns)
        row = signs.row_of(around.band)
        weights = self._backend.sign_weights[row]
        values, classes = (np.zeros((rows, columns), np.int64) for _ in range(2))
        dy, dx = np.array(NEIGHBOURS, np.int64).T[:, :, None]
        for y, x in steps(GEOMETRIES["plane"], rows, columns, rows * columns):
            own = causal(sizes[UP + y + dy, LEFT + x + dx])
            here = self._backend.answer(own, known[:, y, x])
            n = signs.N_NEIGHBOURS
            lean = signs.leaning(signed[UP + y + dy[:n], LEFT + x + dx[:n]], weights)
            found = self._values((y % LANES % self._n_states).tolist(), here, row, lean)
            values[y, x], classes[y, x] = found, here
            sizes[UP + y, LEFT + x] = np.abs(found)
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


class ReferenceEncoding:
    """Writes bands with `operations.band_operations`."""

    def __init__(self, parts: Parts, n_states: int) -> None:
        self._parts, self._n_states = parts, n_states
        self._operations: list[Operations] = []

    def push(self, start: int, frequency: int, bits: int) -> None:
        lane, *told = (np.array([v], np.int64) for v in (0, start, frequency, bits))
        self._operations.append((lane, told[0], told[1], told[2]))

    def band(self, band: Subband, values: Ints, classes: Ints) -> None:
        found = band_operations(band, values, classes, self._parts, self._n_states)
        self._operations.append(found)

    def finish(self) -> bytes:
        columns = zip(*reversed(self._operations), strict=True)
        lane, start, frequency, bits = (np.concatenate(column) for column in columns)
        return encode(lane, start, frequency, bits, self._n_states)
