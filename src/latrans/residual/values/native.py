"""The compiled twin of the value coder: the same classes, bytes and values, faster."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ... import _native
from ...coding.schedule import n_states
from ...engine.program import Program
from ...errors import ConfigError, ModelError
from .coder import RECONSTRUCTION, TAPS, ValueCoder, ValuePredictor

Array = npt.NDArray[Any]


class NativeValueCoder:
    """Codes items in compiled code; raises `ModelError` for predictors that it cannot take.

    `kernel` names one of `native.kernels()`; without it the fastest that runs here is used.
    """

    def __init__(self, predictor: ValuePredictor, kernel: str = "") -> None:
        self.predictor = predictor
        network = predictor.network
        network.check()
        if any(layer.op != "dense" for layer in network.layers):
            raise ModelError("predictor does not suit the compiled coder: a layer is not dense")
        tables = np.ascontiguousarray(predictor.tables)
        try:
            self.compiled = _native.ValueModel(
                predictor.shape, TAPS, RECONSTRUCTION, _layers(network), tables, kernel
            )
        except ValueError as error:
            raise ModelError(f"predictor does not suit the compiled coder: {error}") from error

    def encode(self, items: Array, reconstructions: Array) -> bytes:
        """The residual section of items and their reconstructions, both 0 to 255."""
        data: bytes = self.compiled.encode(
            _bytes(items), _bytes(reconstructions), n_states(items.size)
        )
        return data

    def classes(self, items: Array, reconstructions: Array) -> Array:
        """Class of every pixel, (items, rows, columns)."""
        found: Array = self.compiled.classify(_bytes(items), _bytes(reconstructions))
        return found.astype(np.int64)

    def decode(self, section: bytes, reconstructions: Array) -> Array:
        """Inverse of `encode`: (items, rows, columns) int64."""
        data = np.frombuffer(section, np.uint8)
        decoder = _native.RansDecoder(data, n_states(reconstructions.size))
        items: Array = self.compiled.decode(decoder, _bytes(reconstructions))
        decoder.finish()
        return items.astype(np.int64)


def chunk_coder(
    coder: ValueCoder,
    analysis: Program,
    synthesis: Program,
    tables: npt.NDArray[np.uint16],
    limit: int,
) -> Any:
    """What codes chunks of one item each, many at a time; None if this model does not suit.

    Its ``encode(items)`` takes (items, rows, columns) uint8 and returns a latents and a residual
    section of each, its ``decode`` the inverse.  `tables` are those of latents, none of which
    lies beyond +-`limit`.
    """
    if not isinstance(coder, NativeValueCoder):
        return None
    programs = []
    for program in (analysis, synthesis):
        program.check()
        if any(layer.op != "dense" for layer in program.layers):
            return None
        programs.append((_layers(program), program.input_lo, program.input_hi))
    try:
        return _native.ValueChunks(coder.compiled, *programs, np.ascontiguousarray(tables), limit)
    except ValueError:
        return None


def _layers(program: Program) -> list[Any]:
    return [
        (*map(np.ascontiguousarray, (layer.weight, layer.bias, layer.shift)), layer.lo, layer.hi)
        for layer in program.layers
    ]


def _bytes(values: Array) -> npt.NDArray[np.uint8]:
    if values.size and not 0 <= int(values.min()) <= int(values.max()) <= 255:
        raise ConfigError(f"values from {values.min()} to {values.max()} are not all bytes")
    return np.ascontiguousarray(values, np.uint8)
