"""Programs: networks lowered to integers, the same everywhere (FORMAT.md, "Programs").

A program is a list of layers over int32 values.  A weighted layer computes, per output channel,

    acc = bias + sum(weight * input)        out = clamp((acc + 2**(shift - 1)) >> shift, lo, hi)

with a shift that floors.  `Program.check` proves from the weights alone that no partial sum of
any accumulator reaches 2**24, in any order of summation.  So int32 arithmetic, int8 dot products
and float32 matrix products all give the same integers, and engines may be compared with ``==``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelError

ACCUMULATOR_LIMIT = 1 << 24  # float32 holds every integer up to here
OPS = ("dense", "conv", "shuffle")

Tensors = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Layer:
    """One step of a program.

    Attributes
    ----------
    op : {"dense", "conv", "shuffle"}
        "conv" is a cross-correlation with odd kernel, zero padding of ``k // 2`` on every side
        and output size ``ceil(size / stride)``.  "shuffle" moves channels to space: channel
        ``(c * fh + i) * fw + j`` becomes position ``(i, j)`` of each ``fh`` by ``fw`` cell of
        channel ``c``; it has no weights.
    weight : ndarray of int8
        (out, in) for "dense", (out, in, kh, kw) for "conv"; kh is 1 in networks over tracks.
    bias : ndarray of int32, (out,)
    shift : ndarray of uint8, (out,), each 1 to 31
    lo, hi : int
        Bounds of the output.
    stride : (int, int)
        Of a "conv": rows, columns.
    factor : (int, int)
        Of a "shuffle": rows, columns.
    """

    op: str
    weight: npt.NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    bias: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    shift: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    lo: int = 0
    hi: int = 0
    stride: tuple[int, int] = (1, 1)
    factor: tuple[int, int] = (1, 1)


@dataclass(frozen=True, eq=False)
class Program:
    """Layers, and the range of integers that may enter.

    Attributes
    ----------
    layers : tuple of Layer
    input_lo, input_hi : int
        Smallest and largest input; engines refuse others.
    input_shape : (channels,) or (channels, None, None)
        Shape of one item: a vector for dense programs, channels of planes of any size otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> from latrans.engine import select
    >>> from latrans.engine.program import Layer, Program
    >>> half = Layer("dense", np.array([[1]], np.int8), np.array([0], np.int32),
    ...              np.array([1], np.uint8), lo=0, hi=255)
    >>> program = Program((half,), 0, 255, (1,))
    >>> program.check()
    >>> select("reference").run(program, np.array([[7], [10]], np.int32)).tolist()
    [[4], [5]]
    """

    layers: tuple[Layer, ...]
    input_lo: int
    input_hi: int
    input_shape: tuple[int | None, ...]

    @property
    def output_channels(self) -> int:
        channels = self.input_shape[0] or 0
        for layer in self.layers:
            channels = _output_channels(layer, channels)
        return channels

    @property
    def output_range(self) -> tuple[int, int]:
        """Smallest and largest integer that can come out."""
        weighted = [layer for layer in self.layers if layer.op != "shuffle"]
        if not weighted:
            return self.input_lo, self.input_hi
        return weighted[-1].lo, weighted[-1].hi

    def check(self) -> None:
        """Prove that shapes agree and that accumulators stay below 2**24.

        Raises
        ------
        ModelError
            Naming the layer and what is wrong with it.
        """
        dense = len(self.input_shape) == 1
        channels = self.input_shape[0]
        if not isinstance(channels, int) or channels < 1:
            raise ModelError(f"program input has shape {self.input_shape}; expected channels >= 1")
        if not dense and self.input_shape[1:] != (None, None):
            raise ModelError(
                f"program input has shape {self.input_shape}; expected (C,) or (C, None, None)"
            )
        _check_range("program input", self.input_lo, self.input_hi)
        largest = max(abs(self.input_lo), abs(self.input_hi))
        for index, layer in enumerate(self.layers):
            where = f"program layer {index} ({layer.op})"
            if layer.op not in OPS or (layer.op == "dense") != dense:
                kind = "vectors" if dense else "planes"
                raise ModelError(f"{where} is not an operation on {kind}; expected one of {OPS}")
            if layer.op == "shuffle":
                fh, fw = layer.factor
                if fh < 1 or fw < 1 or channels % (fh * fw):
                    raise ModelError(f"{where}: factor {layer.factor} does not divide {channels}")
            else:
                _check_weighted(where, layer, channels, largest)
                largest = max(abs(layer.lo), abs(layer.hi))
            channels = _output_channels(layer, channels)

    def to_tensors(self, prefix: str) -> tuple[Tensors, dict[str, Any]]:
        """Tensors named ``prefix.index.part``, and a JSON-ready description of the rest."""
        tensors: Tensors = {}
        layers: list[dict[str, Any]] = []
        for index, layer in enumerate(self.layers):
            if layer.op == "shuffle":
                layers.append({"op": "shuffle", "factor": list(layer.factor)})
                continue
            entry: dict[str, Any] = {"op": layer.op, "lo": layer.lo, "hi": layer.hi}
            if layer.op == "conv":
                entry["stride"] = list(layer.stride)
            layers.append(entry)
            for part in ("weight", "bias", "shift"):
                tensors[f"{prefix}.{index}.{part}"] = getattr(layer, part)
        spec = {
            "input": [self.input_lo, self.input_hi],
            "input_shape": list(self.input_shape),
            "layers": layers,
        }
        return tensors, spec

    @classmethod
    def from_tensors(
        cls, prefix: str, tensors: Mapping[str, npt.NDArray[Any]], spec: Any
    ) -> Program:
        """Inverse of `to_tensors`; the result is checked.

        Raises
        ------
        ModelError
            If anything is missing, of the wrong kind, or cannot be proven to be exact.
        """
        where = f"program {prefix!r}"
        lo, hi = _integers(spec, "input", 2, where)
        shape = spec.get("input_shape")
        if not isinstance(shape, list) or type(shape[0] if shape else None) is not int:
            raise ModelError(f"{where} has input_shape {shape!r}; expected [C] or [C, null, null]")
        entries = spec.get("layers")
        if not isinstance(entries, list):
            raise ModelError(f"{where} has no list of layers")
        layers = []
        for index, entry in enumerate(entries):
            at = f"{where} layer {index}"
            op = entry.get("op") if isinstance(entry, dict) else None
            if op == "shuffle":
                fh, fw = _integers(entry, "factor", 2, at)
                layers.append(Layer("shuffle", factor=(fh, fw)))
                continue
            if op not in OPS:
                raise ModelError(f"{at} has operation {op!r}; expected one of {OPS}")
            parts: dict[str, Any] = {}
            for part, dtype in (("weight", np.int8), ("bias", np.int32), ("shift", np.uint8)):
                tensor = tensors.get(f"{prefix}.{index}.{part}")
                if tensor is None or tensor.dtype != dtype:
                    found = "nothing" if tensor is None else tensor.dtype
                    raise ModelError(f"{at}: {part} is {found}; expected {np.dtype(dtype)}")
                parts[part] = np.ascontiguousarray(tensor)
            sh, sw = _integers(entry, "stride", 2, at) if op == "conv" else (1, 1)
            (lower,), (upper,) = (_integers(entry, key, None, at) for key in ("lo", "hi"))
            layers.append(Layer(op, **parts, lo=lower, hi=upper, stride=(sh, sw)))
        program = cls(tuple(layers), lo, hi, tuple(shape))
        program.check()
        return program


def _output_channels(layer: Layer, channels: int) -> int:
    if layer.op == "shuffle":
        return channels // (layer.factor[0] * layer.factor[1])
    return int(layer.weight.shape[0])


def _check_range(where: str, lo: int, hi: int) -> None:
    if not -ACCUMULATOR_LIMIT < lo <= hi < ACCUMULATOR_LIMIT:
        raise ModelError(f"{where} has range {lo} to {hi}; expected lo <= hi within 24 bits")


def _check_weighted(where: str, layer: Layer, channels: int, largest: int) -> None:
    weight = layer.weight
    ndim = 2 if layer.op == "dense" else 4
    if weight.ndim != ndim or weight.shape[0] < 1 or weight.shape[1] != channels:
        raise ModelError(
            f"{where} has weights of shape {weight.shape}; expected {ndim} dimensions and "
            f"{channels} inputs"
        )
    types = (weight.dtype, layer.bias.dtype, layer.shift.dtype)
    if types != (np.dtype(np.int8), np.dtype(np.int32), np.dtype(np.uint8)):
        raise ModelError(f"{where} has types {types}; expected int8, int32, uint8")
    n_out = weight.shape[0]
    if layer.bias.shape != (n_out,) or layer.shift.shape != (n_out,):
        raise ModelError(f"{where}: bias and shift need shape ({n_out},)")
    if layer.shift.min() < 1 or layer.shift.max() > 31:
        raise ModelError(f"{where} shifts by {layer.shift.min()} to {layer.shift.max()}, not 1..31")
    if layer.op == "conv" and (min(layer.stride) < 1 or not all(k % 2 for k in weight.shape[2:])):
        raise ModelError(f"{where}: stride {layer.stride}, weights {weight.shape}; need odd kernel")
    _check_range(where, layer.lo, layer.hi)
    # Bounds every partial sum in every order: no term can be larger than its absolute value.
    magnitude = np.abs(weight.astype(np.int64)).reshape(n_out, -1).sum(1)
    bound = magnitude * largest + np.abs(layer.bias.astype(np.int64))
    if bound.max() >= ACCUMULATOR_LIMIT:
        raise ModelError(
            f"{where}: the accumulator of channel {int(bound.argmax())} may reach "
            f"{int(bound.max())}; exact arithmetic needs it below {ACCUMULATOR_LIMIT}"
        )


def _integers(spec: Any, key: str, n: int | None, where: str) -> tuple[int, ...]:
    """`n` integers of a list entry, or one plain integer where `n` is None."""
    value = spec.get(key) if isinstance(spec, dict) else None
    values = [value] if n is None else value
    if isinstance(values, list) and len(values) == (n or 1):
        numbers = tuple(v for v in values if type(v) is int and abs(v) <= 1 << 31)
        if len(numbers) == len(values):
            return numbers
    raise ModelError(f"{where} has {key} = {value!r}; expected {n or 1} integers")
