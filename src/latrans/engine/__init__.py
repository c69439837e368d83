"""Engines: what runs programs, and the residual coder on top of them.

``reference`` (NumPy) defines the result, ``native`` (the compiled core) computes the same
integers faster, ``torch`` (PyTorch) the same for many chunks at once, on a GPU or on the CPU.  The
one in use is visible and can be forced, by argument or by the environment variable
``LATRANS_ENGINE``; an engine asked for by name and absent is an error.  A name comes in, an
`Engine` goes out; it may import `errors` alone.

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

import sys
from types import ModuleType
from typing import cast

from .selection import NAMES, VARIABLE, Engine, plugin, select

__all__ = ["NAMES", "VARIABLE", "Engine", "engine", "plugin", "select"]


class _CallableModule(ModuleType):
    def __call__(self) -> str:
        """Name of the engine in use and the instructions it runs on."""
        return select().description


# `latrans.engine` is this package and, in the public API, a function: it has to be both,
# whichever of the two was asked for first.
engine = cast(_CallableModule, sys.modules[__name__])
engine.__class__ = _CallableModule
