"""Descriptions: predictions and network inputs of a step's samples, of all items at once.

`residual.gather` and `residual.features` define every value; here the same values are found in few
calls, since a step has little work for each: all logarithms together, all ratios to one unit
together.  Network inputs therefore come in an order of their own, `Describer.order`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..coding.fixed_point import RATIO_LIMIT, log2
from ..coding.geometry import RECONSTRUCTION_TAPS, Geometry, Offset
from ..residual.features import window_count
from ..residual.predictor import Predictor
from .layout import Layout
from .units import Filter, tables

Tensor = Any  # torch.Tensor; mypy does not see the package

_LIMIT = 1 << 45  # of a prediction relative to its base


@dataclass
class Lanes:
    """What the lanes of a strip are given, (lanes, items) each.

    Attributes
    ----------
    weights : (2, taps, lanes, items) of the coefficient set and of the model.
    left, right : (2, lanes, items) shifts that leave 8 fraction bits.
    sigma : mean absolute error of the coefficient set.
    """

    weights: Tensor
    left: Tensor
    right: Tensor
    sigma: Tensor


@dataclass
class Described:
    """Samples of a step; (lanes, items) unless told otherwise, 8 fraction bits.

    Attributes
    ----------
    inputs : (inputs, lanes, items) of the networks.
    prediction : linear prediction.
    moves : (gates, lanes, items) alternatives minus the linear prediction.
    energy, log_energy : local error energy, and its logarithm in 1/32 octave.
    level, flat : where flat surroundings go on, and whether they are flat.
    """

    inputs: Tensor
    prediction: Tensor
    moves: Tensor
    energy: Tensor
    log_energy: Tensor
    level: Tensor
    flat: Tensor


class Describer:
    """Describes the samples of a layout's planes for one predictor."""

    def __init__(self, predictor: Predictor, layout: Layout, device: Any) -> None:
        self._layout, self._tables = layout, tables(device)
        self._geometry = g = predictor.geometry
        shape, taps = layout.shape, layout.taps

        def constant(values: Any) -> Tensor:
            return torch.as_tensor(values, dtype=torch.int64, device=device)

        counts = [
            len(taps.samples), len(taps.errors), len(taps.sums),
            shape.n_references * len(g.reference_taps),
            shape.n_described * (len(g.reference_errors) + 1),
            len(taps.picture) * shape.pictured,
        ]  # fmt: skip
        self._splits = counts
        # The sum of errors along a lane, up to the sample before.
        self.last_sum = len(taps.samples) + len(taps.errors)
        self._where: dict[Offset, int] = {o: i for i, o in enumerate(taps.samples)}
        self._base = [self._where[o] for o in g.base]
        self._level = self._where[(0, -1)]
        self._reference_base = [g.reference_taps.index(o) for o in g.base]
        predictors = [*g.predictors[: 1 if g.median else 0], *g.predictors]
        n_terms = max(map(len, predictors))
        terms = [[*p, *[(0, p[0][1])] * (n_terms - len(p))] for p in predictors]
        self._terms = constant([self._where[t[i][1]] for i in range(n_terms) for t in terms])
        factors = [[t[i][0] for t in terms] for i in range(n_terms)]
        self._factors = constant(factors)[:, :, None, None]
        weights = dict(zip(g.errors, g.error_weights, strict=True))
        seen = taps.errors[: len(g.errors)]
        self._error_weights = constant([weights[o] for o in seen])[:, None, None]
        self._recent = [seen.index(o) for o in g.errors[:2]]
        self._n_seen = len(seen)
        self._still = 13 * window_count(g.windows[-1])
        wins = [int(log2(window_count(w))) for w in g.windows]
        n_after = bool(g.n_adaptive) + shape.n_described
        self._log_counts = constant([0, 0, *wins, *[0] * n_after])[:, None, None]
        self._misc = constant([1, 16, 4, 64])[:, None, None]
        self._sixty_four = constant(64)
        if shape.pictured:
            self._places = [self._where[o] for o in taps.places]
            self._pictured_places = [taps.picture.index(o) for o in taps.places]
        self.order = _order(g, seen, shape.pictured, shape.n_described)

    def __call__(self, cells: Tensor, lanes: Lanes, adaptive: Filter | None) -> Described:
        """Describe samples whose neighbours are `cells` (neighbours, lanes, items)."""
        g, shape = self._geometry, self._layout.shape
        samples, errors, sums, others, beside, picture = cells.split(self._splits)
        base = samples[self._base[0]]
        if g.is_plane:
            base = (base + samples[self._base[1]] + 1) >> 1
        base8 = base << 8
        own = samples[: len(g.taps)] - base
        parts = [own]
        scaled = [own[:8]]
        if shape.pictured:
            pictured = picture[: len(RECONSTRUCTION_TAPS)] - base
            off = samples[self._places] - picture[self._pictured_places]
            parts.append(pictured)
            scaled += [pictured, off]
        if shape.n_references:
            others = others.unflatten(0, (shape.n_references, -1))
            level = others[:, self._reference_base[0]]
            if g.is_plane:
                level = (level + others[:, self._reference_base[1]] + 1) >> 1
            others = others - level[:, None]
            parts.append(others.flatten(0, 1))
            scaled.append(others[: shape.n_described, : g.n_near].flatten(0, 1))
        differences = torch.cat(parts) if len(parts) > 1 else own
        total = (lanes.weights * differences).sum(1)
        total = ((total << lanes.left) >> lanes.right).clamp_(-_LIMIT, _LIMIT)
        prediction, trained = (total + base8).unbind()

        terms = samples[self._terms].unflatten(0, self._factors.shape[:2])
        alternatives = (terms * self._factors).sum(0)
        if g.median:
            left, above = samples[self._where[(0, -1)]], samples[self._where[(-1, 0)]]
            low, high = torch.minimum(left, above), torch.maximum(left, above)
            alternatives[0].clamp_(low, high)
        moves = [(alternatives << 8) - prediction]

        sizes = errors.abs()
        mean = (self._error_weights * sizes[: self._n_seen]).sum(0) >> 3
        held = torch.minimum(lanes.sigma, mean * 3 + 77)
        energy = ((mean * 230 + held * 26) >> 8) + 5
        recent = ((sizes[self._recent[0]] + sizes[self._recent[1]]) >> 1) + 1
        windows = self._windows(sizes, sums)
        magnitude = own[:16].abs()
        sixty_four = self._sixty_four
        scale = torch.add(sixty_four, magnitude[:8].sum(0), alpha=32)
        near = torch.add(sixty_four, magnitude[:3].sum(0), alpha=85)
        far = torch.add(sixty_four, magnitude[8:].sum(0), alpha=32)
        described = [scale, energy, near, far, lanes.sigma, recent, *(windows + 1).unbind()]
        if adaptive is not None:
            adaptive.update(errors[0])
            described.append(adaptive.mean_abs_miss + 1)
        logs = torch.stack(described)
        if shape.n_described:
            beside = beside.unflatten(0, (-1, len(g.reference_errors) + 1))
            theirs = beside[:, :-1]
            # Lanes without a sample see anything.
            powers = beside[:, -1].clamp(min=1)
            logs = torch.cat([logs, powers, theirs.abs().flatten(0, 1) + 1])
        leading = self._tables.leading(logs)
        units = self._tables.units(logs[:2], leading[:2])
        by_scale = units.part(0)
        by_energy = units.part(1)
        shares = []
        if adaptive is not None:
            inputs = by_energy.ratio(errors).clamp_(-RATIO_LIMIT, RATIO_LIMIT)
            predicted_error, share = adaptive.predict(inputs, energy, by_energy)
            moves.append(predicted_error[None])
            shares = [(share >> 6)[None]]
            ratios = [inputs[: self._n_seen]]
            powered = []
        else:
            ratios = []
            powered = [errors[: self._n_seen]]
        moves.append((trained - prediction)[None])
        offers = torch.cat(moves)
        powered += [offers[: g.median + g.n_described], offers[-1:]]
        if shape.pictured:
            powered.append(((picture[4] << 8) - prediction)[None])
        if shape.n_described:
            powered.append(theirs[:, 0])
            ratios.append(
                self._tables.units(powers, leading[len(described) :][: len(powers)]).ratio(
                    theirs[:, 0]
                )
            )
        relative = torch.cat([torch.cat(scaled) << 8, (prediction - base8)[None]])
        ratios += [by_scale.ratio(relative), by_energy.ratio(torch.cat(powered))]

        found = self._tables.logarithms(leading)
        end = len(described) + shape.n_described
        ratios += [
            (found[1:4] - found[0]) >> 1,
            (found[:2] - 256) >> 2,
            (found[4:end] - found[1] - self._log_counts) >> 1,
        ]
        if shape.n_described:
            size = found[end:].unflatten(0, (shape.n_described, -1))
            ratios.append(((size - found[len(described) : end, None]) >> 1).flatten(0, 1))
        equal = own[:24] == (own[0] if g.is_plane else 0)
        phase = (((prediction + 128) & 255) - 128) >> 1
        still = windows[-1] < self._still
        misc = torch.stack([phase, equal[:6].sum(0), equal.sum(0), still.long()]) * self._misc
        everything = torch.cat([*ratios, misc, *shares]).clamp_(-RATIO_LIMIT, RATIO_LIMIT)
        return Described(
            inputs=everything,
            prediction=prediction,
            moves=offers,
            energy=energy,
            log_energy=found[1],
            level=samples[self._level] << 8,
            flat=equal[:12].all(0),
        )

    def _windows(self, sizes: Tensor, sums: Tensor) -> Tensor:
        """Sums of absolute errors: (windows, lanes, items)."""
        taps = self._layout.taps
        if len(sums):
            return sums[0] - sums[1:]
        inner = sizes[taps.n_apart : taps.n_apart + taps.inner].sum(0)
        return torch.stack([inner, inner + sizes[taps.n_apart + taps.inner :].sum(0)])


def _order(g: Geometry, seen: Any, pictured: bool, n_described: int) -> list[int]:
    """Place among the networks' inputs (`features.inputs`) of each that a `Describer` finds."""
    errors = [f"error {o}" for o in g.errors]
    windows = [f"window {w}" for w in g.windows]
    others = [f"alternative {i}" for i in range(g.median + g.n_described)]
    n_picture = len(RECONSTRUCTION_TAPS)
    picture = [f"picture {i}" for i in range(n_picture)]
    off = ["off 0", "off 1"]
    sizes = [f"size {i}" for i in range(len(g.reference_errors))]
    near = [f"near {i}" for i in range(g.n_near)]
    differences = [f"difference {i}" for i in range(8)]

    def of(names: list[str]) -> list[str]:
        return [f"{name} of {i}" for i in range(n_described) for name in names]

    wanted = [
        *differences, "log scale", "log near", "log far", "linear", "phase", "log energy",
        "log energy alone", "log sigma", "log recent", *errors, "equal 6", "equal 24", "still",
        *windows, *others, *(["share", "miss"] if g.n_adaptive else []), "trained",
        *([*picture, "picture centre", *off] if pictured else []),
        *of(["own error", "error", "log power", *sizes, *near]),
    ]  # fmt: skip
    mine = [f"error {o}" for o in seen]
    found = [
        *(mine if g.n_adaptive else []),
        *of(["own error"]),
        *differences, *([*picture, *off] if pictured else []), *of(near), "linear",
        *([] if g.n_adaptive else mine), *others, "trained",
        *(["picture centre"] if pictured else []), *of(["error"]),
        "log energy", "log near", "log far",
        "log scale", "log energy alone",
        "log sigma", "log recent", *windows, *(["miss"] if g.n_adaptive else []),
        *of(["log power"]), *of(sizes),
        "phase", "equal 6", "equal 24", "still", *(["share"] if g.n_adaptive else []),
    ]  # fmt: skip
    return [wanted.index(name) for name in found]
