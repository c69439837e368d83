"""Launches of the kernel: a board whose strips are decoded by `kernel.decode_strip`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..coding.fixed_point import log2
from ..coding.schedule import LANES
from ..residual.features import window_count
from ..residual.predictor import NO_NETWORK, Predictor
from .board import Board
from .experts import MOST_WIDE, Experts
from .kernel import decode_strip
from .layout import Layout, Strip
from .tables import classes, numbers, tokens

Tensor = Any  # torch.Tensor; mypy does not see the package


class Launched(Board):
    """A board of one launch per strip."""

    def _decode(self) -> None:
        streams, n = self._streams, len(self._streams.states)
        items = self._board.shape[1]
        self._boards = self._board.T.contiguous()
        self._states = streams.states.new_zeros((items, LANES))
        self._states[:, :n] = streams.states.T
        self._inputs = torch.zeros(
            (items, MOST_WIDE, LANES), dtype=torch.float32, device=self._device
        )
        self._wrong = torch.zeros((items, LANES), dtype=torch.int32, device=self._device)
        super()._decode()
        self._board.copy_(self._boards.T)
        streams.states = self._states[:, :n].T.contiguous()
        self._bad |= self._wrong.T != 0

    def _strip(self, strip: Strip, top: int) -> None:
        layout, streams, coder = self._layout, self._streams, self._coder
        shape, taps, g = layout.shape, layout.taps, layout.geometry
        predictor = coder.predictor
        items = len(self._boards)
        lanes = self._sets.lanes(top, strip.n_lanes)

        def laid(values: Tensor) -> Tensor:
            """(lanes, items, ...) as (items, 16 lanes, ...)."""
            values = values.transpose(0, 1)
            out = torch.ones_like(values[:, :1]).repeat(1, LANES, *[1] * (values.ndim - 2))
            out[:, : strip.n_lanes] = values
            return out.contiguous()

        prepared: Prepared = coder.prepared
        known = numbers(self._device)
        lengths, zigzags = tokens(self._device).contiguous().unbind()
        limits = torch.stack([self._lo, self._hi], 1).contiguous()
        which = self._experts_of_items(items)
        step = self._step
        rise = top - strip.top
        cells, rises, used, active, sample = prepared.strip(strip)
        cells, sample = cells + rise * rises, sample + rise * shape.columns
        networks = prepared.networks
        tails = sorted(predictor.tails)
        seen = taps.errors[: len(g.errors)]
        where = {o: i for i, o in enumerate(taps.samples)}
        decode_strip[(items,)](
            self._boards, self._inputs, self._states, streams.last, self._wrong,
            layout.n_cells, streams.words, self._begins.T.contiguous(), coder.entries,
            laid(lanes.weights.permute(1, 2, 0)), self._sets.trained,
            laid(self._sets.shifts(top, strip.n_lanes)), laid(lanes.sigma), limits, which,
            networks, known.logarithm_table, known.unit_table, classes(self._device),
            lengths, zigzags,
            cells, used[0], used[1], active, sample, len(strip.kept),
            *prepared.constants,
            layout.samples, layout.errors, layout.sums, layout.energy, tails[0], tails[1],
            int(log2(step)), step, ((1 << 16) + step // 2) // step,
            13 * window_count(g.windows[-1]), 0 if g.is_plane and top == 0 else -1,
            len(streams.states), LANES // len(streams.states), int(shape.keep),
            N_TAPS=len(g.taps), N_SAMPLES=len(taps.samples),
            BASE0=where[g.base[0]], BASE1=where[g.base[1]],
            LEFT=where[(0, -1)], ABOVE=where[(-1, 0)] if g.is_plane else 0,
            N_SEEN=len(seen), N_ERRORS=len(taps.errors), N_APART=taps.n_apart, INNER=taps.inner,
            RECENT0=seen.index(g.errors[0]), RECENT1=seen.index(g.errors[1]),
            N_SUMS=len(taps.sums), N_WINDOWS=len(g.windows),
            N_OTHERS=g.median + len(g.predictors), N_TERMS=max(map(len, g.predictors)),
            N_TOLD=g.median + g.n_described, N_GATES=g.n_gates, MEDIAN=bool(g.median),
            UP=g.is_plane, N_ADAPTIVE=g.n_adaptive,
            N_REFERENCES=shape.n_references, N_DESCRIBED=shape.n_described,
            N_THEIRS=len(g.reference_taps), REF_BASE0=g.reference_taps.index(g.base[0]),
            REF_BASE1=g.reference_taps.index(g.base[1]), N_NEAR=g.n_near,
            N_THEIR_ERRORS=len(g.reference_errors), N_ALL_TAPS=len(self._sets.trained),
            N_TABLES=len(self._begins), FLAT=predictor.flat, CLOSED=step > 1,
            N_IN=prepared.n_inputs, IN=MOST_WIDE,
            H1=prepared.wide, H2=prepared.narrow,
            NETWORK_SIZE=networks.shape[1], NO_NETWORK=NO_NETWORK,
            N_CELLS=cells.shape[1], num_warps=1,
        )  # fmt: skip

    def _experts_of_items(self, items: int) -> Tensor:
        which = np.zeros(items, np.int64)
        for expert, start, end in self._spans:
            which[start:end] = expert
        return torch.from_numpy(which).to(self._device)


class Prepared:
    """What the kernel is given for every batch of one kind.

    Attributes
    ----------
    constants : small tables of the geometry, in the kernel's order.
    networks : (experts, numbers) float32: of each layer weights, biases, limits.
    n_inputs, wide, narrow : inputs of the networks, and outputs of their first two layers, padded.
    """

    def __init__(self, predictor: Predictor, layout: Layout, experts: Experts) -> None:
        """`experts` take inputs in the networks' own order."""
        g, taps, device = layout.geometry, layout.taps, experts.device
        where = {o: i for i, o in enumerate(taps.samples)}
        alternatives = [*g.predictors[: 1 if g.median else 0], *g.predictors]
        terms = np.zeros((max(map(len, g.predictors)), 16), np.int64)
        factors = np.zeros_like(terms)
        for i, alternative in enumerate(alternatives):
            for j, (factor, offset) in enumerate(alternative):
                terms[j, 3 + i], factors[j, 3 + i] = where[offset], factor
        weights, places = np.zeros((2, 8), np.int64)
        for i, offset in enumerate(taps.errors[: len(g.errors)]):
            k = g.errors.index(offset)
            weights[i], places[i] = g.error_weights[k], 17 + k
        counts = np.array([log2(window_count(w)) for w in g.windows], np.int64)
        self.constants = [
            torch.from_numpy(c).to(device) for c in (terms, factors, weights, places, counts)
        ]
        sizes = [max(_padded(layers[i][0].shape[0]) for layers in experts.layers) for i in (0, 1)]
        self.wide, self.narrow = sizes
        self.n_inputs = experts.layers[0][0][0].shape[1]
        shapes = [(self.wide, MOST_WIDE), (self.narrow, self.wide), (16, self.narrow)]
        self.networks = torch.stack(
            [
                torch.cat([_pad(p, s) for p, s in zip(layers, shapes, strict=True)])
                for layers in experts.layers
            ]
        )
        self._device = device
        self._strips: dict[int, list[Tensor]] = {}

    def strip(self, strip: Strip) -> list[Tensor]:
        """Of a strip, on the device: cells (kept, neighbours, 16), by how much they rise from row
        to row (neighbours, 1), row of cells and shift of every step (2, steps), active and sample
        (steps, 16).
        """
        if strip.top not in self._strips:
            n = strip.n_lanes
            more = ((0, 0), (0, LANES - n))
            cells = np.pad(strip.cells.reshape(len(strip.cells), -1, n), ((0, 0), *more))
            used = np.array([strip.kept, strip.shift], np.int32)
            found = (
                cells.astype(np.int32),
                strip.rises[::n, None].astype(np.int32),
                used,
                np.pad(strip.active, more).astype(np.int8),
                np.pad(strip.sample, more),
            )
            arrays = map(np.ascontiguousarray, found)
            self._strips[strip.top] = [torch.from_numpy(a).to(self._device) for a in arrays]
        return self._strips[strip.top]


def _padded(n: int) -> int:
    """The next size that tiles can have."""
    return max(16, 1 << (n - 1).bit_length())


def _pad(layer: list[Tensor], shape: tuple[int, int]) -> Tensor:
    """Weights, bias and limits of a layer in zeros, flat."""
    weight, *columns = layer
    out = weight.new_zeros((len(columns), shape[0]))
    square = weight.new_zeros(shape)
    square[: weight.shape[0], : weight.shape[1]] = weight
    for i, column in enumerate(columns):
        out[i, : len(column)] = column[:, 0]
    return torch.cat([square.reshape(-1), out.reshape(-1)])
