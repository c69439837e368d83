"""Select: the backend of the residual coder that belongs to an engine."""

from __future__ import annotations

from ..engine import plugin
from .predictor import Predictor
from .protocol import Backend
from .reference_backend import ReferenceBackend


def backend(predictor: Predictor, engine: str) -> Backend:
    """The backend that belongs to an engine's name."""
    if engine == "native":
        from .native import NativeBackend

        return NativeBackend(predictor)
    if ":" in engine:
        made: Backend = plugin(engine).plane_backend(predictor, engine)
        return made
    return ReferenceBackend(predictor)
