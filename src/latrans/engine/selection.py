"""Selection: the engine that is asked for, or the fastest that runs here."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import EngineError, ReferenceEngineWarning
from .program import Program

NAMES = ("native", "reference", "torch")
VARIABLE = "LATRANS_ENGINE"
_PLUGINS = {"torch": "latrans.torch_engine.plugin"}  # imported when they are asked for

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Engine:
    """A way to run programs.

    Attributes
    ----------
    name : str
        As given to `select`.
    description : str
        Name and instruction set, for people.
    run : callable
        ``run(program, x) -> y``; x is int32 of shape (N, C) or (N, C, H, W), y int32.
        `ConfigError` if x does not fit the program.
    host : str
        Name of the engine that runs what this one leaves to the host: its own, if nothing is.
    in_flight : int
        How many chunks of a batch it wants to be begun at a time; 0 for one per thread.
    """

    name: str
    description: str
    run: Callable[[Program, npt.NDArray[Any]], Int32]
    host: str
    in_flight: int = 0

    @property
    def on_tensors(self) -> bool:
        """Whether the engine gathers calls of many chunks, see `latrans.torch_engine.batching`."""
        return self.in_flight > 0


def select(name: str | None = None) -> Engine:
    """The engine called `name`; without a name ``LATRANS_ENGINE``, else the fastest present.

    Raises
    ------
    EngineError
        If an engine was asked for by name and is unknown or cannot run here, and on 32-bit
        platforms, where NumPy's integers are too narrow.

    Warns
    -----
    ReferenceEngineWarning
        Once, if no engine was asked for and the compiled core does not load.

    Examples
    --------
    >>> from latrans.engine import select
    >>> select("reference").name
    'reference'
    """
    if sys.maxsize < 1 << 32:
        raise EngineError(
            "this Python has 32 bits; latrans needs one of 64, since NumPy's default integers are "
            "too narrow here and values would be wrong: install a 64-bit Python"
        )
    asked = name or os.environ.get(VARIABLE) or None
    if asked is not None and asked.partition(":")[0] == "torch":
        found: Engine = plugin(asked).find(asked, _host)
        return found
    if asked not in (*NAMES, None):
        raise EngineError(
            f"engine {asked!r} is unknown; expected one of {', '.join(NAMES)}, torch:DEVICE as in "
            "torch:cuda"
        )
    if asked != "reference":
        try:
            from . import native
        except ImportError as error:
            if asked == "native":
                raise EngineError(
                    f"engine 'native' needs the compiled core, which does not load here ({error}); "
                    f"install a latrans wheel for this platform or ask for 'reference'"
                ) from error
            _warn(str(error))
        else:
            return _native(native)
    from . import reference

    return Engine("reference", "reference", reference.run, "reference")


@cache
def _warn(reason: str) -> None:
    """Say once that the slow engine runs where nobody asked for it."""
    warnings.warn(
        f"the compiled core does not load here ({reason}); the reference engine runs in its place, "
        f"hundreds of times slower with the same bytes. Install latrans for this Python and "
        f"platform (a C++17 compiler builds it from source), or set {VARIABLE}=reference if that "
        "is what you want",
        ReferenceEngineWarning,
        stacklevel=3,
    )


@cache
def _native(module: Any) -> Engine:
    return Engine("native", f"native ({module.instruction_set()})", module.run, "native")


def plugin(name: str) -> Any:
    """The module of an engine that stands above the others, by a name such as ``torch:cpu``.

    It has ``find(name, host)``, which gives the `Engine` for the name of the host's, and
    ``plane_backend(predictor, name)``, the residual coder's backend.

    Raises
    ------
    EngineError
        If what it needs does not load here.
    """
    try:
        return import_module(_PLUGINS[name.partition(":")[0]])
    except ImportError as error:
        raise EngineError(
            f"engine {name!r} needs PyTorch, which does not load here ({error}): pip install "
            "'latrans[torch]', or ask for 'native'"
        ) from error


def _host() -> str:
    """Name of the engine that runs what another leaves to the host."""
    try:
        from . import native
    except ImportError as error:
        _warn(str(error))
        return "reference"
    return _native(native).name
