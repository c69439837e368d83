"""NLMS: the error of the linear prediction predicted from the errors before it.

Sound and many sensors change faster than coefficients in a header can follow.  Every lane keeps a
filter over its last errors and bends it after each sample; nothing is stored.  Method: normalised
least mean squares (Widrow and Hoff 1960; cascades of such filters serve lossless audio coders),
with the local error energy as the norm, in integers (FORMAT.md 6.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..coding.fixed_point import Ints, Unit

WEIGHT_LIMIT = 1 << 18  # weights count in 2**-17
SHARE_LIMIT = 1 << 12  # the predicted error counts in 1/1024 of the energy
STEP_LIMIT = 32  # a miss counts in 1/16 of the energy, up to 2
MISS_SHIFT = 4


@dataclass
class Filter:
    """One filter per lane; arrays end in the lanes.

    Attributes
    ----------
    weights, inputs : (taps, lanes) of the filter, and the errors it last saw, in 1/16 energy.
    energy, predicted_error : of the last sample, 8 fraction bits.
    mean_abs_miss : running mean of the magnitude that the filter misses, 8 fraction bits.
    """

    weights: Ints
    inputs: Ints
    energy: Ints
    predicted_error: Ints
    mean_abs_miss: Ints

    @classmethod
    def start(cls, n_taps: int, sigma: Ints) -> Filter:
        """Filters that know nothing; `sigma` (lanes,) stands for what they miss."""
        shape = (n_taps, len(sigma))
        zeros = np.zeros(len(sigma), np.int64)
        blank = np.zeros(shape, np.int64)
        return cls(blank, blank.copy(), np.ones_like(zeros), zeros, sigma.astype(np.int64))

    def update(self, lanes: Any, error: Ints, unit: Unit) -> None:
        """What the error of the last sample of some lanes was, 8 fraction bits.

        `unit` measures by its energy.
        """
        missed = error - self.predicted_error[lanes]
        step = unit.ratio(missed).clip(-STEP_LIMIT, STEP_LIMIT)
        new_weights = self.weights[:, lanes] + step * self.inputs[:, lanes]
        self.weights[:, lanes] = new_weights.clip(-WEIGHT_LIMIT, WEIGHT_LIMIT)
        self.mean_abs_miss[lanes] += (abs(missed) - self.mean_abs_miss[lanes]) >> MISS_SHIFT

    def predict(self, lanes: Any, inputs: Ints, energy: Ints) -> tuple[Ints, Ints]:
        """Foretold error and its share of the energy.

        `inputs` (taps, ...) are the errors before, latest first, as ratios to the energy.
        """
        normalised_prediction = (self.weights[:, lanes] * inputs).sum(0) >> 11
        normalised_prediction = normalised_prediction.clip(-SHARE_LIMIT, SHARE_LIMIT)
        predicted_error = (energy >> 10) * normalised_prediction + (
            ((energy & 1023) * normalised_prediction) >> 10
        )
        self.inputs[:, lanes] = inputs
        self.energy[lanes], self.predicted_error[lanes] = energy, predicted_error
        return predicted_error, normalised_prediction
