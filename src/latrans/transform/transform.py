"""Transform: the learned part of a lossy model (FORMAT.md 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..coding.rans.tables import Frequencies, check
from ..engine import Engine, select
from ..engine.program import Program, Tensors
from ..errors import ModelError
from . import signs
from .contexts import N_INPUTS
from .predict import N_LEVELS, N_WEIGHTS, Weights
from .protocol import N_CLASSES, Backend, ReferenceBackend
from .quantise import N_CENTROIDS, Centroids, token_costs
from .stream import N_MEAN_SYMBOLS, N_MEAN_TABLES
from .symbols import N_SYMBOLS

# Tensors beside the network's: shape and dtype.
_PARTS: dict[str, tuple[tuple[int, int], type[np.integer[Any]]]] = {
    "tables": ((N_CLASSES, N_SYMBOLS), np.uint16),
    "centroids": ((N_CLASSES, N_CENTROIDS), np.int8),
    "prediction": ((N_LEVELS, N_WEIGHTS), np.int16),
    "means": ((N_MEAN_TABLES, N_MEAN_SYMBOLS), np.uint16),
    "sign_weights": ((signs.N_LEVELS * signs.N_KINDS, signs.N_NEIGHBOURS), np.int8),
    "sign_tables": ((signs.N_TABLES, 2), np.uint16),
}


@dataclass(frozen=True, eq=False)
class Transform:
    """What a lossy model learns.

    Attributes
    ----------
    network : Program
        `contexts.N_INPUTS` inputs, one output: where a coefficient's size is expected.
    tables : (N_CLASSES, N_SYMBOLS) uint16
        Token frequencies of each class.
    centroids : (N_CLASSES, 3) int8
        Where values of magnitude 1, 2 and above lie on average, in 1/256 step from their integer.
    prediction : (3, 3) int16
        Weights by which the picture so far tells the next level, in 1/16384.
    means : (N_MEAN_TABLES, N_MEAN_SYMBOLS) uint16
        Frequencies of what tells the bands' mean codes.
    sign_weights : (12, 6) int8
        Weights of neighbours in what a sign is expected to be, in 1/32.
    sign_tables : (288, 2) uint16
        Frequencies of signs that are as expected, and of others.
    """

    network: Program
    tables: Frequencies
    centroids: Centroids
    prediction: Weights
    means: Frequencies
    sign_weights: signs.Weights
    sign_tables: Frequencies

    def backend(self, engine: str | None) -> Backend:
        """What runs the loops of a band on an engine, prepared once."""
        chosen = select(engine)
        ready: dict[str, Backend] = self.__dict__.setdefault("_ready", {})
        if chosen.name not in ready:
            ready[chosen.name] = self._made(chosen)
        return ready[chosen.name]

    def _made(self, engine: Engine) -> Backend:
        if engine.host == "native":
            from .native import NativeBackend

            return NativeBackend(self)
        return ReferenceBackend(self, engine)

    @cached_property
    def costs(self) -> Ints:
        """Cost of each class's tokens in 1/32 bit."""
        return token_costs(self.tables)

    def to_tensors(self, prefix: str) -> tuple[Tensors, dict[str, Any]]:
        """Tensors for a model file, and a JSON-ready description of the rest."""
        tensors, network = self.network.to_tensors(f"{prefix}.network")
        for name in _PARTS:
            tensors[f"{prefix}.{name}"] = getattr(self, name)
        return tensors, {"network": network}

    @classmethod
    def from_tensors(
        cls, prefix: str, tensors: Mapping[str, npt.NDArray[Any]], spec: Any
    ) -> Transform:
        """Inverse of `to_tensors`.

        Raises
        ------
        ModelError
            If anything is missing, damaged, or does not fit together.
        """
        if not isinstance(spec, dict):
            raise ModelError(f"transform {prefix!r} is {spec!r}; expected a table")
        network = Program.from_tensors(f"{prefix}.network", tensors, spec.get("network"))
        if network.input_shape != (N_INPUTS,) or network.output_channels != 1:
            raise ModelError(
                f"transform {prefix!r} has a network of {network.input_shape} inputs and "
                f"{network.output_channels} outputs; expected {N_INPUTS} and 1"
            )
        if (network.input_lo, network.input_hi) != (-127, 127):
            raise ModelError(f"transform {prefix!r} takes other inputs than -127 to 127")
        parts = []
        for name, (shape, dtype) in _PARTS.items():
            tensor = tensors.get(f"{prefix}.{name}")
            if tensor is None or tensor.shape != shape or tensor.dtype != dtype:
                found = "nothing" if tensor is None else f"{tensor.dtype} {tensor.shape}"
                raise ModelError(
                    f"transform {prefix!r}: {name} is {found}; expected {np.dtype(dtype)} {shape}"
                )
            if dtype == np.uint16 and not check(tensor):
                raise ModelError(f"transform {prefix!r}: {name} do not sum to 4096")
            if name == "sign_tables" and not tensor.all():
                raise ModelError(
                    f"transform {prefix!r}: a table of signs gives one sign no probability"
                )
            parts.append(np.ascontiguousarray(tensor))
        return cls(network, *parts)
