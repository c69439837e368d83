"""The compiled twin of the reference backend: the same classes and values, without the GIL."""

from __future__ import annotations

import numpy as np

from .. import _native
from ..entropy.tables import starts
from ..residual.fixed import LOG_TABLE, Ints
from ..residual.schedule import n_states
from . import signs
from .backend import Parts
from .bands import Band
from .contexts import Inputs, Mask, Surroundings
from .operations import Operations


class NativeBackend:
    """Codes bands in compiled code."""

    def __init__(self, parts: Parts) -> None:
        parts.network.check()
        layers = [
            (
                np.ascontiguousarray(layer.weight),
                np.ascontiguousarray(layer.bias),
                np.ascontiguousarray(layer.shift),
                layer.lo,
                layer.hi,
            )
            for layer in parts.network.layers
        ]
        tables = np.ascontiguousarray(parts.tables)
        sign_tables = np.ascontiguousarray(parts.sign_tables)
        self.model = _native.TransformModel(layers, tables, sign_tables, LOG_TABLE)
        self._frequencies = (tables, starts(tables), sign_tables)
        self.means = _native.RansTables(np.ascontiguousarray(parts.means))
        self.n_mean_symbols = parts.means.shape[1]
        self.sign_weights = parts.sign_weights.astype(np.int64)

    def split(self, plane: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """`lifting.split`."""
        parts: tuple[Ints, Ints, Ints, Ints] = _native.wavelet_split(np.ascontiguousarray(plane))
        return parts

    def join(self, low: Ints, horizontal: Ints, vertical: Ints, diagonal: Ints) -> Ints:
        """`lifting.join`."""
        plane: Ints = _native.wavelet_join(low, horizontal, vertical, diagonal)
        return plane

    def known(self, s: Surroundings) -> Inputs:
        """`contexts.known`."""
        inputs: Inputs = self.model.known(
            s.band.rows, s.band.columns, s.parent, list(s.siblings), list(s.earlier), s.low, s.step
        )
        return inputs

    def classify(self, known: Inputs, magnitudes: Ints, wanted: Mask | None = None) -> Ints:
        """Class of every coefficient of a band, or of those wanted; the others 0."""
        if wanted is None:
            wanted = np.ones(magnitudes.shape, np.bool_)
        classes: Ints = self.model.classify(
            known, np.ascontiguousarray(magnitudes), np.ascontiguousarray(wanted)
        )
        return classes

    def operations(self, band: Band, values: Ints, classes: Ints, n_states: int) -> Operations:
        """`operations.band_operations`."""
        row = signs.row_of(band)
        found: Operations = _native.transform_operations(
            np.ascontiguousarray(values),
            np.ascontiguousarray(classes),
            *self._frequencies,
            row,
            self.sign_weights[row],
            n_states,
        )
        return found

    def decoding(self, data: bytes, n_samples: int) -> NativeDecoding:
        """Start reading a stream."""
        return NativeDecoding(self, data, n_samples)


class NativeDecoding:
    """Reads bands with `NativeBackend`."""

    def __init__(self, backend: NativeBackend, data: bytes, n_samples: int) -> None:
        self._backend = backend
        self._n_states = n_states(n_samples)
        self._decoder = _native.RansDecoder(np.frombuffer(data, np.uint8), self._n_states)

    def raw(self, bits: int) -> int:
        """The next raw bits, from the first state."""
        value: int = self._decoder.pop_raw(0, bits)
        return value

    def symbol(self, table: int) -> int:
        """The next symbol of a table of means, from the first state."""
        zero, which = np.zeros(1, np.int64), np.array([table], np.int64)
        n = self._backend.n_mean_symbols
        found, _ = self._decoder.pop(
            self._backend.means, zero, which, n, n - 1, np.zeros(n, np.int64)
        )
        return int(found[0])

    def band(self, band: Band, known: Inputs) -> tuple[Ints, Ints]:
        """Values and classes, (rows, columns) each, of the next band."""
        row = signs.row_of(band)
        values, classes = self._backend.model.decode(
            self._decoder, known, self._n_states, row, self._backend.sign_weights[row]
        )
        return values, classes

    def finish(self) -> None:
        """Check that the stream ends here; `CodecError` otherwise."""
        self._decoder.finish()
