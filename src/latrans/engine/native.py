"""The compiled twin of `reference`: the same integers, without the GIL."""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from .. import _native
from ..errors import EngineError
from .program import Program
from .reference import check_input

CPU_VARIABLE = "LATRANS_CPU"
INSTRUCTION_SETS = ("avx512", "avx2", "portable")

# Weights are laid out for the kernels once per program.  Two threads that meet here at the same
# time both prepare it, and one of two equal results stays.
_prepared: WeakKeyDictionary[Program, _native.Program] = WeakKeyDictionary()


def run(program: Program, x: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Run a program on (N, C) or (N, C, H, W) integers; returns int32."""
    x = check_input(program, x)
    compiled = _prepared.get(program)
    if compiled is None:
        compiled = _prepared[program] = _compile(program)
    height, width = x.shape[2:] or (1, 1)
    out: npt.NDArray[np.int32] = compiled.run(x.reshape(*x.shape[:2], height, width))
    return out.reshape(out.shape[:2]) if x.ndim == 2 else out


def instruction_set() -> str:
    """What the kernels run on here: "avx512", "avx2" or "portable".

    That is the best of this machine, or what the environment variable ``LATRANS_CPU`` named when
    the first kernel ran.

    Raises
    ------
    EngineError
        If the variable names no instruction set, or one that this machine lacks.
    """
    asked = os.environ.get(CPU_VARIABLE) or None
    best: str = _native.best_cpu()
    runnable = INSTRUCTION_SETS[INSTRUCTION_SETS.index(best) :]
    if asked is not None and asked not in runnable:
        raise EngineError(
            f"{CPU_VARIABLE} is {asked!r}; this machine runs {', '.join(runnable)}: name one of "
            "these, or leave it unset"
        )
    name: str = _native.cpu()
    return name


def _compile(program: Program) -> _native.Program:
    # The kernels rely on what this proves and check nothing themselves.
    program.check()
    compiled = _native.Program(program.input_shape[0])
    for layer in program.layers:
        if layer.op == "shuffle":
            compiled.add_shuffle(*layer.factor)
        else:
            weight = layer.weight.reshape(*layer.weight.shape, *(1,) * (4 - layer.weight.ndim))
            compiled.add_conv(
                np.ascontiguousarray(weight),
                np.ascontiguousarray(layer.bias),
                np.ascontiguousarray(layer.shift),
                layer.lo,
                layer.hi,
                *layer.stride,
            )
    return compiled
