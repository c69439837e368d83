"""latrans: a compression codec that learns your data.

    Codec(model, ...)         arrays to frames and back; `encode` and `decode` in one call each
    inspect(frame)            what a frame says about itself, a `FrameInfo`
    open_model(name)          a `Model` by name, path, digest or bytes
    fit(data, recipe)         a model of your own; needs latrans[train]
    engine                    what runs networks and coder: CPU, GPU

Parts that need more are modules to import: ``latrans.zarr``, ``latrans.numcodecs``,
``latrans.transfer``, ``latrans.dask``, ``latrans.arrow``.  All errors are in ``latrans.errors``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import errors
    from .codec import Codec
    from .engine import engine
    from .models.frame_info import FrameInfo, inspect
    from .models.model import Model
    from .models.store import open_model
    from .shortcuts import decode, encode
    from .train import fit

__version__ = "0.1.0"

__all__ = [
    "Codec",
    "FrameInfo",
    "Model",
    "__version__",
    "decode",
    "encode",
    "engine",
    "errors",
    "fit",
    "inspect",
    "open_model",
]

_HOMES = {
    "Codec": "codec",
    "FrameInfo": "models.frame_info",
    "Model": "models.model",
    "decode": "shortcuts",
    "encode": "shortcuts",
    "engine": "engine",
    "errors": "errors",
    "fit": "train",
    "inspect": "models.frame_info",
    "open_model": "models.store",
}
_MODULES = ("arrow", "dask", "numcodecs", "rivals", "train", "transfer", "zarr")  # once imported

if not TYPE_CHECKING:  # else any name would do for type checkers

    def __getattr__(name):
        # Parts load when first used: importing latrans must stay cheap.
        if name not in _HOMES:
            raise AttributeError(f"module 'latrans' has no attribute {name!r}")
        from importlib import import_module

        home = import_module(f".{_HOMES[name]}", __name__)
        return home if name == "errors" else getattr(home, name)


def __dir__() -> list[str]:
    special = (name for name in globals() if name.startswith("__"))
    return sorted({*__all__, *special, *(name for name in _MODULES if name in globals())})
