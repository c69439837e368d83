"""Float networks that already compute what their integer programs will.

Every layer works on activations that are integers times a power of two, with weights that are
int8 times a power of two per output channel.  Rounding happens in the forward pass and is ignored
in the backward pass (straight-through), so training sees exactly what lowering will keep.
"""

# torch comes without types here (see pyproject.toml): its classes are Any to mypy.
# mypy: disallow-subclassing-any=False
from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..engine.program import ACCUMULATOR_LIMIT
from ..models.autoencoder import LATENT_LIMITS
from .recipe import AutoencoderRecipe


@dataclass(frozen=True)
class QuantisationGrid:
    """Integers from `lo` to `hi` that stand for multiples of ``2**-bits``."""

    bits: int
    lo: int
    hi: int

    @property
    def largest(self) -> int:
        return max(abs(self.lo), abs(self.hi))


_BIAS_LIMIT = ACCUMULATOR_LIMIT // 2

HIDDEN = QuantisationGrid(6, 0, 255)  # after ReLU: 0 to almost 4
SAMPLES = QuantisationGrid(8, 0, 255)  # dense families: the data's own integers
AFFINE_IN = QuantisationGrid(6, -127, 127)  # conv families: normalised planes
AFFINE_OUT = QuantisationGrid(10, -2047, 2047)


class _OnGrid(torch.autograd.Function):
    """Nearest grid point; the gradient passes unless it leads further out of bounds."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: QuantisationGrid, relu: bool) -> Tensor:
        scale = 2.0**grid.bits
        y = (x * scale).add_(0.5).floor_().clamp_(grid.lo, grid.hi)
        ctx.save_for_backward(y)
        ctx.grid, ctx.relu = grid, relu
        return y / scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (y,), grid, grad = ctx.saved_tensors, ctx.grid, grads[0]
        stopped = (y >= grid.hi) & (grad < 0)
        below = y <= grid.lo
        stopped |= below if ctx.relu else below & (grad > 0)
        return grad.masked_fill(stopped, 0), None, None


class _OnSteps(torch.autograd.Function):
    """Nearest multiple of ``1 / scale`` of magnitude up to ``limit / scale``; straight-through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, limit: Tensor) -> Tensor:
        return (x * scale).round_().clamp_(-limit, limit).div_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0], None, None


def quantise(x: Tensor, grid: QuantisationGrid, relu: bool = False) -> Tensor:
    """Nearest point of the grid, with the rounding of programs; straight-through."""
    y: Tensor = _OnGrid.apply(x, grid, relu)
    return y


class QuantisedLayer(nn.Module):
    """A dense or conv layer on its way from one grid to another.

    Parameters
    ----------
    shape : (out, in) or (out, in, kh, kw)
    source, target : QuantisationGrid
        Of the inputs, and of the outputs after `forward`.
    stride : (int, int)
    relu : bool
    """

    exponent: Tensor
    limit: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        source: QuantisationGrid,
        target: QuantisationGrid,
        stride: tuple[int, int] = (1, 1),
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.source, self.target, self.stride, self.relu = source, target, stride, relu
        gain = 2.0 if relu else 1.0
        fan_in = math.prod(shape[1:])
        self.weight = nn.Parameter(torch.randn(shape) * math.sqrt(gain / fan_in))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.register_buffer("exponent", torch.zeros(shape[0]))
        self.register_buffer("limit", torch.zeros(shape[0]))
        self.refresh()

    def refresh(self) -> None:
        """Choose e of the weights' step ``2**-e`` per output channel, from the weights.

        The largest with which weights fit int8, accumulators stay below their limit, and the
        shift ``source.bits + e - target.bits`` lies in 1 to 31.  Where a shift of 1 is still too
        much, weights are cut to a `limit` below 127 that keeps the accumulator.
        """
        weight = self.weight.detach().double().flatten(1).abs()
        bias = self.bias.detach().double().abs() * 2.0**self.source.bits
        # Rounding adds at most half a step to each weight and to the bias.
        room = ACCUMULATOR_LIMIT - 1 - 0.5 * weight.shape[1] * self.source.largest
        reach = weight.sum(1) * self.source.largest + bias
        fits = torch.minimum(
            127.49 / weight.amax(1).clamp_min(1e-30), room / reach.clamp_min(1e-30)
        ).log2()
        offset = self.source.bits - self.target.bits
        exponent = (fits.floor() + offset).clamp(1, 31) - offset
        share = (ACCUMULATOR_LIMIT - 1 - _BIAS_LIMIT) // (weight.shape[1] * self.source.largest)
        cut = torch.full_like(exponent, min(127, share))
        self.exponent = exponent.to(self.weight)
        self.limit = torch.where(exponent > fits, cut, 127).to(self.weight)

    def integers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, biases and shifts of the program's layer."""
        weight, bias = self._rounded()
        per_channel = (-1,) + (1,) * (weight.ndim - 1)
        return (
            weight.double() * 2.0 ** self.exponent.double().reshape(per_channel),
            bias.double() * 2.0 ** (self.source.bits + self.exponent.double()),
            self.source.bits + self.exponent - self.target.bits,
        )

    def linear(self, x: Tensor) -> Tensor:
        """Weights applied, not yet rounded: the accumulator in real units."""
        weight, bias = self._rounded()
        if weight.ndim == 2:
            return F.linear(x, weight, bias)
        padding = (weight.shape[2] // 2, weight.shape[3] // 2)
        return F.conv2d(x, weight, bias, self.stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        return quantise(self.linear(x), self.target, self.relu)

    def _rounded(self) -> tuple[Tensor, Tensor]:
        per_channel = (-1,) + (1,) * (self.weight.ndim - 1)
        step, limit = 2.0 ** self.exponent.reshape(per_channel), self.limit.reshape(per_channel)
        weight: Tensor = _OnSteps.apply(self.weight, step, limit)
        bias_step = 2.0 ** (self.source.bits + self.exponent)
        bias_limit = torch.full_like(bias_step, _BIAS_LIMIT)
        bias: Tensor = _OnSteps.apply(self.bias, bias_step, bias_limit)
        return weight, bias


class AutoencoderNetwork(nn.Module):
    """Analysis and synthesis, as a recipe describes them.

    `x` is (n, samples) for dense networks and (n, 1, rows, columns) for others, a multiple of the
    input grid's step; latents are in real units, ``1 / latent_scale`` per integer.
    """

    def __init__(self, recipe: AutoencoderRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        dense = recipe.family == "dense"
        limit = LATENT_LIMITS[recipe.latent_dtype]
        self.latent_grid = QuantisationGrid(recipe.latent_scale.bit_length() - 1, -limit, limit)
        self.input_grid = SAMPLES if dense else AFFINE_IN
        self.output_grid = SAMPLES if dense else AFFINE_OUT
        self.dropout = nn.Dropout(recipe.dropout)
        inwards = recipe.hidden
        outwards = recipe.decoder or recipe.hidden[::-1]
        self.stride = _total_stride(recipe)
        n_in = math.prod(recipe.sample_shape) if dense else 1
        n_out = n_in if dense else math.prod(self.stride)
        self.analysis = _stack(
            (n_in, *inwards, recipe.latents),
            self.input_grid,
            self.latent_grid,
            _kernel(recipe, recipe.kernel),
            [_oriented(recipe, s) for s in recipe.strides] or [(1, 1)] * (len(inwards) + 1),
        )
        self.synthesis = _stack(
            (recipe.latents, *outwards, n_out),
            self.latent_grid,
            self.output_grid,
            _kernel(recipe, 3),
            [(1, 1)] * (len(outwards) + 1),
        )

    def features(self, x: Tensor) -> Tensor:
        """What the analysis' last layer sees."""
        for layer in list(self.analysis)[:-1]:
            x = self.dropout(layer(x))
        return x

    def latents(self, features: Tensor) -> Tensor:
        """Latents, in real units and not yet rounded, of what `features` returns."""
        last: Any = self.analysis[-1]
        latents: Tensor = last.linear(features)
        return latents

    def analyse(self, x: Tensor) -> Tensor:
        """Latents of samples, in real units and not yet rounded."""
        return self.latents(self.features(x))

    def refresh(self) -> None:
        """Let every layer choose its weights' step again."""
        for layer in (*self.analysis, *self.synthesis):
            layer.refresh()  # type: ignore[operator]

    def quantise_latents(self, z: Tensor) -> Tensor:
        return quantise(z, self.latent_grid)

    def synthesise(self, z: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Reconstruction from rounded latents, cut to `size` in conv families."""
        for layer in list(self.synthesis)[:-1]:
            z = self.dropout(layer(z))
        z = self.synthesis[-1](z)
        if self.recipe.family == "dense":
            return z
        z = _shuffle(z, self.stride)
        return z if size is None else z[..., : size[0], : size[1]]


def _stack(
    widths: tuple[int, ...],
    source: QuantisationGrid,
    target: QuantisationGrid,
    kernel: tuple[int, ...],
    strides: list[tuple[int, int]],
) -> nn.ModuleList:
    layers = nn.ModuleList()
    for k, (n_in, n_out) in enumerate(pairwise(widths)):
        last = k == len(widths) - 2
        grid = target if last else HIDDEN
        layers.append(
            QuantisedLayer((n_out, n_in, *kernel), source, grid, strides[k], relu=not last)
        )
        source = grid
    return layers


def _oriented(recipe: AutoencoderRecipe, n: int) -> tuple[int, int]:
    """Size `n` in both dimensions, or along time only."""
    return (1, n) if recipe.family == "conv1d" else (n, n)


def _kernel(recipe: AutoencoderRecipe, n: int) -> tuple[int, ...]:
    return () if recipe.family == "dense" else _oriented(recipe, n)


def _total_stride(recipe: AutoencoderRecipe) -> tuple[int, ...]:
    return () if recipe.family == "dense" else _oriented(recipe, math.prod(recipe.strides))


def _shuffle(x: Tensor, factor: tuple[int, ...]) -> Tensor:
    n, channels, height, width = x.shape
    fh, fw = factor
    cells = x.reshape(n, channels // (fh * fw), fh, fw, height, width)
    return cells.permute(0, 1, 4, 2, 5, 3).reshape(n, -1, height * fh, width * fw)
