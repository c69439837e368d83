"""A lossy model made from formulas: geometric magnitudes, classes by a random network."""

from __future__ import annotations

import numpy as np

from latrans.coding.rans.tables import normalise
from latrans.engine.program import Layer, Program
from latrans.models.model import Model
from latrans.transform import signs
from latrans.transform.contexts import N_CAUSAL, N_INPUTS
from latrans.transform.predict import N_LEVELS
from latrans.transform.protocol import N_CLASSES
from latrans.transform.quantise import N_CENTROIDS
from latrans.transform.stream import MEAN_ESCAPE, N_MEAN_SYMBOLS, N_MEAN_TABLES
from latrans.transform.symbols import ESCAPE, N_DIRECT, N_SYMBOLS, N_TOKENS
from latrans.transform.transform import Transform


def make_transform(seed: int = 0) -> Transform:
    """Larger neighbours mean a higher class, whose magnitudes are larger."""
    rng = np.random.default_rng(seed)
    first = rng.integers(-20, 21, (8, N_INPUTS))
    first[:4, :N_CAUSAL] = 60
    last = np.array([[90] * 4 + [8, -8, 8, -8]])
    layers = (_dense(first, 7, 0, 255), _dense(last, 7, -2047, 2047))
    means = np.ones((N_MEAN_TABLES, N_MEAN_SYMBOLS))
    means[:, 7] = 0  # so that this one has to be escaped
    escape = np.arange(N_MEAN_SYMBOLS) == MEAN_ESCAPE
    signs_shape = (signs.N_LEVELS * signs.N_KINDS, signs.N_NEIGHBOURS)
    first = rng.integers(1000, 3600, signs.N_TABLES)
    return Transform(
        network=Program(layers, -127, 127, (N_INPUTS,)),
        tables=np.stack([_table(k) for k in range(N_CLASSES)]),
        centroids=rng.integers(-20, 40, (N_CLASSES, N_CENTROIDS)).astype(np.int8),
        prediction=np.array([[-1100, -20, 500]] * N_LEVELS, np.int16),
        means=np.stack([normalise(row, escape) for row in means]),
        sign_weights=rng.integers(-20, 21, signs_shape).astype(np.int8),
        sign_tables=np.stack([first, 4096 - first], 1).astype(np.uint16),
    )


def make_lossy_model(seed: int = 0) -> Model:
    return Model(
        name="synthetic-lossy",
        version=1,
        axes="yx",
        predictor=None,
        transform=make_transform(seed),
    )


def _table(k: int) -> np.ndarray:
    mean = 2 ** ((k - N_CLASSES / 2) / 4)
    token = np.arange(N_SYMBOLS)
    wide = np.maximum(token - N_DIRECT, 0)
    magnitude = np.where(token < N_DIRECT, token, N_DIRECT * 2 ** (wide / 2))
    counts = np.exp(magnitude * np.log(mean / (1 + mean))) * np.where(token < N_DIRECT, 1, 8)
    counts[N_TOKENS:] = 0
    return normalise(np.where(counts < 1e-5, 0, counts), token == ESCAPE)


def _dense(weight: np.ndarray, shift: int, lo: int, hi: int) -> Layer:
    n = len(weight)
    zeros, shifts = np.zeros(n, np.int32), np.full(n, shift, np.uint8)
    return Layer("dense", weight.astype(np.int8), zeros, shifts, lo, hi)
