"""Job and classes: what the coder is given for a plane, and what it finds (FORMAT.md 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..coding.tokens import tokenise
from .canvas import Reference
from .classes import Placed, offsets
from .neighbours import CodedPlane, Workspace
from .predictor import Coefficients, Predictor

_BAND_SAMPLES = 1 << 16


@dataclass(frozen=True)
class Job:
    """One plane to code.

    Attributes
    ----------
    rows, columns, n_samples : lanes, their length, samples that exist.
    bands : one coefficient set per group of `band_rows` rows.
    references : finished planes; reconstruction : (rows, columns) or None.
    lo, hi : range of the samples.
    expert : index of the networks, or `NO_NETWORK`.
    step : samples are coded in multiples of this from their rounded prediction; 1 or an odd
        number from 9 to 255.
    keep : whether a later plane may refer to this one.
    """

    rows: int
    columns: int
    n_samples: int
    bands: Sequence[Coefficients]
    band_rows: int
    references: Sequence[CodedPlane]
    reconstruction: Ints | None
    lo: int
    hi: int
    expert: int = 0
    step: int = 1
    keep: bool = True

    def workspace(self, predictor: Predictor) -> Workspace:
        reconstruction = self.reconstruction
        return Workspace(
            predictor=predictor,
            rows=self.rows,
            columns=self.columns,
            n_samples=self.n_samples,
            references=self.references,
            reconstruction=None
            if reconstruction is None
            else Reference(predictor.geometry, reconstruction, self.n_samples),
            lo=self.lo,
            hi=self.hi,
            first_sigma=self.bands[0].sigma,
        )

    def part(self, top: int, n: int, n_samples: int) -> Job:
        """Some rows on their own, all of one coefficient set."""
        reconstruction = self.reconstruction
        return replace(
            self,
            rows=n,
            n_samples=n_samples,
            bands=[self.bands[top // self.band_rows]],
            band_rows=n,
            references=[coded.part(top, n, n_samples) for coded in self.references],
            reconstruction=None if reconstruction is None else reconstruction[top : top + n],
        )

    def row_bands(self) -> Iterator[tuple[int, int, Coefficients]]:
        """(top, rows, coefficients) in pieces that fit the cache."""
        piece = max(1, _BAND_SAMPLES // max(1, self.columns))
        for i, coefficients in enumerate(self.bands):
            start, end = i * self.band_rows, min((i + 1) * self.band_rows, self.rows)
            for top in range(start, end, piece):
                yield top, min(piece, end - top), coefficients


@dataclass(frozen=True)
class Classes:
    """What the entropy coder needs of each sample, (rows, columns) each.

    `offset` is already mirrored; `coded` is False for samples that are stored apart.
    """

    table: Ints
    low_bits: Ints
    offset: Ints
    coded: npt.NDArray[np.bool_]

    def enter(self, here: Any, placed: Placed, value: Ints) -> None:
        """Classes of some samples and the offset of their coded values."""
        self.table[here] = placed.table
        self.low_bits[here] = placed.low_bits
        self.offset[here] = offsets(placed, value)

    def count(self, counts: Ints) -> int:
        """Add how often each token meets each class to (tables, tokens); returns the raw bits."""
        low = self.low_bits[self.coded]
        token, n_raw, _ = tokenise(self.offset[self.coded], low)
        np.add.at(counts, (self.table[self.coded], token), 1)
        return int(n_raw.sum())
