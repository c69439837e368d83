"""Geometries: which decoded neighbours a sample may see (FORMAT.md 6.2).

Two geometries share one code path.  In a *plane* the lanes are rows and neighbours lie in this
row and the rows above; in a *track* the lanes are time segments and neighbours lie to the left.
Offsets are (row, column) relative to the sample.
"""

from __future__ import annotations

from dataclasses import dataclass

Offset = tuple[int, int]
Offsets = tuple[Offset, ...]


@dataclass(frozen=True)
class Geometry:
    """Neighbourhood of one kind of data; all of it is part of the format.

    Attributes
    ----------
    base : pair of offsets
        Their rounded mean is the sample's reference level.
    taps : offsets of the linear predictor; the first 8 also enter the network.
    errors, error_weights
        Neighbouring prediction errors that enter the network; the weights, which sum to 8,
        make the local error energy.
    windows : (rows above, columns left, columns right) of the box means of absolute errors.
    predictors : sums of (weight, offset), alternatives to the linear prediction that the network
        may mix in; the first `n_described` also enter it.
    n_adaptive : errors before the sample that an adaptive filter predicts its error from; one
        more alternative, after the others.
    median : whether the median edge detector is one more alternative, before the others.
    reference_taps : linear predictor taps in a reference plane, any position.
    n_near : the first of these that also enter the network.
    reference_errors : errors of a reference plane that enter the network, centre first.
    up, left, right : reach of all of the above.
    """

    name: str
    base: tuple[Offset, Offset]
    taps: Offsets
    errors: Offsets
    error_weights: tuple[int, ...]
    windows: tuple[tuple[int, int, int], ...]
    predictors: tuple[tuple[tuple[int, Offset], ...], ...]
    n_described: int
    median: bool
    n_adaptive: int
    reference_taps: Offsets
    n_near: int
    reference_errors: Offsets
    up: int
    left: int
    right: int

    @property
    def n_inputs(self) -> int:
        """Network inputs without reference plane and reconstruction."""
        return (
            8 + 3 + 2 + 4 + len(self.errors) + 3 + len(self.windows)
            + self.median + self.n_described + 1 + 2 * (self.n_adaptive > 0)
        )  # fmt: skip

    @property
    def n_gates(self) -> int:
        """Alternatives that the network may mix in; the model's own prediction is the last."""
        return self.median + len(self.predictors) + (self.n_adaptive > 0) + 1

    @property
    def n_reference_inputs(self) -> int:
        return len(self.reference_errors) + 3 + self.n_near

    @property
    def is_plane(self) -> bool:
        """Whether lanes are rows of a plane, and not segments of a track."""
        return self.up > 0


N_RECONSTRUCTION_INPUTS = 12
RECONSTRUCTION_TAPS: Offsets = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1))

PLANE = Geometry(
    name="plane",
    base=((0, -1), (-1, 0)),
    taps=(
        (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, -2), (-1, 2),
        (-2, -1), (-2, 1), (-2, -2), (-2, 2), (0, -3), (-3, 0), (-1, -3), (-1, 3),
        (-3, -1), (-3, 1), (-2, -3), (-2, 3), (-3, -2), (-3, 2), (0, -4), (-4, 0),
    ),
    errors=((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)),
    error_weights=(2, 2, 1, 1, 1, 1),
    windows=((3, 3, 3), (6, 10, 3)),
    predictors=(
        ((1, (0, -1)), (1, (-1, 0)), (-1, (-1, -1))),
        ((1, (0, -1)), (1, (-1, 1)), (-1, (-1, 0))),
        ((1, (-1, 0)), (1, (-1, 1)), (-1, (-2, 1))),
        ((1, (0, -1)),),
        ((1, (-1, 0)),),
        ((2, (0, -1)), (-1, (0, -2))),
        ((2, (-1, 0)), (-1, (-2, 0))),
    ),
    n_described=3,
    median=True,
    n_adaptive=0,
    reference_taps=(
        (0, 0), (0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1),
        (0, -2), (0, 2), (-2, 0), (2, 0),
    ),
    n_near=5,
    reference_errors=((0, 0), (0, 1), (1, 0)),
    up=6,
    left=10,
    right=4,
)  # fmt: skip

TRACK = Geometry(
    name="track",
    base=((0, -1), (0, -1)),
    taps=tuple((0, -1 - i) for i in range(1, 33)),
    errors=tuple((0, -i) for i in range(1, 9)),
    error_weights=(2, 2, 1, 1, 1, 1, 0, 0),
    windows=((0, 16, -1), (0, 64, -1), (0, 128, -1)),
    predictors=(
        ((1, (0, -1)),),
        ((2, (0, -1)), (-1, (0, -2))),
        ((3, (0, -1)), (-3, (0, -2)), (1, (0, -3))),
    ),
    n_described=3,
    median=False,
    n_adaptive=16,
    reference_taps=((0, 0), (0, -1), (0, 1)),
    n_near=3,
    reference_errors=((0, 0), (0, 1), (0, 2)),
    up=0,
    left=128,
    right=0,
)

GEOMETRIES = {g.name: g for g in (PLANE, TRACK)}
