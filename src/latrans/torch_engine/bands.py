"""One band of a batch while it is encoded: what is seen of its samples, and where they are placed.

Both halves are functions of tensors alone, so that a compiler may make few kernels of their many
steps (`fused`).  Between them come the networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch

from ..residual.classes import offsets
from ..residual.features import Predictions, input_rows
from ..residual.neighbours import Gather, predict
from ..residual.nlms import Filter
from ..residual.predictor import Predictor
from ..residual.reference import places
from .canvas import Band, Beyond, Canvas, plane_canvas, track_canvas

Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Kind:
    """What bands have in common that the same steps are taken for.

    Attributes
    ----------
    rows, columns : of the band
    left : its first column, which tracks begin with; 0 for planes.
    first : whether nothing of the planes comes before it.
    n_references, n_described : finished planes, and those that the networks see.
    pictured : whether there is a reconstruction.
    """

    predictor: Predictor
    rows: int
    columns: int
    left: int
    first: bool
    n_references: int
    n_described: int
    pictured: bool


@dataclass(frozen=True)
class Given:
    """A band as it comes; (items, rows, columns) int64 unless said otherwise.

    Attributes
    ----------
    values : the samples.
    samples_before, errors_before : canvases of the band before this one, whole; None for the first.
    start : what stands left of the first sample of planes (items,) or lanes (items, lanes).
    first_sigma : mean absolute error of the first coefficient set, (items,).
    weights : (taps, items, rows, 1); shift, sigma : (items, rows, 1).
    trained : (taps,) the model's own weights.
    beyond : samples of finished planes; then errors and energies of those that networks see; last
        the reconstruction: each with what lies around it (`canvas.Beyond`).
    """

    values: torch.Tensor
    samples_before: torch.Tensor | None
    errors_before: torch.Tensor | None
    start: torch.Tensor
    first_sigma: torch.Tensor
    weights: torch.Tensor
    shift: torch.Tensor
    sigma: torch.Tensor
    trained: torch.Tensor
    beyond: Tensors

    def flat(self) -> list[torch.Tensor]:
        """All tensors there are, one after the other."""
        own = [getattr(self, f.name) for f in fields(self) if f.name != "beyond"]
        return [tensor for tensor in own if tensor is not None] + list(self.beyond)

    @classmethod
    def of(cls, kind: Kind, flat: Sequence[torch.Tensor]) -> Given:
        """Inverse of `flat`."""
        own = [f.name for f in fields(cls)][:-1]
        if kind.first:
            own = [name for name in own if not name.endswith("_before")]
        none = {"samples_before": None, "errors_before": None}
        found = dict(zip(own, flat, strict=False))
        return cls(**{**none, **found}, beyond=tuple(flat[len(own) :]))


@dataclass(frozen=True)
class Described:
    """A band as the networks and `classes` see it.

    Attributes
    ----------
    features : (inputs, items, rows, columns) int8
    samples, errors : canvases.
    energy : local error energy.
    predictions : with no more differences than say whether surroundings are flat.
    """

    features: torch.Tensor
    samples: torch.Tensor
    errors: torch.Tensor
    energy: torch.Tensor
    predictions: Predictions

    def flat(self) -> list[torch.Tensor]:
        """All tensors there are, one after the other."""
        own = [self.features, self.samples, self.errors, self.energy]
        others = [getattr(self.predictions, name) for name in _PREDICTIONS]
        return own + [tensor for tensor in others if tensor is not None]

    @classmethod
    def of(cls, flat: Sequence[torch.Tensor]) -> Described:
        """Inverse of `flat`."""
        names = dict(zip(_PREDICTIONS, flat[4:], strict=False))
        features, samples, errors, energy = flat[:4]
        return cls(features, samples, errors, energy, Predictions(**names))


_PREDICTIONS = [f.name for f in fields(Predictions)]


@dataclass
class Space(Gather):
    """The canvases of a band."""

    predictor: Predictor
    samples: Canvas
    references: Sequence[Any]
    reconstruction: Beyond | None
    filter: Filter | None
    trained: torch.Tensor
    errors: Any = None
    sizes: Any = None


@dataclass(frozen=True)
class Seen:
    """A finished plane, as `Gather` asks for it."""

    samples: Beyond
    errors: Beyond | None = None
    energy: Beyond | None = None


def describe(kind: Kind, given: Given, filter_: Filter | None = None) -> Described:
    """What is seen of a band's samples."""
    g = kind.predictor.geometry
    values, sigma = given.values, given.sigma[:, :, 0]
    canvas = plane_canvas if g.is_plane else track_canvas

    def below(before: torch.Tensor | None) -> Canvas | None:
        return None if before is None else Canvas(g, before, kind.columns, False)

    samples = canvas(g, values, given.start, below(given.samples_before))
    space = _space(kind, given, samples, filter_)
    look = Band(kind.rows, kind.columns, kind.left)
    base, differences = space.differences(look)
    prediction = predict(base, differences, given.weights, given.shift)
    errors = (values << 8) - prediction
    if g.is_plane and kind.first:
        errors[:, 0, 0] = given.first_sigma
    elif kind.first:
        errors[:, :, 0] = sigma
    start = given.first_sigma if g.is_plane else sigma
    space.errors = canvas(g, errors, start, below(given.errors_before))
    space.sizes = Canvas(g, abs(space.errors.data), kind.columns, space.errors.first)
    seen, energy = space.neighbours(look, base, differences, prediction, given.sigma)
    if not g.is_plane and kind.first:
        energy[:, :, 0] = sigma
    rows: list[Any] = input_rows(g, seen, energy)
    return Described(
        torch.stack([row.to(torch.int8).expand(energy.shape) for row in rows]),
        samples.data,
        space.errors.data,
        energy,
        Predictions(
            base=base,
            differences=differences[:12],
            prediction=prediction,
            trained=seen.trained,
            alternatives=seen.alternatives,
            predicted_error=seen.predicted_error,
        ),
    )


def _space(kind: Kind, given: Given, samples: Canvas, filter_: Filter | None) -> Space:
    others = [Beyond(data) for data in given.beyond]
    picture = others.pop() if kind.pictured else None
    n, seen = kind.n_references, kind.n_described
    errors, energy = others[n : n + seen], others[n + seen :]
    references = [
        Seen(others[i], errors[i], energy[i]) if i < seen else Seen(others[i]) for i in range(n)
    ]
    return Space(kind.predictor, samples, references, picture, filter_, given.trained)


def classes(
    predictor: Predictor,
    seen: Described,
    outputs: torch.Tensor,
    values: torch.Tensor,
    lo: torch.Tensor,
    hi: torch.Tensor,
) -> Tensors:
    """Tables, low bits and offsets from a network's limited outputs (3 + gates, ...); int64."""
    placed: Any = places(predictor, seen.predictions, seen.energy, outputs, lo, hi, 1)
    found: Any = offsets(placed, values)
    return placed.table, placed.low_bits, found
