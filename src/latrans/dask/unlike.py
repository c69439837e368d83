"""unlike: which of many values stand out, at a rate of false alarms that is asked for.

What is odd costs more bits than the rest, or fewer: noise costs more, blank, blurred or saturated
planes fewer.  So both tails count.  Values are compared with all others, and with those beside
them, since along a stack they often drift.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from .scores import Scores, robust_z

_EFFICIENCY = 0.37  # of the median of absolute deviations, for normal values
_BESIDE = 6  # values that one is compared with that drifts along with them
_STEPS = 1 << 17


def unlike(*scores: npt.ArrayLike, rate: float = 0.01) -> npt.NDArray[np.bool_]:
    """Which values, such as scores of planes, are unlike the others by any of some scores.

    Each score of each value is held against the median of all, and against the median of the six
    nearest along the last axis, in units of the spread of such differences (`robust_z`), and
    counts where it lies further away, on either side, than Student's t allows at this rate.

    Parameters
    ----------
    *scores : arrays of float, all of one shape
        Of `scores`, `plane_scores`, `likeness`, or any others.  NaN stands for unknown.
    rate : float
        Share of values that may be called odd although they are not, above 0 and below 1.  It
        holds for scores that are distributed normally; real ones have longer tails, see Notes.

    Returns
    -------
    bool, same shape

    Raises
    ------
    ConfigError
        If shapes differ, or `rate` is not such a share.

    Notes
    -----
    The spread is estimated by the median of absolute deviations, which half of all values may
    spoil.  For normal values it is worth 0.37 of as many values with a standard deviation, so
    that deviations follow Student's t with 0.37 times as many degrees of freedom: of few values,
    fewer than about ten, only what is far away stands out.  `rate` is shared among all
    comparisons that are made.

    On 11 stacks of electron, fluorescence and bright-field microscopy, CT and MR without known
    faults, 240 planes, a rate of 0.01 called 5 planes odd by `plane_scores` and `likeness`, 2.1 %,
    and 0.001 called 2 odd (``benchmarks/odd_planes.py``).  What changes for good reasons, such as
    a recording of a heart that stumbles, is called odd more often.

    Examples
    --------
    >>> import numpy as np
    >>> bits = np.random.default_rng(0).normal(3, 0.1, 50)
    >>> bits[20], bits[30] = 1, 5
    >>> np.flatnonzero(unlike(bits)).tolist()
    [20, 30]
    """
    if not 0 < rate < 1:
        raise ConfigError(f"rate is {rate!r}; expected a share above 0 and below 1, such as 0.01")
    found = [np.atleast_1d(np.asarray(values, np.float64)) for values in scores]
    if not found or any(values.shape != found[0].shape for values in found):
        raise ConfigError(
            f"scores of shapes {[values.shape for values in found]}; expected one or more, all of "
            "one shape"
        )
    odd = np.zeros(found[0].shape, bool)
    each = rate / (2 * len(found))
    for values in found:
        for deviations in (values, values - _beside(values)):
            limit = t_limit(_EFFICIENCY * (int(np.isfinite(values).sum()) - 1), each)
            odd |= np.abs(robust_z(deviations)) > limit  # false where NaN
    return odd


def t_limit(freedom: float, rate: float) -> float:
    """How far from 0 on either side Student's t lies with a probability of `rate`.

    Examples
    --------
    >>> round(t_limit(10, 0.05), 3), round(t_limit(1e5, 0.0027), 2)
    (2.228, 3.0)
    """
    # With t = sqrt(freedom) tan(angle), the density of the angle is cos(angle) ** (freedom - 1).
    freedom = max(1.0, freedom)
    edge = min(math.pi / 2, 40 / math.sqrt(freedom))
    angle = (np.arange(_STEPS) + 0.5) * (edge / _STEPS)
    density = np.cos(angle) ** (freedom - 1)
    beyond = np.cumsum(density[::-1])[::-1] / density.sum()
    at = int(np.searchsorted(-beyond, -rate))
    return math.sqrt(freedom) * math.tan(min(at, _STEPS - 1) * (edge / _STEPS))


def _beside(values: Scores) -> Scores:
    """Median of the nearest values along the last axis, each left out of its own."""
    n, known = values.shape[-1], np.isfinite(values)
    if n < 3 or not known.any():
        return np.full(values.shape, np.nan)
    filled = np.where(known, values, np.median(values[known]))
    width = min(n - 1, _BESIDE) + 1
    start = np.clip(np.arange(n) - width // 2, 0, n - width)
    places = start[:, None] + np.arange(width)
    others = places[places != np.arange(n)[:, None]].reshape(n, width - 1)
    medians: Scores = np.median(filled[..., others], axis=-1)
    return medians
