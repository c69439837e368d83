"""The compiled twin of the reference backend: the same bytes and values, without the GIL.

Planes and coefficients are 32 bits wide wherever they provably fit, else 64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _native
from ..coding.fixed_point import LOG_TABLE, Ints
from ..coding.schedule import n_states
from . import predict, signs
from .bands import LOW, VERTICAL, Subband
from .contexts import Mask, Surroundings
from .protocol import Decoding, Encoding, Parts
from .quantise import LAMBDA

_NARROW: int = _native.WAVELET_NARROW  # magnitudes of pictures of 32 bits
_NARROW_STEP = 1 << 30
_NARROW_WEIGHTS = 1 << 13  # of a prediction in 32 bits


class NativeBackend:
    """Codes bands in compiled code.

    `cpu` names the instruction set, as `LATRANS_CPU` does; by default what that says.
    """

    def __init__(self, parts: Parts, cpu: str = "") -> None:
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
        self.model = _native.TransformModel(
            layers,
            np.ascontiguousarray(parts.tables),
            np.ascontiguousarray(parts.sign_tables),
            np.ascontiguousarray(parts.sign_weights),
            np.ascontiguousarray(parts.centroids),
            LAMBDA / 32 * parts.costs,
            np.ascontiguousarray(parts.prediction),
            LOG_TABLE,
            cpu,
        )
        self.means = _native.RansTables(np.ascontiguousarray(parts.means))
        weights = np.abs(parts.prediction.astype(np.int64)).sum(1)
        self._narrow = int(weights.max()) <= _NARROW_WEIGHTS

    def working_dtype(self, largest: int) -> type[np.signedinteger[Any]]:
        """The type that planes of such magnitudes should have."""
        return np.int32 if self._narrow and largest <= _NARROW else np.int64

    def split(self, plane: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """`lifting.split`."""
        parts: tuple[Ints, Ints, Ints, Ints] = _native.wavelet_split(self._fitting(plane))
        return parts

    def join(self, low: Ints, horizontal: Ints, vertical: Ints, diagonal: Ints) -> Ints:
        """`lifting.join`."""
        parts = [self._fitting(part) for part in (low, horizontal, vertical, diagonal)]
        dtype = np.result_type(*parts)
        plane: Ints = _native.wavelet_join(*(part.astype(dtype, copy=False) for part in parts))
        return plane

    def classify(
        self, around: Surroundings, code: int, magnitudes: Ints, wanted: Mask | None = None
    ) -> Ints:
        """Class of every coefficient of a band, or of those wanted; the others 0."""
        classes: Ints = self.model.classify(
            *self.placed(around, code),
            np.ascontiguousarray(magnitudes, np.int64),
            None if wanted is None else np.ascontiguousarray(wanted),
        )
        return classes

    def quantise(self, around: Surroundings, coefficients: Ints) -> tuple[int, int, Ints, Ints]:
        """Gain, code, values and classes of a band: `choice.Chooser`."""
        rows, columns, told, constants = self.placed(around, 0)
        low, given = told[3], np.ascontiguousarray(coefficients)
        if low is not None and low.dtype != given.dtype:
            low, given = low.astype(np.int64), given.astype(np.int64)
            told = (*told[:3], low, told[4])
        band = around.band
        found: tuple[int, int, Ints, Ints] = self.model.quantise(
            rows, columns, told, constants, band.kind == LOW, given, *_prediction(band)
        )
        return found

    def restore(self, around: Surroundings, gain: int, values: Ints, classes: Ints) -> Ints:
        """Coefficients of a band."""
        low = None if around.low is None else self._fitting(around.low)
        found: Ints = self.model.restore(
            values, classes, low, *_prediction(around.band), gain, around.step
        )
        return found

    def decoding(self, data: bytes, n_samples: int) -> Decoding:
        """Start reading a stream."""
        return NativeDecoding(self, data, n_samples)

    def encoding(self, n_samples: int) -> Encoding:
        """Start writing a stream."""
        return NativeEncoding(self, n_samples)

    def placed(self, around: Surroundings, code: int) -> tuple[int, int, Any, Any]:
        """A band's size, surroundings and constant inputs, as compiled code takes them."""
        low = around.low
        if low is not None:
            low = self._fitting(low)
            if around.step > _NARROW_STEP:
                low = low.astype(np.int64, copy=False)
        told = (_told(around.parent), [_told(s) for s in around.siblings],
                [_told(e) for e in around.earlier], low, around.step)  # fmt: skip
        return around.band.rows, around.band.columns, told, around.constants(code)

    def _fitting(self, plane: Ints) -> Ints:
        """The plane, as wide as it has to be."""
        plane = np.ascontiguousarray(plane)
        dtype = self.working_dtype(_native.largest_magnitude(plane))
        return plane.astype(dtype, copy=False)


def _told(values: Any) -> Any:
    """Values of a band as compiled code takes them; larger ones than any that is coded are cut."""
    if values is None or values.dtype == np.int32:
        return values
    return np.ascontiguousarray(np.clip(values, -(1 << 24), 1 << 24), np.int32)


def _prediction(band: Subband) -> tuple[int, bool]:
    """Which row of weights predicts a band, -1 for none, and whether along columns."""
    row = min(band.level, predict.N_LEVELS) - 1 if predict.is_predicted(band) else -1
    return row, band.kind == VERTICAL


class NativeDecoding:
    """Reads bands with `NativeBackend`."""

    def __init__(self, backend: NativeBackend, data: bytes, n_samples: int) -> None:
        self._backend = backend
        self._decoder = _native.RansDecoder(np.frombuffer(data, np.uint8), n_states(n_samples))

    def raw(self, bits: int) -> int:
        """The next raw bits, from the first state."""
        value: int = self._decoder.pop_raw(0, bits)
        return value

    def symbol(self, table: int) -> int:
        """The next symbol of a table of means, from the first state."""
        value: int = self._decoder.pop_symbol(self._backend.means, 0, table)
        return value

    def band(self, around: Surroundings, code: int) -> tuple[Ints, Ints]:
        """Values and classes, (rows, columns) each, of the next band."""
        found: tuple[Ints, Ints] = self._backend.model.read(
            self._decoder, *self._backend.placed(around, code), signs.row_of(around.band)
        )
        return found

    def finish(self) -> None:
        """Check that the stream ends here; `CodecError` otherwise."""
        self._decoder.finish()


class NativeEncoding:
    """Writes bands with `NativeBackend`."""

    def __init__(self, backend: NativeBackend, n_samples: int) -> None:
        self._backend = backend
        self._writer = _native.TransformWriter(n_states(n_samples))

    def push(self, start: int, frequency: int, bits: int) -> None:
        """An interval of 2**bits, on the first state."""
        self._writer.push(start, frequency, bits)

    def band(self, band: Subband, values: Ints, classes: Ints) -> None:
        """A band's values."""
        self._backend.model.write(self._writer, values, classes, signs.row_of(band))

    def finish(self) -> bytes:
        """The whole stream."""
        data: bytes = self._writer.finish()
        return data
