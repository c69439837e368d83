"""latrans: a compression codec that learns your data."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "Codec": "codec",
    "decode": "codec",
    "encode": "codec",
    "inspect": "info",
    "FrameInfo": "info",
    "open_model": "store",
    "Model": "model",
    "engine": "engine",
    "fit": "train",
}
__all__ = ["__version__", *sorted(_LAZY)]


def __getattr__(name: str) -> Any:
    # Parts load when first used: importing latrans must stay cheap.
    if name not in _LAZY:
        raise AttributeError(f"module 'latrans' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
