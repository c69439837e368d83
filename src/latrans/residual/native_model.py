"""What compiled code needs of a predictor, laid out once."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _native
from ..coding.fixed_point import LOG_TABLE, RECIPROCAL_TABLE
from ..engine.program import Program
from .predictor import Predictor


def native_model(predictor: Predictor, kernel: str) -> Any:
    """A `ResidualModel`; ValueError for predictors that compiled code does not take."""
    g = predictor.geometry
    geometry = _native.ResidualGeometry(
        g.is_plane,
        g.base,
        g.taps,
        g.errors,
        g.error_weights,
        g.windows,
        g.predictors,
        g.n_described,
        g.median,
        g.n_adaptive,
        g.reference_taps,
        g.n_near,
        g.reference_errors,
        (g.up, g.left, g.right),
    )
    return _native.ResidualModel(
        geometry,
        bool(predictor.has_reconstruction),
        bool(predictor.flat),
        predictor.tails,
        predictor.linear.tolist(),
        LOG_TABLE.astype(np.int32),
        RECIPROCAL_TABLE.astype(np.int32),
        [
            (n_references, _layers(network), (network.input_lo, network.input_hi))
            for networks in predictor.experts
            for n_references, network in enumerate(networks)
        ],
        np.ascontiguousarray(predictor.tables),
        kernel,
    )


def _layers(network: Program) -> list[Any]:
    if any(layer.op != "dense" for layer in network.layers):
        raise ValueError("a network has layers that are not dense")
    return [
        (
            np.ascontiguousarray(layer.weight),
            np.ascontiguousarray(layer.bias),
            np.ascontiguousarray(layer.shift),
            layer.lo,
            layer.hi,
        )
        for layer in network.layers
    ]
