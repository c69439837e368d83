"""Plug-in: what the rest of the library asks of engine "torch", see `latrans.engine.plugin`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from ..engine import Engine
from ..residual.predictor import Predictor
from . import device
from .backend import TorchBackend
from .programs import run


def find(name: str, host: Callable[[], str]) -> Engine:
    """The engine on the device that a name such as ``torch`` or ``torch:cuda:1`` says."""
    found = device.find(name)
    return _on(found, device.description(found), device.in_flight(found), host)


@cache
def _on(found: Any, description: str, in_flight: int, host: Callable[[], str]) -> Engine:
    return Engine(f"torch:{found}", description, partial(run, found), host(), in_flight)


def plane_backend(predictor: Predictor, name: str) -> TorchBackend:
    """The residual coder's backend on that device."""
    return TorchBackend(predictor, device.find(name))
