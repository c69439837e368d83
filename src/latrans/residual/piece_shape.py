"""Piece shape: what both sides know of a plane or track before it is coded."""

from __future__ import annotations

from dataclasses import dataclass

from ..coding.schedule import track_shape


@dataclass(frozen=True)
class PieceShape:
    """Shape of one coded piece, and the earlier ones that it may refer to.

    Attributes
    ----------
    rows, columns, n_samples : lanes, their length, samples that exist.
    candidates : reference planes worth trying, each a tuple of distances back.
    """

    rows: int
    columns: int
    n_samples: int
    candidates: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def track(cls, n_samples: int, candidates: tuple[tuple[int, ...], ...] = ()) -> PieceShape:
        rows, columns = track_shape(n_samples)
        return cls(rows, columns, n_samples, candidates)
