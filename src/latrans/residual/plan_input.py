"""Plan input: a plane that is planned for, its bands of rows, and the plan that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..coding.fixed_point import Ints, code_from_sigma
from ..coding.geometry import RECONSTRUCTION_TAPS
from ..coding.schedule import LANES
from .canvas import Reference
from .fit import Noise
from .job import Job
from .neighbours import Workspace
from .predictor import Coefficients, Predictor
from .reference import fill_samples
from .trials import Trial, Trials, noise_of, subsample

_FIT_SAMPLES = 1 << 13
_PART_SAMPLES = 3000  # of some lanes of a whole block


@dataclass(frozen=True)
class Plan:
    """How one plane is predicted.

    Attributes
    ----------
    has_coefficients : whether the plane brings its coefficients; otherwise the model's are used.
    bands, band_rows : coefficient sets and the rows each serves.
    references : indices into the planes coded so far, the networks' first.
    expert : which of the model's experts codes the plane, or `NO_NETWORK`.
    cost_bits : estimate with side information, for comparison between plans only.
    """

    has_coefficients: bool
    bands: tuple[Coefficients, ...]
    band_rows: int
    references: tuple[int, ...]
    cost_bits: float
    expert: int = 0


@dataclass(frozen=True)
class PlanePlanInput:
    """A plane to plan for, and what it may refer to.

    With a step, the noise of what comes back counts as a variance of step**2 / noise_parts; 12 is
    that of uniform white noise.
    """

    predictor: Predictor
    plane: Ints  # (rows, columns)
    n_samples: int
    finished: Sequence[Any]  # a backend's own records
    reconstruction: Ints | None
    step: int = 1
    noise_parts: int = 12

    def job(self, plan: Plan, lo: int, hi: int, keep: bool = True) -> Job:
        rows, columns = self.plane.shape
        return Job(
            rows=rows,
            columns=columns,
            n_samples=self.n_samples,
            bands=plan.bands,
            band_rows=plan.band_rows,
            references=[self.finished[i] for i in plan.references],
            reconstruction=self.reconstruction,
            lo=lo,
            hi=hi,
            expert=plan.expert,
            step=self.step,
            keep=keep,
        )

    @property
    def noise(self) -> Noise | None:
        """Noise of the samples that come back."""
        n_more = 0 if self.reconstruction is None else len(RECONSTRUCTION_TAPS)
        return noise_of(self.predictor.geometry, n_more, self.step, self.noise_parts)

    def trials(self) -> Trials:
        """What tries predictors on the plane; other backends have twins."""
        p, reconstruction = self.predictor, self.reconstruction
        rows, columns = self.plane.shape
        space = Workspace(
            predictor=p,
            rows=rows,
            columns=columns,
            n_samples=self.n_samples,
            references=(),
            reconstruction=None
            if reconstruction is None
            else Reference(p.geometry, reconstruction, self.n_samples),
            lo=0,
            hi=0,
            first_sigma=0,
        )
        fill_samples(space, self.plane)
        return Trials(space, self.plane, self.finished, self.noise)

    def bands(self, height: int, most: int = _FIT_SAMPLES) -> list[CoefficientBand]:
        """Bands of so many rows; those of a track's end that hold no sample are left out."""
        rows, columns = self.plane.shape
        found = []
        part = not self.predictor.geometry.is_plane and height < rows == LANES
        most = _PART_SAMPLES if part else most
        for top in range(0, rows, height):
            start = top * columns
            end = min(start + height * columns, rows * columns, self.n_samples)
            if end > start:
                found.append(CoefficientBand(subsample(columns, start, end, most), end - start))
        return found


@dataclass(frozen=True)
class CoefficientBand:
    """Rows that share a coefficient set: which samples stand for them, and how many they are."""

    look: range
    n_samples: int

    def bits(self, trial: Trial) -> float:
        """Estimated bits of all samples."""
        return trial.bits(self.look, self.n_samples)

    def flattery(self, trial: Trial) -> float:
        """Bits by which weights do better on the samples that they were fitted to than on all.

        Twice the half nat per weight that they gain there (Akaike 1974), for all samples.
        """
        return 1.5 * len(trial.weights) * self.n_samples / len(self.look)

    def coefficients(self, trial: Trial) -> Coefficients:
        """The trial's, with its mean error."""
        sigma_code = code_from_sigma(trial.error / len(self.look))
        return Coefficients(trial.weights, trial.shift, sigma_code)
