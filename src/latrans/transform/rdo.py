"""Choice: what the encoder makes of a band's coefficients.

Values by cost, given the classes that these choices lead to, and how much of the prediction to
believe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from . import predict
from .bands import LOW
from .contexts import Mask, Surroundings, mean_code
from .low import predicted_difference
from .quantise import Centroids, choose, first_guess

_PASSES = 2  # of the choice by cost: each changes the classes that it was made with

# Classes of the wanted coefficients of a band, given the code of its mean and its magnitudes.
Classify = Callable[[Surroundings, int, Ints, Mask | None], Ints]


class Learned(Protocol):
    """What of a transform is needed."""

    @property
    def centroids(self) -> Centroids: ...
    @property
    def costs(self) -> Ints: ...
    @property
    def prediction(self) -> predict.Weights: ...


@dataclass(frozen=True)
class Chooser:
    """Quantises bands by cost."""

    learned: Learned
    classify: Classify

    def __call__(self, around: Surroundings, coefficients: Ints) -> tuple[int, int, Ints, Ints]:
        """Gain, code, values and classes of a band."""
        gain, rest = predict.without(around, coefficients, self.learned.prediction)
        ratio = np.abs(rest) / around.step
        if around.band.kind == LOW:
            values = low_values(rest, ratio)
        else:
            magnitude = self.magnitudes(ratio, around)
            values = np.where(rest < 0, -magnitude, magnitude)
        code = mean_code(np.abs(values))
        if not code:
            return gain, 0, values, np.zeros_like(values)
        return gain, code, values, self.classify(around, code, np.abs(values), None)

    def magnitudes(self, ratio: npt.NDArray[np.float64], around: Surroundings) -> Ints:
        """Magnitudes of least cost for coefficients in steps."""
        magnitude = first_guess(ratio)
        doubtful = ratio >= 0.5  # others are zero, whatever it costs
        for _ in range(_PASSES):
            code = mean_code(magnitude)
            if not code:
                break
            classes = self.classify(around, code, magnitude, doubtful)
            magnitude = choose(ratio, classes, self.learned.centroids, self.learned.costs)
        return magnitude


def low_values(coefficients: Ints, ratio: npt.NDArray[np.float64]) -> Ints:
    """The low band's values, from its coefficients and their magnitudes in steps."""
    nearest = np.floor(ratio + 0.5).astype(np.int64)
    return predicted_difference(np.where(coefficients < 0, -nearest, nearest))
