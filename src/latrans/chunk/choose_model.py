"""Choose a model: which of the shipped codecs suits an array, tried on a small piece of it.

Every candidate encodes the same piece, and the smallest wins: bytes are compared, which are the
same on every machine and engine, so the same array is always given the same codec.  Models of the
user's own are never chosen, for another machine might not have them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..format import axes as axis_letters
from ..format.frame import pack
from ..missing.missing import FillValue, Missing
from ..models import store
from ..models.model import Model
from . import crop, encode

MAX_SAMPLES = 1 << 14  # of the piece
_LONG = 4096  # samples: a last dimension from there on may be time

Array = npt.NDArray[Any]


def choose(
    array: Array,
    mode: str = "lossless",
    max_error: float | None = None,
    fill_value: FillValue | Missing | None = None,
    axes: str | None = None,
    engine: str | None = None,
) -> Model | None:
    """The shipped codec that makes least of a piece of the array; None if none takes it.

    Parameters
    ----------
    array : integers or floats, in native byte order
    mode, max_error, fill_value, axes, engine : as for `latrans.Codec`

    Raises
    ------
    ConfigError
        If `axes` fit no codec, or none of those that fit has the lossy mode asked for.

    Examples
    --------
    >>> import numpy as np
    >>> recording = (np.arange(20_000) % 700).astype(np.int16)
    >>> choose(recording, axes="t").geometry
    'track'
    """
    found = candidates(array, axes, mode)
    if mode == "lossy" and (found or candidates(array, axes)):
        return _lossy(array, [model for model, _ in found])
    if len(found) < 2:
        return found[0][0] if found else None
    piece = crop.crop(array, axes, MAX_SAMPLES)
    best, smallest, missing = None, math.inf, Missing.of(fill_value)
    for model, named in found:
        task = encode.Task(model, "lossless", None, missing, named, engine)
        if mode == "bounded":
            task = replace(task, mode=mode, max_error=max_error)
        frame = encode.encode(task, piece, piece.dtype, False)
        size = len(pack(frame)) if frame is not None else math.inf
        if best is None or size < smallest:
            best, smallest = model, size
    return best


def _lossy(array: Array, found: list[Model]) -> Model:
    """Small samples of the size that a model is for; else what was made for lossy pictures."""
    if not found:
        raise ConfigError(
            f"no shipped model has a lossy mode for an array of {array.dtype} and shape "
            f"{array.shape}; use mode 'bounded' or a model trained with an autoencoder"
        )
    for model in found:
        if model.autoencoder is not None and model.autoencoder.sample_shape is not None:
            return model
    return next((model for model in found if model.lossy_only), found[0])


def candidates(
    array: Array, axes: str | None, mode: str = "lossless", any_kind: bool = False
) -> list[tuple[Model, str]]:
    """Shipped models that take an array of this dtype and shape, by name, with its axes.

    Of models of planes only those that were trained on floats, or on integers, as the array is;
    with `any_kind` all, for whoever has the time to try them.
    """
    found, refused, fits = [], None, False
    for model in shipped():
        able = model.has_latents if mode == "lossy" else not model.lossy_only
        if not able or not _likely(model, array.shape, axes):
            continue
        try:
            default = axis_letters.default(model.axes, array.shape, model.geometry)
            named = axis_letters.check(axes or default, array.ndim, model.geometry)
        except ConfigError as error:
            refused = error
            continue
        fits = True
        layout = axis_letters.layout(named, array.shape, model.geometry)
        if (model.geometry == "plane" or "x" not in named) and encode.suits(model, array, layout):
            found.append((model, named))
    if refused is not None and not fits and axes is not None:
        raise refused  # else it is the values, or that there are none, which suit no model
    if any_kind:
        return found
    # Nets of planes learn the noise of counts or the smoothness of floats: one kind each.
    other_kind = [model for model, _ in found if not _learnt_from(model, array.dtype.kind)]
    if len(other_kind) < len(found):
        found = [(m, named) for m, named in found if m.geometry != "plane" or m not in other_kind]
    return found


def _learnt_from(model: Model, kind: str) -> bool:
    """Whether most arrays that the model was trained on hold floats, or integers, as this one."""
    data = model.training.get("data", ())
    floats = sum(np.dtype(entry["dtype"]).kind == "f" for entry in data)
    return (2 * floats > len(data)) == (kind == "f")


def _likely(model: Model, shape: tuple[int, ...], axes: str | None) -> bool:
    """Whether an array may be what the model is for, as far as its dimensions tell."""
    if model.geometry == "plane" and model.axes.endswith("c"):  # for colours only
        last = axes.endswith("c") if axes is not None else len(shape) > 2
        return last and shape[-1] <= axis_letters.MAX_CHANNELS_LAST
    if axes is not None:
        return True
    if model.geometry == "track":
        return len(shape) == 1 or crop.is_long(shape) or shape[-1] >= _LONG
    return len(shape) > 1


@lru_cache(maxsize=1)
def shipped() -> tuple[Model, ...]:
    """The models that come with latrans, by name."""
    found = {listed.name: listed.path for listed in store.list_models(store.packaged())}
    return tuple(store.open_model(str(found[name])) for name in sorted(found))
