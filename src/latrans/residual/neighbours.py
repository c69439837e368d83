"""Neighbours: of the samples of whole row bands, or of single samples (FORMAT.md 6.2, 6.3).

`Gather` says what is asked of canvases; `Workspace` owns those of one plane.  Encoding fills them
band by band, decoding sample by sample; both ask for the same differences and the same
`Neighbours`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..coding.array_ops import namespace
from ..coding.fixed_point import Ints, Unit
from ..coding.geometry import RECONSTRUCTION_TAPS, Geometry
from .canvas import Canvas, Reference
from .features import Beside, Neighbours, local_energy
from .nlms import Filter
from .predictor import TRAINED_SHIFT, Predictor

_LIMIT = 1 << 45  # of a prediction relative to its base


@dataclass(frozen=True)
class CodedPlane:
    """A finished plane as a reference for later ones."""

    samples: Reference
    errors: Reference
    energy: Reference

    def part(self, top: int, n: int, n_samples: int) -> CodedPlane:
        """Some rows as a plane of their own."""
        parts = (self.samples, self.errors, self.energy)
        return CodedPlane(*(p.part(top, n, n_samples) for p in parts))

    @property
    def extent(self) -> tuple[tuple[int, ...], int]:
        """Shape, and number of samples that exist."""
        return self.samples.values.shape, self.samples.n_samples


class Gather:
    """What the coder asks of a plane's canvases, through a `Look`: the same for arrays and tensors.

    Attributes
    ----------
    samples, errors, sizes : canvases of the plane; `sizes` holds absolute errors.
    references : finished planes; the first ones also feed the network.
    reconstruction : the decoder network's reconstruction of this plane, if any.
    filter : the adaptive filters of the lanes, if the geometry has any.
    trained : the model's own linear coefficients, in a form that multiplies differences.
    """

    predictor: Predictor
    samples: Any
    errors: Any
    sizes: Any
    references: Sequence[Any]
    reconstruction: Any
    filter: Filter | None
    trained: Any

    @property
    def geometry(self) -> Geometry:
        return self.predictor.geometry

    def differences(self, look: Look) -> tuple[Ints, Ints]:
        """Reference level and linear predictor taps minus it: (...), (taps, ...)."""
        g = self.geometry
        a, b = (look.canvas(self.samples, o) for o in g.base)
        base = (a + b + 1) >> 1
        taps = [look.canvas(self.samples, o) - base for o in g.taps]
        if self.reconstruction is not None:
            taps += [look.reference(self.reconstruction, o) - base for o in RECONSTRUCTION_TAPS]
        xp = namespace(base)
        own = xp.stack(taps)
        others = [self.reference_differences(look, coded) for coded in self.references]
        return base, xp.concatenate([own, *others]) if others else own

    def reference_differences(self, look: Look, coded: Any) -> Ints:
        """Taps of a finished plane minus its own reference level: (taps, ...)."""
        g = self.geometry
        a, b = (look.reference(coded.samples, o) for o in g.base)
        level = (a + b + 1) >> 1
        taps = [look.reference(coded.samples, o) - level for o in g.reference_taps]
        return namespace(level).stack(taps)

    def neighbours(
        self, look: Look, base: Ints, differences: Ints, prediction: Ints, sigma: Any
    ) -> tuple[Neighbours, Ints]:
        """Everything the network sees of the samples, and their local energy.

        `sigma` is the mean absolute error of their coefficient set, 8 fraction bits.
        """
        g, p = self.geometry, self.predictor
        xp = namespace(base)
        n_own = len(g.taps)
        errors = xp.stack([look.canvas(self.errors, o) for o in g.errors])
        sigma = xp.zeros_like(base) + sigma
        energy = local_energy(g, errors, sigma)
        sums: list[Any] = [
            sum(w * look.canvas(self.samples, o) for w, o in p_) for p_ in g.predictors
        ]
        if g.median:
            left, above = (look.canvas(self.samples, o) for o in ((0, -1), (-1, 0)))
            sums.insert(0, sums[0].clip(xp.minimum(left, above), xp.maximum(left, above)))
        reconstruction = reconstruction_errors = None
        if self.reconstruction is not None:
            reconstruction = differences[n_own : n_own + len(RECONSTRUCTION_TAPS)]
            # Against W and N: how far the reconstruction was off there.
            places = ((0, -1), (-1, 0)) if g.is_plane else ((0, -1), (0, -2))
            reconstruction_errors = xp.stack(
                [
                    look.canvas(self.samples, o) - look.reference(self.reconstruction, o)
                    for o in places
                ]
            )
        predicted_error = share = miss = None
        if self.filter is not None:
            recent = xp.stack([look.canvas(self.errors, (0, -1 - i)) for i in range(g.n_adaptive)])
            predicted_error, share, miss = look.predicted_error(self.filter, recent, energy)
        n_before = n_own + len(RECONSTRUCTION_TAPS) * (self.reconstruction is not None)
        beside = []
        for i, coded in enumerate(self.references[: p.n_described_references]):
            start = n_before + i * len(g.reference_taps)
            beside.append(
                Beside(
                    differences[start : start + g.n_near],
                    xp.stack([look.reference(coded.errors, o) for o in g.reference_errors]),
                    look.reference(coded.energy, (0, 0)),
                )
            )
        neighbours = Neighbours(
            base=base,
            differences=differences[:n_own],
            prediction=prediction,
            trained=predict(base, differences, self.trained, TRAINED_SHIFT),
            alternatives=xp.stack(sums),
            errors=errors,
            window_sums=xp.stack([look.window(self.sizes, w) for w in g.windows]),
            sigma=sigma,
            predicted_error=predicted_error,
            normalised_prediction=share,
            mean_abs_miss=miss,
            references=tuple(beside),
            reconstruction=reconstruction,
            reconstruction_errors=reconstruction_errors,
        )
        return neighbours, energy


@dataclass
class Workspace(Gather):
    """One plane while it is being coded.

    Attributes
    ----------
    rows, columns : lanes and their length.
    n_samples : samples that exist; a track's last lanes may be shorter.
    lo, hi : range of the samples.
    first_sigma : mean absolute error of the first coefficient set; stands for the errors that
        the first sample would need.
    energy : (rows, columns) local error energy.
    """

    predictor: Predictor
    rows: int
    columns: int
    n_samples: int
    references: Sequence[CodedPlane]
    reconstruction: Reference | None
    lo: int
    hi: int
    first_sigma: int
    samples: Canvas = field(init=False)
    errors: Canvas = field(init=False)
    sizes: Canvas = field(init=False)
    energy: Ints = field(init=False)
    filter: Filter | None = field(init=False, default=None)
    trained: Ints = field(init=False)

    def __post_init__(self) -> None:
        g = self.geometry
        start = min(max(0, self.lo), self.hi)
        self.samples = Canvas(g, self.rows, self.columns, start)
        self.errors = Canvas(g, self.rows, self.columns, self.first_sigma)
        self.sizes = Canvas(g, self.rows, self.columns, self.first_sigma)
        self.energy = np.ones((self.rows, self.columns), np.int64)
        self.trained = self.predictor.linear.astype(np.int64)
        if g.n_adaptive:
            self.filter = Filter.start(g.n_adaptive, np.full(self.rows, self.first_sigma))

    def finish(self) -> CodedPlane:
        """This plane, as later planes may see it."""
        g = self.geometry
        body = np.s_[g.up :, g.left : g.left + self.columns]
        return CodedPlane(
            Reference(g, self.samples.data[body], self.n_samples),
            Reference(g, self.errors.data[body], self.n_samples),
            Reference(g, self.energy, self.n_samples),
        )


class Look(Protocol):
    """Where to look: a band of whole rows, or single samples."""

    def canvas(self, canvas: Any, offset: tuple[int, int]) -> Ints: ...
    def reference(self, reference: Any, offset: tuple[int, int]) -> Ints: ...
    def window(self, canvas: Any, window: tuple[int, int, int]) -> Ints: ...
    def predicted_error(
        self, filter_: Filter, errors: Ints, energy: Ints
    ) -> tuple[Ints, Ints, Ints]: ...


@dataclass(frozen=True)
class RowBand(Look):
    """Rows top .. top + n."""

    top: int
    n: int

    def canvas(self, canvas: Canvas, offset: tuple[int, int]) -> Ints:
        return canvas.view(offset, self.top, self.n)

    def reference(self, reference: Reference, offset: tuple[int, int]) -> Ints:
        return reference.view(offset, self.top, self.n)

    def window(self, canvas: Canvas, window: tuple[int, int, int]) -> Ints:
        return canvas.window_sums(window, self.top, self.n)

    def predicted_error(
        self, filter_: Filter, errors: Ints, energy: Ints
    ) -> tuple[Ints, Ints, Ints]:
        lanes = np.arange(self.top, self.top + self.n)
        found = np.zeros((3, *energy.shape), np.int64)
        for x in range(1, energy.shape[1]):
            found[:, :, x] = _predict_next(filter_, lanes, errors[:, :, x], energy[:, x])
        return found[0], found[1], found[2]


@dataclass(frozen=True)
class Samples(Look):
    """Single samples at rows y, columns x."""

    y: Ints
    x: Ints

    def canvas(self, canvas: Canvas, offset: tuple[int, int]) -> Ints:
        return canvas.at(offset, self.y, self.x)

    def reference(self, reference: Reference, offset: tuple[int, int]) -> Ints:
        return reference.at(offset, self.y, self.x)

    def window(self, canvas: Canvas, window: tuple[int, int, int]) -> Ints:
        return canvas.window_at(window, self.y, self.x)

    def predicted_error(
        self, filter_: Filter, errors: Ints, energy: Ints
    ) -> tuple[Ints, Ints, Ints]:
        return _predict_next(filter_, self.y, errors, energy)


def _predict_next(
    filter_: Filter, lanes: Ints, errors: Ints, energy: Ints
) -> tuple[Ints, Ints, Ints]:
    """Update with the last error, then predict the next: error, normalised, mean miss."""
    filter_.update(lanes, errors[0], Unit.of(filter_.energy[lanes]))
    inputs = Unit.of(energy).ratio(errors)
    return *filter_.predict(lanes, inputs, energy), filter_.mean_abs_miss[lanes]


def predict(base: Ints, differences: Ints, weights: Ints, shift: Any) -> Ints:
    """Linear prediction with 8 fraction bits; `weights` may be fewer than the taps."""
    each = weights.reshape(*weights.shape, *[1] * (differences.ndim - weights.ndim))
    total = (each * differences[: len(weights)]).sum(0)  # of less than 54 bits
    # Only coefficients out of a damaged frame can get there.
    return (base << 8) + ((total << 8) >> shift).clip(-_LIMIT, _LIMIT)
