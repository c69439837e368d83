"""Fused: the steps of a band compiled into few kernels, where that was asked for.

Taken one by one, the steps of `bands` move about 10 kB per sample through a device's memory; fused,
a few hundred bytes.  But a compiler takes a minute for every new shape of bands, so it is asked
only where the environment variable ``LATRANS_TORCH_COMPILE`` is 1.  Integers are the same.

What a function does is recorded once (its Python is not compiled), for planes alone: the filters of
tracks go from sample to sample.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from ..errors import EngineError
from ..residual.nlms import Filter
from ..residual.predictor import Predictor
from . import bands
from .bands import Described, Given, Kind, Tensors

VARIABLE = "LATRANS_TORCH_COMPILE"
_MOST = 64  # recorded functions that are kept

Function = Callable[..., Sequence[torch.Tensor]]

_lock = threading.Lock()
_ready: OrderedDict[Any, tuple[Any, Function]] = OrderedDict()


@cache
def asked() -> bool:
    """Whether kernels are to be compiled.

    Raises
    ------
    EngineError
        If the environment variable is neither 0 nor 1.
    """
    value = os.environ.get(VARIABLE, "").strip() or "0"
    if value not in ("0", "1"):
        raise EngineError(f"{VARIABLE} is {value!r}; expected 0 or 1")
    return value == "1"


def describe(kind: Kind, given: Given, filter_: Filter | None) -> Described:
    """As `bands.describe`."""
    if filter_ is not None or not asked():
        return bands.describe(kind, given, filter_)

    def run(*flat: torch.Tensor) -> list[torch.Tensor]:
        return bands.describe(kind, Given.of(kind, flat)).flat()

    of_kind = (kind.first, kind.n_references, kind.n_described, kind.pictured)
    return Described.of(_call("describe", kind.predictor, of_kind, run, given.flat()))


def classes(predictor: Predictor, seen: Described, *others: torch.Tensor) -> Tensors:
    """As `bands.classes`."""
    if seen.predictions.predicted_error is not None or not asked():
        return bands.classes(predictor, seen, *others)
    n = len(others)

    def run(*flat: torch.Tensor) -> Tensors:
        return bands.classes(predictor, Described.of(flat[n:]), *flat[:n])

    return tuple(_call("classes", predictor, (), run, [*others, *seen.flat()]))


def _call(
    name: str, predictor: Predictor, kind: Any, run: Function, given: list[torch.Tensor]
) -> Sequence[torch.Tensor]:
    given = [tensor.contiguous() for tensor in given]
    shapes = tuple((tensor.shape, tensor.dtype) for tensor in given)
    key = (name, id(predictor), kind, shapes, given[0].device)
    with _lock:
        if key not in _ready:
            _ready[key] = (predictor, _compiled(run, given))  # what an id is of has to stay
            if len(_ready) > _MOST:
                _ready.popitem(last=False)
        _ready.move_to_end(key)
        _, function = _ready[key]
    return function(*given)


def _compiled(run: Function, given: list[torch.Tensor]) -> Function:
    try:
        function: Function = torch.compile(make_fx(run)(*given), dynamic=False)
        function(*given)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        raise EngineError(
            f"PyTorch could not compile kernels ({type(error).__name__}: {said}); it needs a C++ "
            f"compiler, and on CUDA Triton: install them, or set {VARIABLE}=0"
        ) from error
    return function
