"""Rate: how fine a lossy chunk is (FORMAT.md 11.3 has what becomes of it)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError

DEFAULT_QUALITY = 50.0
_PER_POINT = 6.4  # 64ths of an octave
_OCTAVE = [round(2**14 * 2 ** (-i / 64)) for i in range(64)]


@dataclass(frozen=True)
class Rate:
    """How coarsely a chunk is quantised: by quality, or by a step in units of the data."""

    quality: float | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        for name, value, most in (("quality", self.quality, 100.0), ("step", self.step, np.inf)):
            if value is None:
                continue
            number = value if isinstance(value, (int, float, np.number)) else 0
            if isinstance(value, bool) or not 0 < number <= most or number == np.inf:
                limit = "above 0" if most == np.inf else f"above 0, at most {most:g}"
                raise ConfigError(f"{name} is {value!r}; expected a number {limit}")
        if self.quality is not None and self.step is not None:
            raise ConfigError("quality and step both set the precision: give only one of them")

    def of(self, span: int, scale: float, one: int, most: int) -> int:
        """The step in units of which `one` are one integer of a chunk, at most `most`.

        Parameters
        ----------
        span : largest minus smallest of the chunk's integers, at least 1.
        scale : how many units of the data one integer is.
        """
        if self.step is not None:
            return round(min(self.step / scale * one, float(most)))
        quality = DEFAULT_QUALITY if self.quality is None else float(self.quality)
        # Ten points halve the step, which is the whole range at none.
        octaves, part = divmod(round(quality * _PER_POINT), 64)
        return min(span * one * _OCTAVE[part] >> (14 + octaves), most)


DEFAULT_RATE = Rate()
