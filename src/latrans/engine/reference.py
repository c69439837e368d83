"""The definition of a program's result, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from .program import Layer, Program


def run(program: Program, x: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Run a program on (N, C) or (N, C, H, W) integers; returns int32."""
    x = check_input(program, x)
    for layer in program.layers:
        x = _STEPS[layer.op](layer, x)
    return x


def check_input(program: Program, x: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """`x` as contiguous int32, or `ConfigError` if the program does not take it."""
    expected = (None, *program.input_shape)
    fits = x.ndim == len(expected) and x.shape[1] == program.input_shape[0]
    if not fits or not np.issubdtype(x.dtype, np.integer):
        raise ConfigError(
            f"program input is {x.dtype} of shape {x.shape}; expected integers of shape {expected}"
        )
    if x.size and (x.min() < program.input_lo or x.max() > program.input_hi):
        raise ConfigError(
            f"program input lies in {x.min()} to {x.max()}; "
            f"expected {program.input_lo} to {program.input_hi}"
        )
    return np.ascontiguousarray(x, np.int32)


def _requantise(acc: npt.NDArray[np.float64], layer: Layer) -> npt.NDArray[np.int32]:
    per_channel = (-1,) + (1,) * (acc.ndim - 2)
    shift = layer.shift.astype(np.int64).reshape(per_channel)
    rounded = (acc.astype(np.int64) + (1 << (shift - 1))) >> shift
    out: npt.NDArray[np.int32] = np.clip(rounded, layer.lo, layer.hi).astype(np.int32)
    return out


# float64 carries these sums exactly (they stay below 2**24) and is what NumPy multiplies fast.


def _dense(layer: Layer, x: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    acc = x.astype(np.float64) @ layer.weight.T.astype(np.float64)
    return _requantise(acc + layer.bias, layer)


def _conv(layer: Layer, x: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    n_out, _, kh, kw = layer.weight.shape
    (sh, sw), (height, width) = layer.stride, x.shape[2:]
    rows, columns = -(-height // sh), -(-width // sw)
    padding = ((0, 0), (0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2))
    padded = np.pad(x, padding).astype(np.float64)
    weight = layer.weight.astype(np.float64)
    acc = np.zeros((n_out, x.shape[0], rows, columns))
    for i in range(kh):
        for j in range(kw):
            tap = padded[:, :, i : i + height : sh, j : j + width : sw]
            acc += np.tensordot(weight[:, :, i, j], tap, (1, 1))
    return _requantise(acc.swapaxes(0, 1) + layer.bias[:, None, None], layer)


def _shuffle(layer: Layer, x: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    n, channels, height, width = x.shape
    fh, fw = layer.factor
    cells = x.reshape(n, channels // (fh * fw), fh, fw, height, width)
    spread = np.ascontiguousarray(cells.transpose(0, 1, 4, 2, 5, 3))
    return spread.reshape(n, channels // (fh * fw), height * fh, width * fw)


_STEPS = {"dense": _dense, "conv": _conv, "shuffle": _shuffle}
