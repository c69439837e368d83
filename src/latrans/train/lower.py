"""Lowering: the one place where trained floats become the integers of programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..engine.program import Layer, Program
from ..models import autoencoder
from . import networks


def lower(network: networks.AutoencoderNetwork) -> autoencoder.Autoencoder:
    """The integer programs of a network, proven exact.

    In float64 the network's forward pass gives the programs' integers times their step; in
    float32 it does so too, except where a sum ends within 2**-24 of a rounding edge.

    Raises
    ------
    ModelError
        If an accumulator could reach its limit; `networks.QuantisedLayer` chooses steps that
        prevent it.
    """
    recipe = network.recipe
    dense = recipe.family == "dense"
    network.refresh()
    analysis = _program(network.analysis, network.input_grid, dense)
    synthesis = _program(network.synthesis, network.latent_grid, dense)
    if not dense:
        shuffle = Layer("shuffle", factor=(network.stride[0], network.stride[1]))
        synthesis = Program((*synthesis.layers, shuffle), *_range(network.latent_grid), (
            recipe.latents, None, None,
        ))  # fmt: skip
    rows_columns = recipe.sample_shape
    lowered = autoencoder.Autoencoder(
        analysis,
        synthesis,
        kind="dense" if dense else "conv",
        sample_shape=(rows_columns[0], rows_columns[1]) if dense else None,
        stride=network.stride,
        latent_dtype=recipe.latent_dtype,
    )
    analysis.check()
    synthesis.check()
    lowered.check()
    return lowered


def _program(layers: Iterable[Any], source: networks.QuantisationGrid, dense: bool) -> Program:
    lowered = []
    channels = 0
    for layer in layers:
        weight, bias, shift = (part.detach().numpy() for part in layer.integers())
        channels = channels or weight.shape[1]
        lowered.append(
            Layer(
                "dense" if dense else "conv",
                weight.astype(np.int8),
                bias.astype(np.int32),
                shift.astype(np.uint8),
                *_range(layer.target),
                stride=layer.stride,
            )
        )
    return Program(
        tuple(lowered), *_range(source), (channels,) if dense else (channels, None, None)
    )


def _range(grid: networks.QuantisationGrid) -> tuple[int, int]:
    return grid.lo, grid.hi
