"""Predictor: the trained side of the residual coder, and one plane's coefficients.

Both halves of the coder share these records; neither has behaviour of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..entropy.tables import Frequencies
from ..program import Program
from .classes import N_SYMBOLS, N_TABLES
from .fixed import RATIO_LIMIT
from .geometry import GEOMETRIES, N_RECONSTRUCTION_INPUTS, RECONSTRUCTION_TAPS, Geometry

TRAINED_SHIFT = 12


@dataclass(frozen=True)
class Predictor:
    """What a model knows about residuals.

    Attributes
    ----------
    geometry : Geometry
    network : Program
        Inputs in [-127, 127], three outputs: shift of the mean in 1/64 of the local error
        energy, log of the scale in 1/32 octave, weight of the tail.
    linear : (taps [+ 9 with reconstruction],) int16
        Coefficients for chunks that bring none, 12 fraction bits.
    tables : (N_TABLES, N_SYMBOLS) uint16
    tails : thresholds of the third output.
    has_reference, has_reconstruction : whether the network has inputs for these.
    flat : whether equal surroundings have a class of their own.
    """

    geometry: Geometry
    network: Program
    linear: npt.NDArray[np.int16]
    tables: Frequencies
    tails: tuple[int, int]
    has_reference: bool
    has_reconstruction: bool
    flat: bool = True

    @property
    def n_inputs(self) -> int:
        return count_inputs(self.geometry, self.has_reference, self.has_reconstruction)

    @property
    def n_own_taps(self) -> int:
        return len(self.geometry.taps) + len(RECONSTRUCTION_TAPS) * self.has_reconstruction

    def problems(self) -> str | None:
        """What is wrong with the parts' shapes, or None."""
        if self.tables.shape != (N_TABLES, N_SYMBOLS):
            return f"tables have shape {self.tables.shape}, expected {(N_TABLES, N_SYMBOLS)}"
        if self.linear.shape != (self.n_own_taps,) or self.linear.dtype != np.int16:
            return f"{self.linear.shape} linear coefficients, expected ({self.n_own_taps},) int16"
        net = self.network
        if (net.input_shape, net.output_channels) != ((self.n_inputs,), 3):
            return f"network takes {net.input_shape} inputs, expected {self.n_inputs} for 3 outputs"
        if net.input_lo > -RATIO_LIMIT or net.input_hi < RATIO_LIMIT:
            return f"network takes {net.input_lo} to {net.input_hi}, expected +-{RATIO_LIMIT}"
        if max(map(abs, self.tails)) > 1 << 15:
            return f"tails start at {self.tails}, which no output reaches"
        return None

    def spec(self) -> dict[str, Any]:
        return {
            "geometry": self.geometry.name,
            "tails": list(self.tails),
            "has_reference": self.has_reference,
            "has_reconstruction": self.has_reconstruction,
            "flat": self.flat,
        }


def count_inputs(geometry: Geometry, has_reference: bool, has_reconstruction: bool) -> int:
    return (
        geometry.n_inputs
        + geometry.n_reference_inputs * has_reference
        + N_RECONSTRUCTION_INPUTS * has_reconstruction
    )


@dataclass(frozen=True)
class Coefficients:
    """Linear prediction of one band of rows (or group of lanes).

    Attributes
    ----------
    weights : (taps,) int64
        Own taps, then reconstruction taps, then those of each reference plane.
    shift : fraction bits of the weights.
    sigma_code : byte of the mean absolute error, see `fixed.sigma_from_code`.
    """

    weights: npt.NDArray[np.int64]
    shift: int
    sigma_code: int


def predictor_from(spec: dict[str, Any], **parts: Any) -> Predictor:
    """Rebuild a predictor from its `spec` and its arrays."""
    return Predictor(
        geometry=GEOMETRIES[spec["geometry"]],
        tails=(int(spec["tails"][0]), int(spec["tails"][1])),
        has_reference=bool(spec["has_reference"]),
        has_reconstruction=bool(spec["has_reconstruction"]),
        flat=bool(spec["flat"]),
        **parts,
    )
