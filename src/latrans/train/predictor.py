"""Training of the residual network: a heavy-tailed density first, then tables for what it says.

The network is trained with its own quantisation in the loop on rows from `rows`: it predicts the
density of a sample as a mixture of a narrow and a wide discretised logistic.  After lowering,
the integer network is run over the rows again and every class gets the token histogram that it
met.  Method: static tables per predicted class as in PILC (Kang et al., CVPR 2022), integer
networks as in Ballé et al. (ICLR 2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from ..coding.rans.tables import TOTAL, cost_bits, normalise
from ..coding.tokens import ESCAPE, N_SYMBOLS, tokenise
from ..engine import select
from ..engine.program import Layer, Program
from ..residual import classes as c
from ..residual.predictor import Predictor
from .density import Targets, density_bits
from .descent import Report, descend
from .rows import Rows, take

INPUT_UNIT = 4  # network inputs count in 1/16
ACTIVATION_UNIT = 5  # activations count in 1/32
# Outputs count in 1/64 energy, 1/32 octave, 1/16 nat, and gates in 1/64.
OUTPUT_UNITS = (6, 5, 4)
GATE_UNIT = 6
_START_COUNTS = 1000  # samples that a table to start from stands for


class ResidualNet(torch.nn.Module):  # type: ignore[misc]
    """Small dense network whose forward pass is the integer program's, in floats."""

    def __init__(self, sizes: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterList()
        self.biases = torch.nn.ParameterList()
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            last = i == len(sizes) - 2
            spread = (0.1 if last else 1.0) * math.sqrt(2 / n_in)
            self.weights.append(torch.randn(n_out, n_in, generator=generator) * spread)
            self.biases.append(torch.zeros(n_out))

    def resume(self, program: Program) -> None:
        """Take the weights of a lowered network; inputs that it lacks get none."""
        unit = INPUT_UNIT
        with torch.no_grad():
            for i, layer in enumerate(program.layers):
                last = i == len(program.layers) - 1
                target = _output_units(len(layer.bias)) if last else [ACTIVATION_UNIT]
                fraction = layer.shift.astype(np.float64) + target
                weight = layer.weight / np.exp2(fraction - unit)[:, None]
                self.weights[i].zero_()
                self.weights[i][:, : weight.shape[1]] = torch.from_numpy(weight)
                self.biases[i].copy_(torch.from_numpy(layer.bias / np.exp2(fraction)))
                unit = ACTIVATION_UNIT

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            scale = torch.exp2(weight_shift(weight))[:, None]
            rounded = _through(torch.round(weight * scale).clamp(-127, 127) / scale, weight)
            x = torch.nn.functional.linear(x, rounded, bias)
            if i < last:
                unit = 2.0**ACTIVATION_UNIT
                hard = torch.round(x.clamp(0, 255 / unit) * unit) / unit
                x = _through(hard, x.clamp(0, 255 / unit))
        return x


def weight_shift(weight: torch.Tensor) -> torch.Tensor:
    """Fraction bits per output channel so that the largest weight fits int8."""
    largest = weight.detach().abs().amax(1).clamp(min=2.0**-10)
    return torch.floor(torch.log2(127 / largest)).clamp(1, 12)


def _through(hard: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """`hard` forward, the gradient of `soft` backward."""
    return soft + (hard - soft).detach()


def lower(net: ResidualNet) -> Program:
    """The network as an integer program, with outputs as `classes.place` reads them."""
    return lower_dense(net, INPUT_UNIT, _output_units(len(net.biases[-1])), -127, 127)


def _output_units(n_outputs: int) -> list[int]:
    return [*OUTPUT_UNITS, *[GATE_UNIT] * (n_outputs - len(OUTPUT_UNITS))]


def lower_dense(
    net: ResidualNet, input_unit: int, output_units: Sequence[int], lo: int, hi: int
) -> Program:
    """A dense network whose inputs and outputs count in powers of 1/2, as an integer program."""
    layers = []
    unit = input_unit
    last = len(net.weights) - 1
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        bits = weight_shift(weight)
        whole = torch.round(weight.detach() * torch.exp2(bits)[:, None]).clamp(-127, 127)
        fraction = bits + unit
        target = torch.tensor(output_units if i == last else [ACTIVATION_UNIT] * len(bias))
        scaled = (bias.detach().double() * torch.exp2(fraction)).numpy()
        layers.append(
            Layer(
                op="dense",
                weight=whole.numpy().astype(np.int8),
                bias=np.rint(scaled).astype(np.int32),
                shift=(fraction - target).clamp(min=1).numpy().astype(np.uint8),
                lo=-2047 if i == last else 0,
                hi=2047 if i == last else 255,
            )
        )
        unit = ACTIVATION_UNIT
    program = Program(tuple(layers), lo, hi, (int(net.weights[0].shape[1]),))
    program.check()
    return program


def program_bits(rows: Rows, program: Program) -> npt.NDArray[np.float64]:
    """Bits (n,) that the density of a lowered network gives to rows; 0 in flat surroundings."""
    outputs = program_outputs(rows, program)
    units = np.exp2(_output_units(len(outputs)))
    floats = torch.from_numpy((outputs / units[:, None]).T.astype(np.float32))
    with torch.no_grad():
        bits = density_bits(floats, Targets.of(rows)).double().numpy()
    return np.where(rows.flat, 0, bits)


def train_network(
    rows: Rows,
    hidden: Sequence[int],
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
    start: Program | None = None,
    report: Report | None = None,
) -> tuple[Program, float]:
    """Fit a network to rows; returns the program and the last bits per sample in training.

    With `start`, from that program's weights; inputs that it does not have start at zero.
    """
    generator = torch.Generator().manual_seed(seed)
    net = ResidualNet([rows.inputs.shape[1], *hidden, 3 + rows.gates.shape[1]], generator)
    if start is not None:
        net.resume(start)
    taught = np.flatnonzero(~rows.flat)  # flat surroundings never reach the network
    inputs = torch.from_numpy(rows.inputs[taught])
    targets = Targets.of(take(rows, taught))

    def loss(pick: torch.Tensor) -> torch.Tensor:
        return density_bits(net(inputs[pick].float() / 2.0**INPUT_UNIT), targets[pick]).mean()

    smoothed = descend(
        net,
        loss,
        len(taught),
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        generator=generator,
        report=report,
    )
    return lower(net), smoothed


def fit_tables(
    parts: Sequence[tuple[Rows, Program]], start: Predictor | None = None
) -> tuple[npt.NDArray[np.uint16], tuple[int, int], float]:
    """Token tables, tail thresholds and the bits per sample that they give on the rows.

    Each part's program answers for its rows.  With `start`, classes that rows seldom reach keep
    that predictor's tables.
    """
    answers = [(rows, program_outputs(rows, program)) for rows, program in parts]
    if start is not None:
        tails = start.tails
        counts = start.tables.astype(np.float64) * (_START_COUNTS / TOTAL)
    else:
        loose = np.concatenate([outputs[2][~rows.flat] for rows, outputs in answers])
        tails = (int(np.quantile(loose, 0.5)), int(np.quantile(loose, 0.85)) + 1)
        counts = np.zeros((c.N_TABLES, N_SYMBOLS))
    found = []
    for rows, outputs in answers:
        for part in _by_step(rows):
            placed = _place(rows, part, outputs, tails)
            value = (rows.sample[part] - placed.anchor) // rows.step[part]
            difference = c.wrap32(value - placed.centre)
            offset = np.where(placed.flip, -difference, difference)
            token, n_raw, _ = tokenise(offset, placed.low_bits)
            np.add.at(counts, (placed.table, token), 1.0)
            found.append((placed.table, token, n_raw))
    tables = _smoothed(counts)
    bits = cost_bits(tables)
    bits = np.where(np.isinf(bits), bits[:, -1:] + 8, bits)
    total = sum(float(bits[t, k].sum() + n.sum()) for t, k, n in found)
    return tables, tails, total / max(1, sum(len(rows) for rows, _ in parts))


def program_outputs(rows: Rows, program: Program) -> npt.NDArray[np.int64]:
    """Outputs (3 + gates, n) of a lowered network for rows."""
    run = select().run
    parts = [
        run(program, rows.inputs[i : i + (1 << 18)].astype(np.int32))
        for i in range(0, len(rows), 1 << 18)
    ]
    return c.limited(np.concatenate(parts).T.astype(np.int64))


def _by_step(rows: Rows) -> Iterator[npt.NDArray[np.int64]]:
    """Indices of rows of one step, not too many at once."""
    for step in np.unique(rows.step):
        mine = np.flatnonzero(rows.step == step)
        for start in range(0, len(mine), 1 << 18):
            yield mine[start : start + (1 << 18)]


def _place(
    rows: Rows,
    s: npt.NDArray[np.int64],
    outputs: npt.NDArray[np.int64],
    tails: tuple[int, int],
) -> c.Placed:
    flat = rows.flat[s]
    gates = (rows.gates[s].T * outputs[3:, s]).sum(0) >> 6
    return c.place(
        np.where(flat, 0, outputs[:, s]),
        rows.prediction[s],
        np.where(flat, 0, gates),
        rows.energy[s],
        flat,
        tails,
        rows.lo[s],
        rows.hi[s],
        int(rows.step[s[0]]),
    )


def _smoothed(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    """Tables from counts; thin classes lean on the sum over their scale."""
    must_have = np.zeros(N_SYMBOLS, bool)
    must_have[ESCAPE] = True
    by_tail = counts[1:].reshape(c.N_TAILS, c.TABLES_PER_TAIL, N_SYMBOLS)
    over_tails = by_tail.sum(0)
    everything = counts.sum(0) + 1e-3
    tables = [_table(counts[0], everything, must_have)]
    for tail in range(c.N_TAILS):
        for column in range(c.TABLES_PER_TAIL):
            parent = over_tails[column] + 8 * everything / everything.sum()
            tables.append(_table(by_tail[tail, column], parent, must_have))
    return np.stack(tables)


def _table(
    counts: npt.NDArray[np.float64],
    parent: npt.NDArray[np.float64],
    must_have: npt.NDArray[np.bool_],
) -> npt.NDArray[np.uint16]:
    mixed = counts + 4 * parent / parent.sum()
    # What is rarer than a sixteenth of a slot is left to the escape.
    mixed = np.where(mixed * 65536 < mixed.sum(), 0, mixed)
    return normalise(mixed, must_have)
