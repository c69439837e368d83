"""Chunking: into what chunks an array is cut, so that a part can be read alone and codes well."""

from __future__ import annotations

from collections.abc import Sequence

_CHUNK_SAMPLES = 1 << 20
_AXIS_CAP = {"y": 512, "x": 512}  # larger pictures are cut, so that a part can be read alone
_TRACK_CAP = 1 << 17


def default_chunks(shape: Sequence[int], axes: str | None = None) -> tuple[int, ...]:
    """Chunks of about a million samples: pictures up to 512 x 512, all channels, then the rest.

    Parameters
    ----------
    shape : sequence of int
        Of the array.
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
    >>> default_chunks((1_000_000, 8), "tc")
    (131072, 8)
    """
    if axes is None:
        axes = "t" if len(shape) == 1 else "n" * (len(shape) - 2) + "yx"[: len(shape)]
    caps = dict(_AXIS_CAP)
    if "x" not in axes:
        caps["t"] = _TRACK_CAP
    chunks = [1] * len(shape)
    left = _CHUNK_SAMPLES
    # Axes that are predicted jointly first, then channels, then the rest, innermost first.
    order = sorted(range(len(shape)), key=lambda i: (axes[i] not in caps, axes[i] != "c", -i))
    for i in order:
        chunks[i] = max(1, min(shape[i], caps.get(axes[i], left), left))
        left //= chunks[i]
    return tuple(chunks)
