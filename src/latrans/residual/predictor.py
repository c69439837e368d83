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
MAX_DESCRIBED_REFERENCES = 2


@dataclass(frozen=True)
class Predictor:
    """What a model knows about residuals.

    Attributes
    ----------
    geometry : Geometry
    networks : one to three programs
        For planes with no, one, and more references.  Inputs in [-127, 127]; outputs: shift of
        the mean in 1/64 of the local error energy, log of the scale in 1/32 octave, weight of the
        tail, and the gates of the alternative predictions in 1/64.
    linear : (taps [+ 9 with reconstruction],) int16
        Coefficients for chunks that bring none, 12 fraction bits.
    tables : (N_TABLES, N_SYMBOLS) uint16
    tails : thresholds of the third output.
    has_reconstruction : whether the networks have inputs for it.
    flat : whether equal surroundings have a class of their own.
    """

    geometry: Geometry
    networks: tuple[Program, ...]
    linear: npt.NDArray[np.int16]
    tables: Frequencies
    tails: tuple[int, int]
    has_reconstruction: bool
    flat: bool = True

    def network(self, n_references: int) -> Program:
        """The network for planes with so many references."""
        return self.networks[min(n_references, len(self.networks) - 1)]

    @property
    def n_described_references(self) -> int:
        """References that networks see; others only feed the linear prediction."""
        return len(self.networks) - 1

    @property
    def n_own_taps(self) -> int:
        return len(self.geometry.taps) + len(RECONSTRUCTION_TAPS) * self.has_reconstruction

    def problems(self) -> str | None:
        """What is wrong with the parts' shapes, or None."""
        if self.tables.shape != (N_TABLES, N_SYMBOLS):
            return f"tables have shape {self.tables.shape}, expected {(N_TABLES, N_SYMBOLS)}"
        if self.linear.shape != (self.n_own_taps,) or self.linear.dtype != np.int16:
            return f"{self.linear.shape} linear coefficients, expected ({self.n_own_taps},) int16"
        if not 1 <= len(self.networks) <= 1 + MAX_DESCRIBED_REFERENCES:
            return f"{len(self.networks)} networks, expected 1 to {1 + MAX_DESCRIBED_REFERENCES}"
        for n_references, net in enumerate(self.networks):
            wanted = count_inputs(self.geometry, n_references, self.has_reconstruction)
            outputs = 3 + self.geometry.n_gates
            if (net.input_shape, net.output_channels) != ((wanted,), outputs):
                return (
                    f"network {n_references} takes {net.input_shape} inputs for "
                    f"{net.output_channels} outputs, expected {wanted} for {outputs}"
                )
            if net.input_lo > -RATIO_LIMIT or net.input_hi < RATIO_LIMIT:
                return f"network takes {net.input_lo} to {net.input_hi}, expected +-{RATIO_LIMIT}"
        if max(map(abs, self.tails)) > 1 << 15:
            return f"tails start at {self.tails}, which no output reaches"
        return None

    def spec(self) -> dict[str, Any]:
        return {
            "geometry": self.geometry.name,
            "tails": list(self.tails),
            "has_reconstruction": self.has_reconstruction,
            "flat": self.flat,
        }


def count_inputs(geometry: Geometry, n_references: int, has_reconstruction: bool) -> int:
    return (
        geometry.n_inputs
        + geometry.n_reference_inputs * n_references
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
        has_reconstruction=bool(spec["has_reconstruction"]),
        flat=bool(spec["flat"]),
        **parts,
    )
