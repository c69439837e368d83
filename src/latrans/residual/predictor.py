"""Predictor: the trained side of the residual coder, and one plane's coefficients.

Both halves of the coder share these records; neither has behaviour of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import RATIO_LIMIT, sigma_from_code
from ..coding.geometry import GEOMETRIES, N_RECONSTRUCTION_INPUTS, RECONSTRUCTION_TAPS, Geometry
from ..coding.rans.tables import Frequencies
from ..coding.tokens import N_SYMBOLS
from ..engine.program import Program
from .classes import N_TABLES

TRAINED_SHIFT = 12
MAX_DESCRIBED_REFERENCES = 2
MAX_EXPERTS = 7
NO_NETWORK = 7  # in an expert's place: the linear prediction is taken as it is


@dataclass(frozen=True)
class Predictor:
    """What a model knows about residuals.

    Attributes
    ----------
    geometry : Geometry
    experts : up to 7 tuples of one to three programs
        Networks for different kinds of data, of which every plane names one; each for planes
        with no, one, and more references.  Inputs in [-127, 127]; outputs: shift of the mean in
        1/64 of the local error energy, log of the scale in 1/32 octave, weight of the tail, and
        the gates of the alternative predictions in 1/64.
    linear : (taps [+ 9 with reconstruction],) int16
        Coefficients for chunks that bring none, 12 fraction bits.
    tables : (N_TABLES, N_SYMBOLS) uint16
    tails : thresholds of the third output.
    has_reconstruction : whether the networks have inputs for it.
    flat : whether equal surroundings have a class of their own.
    """

    geometry: Geometry
    experts: tuple[tuple[Program, ...], ...]
    linear: npt.NDArray[np.int16]
    tables: Frequencies
    tails: tuple[int, int]
    has_reconstruction: bool
    flat: bool = True

    def network(self, expert: int, n_references: int) -> Program | None:
        """An expert's network for planes with so many references; None for `NO_NETWORK`."""
        if expert == NO_NETWORK:
            return None
        return self.experts[expert][min(n_references, self.n_described_references)]

    @property
    def n_described_references(self) -> int:
        """References that networks see; others only feed the linear prediction."""
        return len(self.experts[0]) - 1

    @property
    def n_own_taps(self) -> int:
        return len(self.geometry.taps) + len(RECONSTRUCTION_TAPS) * self.has_reconstruction

    def problems(self) -> str | None:
        """What is wrong with the parts' shapes, or None."""
        if self.tables.shape != (N_TABLES, N_SYMBOLS):
            return f"tables have shape {self.tables.shape}, expected {(N_TABLES, N_SYMBOLS)}"
        if self.linear.shape != (self.n_own_taps,) or self.linear.dtype != np.int16:
            return f"{self.linear.shape} linear coefficients, expected ({self.n_own_taps},) int16"
        if not 1 <= len(self.experts) <= MAX_EXPERTS:
            return f"{len(self.experts)} experts, expected 1 to {MAX_EXPERTS}"
        sizes = {len(networks) for networks in self.experts}
        if len(sizes) > 1 or not 1 <= sizes.pop() <= 1 + MAX_DESCRIBED_REFERENCES:
            return f"experts need 1 to {1 + MAX_DESCRIBED_REFERENCES} networks, all the same number"
        for networks in self.experts:
            for n_references, net in enumerate(networks):
                problem = self._problem(net, n_references)
                if problem:
                    return problem
        if max(map(abs, self.tails)) > 1 << 15:
            return f"tails start at {self.tails}, which no output reaches"
        return None

    def _problem(self, net: Program, n_references: int) -> str | None:
        wanted = count_inputs(self.geometry, n_references, self.has_reconstruction)
        outputs = 3 + self.geometry.n_gates
        if (net.input_shape, net.output_channels) != ((wanted,), outputs):
            return (
                f"a network takes {net.input_shape} inputs for {net.output_channels} outputs, "
                f"expected {wanted} for {outputs}"
            )
        if net.input_lo > -RATIO_LIMIT or net.input_hi < RATIO_LIMIT:
            return f"a network takes {net.input_lo} to {net.input_hi}, expected +-{RATIO_LIMIT}"
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

    @cached_property
    def narrow(self) -> npt.NDArray[np.int32]:
        """The weights as int32, for compiled code; many small planes share one set.

        Raises
        ------
        ValueError
            Where they do not fit.
        """
        if self.weights.size and int(np.abs(self.weights).max()) >= 1 << 31:
            raise ValueError(f"weights up to {np.abs(self.weights).max()} do not fit 32 bits")
        return self.weights.astype(np.int32)

    @property
    def sigma(self) -> int:
        """The mean absolute error, 8 fraction bits."""
        return sigma_from_code(self.sigma_code)


def predictor_from(spec: dict[str, Any], **parts: Any) -> Predictor:
    """Rebuild a predictor from its `spec` and its arrays."""
    return Predictor(
        geometry=GEOMETRIES[spec["geometry"]],
        tails=(int(spec["tails"][0]), int(spec["tails"][1])),
        has_reconstruction=bool(spec["has_reconstruction"]),
        flat=bool(spec["flat"]),
        **parts,
    )
