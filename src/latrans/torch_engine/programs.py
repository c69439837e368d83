"""Programs on tensors: the integers of `engine.reference`, many inputs in one product.

A dense layer is a matrix product, and a convolution one too, of the windows of its input laid out
side by side: what a library would make of it (Winograd, FFT) is not exact.  Products are of int8
where the device has them and the inputs fit, of float32 otherwise; `Program.check` proves that no
partial sum of either reaches 2**24.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch

from ..engine.program import Layer, Program
from ..engine.reference import check_input
from .batching import batched
from .device import int8_products, product_dtype, room, to_device, to_host

_WIDTH = 8  # cuBLAS takes int8 matrices whose sides are multiples of it,
_LEAST_ROWS = 32  # and no fewer rows than 17

Prepared = dict[tuple[torch.device, bool, torch.dtype], "list[Weights | Layer]"]
_prepared: WeakKeyDictionary[Program, Prepared] = WeakKeyDictionary()


def run(device: torch.device, program: Program, x: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Run a program on (N, C) or (N, C, H, W) integers, along with calls of other threads."""
    x = check_input(program, x)
    return batched(("program", program, device, x.shape[1:]), partial(run_many, device, program), x)


def run_many(
    device: torch.device,
    program: Program,
    inputs: Sequence[npt.NDArray[np.int32]],
    int8: bool | None = None,
) -> list[npt.NDArray[np.int32]]:
    """Results of several inputs, alike but for their number of items, in one go.

    `int8` says whether int8 products are taken where inputs fit: by default as the device likes.
    """
    x = to_device(np.concatenate(inputs) if len(inputs) > 1 else inputs[0], device)
    y = run_tensor(program, x, int8)
    (whole,) = to_host([y])
    ends = np.cumsum([len(part) for part in inputs])[:-1]
    return np.split(whole, ends)


def run_tensor(program: Program, x: torch.Tensor, int8: bool | None = None) -> torch.Tensor:
    """Run a program on int32 of (N, C) or (N, C, H, W) that lie in its range; int32 again."""
    for step in _steps(program, x.device, int8):
        if isinstance(step, Layer):
            x = _shuffle(step, x)
        elif step.kernel:
            x = _conv(step, x)
        else:
            x = torch.cat([step.apply(piece) for piece in x.split(step.rows_at_once)])
    return x


@dataclass(frozen=True)
class Weights:
    """A weighted layer as a matrix product on one device.

    Attributes
    ----------
    layer : Layer
    matrix : (inputs, outputs) of the type of its products.
    bias, half, shift : (outputs,) int32; `half` is what makes the shift round.
    offset : int
        Taken from inputs, so that bytes fit int8; the bias gives it back.
    """

    layer: Layer
    matrix: torch.Tensor
    bias: torch.Tensor
    half: torch.Tensor
    shift: torch.Tensor
    offset: int

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.layer.weight.shape[2:]

    @property
    def n_outputs(self) -> int:
        return len(self.bias)

    @property
    def rows_at_once(self) -> int:
        """Rows of inputs that one product takes."""
        # Inputs in the type of the product, sums, and those in int32 twice.
        each = self.matrix.shape[0] * self.matrix.element_size() + 16 * self.n_outputs
        return max(_LEAST_ROWS, room(self.matrix.device) // each)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (rows, outputs) of inputs (rows, inputs), both int32."""
        layer, n = self.layer, len(x)
        if self.matrix.dtype == torch.int8:
            narrow = (x - self.offset).to(torch.int8)
            wide = self.matrix.shape[0] - x.shape[1]
            short = max(0, _LEAST_ROWS - n)
            if wide or short:
                narrow = torch.nn.functional.pad(narrow, (0, wide, 0, short))
            sums = torch._int_mm(narrow, self.matrix)[:n, : self.n_outputs]
        else:
            sums = (x.to(self.matrix.dtype) @ self.matrix).to(torch.int32)
        # Up to 2**24 + 2**30: int32 is wide enough.
        rounded = (sums + self.bias + self.half) >> self.shift
        return rounded.clamp_(layer.lo, layer.hi)


def _steps(program: Program, device: torch.device, int8: bool | None) -> list[Weights | Layer]:
    """Layers of a program laid out for a device, once."""
    ready = _prepared.setdefault(program, {})
    key = (device, int8_products(device) if int8 is None else int8, product_dtype(device))
    # Two threads that meet here both lay it out, and one of two equal results stays.
    if key not in ready:
        program.check()
        ready[key] = list(_laid_out(program, *key))
    return ready[key]


def _laid_out(
    program: Program, device: torch.device, int8: bool, dtype: torch.dtype
) -> Iterator[Weights | Layer]:
    lo, hi = program.input_lo, program.input_hi
    for layer in program.layers:
        if layer.op == "shuffle":
            yield layer
            continue
        offset = 128 if lo >= 0 else 0
        fits = int8 and lo - offset >= -128 and hi - offset <= 127
        yield _weights(layer, device, torch.int8 if fits else dtype, offset * fits)
        lo, hi = layer.lo, layer.hi


def _weights(layer: Layer, device: torch.device, dtype: torch.dtype, offset: int) -> Weights:
    outputs = len(layer.weight)
    matrix = layer.weight.reshape(outputs, -1).T
    bias = layer.bias.astype(np.int64) + offset * matrix.sum(0, dtype=np.int64)
    if dtype == torch.int8:
        sides = [(0, -n % _WIDTH) for n in matrix.shape]
        matrix = np.pad(matrix, sides)
    shift = layer.shift.astype(np.int32)
    numbers = (bias.astype(np.int32), np.int32(1) << (shift - 1), shift)
    weight, *others = (to_device(values, device) for values in (matrix, *numbers))
    # cuBLAS takes the second matrix of int8 column after column.
    laid = weight.to(dtype).t().contiguous().t()
    return Weights(layer, laid, others[0], others[1], others[2], offset)


def _conv(step: Weights, x: torch.Tensor) -> torch.Tensor:
    (kh, kw), (sh, sw) = step.kernel, step.layer.stride
    n, channels, height, width = x.shape
    rows, columns = -(-height // sh), -(-width // sw)
    out = x.new_empty((n, step.n_outputs, rows, columns))
    if not out.numel():
        return out
    padded = torch.nn.functional.pad(x, (kw // 2, kw // 2, kh // 2, kh // 2))
    # (N, C, rows, columns, kh, kw), a view.
    windows = padded.unfold(2, kh, sh).unfold(3, kw, sw)
    some = max(1, step.rows_at_once // columns)  # rows of pixels at once
    items = max(1, some // rows)
    for first in range(0, n, items):
        for top in range(0, rows, some):
            here = windows[first : first + items, :, top : top + some]
            flat = here.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels * kh * kw)
            found = step.apply(flat).reshape(len(here), -1, columns, step.n_outputs)
            out[first : first + items, :, top : top + some] = found.permute(0, 3, 1, 2)
    return out


def _shuffle(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    n, channels, height, width = x.shape
    fh, fw = layer.factor
    cells = x.reshape(n, channels // (fh * fw), fh, fw, height, width)
    spread = cells.permute(0, 1, 4, 2, 5, 3)
    return spread.reshape(n, channels // (fh * fw), height * fh, width * fw)
