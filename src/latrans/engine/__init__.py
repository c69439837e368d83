"""Engines: what runs programs.

``reference`` (NumPy) defines the result, ``native`` (the compiled core) computes the same
integers faster.  The one in use is visible and can be forced, by argument or by the environment
variable ``LATRANS_ENGINE``; an engine asked for by name and absent is an error.

The package is callable: ``latrans.engine()`` says what runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..errors import EngineError
from ..program import Program

NAMES = ("native", "reference")
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
    """

    name: str
    description: str
    run: Callable[[Program, npt.NDArray[Any]], Int32]


def select(name: str | None = None) -> Engine:
    """The engine called `name`; without a name ``LATRANS_ENGINE``, else the fastest present.

    Raises
    ------
    EngineError
        If an engine was asked for by name and is unknown or cannot run here.

    Examples
    --------
    >>> from latrans.engine import select
    >>> select("reference").name
    'reference'
    """
    asked = name or os.environ.get(VARIABLE) or None
    if asked not in (*NAMES, None):
        raise EngineError(f"engine {asked!r} is unknown; expected one of {', '.join(NAMES)}")
    if asked != "reference":
        try:
            from . import native
        except ImportError as error:
            if asked == "native":
                raise EngineError(
                    f"engine 'native' needs the compiled core, which does not load here ({error}); "
                    f"install a latrans wheel for this platform or ask for 'reference'"
                ) from error
        else:
            return _native(native)
    from . import reference

    return Engine("reference", "reference", reference.run)


@cache
def _native(module: Any) -> Engine:
    return Engine("native", f"native ({module.instruction_set()})", module.run)


class _CallableModule(ModuleType):
    def __call__(self) -> str:
        """Name of the engine in use and the instructions it runs on."""
        return select().description


# `latrans.engine` is this package and, in the public API, a function: it has to be both,
# whichever of the two was asked for first.
engine = cast(_CallableModule, sys.modules[__name__])
engine.__class__ = _CallableModule
