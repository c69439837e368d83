"""Chunking: into what chunks an array is cut, so that a part can be read alone and codes well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..format import axes as letters

if TYPE_CHECKING:
    from ..models.model import Model

_CHUNK_SAMPLES = 1 << 20
_AXIS_CAP = {"y": 512, "x": 512}  # larger pictures are cut, so that a part can be read alone
_TRACK_CAP = 1 << 17
_GROWING_TRACK_CAP = 1 << 14  # each append encodes the last chunk again
_NAMES = {
    "y": "y lat latitude row rows height rlat nav_lat",
    "x": "x lon longitude col column columns width rlon nav_lon",
    "z": "z depth lev level levels plev altitude slice plane",
    "t": "t time valid_time sample samples frame date",
    "c": "c channel channels band bands wavelength spectral",
}
_LETTER_OF = {name: letter for letter, names in _NAMES.items() for name in names.split()}


def default_chunks(shape: Sequence[int], axes: str | None = None) -> tuple[int, ...]:
    """Chunks of up to a million samples: pictures up to 512 x 512, all channels, then the rest.

    Recordings are cut after 131,072 samples of a channel.

    Parameters
    ----------
    shape : sequence of int
        Of the array.  A dimension of 0 is one that grows: its chunks are those of a long one, or
        along a recording shorter, since an append encodes the last chunk again.
    axes : str, optional
        One letter per dimension, see `latrans.Codec`.  By default the last two are a picture, and
        one alone is a recording.

    Returns
    -------
    tuple of int
        Samples of a chunk along each dimension, at least one.

    Examples
    --------
    >>> default_chunks((100, 2000, 3000), "zyx")
    (4, 512, 512)
    >>> default_chunks((1_000_000, 8), "tc"), default_chunks((0, 64), "tc")
    ((131072, 8), (16384, 64))
    >>> default_chunks((0, 600, 700), "zyx")
    (4, 512, 512)
    """
    if axes is None:
        axes = "t" if len(shape) == 1 else "n" * (len(shape) - 2) + "yx"[: len(shape)]
    caps = dict(_AXIS_CAP)
    along = "t" if "x" not in axes else "x" if "y" not in axes else ""
    if along:  # a recording, by whatever letter the model has for it
        grows = along in axes and shape[axes.index(along)] == 0
        caps[along] = _GROWING_TRACK_CAP if grows else _TRACK_CAP
    chunks = [1] * len(shape)
    left = _CHUNK_SAMPLES
    # Axes that are predicted jointly first, then channels, then the rest, innermost first.
    order = sorted(range(len(shape)), key=lambda i: (axes[i] not in caps, axes[i] != "c", -i))
    for i in order:
        chunks[i] = max(1, min(shape[i] or left, caps.get(axes[i], left), left))
        left //= chunks[i]
    return tuple(chunks)


def axes_of_names(names: Sequence[str | None]) -> str:
    """One letter per dimension for names that are customary; "n" for others, and for repeats.

    Examples
    --------
    >>> axes_of_names(["time", "lat", "lon"]), axes_of_names(["cell", "Y", "X", None])
    ('tyx', 'nyxn')
    """
    axes = ""
    for name in names:
        letter = _LETTER_OF.get((name or "").lower(), "n")
        axes += "n" if letter in axes else letter
    return axes


def model_axes(
    model: Model | None,
    shape: Sequence[int],
    axes: str | None = None,
    names: Sequence[str | None] | None = None,
) -> tuple[str | None, str | None]:
    """What a model should be told about an array's dimensions, and how to cut them.

    Parameters
    ----------
    model : Model or None
        None where it is chosen chunk by chunk.
    shape : sequence of int
    axes : str, optional
        As given by the user, who is believed.
    names : sequence of (str or None), optional
        Names of the dimensions; used where the model can.

    Returns
    -------
    told : str or None
        Axes for the codec; None for those that it assumes by itself.
    cut : str or None
        Axes for `default_chunks`.

    Raises
    ------
    ConfigError
        If `axes` do not suit the model.
    """
    geometries = ("plane", "track") if model is None else (model.geometry,)
    if axes is None and names is not None and len(names) == len(shape):
        found = axes_of_names(names)
        if any(_suits(found, len(shape), geometry) for geometry in geometries):
            axes = found
    elif axes is not None and model is not None:
        letters.check(axes, len(shape), model.geometry)
    if axes is not None or model is None or not shape:
        return axes, axes
    return None, letters.default(model.axes, tuple(shape), model.geometry)


def inner_chunks(chunks: Sequence[int], shards: Sequence[int]) -> tuple[int, ...]:
    """Chunks that shards are made of: of each dimension, the largest part that is at most `chunks`.

    Examples
    --------
    >>> inner_chunks((512, 512), (1000, 96))
    (500, 96)
    """
    return tuple(
        next(n for n in range(min(chunk, shard), 0, -1) if shard % n == 0)
        for chunk, shard in zip(chunks, shards, strict=True)
    )


def _suits(axes: str, ndim: int, geometry: str) -> bool:
    try:
        letters.check(axes, ndim, geometry)
    except ConfigError:
        return False
    return True
