"""Configurations: what is stored beside the data about the codec that wrote it.

The numcodecs and the Zarr class keep the same eight values.  They are JSON as they stand, and
everything an instance is follows from them: instances cannot be changed, and compare, hash, print
and pickle by these values alone.  Entries that are ``None`` are left out of the stored form; that
meaning of an absent entry never changes.

A model is always stored as a string.  A `latrans.Model` becomes its digest, so that metadata and
pickles stay small, and is made known to this process, so that its arrays can be opened again.
The engine is a choice of the machine that runs the codec, not of the data, and is not stored.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .codec import Codec
from .errors import ConfigError
from .missing.missing import FillValue, ValidRange, as_ranges, as_values

Value = str | int | float | list[Any]
_LONGEST_REPR = 96  # an inline model's data URI is far longer


@dataclass(frozen=True, init=False, repr=False)
class Configured:
    """Base of the classes that other libraries know latrans by.

    Parameters
    ----------
    model : str, os.PathLike or Model
        Name, ``sha256:`` digest, path or ``data:`` URI of a model, or the model itself; "auto"
        chooses a shipped one for each chunk.
    mode : {"lossless", "bounded", "lossy"}
    max_error : float, optional
        Largest absolute error of any finite sample, in the data's units; bounded mode needs it.
        Of complex samples, the modulus of the error.
    fill_value : int or float, or several, optional
        Values that mark missing samples, come back exactly, and are not what other values come
        back as.  For NaN and infinities this always holds, so they count as not given.
    axes : str, optional
        One letter per dimension, see `latrans.Codec`.
    quality, step : float, optional
        How fine lossy mode is, by models of more than one rate, see `latrans.Codec`.
    valid_range : (lowest, highest), or several such pairs, optional
        What lies outside is missing, too, see `latrans.Codec`.

    Raises
    ------
    ConfigError
        For a value that no codec can use.  Whether the model is found shows when data is
        encoded or decoded.
    """

    model: str
    mode: str
    max_error: float | None
    fill_value: int | float | tuple[int | float, ...] | None
    axes: str | None
    quality: int | float | None
    step: int | float | None
    valid_range: tuple[Any, ...] | None

    def __init__(
        self,
        model: Any = "image-1",
        mode: str = "lossless",
        max_error: float | None = None,
        fill_value: FillValue | None = None,
        axes: str | None = None,
        quality: float | None = None,
        step: float | None = None,
        valid_range: ValidRange | None = None,
    ) -> None:
        max_error = _number("max_error", max_error)
        marks = tuple(value for value in as_values(fill_value) if math.isfinite(value))
        for mark in marks:
            _number("fill_value", mark)
        kept = marks[0] if len(marks) == 1 else marks or None
        limits = _limits(valid_range)
        quality, step = _number("quality", quality), _number("step", step)
        if max_error is not None and not math.isfinite(max_error):
            raise ConfigError(f"max_error is {max_error}; expected a finite number above 0")
        if isinstance(model, os.PathLike):
            model = os.fspath(model)
        values = (_reference(model), mode, max_error, kept, axes, quality, step, limits)
        told = dict(zip((field.name for field in fields(self)), values, strict=True))
        for name, value in told.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_codec", Codec(**{**told, "model": model}))

    if TYPE_CHECKING:  # no field: it follows from the fields, and is not compared or pickled
        _codec: Codec

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Make an instance from stored values; an entry of another name is a `ConfigError`."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(str(key) for key in values if key not in known)
        if unknown:
            raise ConfigError(
                f"latrans configuration has unknown entries {', '.join(unknown)}; expected only "
                f"{', '.join(known)}: remove them, or update latrans if a newer one wrote them"
            )
        return cls(**values)

    def to_mapping(self) -> dict[str, Value]:
        """Values to store, ready for JSON; what is None is left out."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: _as_json(value) for name, value in pairs if value is not None}

    def __repr__(self) -> str:
        from .models.store import brief

        shown = {**self.to_mapping(), "model": brief(self.model)}
        values = ", ".join(f"{k}={v!r}" for k, v in shown.items())
        return f"{type(self).__name__}({values})"

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[dict[str, Value]]]:
        return type(self).from_mapping, (self.to_mapping(),)


def _reference(model: Any) -> str:
    """Return the string that a model is stored as."""
    if isinstance(model, str) and model:
        return model
    digest = getattr(model, "digest", None)
    if isinstance(digest, str):
        from .models.store import register

        register(model)
        return f"sha256:{digest}"
    raise ConfigError(
        f"model is {_shorten(repr(model))}; expected a name, a path, a 'sha256:' digest, "
        "a 'data:' URI or a latrans.Model"
    )


def _number(name: str, value: Any) -> int | float | None:
    """Turn NumPy's and other numbers into those that JSON has."""
    if value is None:
        return None
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if not -(2**63) <= value < 2**64:
            raise ConfigError(f"{name} is an integer of more than 64 bits; give it as a float")
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    raise ConfigError(f"{name} is {value!r}; expected a number or None")


def _limits(valid_range: ValidRange | None) -> tuple[Any, ...] | None:
    """A pair of limits, or a tuple of pairs, of numbers that JSON has; None for no limit."""
    pairs = tuple(
        tuple(limit if math.isfinite(limit) else None for limit in pair)
        for pair in as_ranges(valid_range)
    )
    return pairs[0] if len(pairs) == 1 else pairs or None


def _as_json(value: Any) -> Any:
    return [_as_json(part) for part in value] if isinstance(value, tuple) else value


def _shorten(text: str) -> str:
    if len(text) <= _LONGEST_REPR:
        return text
    return f"{text[:_LONGEST_REPR]}... ({len(text)} characters)"
