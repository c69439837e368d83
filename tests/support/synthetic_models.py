"""Small models made from formulas: enough of a codec to test everything that is not its strength.

Tables are those of a Laplace density at each class's scale, the linear predictor is W + N - NW,
networks are random.  The autoencoders are a DCT that keeps low frequencies ("dense") and block
means ("conv", "conv1d"), so that reconstructions look like the data.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from latrans.coding import tokens
from latrans.coding.geometry import GEOMETRIES, RECONSTRUCTION_TAPS, Geometry
from latrans.coding.latents import fit_tables
from latrans.coding.rans.tables import normalise
from latrans.coding.tokens import N_SYMBOLS, tokenise
from latrans.engine.program import Layer, Program
from latrans.models.autoencoder import Autoencoder
from latrans.models.model import Model
from latrans.residual import classes as c
from latrans.residual.predictor import TRAINED_SHIFT, Predictor, count_inputs
from latrans.residual.values.coder import ESCAPE, N_INPUTS, ValuePredictor

KINDS = ("plane", "track", "dense", "conv", "conv1d", "values")
WITH_LATENTS = ("dense", "conv", "conv1d", "values")
SAMPLE = (8, 8)  # rows and columns of what "dense" and "values" take


def make_model(kind: str, seed: int = 0, name: str | None = None) -> Model:
    """A model without an autoencoder ("plane", "track"), or with one of the given kind."""
    auto = _AUTOENCODERS[kind](seed) if kind in _AUTOENCODERS else None
    geometry = GEOMETRIES["track" if kind in ("track", "conv1d") else "plane"]
    tables = None
    if auto is not None:
        rng = np.random.default_rng(seed)
        typical = np.rint(rng.laplace(0, 6, (4096, auto.latent_channels))).astype(np.int64)
        tables = fit_tables(typical.clip(-127, 127))
    return Model(
        name=name or f"synthetic-{kind}",
        version=1,
        axes="t" if geometry.name == "track" else "nyx" if kind in ("dense", "values") else "yx",
        predictor=_value_predictor(seed)
        if kind == "values"
        else make_predictor(geometry, auto is not None, seed),
        autoencoder=auto,
        latent_tables=tables,
    )


def make_predictor(geometry: Geometry, has_reconstruction: bool, seed: int) -> Predictor:
    """A predictor whose network is random and whose tables fit their classes."""
    rng = np.random.default_rng(seed)
    experts = tuple(
        tuple(
            _network(rng, count_inputs(geometry, n, has_reconstruction), 3 + geometry.n_gates)
            for n in range(3)
        )
        for _ in range(2)
    )
    linear = np.zeros(len(geometry.taps) + len(RECONSTRUCTION_TAPS) * has_reconstruction, np.int16)
    one = 1 << TRAINED_SHIFT
    linear[:3] = (one, one, -one) if geometry.is_plane else (0, 0, 0)
    return Predictor(
        geometry=geometry,
        experts=experts,
        linear=linear,
        tables=class_tables(),
        tails=(-5, 20),
        has_reconstruction=has_reconstruction,
    )


def _network(rng: np.random.Generator, n_inputs: int, n_outputs: int) -> Program:
    hidden = 8
    first = _dense(rng.integers(-40, 41, (hidden, n_inputs)), 7, 0, 255)
    last = _dense(rng.integers(-24, 25, (n_outputs, hidden)), 7, -2047, 2047)
    return Program((first, last), -127, 127, (n_inputs,))


def _value_predictor(seed: int) -> ValuePredictor:
    """Classes that expect dark, middle, bright values, and any."""
    rng = np.random.default_rng(seed)
    network = Program(
        (_dense(rng.integers(-9, 10, (4, N_INPUTS)), 6, -2047, 2047),), 0, 255, (N_INPUTS,)
    )
    values = np.arange(ESCAPE + 1)
    counts = [np.exp(-np.abs(values - centre) / 30) for centre in (0, 128, 255)] + [values * 0 + 1]
    tables = [normalise(np.where(row < 0.01, 0, row), values == ESCAPE) for row in counts]
    return ValuePredictor(SAMPLE, network, np.stack(tables))


@cache
def class_tables() -> np.ndarray:
    """Table of every class: Laplace at the class's scale, half an octave wider per tail."""
    must_have = np.arange(N_SYMBOLS) == tokens.ESCAPE
    flat = np.zeros(N_SYMBOLS)
    flat[:3] = 0.98, 0.01, 0.01
    tables = [normalise(flat, must_have)]
    for tail in range(c.N_TAILS):
        for column in range(c.TABLES_PER_TAIL):
            phased = column < c.N_PHASED * c.N_PHASES
            scale = column // c.N_PHASES if phased else column - c.N_PHASED * (c.N_PHASES - 1)
            centre = (column % c.N_PHASES + 0.5) / 8 if phased else 0.0
            width = 2 ** (scale / c.STEPS_PER_OCTAVE + tail / 2) / 16
            counts = _token_counts(centre, width)
            tables.append(normalise(np.where(counts < 1e-5, 0, counts), must_have))
    return np.stack(tables)


def _token_counts(centre: float, width: float) -> np.ndarray:
    offset = np.arange(-300, 301)
    edges = np.arange(-300.5, 301) - centre
    tail = np.exp(-np.abs(edges) / width) / 2
    below = np.where(edges < 0, tail, 1 - tail)
    token, _, _ = tokenise(offset, np.zeros_like(offset))
    return np.bincount(token, weights=np.diff(below), minlength=N_SYMBOLS)


def _dense(weight: np.ndarray, shift: int, lo: int, hi: int) -> Layer:
    n = len(weight)
    zeros, shifts = np.zeros(n, np.int32), np.full(n, shift, np.uint8)
    return Layer("dense", weight.astype(np.int8), zeros, shifts, lo, hi)


def _conv(weight: np.ndarray, shift: int, limit: int, stride: tuple[int, int] = (1, 1)) -> Layer:
    n = len(weight)
    zeros, shifts = np.zeros(n, np.int32), np.full(n, shift, np.uint8)
    return Layer("conv", weight.astype(np.int8), zeros, shifts, -limit, limit, stride)


def _dense_autoencoder(seed: int) -> Autoencoder:
    rows, columns = SAMPLE
    y, x = np.mgrid[0:rows, 0:columns].reshape(2, -1)
    waves = np.array(
        [
            np.cos(np.pi * (y + 0.5) * ky / rows) * np.cos(np.pi * (x + 0.5) * kx / columns)
            for ky, kx in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0))
        ]
    )
    waves /= np.sqrt((waves**2).sum(1, keepdims=True))
    # Latents are a twentieth of the coefficients, so that the mean fits int8.
    encoder = _dense(np.rint(104 * waves), 11, -127, 127)
    decoder = _dense(np.rint(82 * waves.T), 2, 0, 255)
    return Autoencoder(
        Program((encoder,), 0, 255, (rows * columns,)),
        Program((decoder,), -127, 127, (len(waves),)),
        kind="dense",
        sample_shape=SAMPLE,
        stride=(),
        latent_dtype="int8",
    )


def _conv_autoencoder(seed: int, stride: tuple[int, int] = (2, 2)) -> Autoencoder:
    """Means around every second sample, and a channel of random detail."""
    rng = np.random.default_rng(seed)
    kernel = tuple(3 if s > 1 else 1 for s in stride)
    size = int(np.prod(kernel))
    weights = np.stack([np.full((1, *kernel), 100), rng.integers(-60, 61, (1, *kernel))])
    cells = int(np.prod(stride))
    spread = np.zeros((cells, 2, 1, 1))
    spread[:, 0], spread[:, 1] = 32, rng.integers(-3, 4, (cells, 1, 1))
    encoder = _conv(weights, int(np.log2(100 * size)) + 1, 127, stride)
    decoder = (_conv(spread, 1, 2047), Layer("shuffle", factor=stride))
    return Autoencoder(
        Program((encoder,), -127, 127, (1, None, None)),
        Program(decoder, -127, 127, (2, None, None)),
        kind="conv",
        sample_shape=None,
        stride=stride,
        latent_dtype="int8",
    )


_AUTOENCODERS = {
    "dense": _dense_autoencoder,
    "values": _dense_autoencoder,
    "conv": _conv_autoencoder,
    "conv1d": lambda seed: _conv_autoencoder(seed, (1, 2)),
}
