"""Options: what a codec is told, checked once and carried as one record."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .chunk.rate import Rate
from .errors import ConfigError
from .format.axes import named as axes_named
from .format.frame import check_mode
from .missing.missing import FillValue, Missing, ValidRange

if TYPE_CHECKING:
    from .models.model import Model


@dataclass(frozen=True, repr=False, eq=False)
class CodecOptions:
    """What a codec is told; `latrans.Codec`, which is one, says what each field means.

    `dataclasses.replace` makes another that differs in some fields.

    Raises
    ------
    ConfigError
        For a value that no codec can use, or values that do not go together.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from latrans.options import CodecOptions
    >>> bounded = CodecOptions("field-1", "bounded", max_error=0.5)
    >>> replace(bounded, max_error=2).max_error
    2.0
    >>> sorted(name for name, value in bounded.stored().items() if value is not None)
    ['max_error', 'mode', 'model']
    """

    model: str | os.PathLike[str] | bytes | Model = "image-1"
    mode: str = "lossless"
    max_error: float | None = None
    fill_value: FillValue | None = None
    axes: str | None = None
    engine: str | None = None
    quality: float | None = None
    step: float | None = None
    valid_range: ValidRange | None = None

    def __post_init__(self) -> None:
        mode, max_error = check_mode(self.mode), self.max_error
        if mode == "bounded":
            number = max_error if isinstance(max_error, (int, float, np.number)) else 0
            if not 0 < number < float("inf"):
                raise ConfigError(f"mode 'bounded' needs max_error > 0, found {max_error!r}")
        elif max_error is not None:
            raise ConfigError(
                f"max_error is for mode 'bounded', found it with mode {mode!r}: say "
                "mode='bounded', or leave it out"
            )
        if isinstance(self.model, os.PathLike):
            object.__setattr__(self, "model", os.fspath(self.model))
        object.__setattr__(self, "max_error", None if max_error is None else float(max_error))
        object.__setattr__(self, "axes", axes_named(self.axes))
        Missing.of(self.fill_value, self.valid_range)  # raises for what marks nothing
        if self.quality is not None or self.step is not None:
            if mode != "lossy":
                raise ConfigError(f"quality and step are for mode 'lossy', found mode {mode!r}")
            Rate(self.quality, self.step)

    @cached_property
    def missing(self) -> Missing | None:
        """What marks missing samples, by value or by range."""
        return Missing.of(self.fill_value, self.valid_range)

    def stored(self) -> dict[str, Any]:
        """Values by name, without the engine: it is a choice of the machine, not of the data."""
        return {f.name: getattr(self, f.name) for f in fields(CodecOptions) if f.name != "engine"}

    def check_model(self, model: Model) -> None:
        """Raise `ConfigError` if a model does not have the mode or rate that is asked for."""
        if self.mode == "lossy" and not model.has_latents:
            raise ConfigError(
                f"model {model.name!r} has no autoencoder and so no lossy mode; use mode 'bounded' "
                "or a model trained with one"
            )
        if self.mode != "lossy" and model.lossy_only:
            raise ConfigError(
                f"model {model.name!r} is lossy only, found mode {self.mode!r}: use mode 'lossy', "
                "or another model such as 'image-1'"
            )
        if model.transform is None and (self.quality is not None or self.step is not None):
            raise ConfigError(
                f"model {model.name!r} has one rate and takes neither quality nor step; use a "
                "model such as 'image-lossy-1'"
            )
