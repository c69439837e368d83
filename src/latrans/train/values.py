"""Training of the value coder: a density first, then classes that stand for its shapes.

A network learns the density of each pixel's value as a mixture of discretised logistics.  The
densities that it predicts are clustered; a second head learns which cluster serves each pixel
best, in bits; after lowering, each class gets the histogram of the values that it met.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..coding.rans.tables import Frequencies, cost_bits, normalise
from ..engine import select
from ..engine.program import Program
from ..residual.values.coder import (
    ESCAPE,
    N_INPUTS,
    N_SYMBOLS,
    N_VALUES,
    ReferenceValueCoder,
    ValuePredictor,
)
from .descent import Report, descend
from .predictor import ResidualNet, lower_dense

N_CLASSES = 64
_PARTS = 3
_CLUSTER_ROWS = 40_000
INPUT_UNIT = 8  # inputs count in 1/256
OUTPUT_UNIT = 6  # scores count in 1/64


@dataclass
class ValueRows:
    """`inputs` (n, N_INPUTS) uint8 and the pixel's `value` (n,)."""

    inputs: npt.NDArray[np.uint8]
    value: npt.NDArray[np.int64]


def collect_values(
    items: npt.NDArray[np.int64], reconstructions: npt.NDArray[np.int64], rng: np.random.Generator
) -> ValueRows:
    """Rows of all pixels of items (n, rows, columns), in random order."""
    seen: list[npt.NDArray[np.uint8]] = []

    def catch(program: Program, inputs: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        seen.append(inputs.astype(np.uint8))
        return np.zeros((len(inputs), 1), np.int32)

    blank = ValuePredictor(
        (items.shape[1], items.shape[2]),
        Program((), 0, 255, (N_INPUTS,)),
        np.full((1, N_SYMBOLS), 0, np.uint16),
    )
    blank.tables[0, 0] = 4096
    ReferenceValueCoder(blank, catch).classes(items, reconstructions)
    order = rng.permutation(items.size)
    return ValueRows(np.concatenate(seen)[order], items.reshape(-1)[order])


def train_values(
    rows: ValueRows,
    shape: tuple[int, int],
    hidden: Sequence[int],
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
    report: Report | None = None,
) -> tuple[ValuePredictor, float]:
    """Fit network and tables; returns the predictor and its bits per pixel on the rows."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.from_numpy(rows.inputs)
    value = torch.from_numpy(rows.value)
    density = ResidualNet([N_INPUTS, *hidden, 3 * _PARTS], generator)
    first = steps // 2

    def density_loss(pick: torch.Tensor) -> torch.Tensor:
        outputs = density(inputs[pick].float() / 256)
        mass = mixture_mass(outputs, value[pick].float()[:, None])[:, 0]
        return -torch.log2(mass + 1e-5).mean()

    fit = functools.partial(
        descend, n_rows=len(value), batch=batch, generator=generator, report=report
    )
    fit(density, density_loss, steps=first, learning_rate=learning_rate)
    centres = _cluster(density, inputs[:_CLUSTER_ROWS], generator)
    cost = -torch.log2(centres + 1e-6)

    # The second head starts from the first network's hidden layers.
    net = ResidualNet([N_INPUTS, *hidden, N_CLASSES], generator)
    for mine, other in zip(list(net.parameters()), list(density.parameters()), strict=True):
        if mine.shape == other.shape:
            mine.data.copy_(other.data)

    def class_loss(pick: torch.Tensor) -> torch.Tensor:
        share = torch.softmax(net(inputs[pick].float() / 256), 1)
        return (share * cost[:, value[pick]].T).sum(1).mean()

    fit(net, class_loss, steps=steps - first, learning_rate=learning_rate / 2, done=first)
    program = lower_dense(net, INPUT_UNIT, [OUTPUT_UNIT] * N_CLASSES, 0, 255)
    return _with_tables(program, shape, rows, centres.numpy())


def mixture_mass(outputs: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Probability of values (n, k) under mixtures of logistics (n, 9); ends take the tails."""
    mean = outputs[:, None, 0:_PARTS] * 255
    inverse = torch.exp(-(outputs[:, None, _PARTS : 2 * _PARTS].clamp(-4, 4) + 2))
    weight = torch.softmax(outputs[:, None, 2 * _PARTS :], 2)
    value = value[:, :, None]
    above = torch.where(value > 254.5, 60.0, (value + 0.5 - mean) * inverse)
    below = torch.where(value < 0.5, -60.0, (value - 0.5 - mean) * inverse)
    # Where both are positive their difference would lose its precision.
    flip = torch.where(above + below > 0, -1.0, 1.0)
    return (weight * flip * (torch.sigmoid(flip * above) - torch.sigmoid(flip * below))).sum(2)


def _cluster(
    density: ResidualNet, inputs: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Means (classes, 256) of clusters of predicted densities, nearest in relative entropy."""
    values = torch.arange(N_VALUES).float()[None]
    with torch.no_grad():
        outputs = density(inputs.float() / 256)
        p = torch.cat(
            [mixture_mass(part, values.expand(len(part), -1)) for part in outputs.split(2048)]
        )
        p = (p + 1e-6) / (p + 1e-6).sum(1, keepdim=True)
        # Even steps through the densities in order of what they cost make a good start.
        order = torch.argsort(-(p * torch.log2(p)).sum(1))
        centres = p[order[torch.linspace(0, len(p) - 1, N_CLASSES).long()]].clone()
        for _ in range(25):
            nearest = (p @ -torch.log2(centres).T).argmin(1)
            for c in range(N_CLASSES):
                mine = p[nearest == c]
                if len(mine):
                    centres[c] = mine.mean(0)
                else:
                    centres[c] = p[torch.randint(len(p), (1,), generator=generator)[0]]
    return centres


def _with_tables(
    program: Program,
    shape: tuple[int, int],
    rows: ValueRows,
    centres: npt.NDArray[np.float32],
) -> tuple[ValuePredictor, float]:
    run = select().run
    step = 1 << 17
    table = np.concatenate(
        [
            run(program, rows.inputs[i : i + step].astype(np.int32)).argmax(1)
            for i in range(0, len(rows.value), step)
        ]
    )
    counts = np.zeros((N_CLASSES, N_SYMBOLS))
    np.add.at(counts, (table, rows.value), 1.0)
    tables: Frequencies = np.stack(
        [_table(c, d) for c, d in zip(counts, centres.astype(np.float64), strict=True)]
    )
    bits = cost_bits(tables)
    bits = np.where(np.isinf(bits), bits[:, ESCAPE:] + 8, bits)
    return ValuePredictor(shape, program, tables), float(bits[table, rows.value].mean())


def _table(counts: npt.NDArray[np.float64], density: npt.NDArray[np.float64]) -> Frequencies:
    must_have = np.zeros(N_SYMBOLS, bool)
    must_have[ESCAPE] = True
    mixed = counts.copy()
    mixed[:N_VALUES] += 24 * density / density.sum()
    # Rarer than a fraction of a slot: cheaper behind the escape.
    rare = mixed * 4096 < 0.4 * mixed.sum()
    mixed[ESCAPE] = mixed[rare].sum()
    mixed[:N_VALUES][rare[:N_VALUES]] = 0
    return normalise(mixed, must_have)
