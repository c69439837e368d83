"""Checks of training data, before anything is trained: each says what was found and expected."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import ConfigError
from .examples import Sampler, Source
from .files import open_arrays

_TRIES = 256  # random pieces that are looked at for one that is not flat


def opened(sources: Sequence[Source], axes: str | None) -> list[Source]:
    """Sources with their arrays opened, once for all.

    Parameters
    ----------
    sources : sequence of Source
    axes : str or None
        As the user gave them.  Arrays of fewer dimensions are fine beside others that have them.

    Raises
    ------
    ConfigError
        If there is no array, one that holds no samples, or none with so many dimensions.
    """
    found = [replace(source, data=open_arrays(source.data)) for source in sources]
    arrays = [named for source in found for named in source.data]
    if not arrays:
        raise ConfigError(
            "training data is an empty list; expected an array, a file, or a list of some"
        )
    for i, named in enumerate(arrays, 1):
        if not math.prod(named.array.shape):
            raise ConfigError(
                f"training array {named.name!r}, {i} of {len(arrays)}, has shape "
                f"{tuple(named.array.shape)} and so no samples: leave it out"
            )
    most = max(len(named.array.shape) for named in arrays)
    if axes is not None and len(axes) > most:
        raise ConfigError(
            f"axes {axes!r} name {len(axes)} dimensions, the training data has {most}: give one "
            "letter per dimension"
        )
    return found


def refuse_flat(sources: Sequence[Source], axes: str, geometry: str) -> None:
    """Refuse data of which no random piece holds more than one value."""
    sampler = Sampler(sources, axes, geometry, augment=False, identity=False)
    rng = np.random.default_rng(0)
    refuse_if_flat(sampler.draw(rng).plane for _ in range(_TRIES))


def refuse_if_flat(pieces: Iterable[Any]) -> None:
    """Refuse pieces, as integers, that hold one value each: there is nothing to learn from them.

    Raises
    ------
    ConfigError
    """
    if not any(piece.size and piece.min() < piece.max() for piece in pieces):
        raise ConfigError(
            "there is nothing to learn from the training data: the pieces of it that were drawn "
            "hold one value each, or no finite number at all"
        )
