"""Experts on tensors: a predictor's networks as float products that are exact.

Rounding and the shift of every layer are folded into its weights: scaling by a power of two loses
nothing, so a layer is one product, one floor and one clamp.  The columns of the first layer come in
the order in which `describe` finds its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..engine.program import ACCUMULATOR_LIMIT, Layer, Program
from ..residual.classes import limited
from ..residual.predictor import NO_NETWORK, Predictor

Tensor = Any  # torch.Tensor; mypy does not see the package
Span = tuple[int, int, int]  # expert, and the items from one on that it is for, up to another

N_LAYERS, MOST_WIDE = 3, 64  # of networks that the kernel takes: inputs, and outputs of a layer


class Experts:
    """The networks of all experts for so many references."""

    def __init__(
        self, predictor: Predictor, n_references: int, order: Sequence[int], dtype: Any, device: Any
    ) -> None:
        """`order` says which of the networks' inputs each that is given is; `dtype` as in
        `device.product_dtype`.
        """
        self.device = device
        self.n_outputs = 3 + predictor.geometry.n_gates
        networks = (predictor.network(e, n_references) for e in range(len(predictor.experts)))
        self.layers = [_layers(network, order, dtype, device) for network in networks]

    @property
    def narrow(self) -> bool:
        """Whether float32 holds all sums."""
        return all(w.dtype == torch.float32 for layers in self.layers for w, *_ in layers)

    def __call__(self, inputs: Tensor, spans: Sequence[Span]) -> Tensor:
        """Outputs (3 + gates, lanes, items) int64 for inputs (inputs, lanes, items) int64."""
        n_lanes = inputs.shape[1]
        found = [
            self.run(expert, inputs[:, :, a:b].flatten(1)).view(-1, n_lanes, b - a)
            for expert, a, b in spans
        ]
        return found[0] if len(found) == 1 else torch.cat(found, 2)

    def run(self, expert: int, x: Tensor) -> Tensor:
        """Outputs (3 + gates, samples) int64 of one expert for inputs (inputs, samples)."""
        if expert == NO_NETWORK:
            return x.new_zeros((self.n_outputs, x.shape[1]), dtype=torch.int64)
        for weight, bias, lo, hi in self.layers[expert]:
            x = torch.addmm(bias, weight, x.to(weight.dtype)).floor_().clamp_(lo, hi)
        return x.long()


def suits(predictor: Predictor) -> bool:
    """Whether the kernel takes a predictor: no pictures, and networks of three narrow layers."""
    networks = [network for networks in predictor.experts for network in networks]
    shapes = [layer.weight.shape for network in networks for layer in network.layers]
    return (
        not predictor.has_reconstruction
        and all(len(network.layers) == N_LAYERS for network in networks)
        and max(map(max, shapes)) <= MOST_WIDE
    )


def _layers(network: Program | None, order: Sequence[int], dtype: Any, device: Any) -> list[Any]:
    assert network is not None
    largest = max(-network.input_lo, network.input_hi)
    found: list[Any] = []
    for i, layer in enumerate(network.layers):
        weight = layer.weight[:, list(order)] if i == 0 else layer.weight
        held = dtype if _fits(layer, largest) else torch.float64
        half = 1 << (layer.shift.astype(np.int64) - 1)
        scale = 0.5 ** layer.shift.astype(np.float64)[:, None]
        lo, hi = (np.full((len(weight), 1), limit) for limit in (layer.lo, layer.hi))
        if layer is network.layers[-1]:
            most = limited(np.full((len(weight), 1), ACCUMULATOR_LIMIT))
            lo, hi = np.clip(lo, -most, most), np.clip(hi, -most, most)
        parts = (weight * scale, (layer.bias + half)[:, None] * scale, lo, hi)
        found.append([torch.from_numpy(np.ascontiguousarray(p)).to(device, held) for p in parts])
        largest = max(-layer.lo, layer.hi)
    return found


def _fits(layer: Layer, largest: int) -> bool:
    """Whether float32 holds every partial sum, rounding included."""
    weight, bias, shift = (p.astype(np.int64) for p in (layer.weight, layer.bias, layer.shift))
    sums = np.abs(weight).sum(1) * largest + np.abs(bias) + (1 << (shift - 1))
    return bool(sums.max() < ACCUMULATOR_LIMIT)
