"""Engines: what runs programs, and the residual coder on top of them.

``reference`` (NumPy) defines the result, ``native`` (the compiled core) computes the same
integers faster, ``torch`` (PyTorch) the same for many chunks at once, on a GPU or on the CPU.  The
one in use is visible and can be forced, by argument or by the environment variable
``LATRANS_ENGINE``; an engine asked for by name and absent is an error.

What ``torch`` runs where, for the chunks of a batch (``torch:cpu`` and ``torch:cuda:0`` name the
device; ``torch`` alone is a GPU where there is one, else the CPU):

- on the device: analysis and synthesis of autoencoders, and what the residual coder of planes and
  tracks computes per sample while it encodes (taps, linear prediction, network, classes, costs of
  experts); on GPUs that have Triton also its decoding, entropy decoder included;
- on the host, in compiled code, or NumPy where there is none: value maps, masks and headers;
  planning (fits and trials of linear predictors); entropy coding; without Triton also the residual
  coder's decoding;
- on the host alone, without the device: the closed loop of bounded mode while it encodes, chunks
  of one small plane or drawing, the coder by value, transforms of lossy models, the fallback.

The package is callable: ``latrans.engine()`` says what runs.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..errors import EngineError, ReferenceEngineWarning
from ..program import Program

NAMES = ("native", "reference", "torch")
VARIABLE = "LATRANS_ENGINE"

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
        """Whether the engine gathers calls of many chunks, see `latrans.tensors.batching`."""
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
        return _torch(asked)
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


def _torch(name: str) -> Engine:
    try:
        from ..tensors import device
    except ImportError as error:
        raise EngineError(
            f"engine {name!r} needs PyTorch, which does not load here ({error}): pip install "
            "'latrans[torch]', or ask for 'native'"
        ) from error
    found = device.find(name)
    return _on(found, device.description(found), device.in_flight(found))


@cache
def _on(device: Any, description: str, in_flight: int) -> Engine:
    from ..tensors import programs

    try:
        from . import native
    except ImportError as error:
        _warn(str(error))
        host = "reference"
    else:
        host = _native(native).name
    run = partial(programs.run, device)
    return Engine(f"torch:{device}", description, run, host, in_flight)


class _CallableModule(ModuleType):
    def __call__(self) -> str:
        """Name of the engine in use and the instructions it runs on."""
        return select().description


# `latrans.engine` is this package and, in the public API, a function: it has to be both,
# whichever of the two was asked for first.
engine = cast(_CallableModule, sys.modules[__name__])
engine.__class__ = _CallableModule
