"""Rivals: other codecs behind one face, to compare with on the same arrays.

One small module per format.  None of them is needed to use latrans: each says which package or
command it lacks.  All run on one thread.  Sizes are those of the format's own streams; dtype,
shape and the lengths of streams, which a container would hold anyway, are not counted.
`measure.measure` runs them in a process of their own: what crashes, hangs or takes all memory
there is an error here.
"""

from __future__ import annotations

from .rival import Rival, stored_nbytes

__all__ = ["Rival", "all_rivals", "named", "stored_nbytes"]


def all_rivals() -> tuple[Rival, ...]:
    """Every rival, installed or not, in the order in which tables show them."""
    from . import blosc, flac, jpegls, jpegxl, jpeg2000, parquet, pco, sperr  # isort: skip
    from . import sz3, wavpack, webp, zfp, zstandard

    modules = (zstandard, blosc, pco, jpegxl, jpeg2000, webp, jpegls, flac, wavpack, parquet)
    bounded = (sz3, sperr, zfp)
    return tuple(rival for module in (*modules, *bounded) for rival in module.RIVALS)


def named(text: str) -> tuple[Rival, ...]:
    """Rivals whose label contains one of the comma-separated words, whatever the case.

    Examples
    --------
    >>> [rival.label for rival in named("zstd-19,jpeg xl")]
    ['zstd-19', 'JPEG XL e3', 'JPEG XL e7', 'JPEG XL e9']
    """
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    return tuple(r for r in all_rivals() if any(word in r.label.lower() for word in words))
