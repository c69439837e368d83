"""Backends: the reference residual coder and its compiled twin behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..engine import reference as reference_engine
from ..entropy import reference as rans
from ..entropy.tables import slots, starts
from . import reference
from .fixed import Ints
from .gather import Coded
from .plan import Surface
from .predictor import Predictor
from .reference import Classes, Job
from .schedule import n_states
from .trials import Trials, Trier


class Decoding(Protocol):
    """One residual section being decoded, plane after plane."""

    def plane(self, job: Job, firsts: Ints | None) -> tuple[Ints, Any]:
        """Next plane (rows, columns), and it as a reference for later ones."""

    def finish(self) -> None:
        """Check that the section ends where its planes do."""


class Backend(Protocol):
    """Codes planes with one predictor; made once per model, used from many threads."""

    predictor: Predictor

    def trials(self, surface: Surface) -> Trier:
        """What tries linear predictors on a plane, for planning."""

    def classify(self, job: Job, plane: Ints) -> tuple[Any, Any]:
        """Classes of a plane (for `encode`), and it as a reference for later planes."""

    def encode(self, planes: Sequence[Any], n_samples: int) -> bytes:
        """Entropy-code the classes of all planes of a section."""

    def decoding(self, data: bytes, n_samples: int) -> Decoding:
        """Start decoding a section of n_samples samples in all."""


class ReferenceBackend:
    """NumPy, slow, the definition."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.starts = starts(predictor.tables)
        self.slots = slots(predictor.tables)

    def trials(self, surface: Surface) -> Trials:
        return surface.trials()

    def classify(self, job: Job, plane: Ints) -> tuple[Classes, Coded]:
        return reference.classify(self.predictor, job, plane, reference_engine.run)

    def encode(self, planes: Sequence[Classes], n_samples: int) -> bytes:
        parts = [reference.operations(self.predictor, c, self.starts) for c in planes]
        lane, start, frequency, bits = (np.concatenate([p[i] for p in parts]) for i in range(4))
        states = n_states(n_samples)
        return rans.encode(lane % states, start, frequency, bits, states)

    def decoding(self, data: bytes, n_samples: int) -> ReferenceDecoding:
        return ReferenceDecoding(self, data, n_states(n_samples))


class ReferenceDecoding:
    def __init__(self, backend: ReferenceBackend, data: bytes, states: int) -> None:
        self._backend = backend
        self._states = states
        self._decoder = rans.Decoder(data, states)

    def plane(self, job: Job, firsts: Ints | None) -> tuple[Ints, Coded]:
        b = self._backend
        return reference.decode(
            b.predictor, job, reference_engine.run, self._decoder, self._states,
            (b.slots, b.starts), firsts,
        )  # fmt: skip

    def finish(self) -> None:
        self._decoder.finish()


def backend(predictor: Predictor, engine: str) -> Backend:
    """The backend that belongs to an engine's name."""
    if engine == "native":
        from .native import NativeBackend

        return NativeBackend(predictor)
    return ReferenceBackend(predictor)
