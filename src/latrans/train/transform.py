"""Training of lossy models: classes that tell how large a coefficient is, then their tables.

The network places every coefficient on a line of classes; between two classes the cost is that
of both tables, interpolated, so that network and tables learn together.  Rows come from the
encoder itself: first from plain rounding, then from the choices that the learned costs lead to.
After lowering, tables and centroids are counted anew with the integer network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from ..engine import select
from ..entropy.tables import normalise
from ..program import Layer, Program
from ..residual.fixed import Ints
from ..transform import colour
from ..transform.backend import N_CLASSES, Backend, class_of
from ..transform.bands import FRACTION_BITS, HORIZONTAL, LOW, VERTICAL, Band
from ..transform.contexts import N_INPUTS, Inputs, canvas, causal, gather, mean_code
from ..transform.lifting import split
from ..transform.pictures import Coded, Item, Known, encode_plane, predicted_difference
from ..transform.predict import N_LEVELS, N_WEIGHTS, WEIGHT_BITS, Weights, differences
from ..transform.quantise import CENTROID_BITS, N_CENTROIDS, Centroids, first_guess
from ..transform.section import Chooser
from ..transform.stream import MEAN_ESCAPE, N_MEAN_SYMBOLS, N_MEAN_TABLES, mean_symbol, mean_table
from ..transform.symbols import ESCAPE, N_SYMBOLS, N_TOKENS, tokenise
from ..transform.transform import Transform
from .pictures import Picture
from .predictor import INPUT_UNIT, Report, ResidualNet, lower_dense
from .sections import TransformRecipe

Array = npt.NDArray[np.float64]

_OUTPUT_UNIT = 6  # outputs count in 1/64; a class is a quarter of the float unit
_CLASSES_PER_UNIT = 4
_REFITS = 2  # tables change choices, choices change tables


@dataclass
class Rows:
    """Coefficients to learn from: `inputs` (n, N_INPUTS) int8, the others (n,)."""

    inputs: npt.NDArray[np.int8]
    magnitude: Ints
    ratio: Array
    is_low: npt.NDArray[np.bool_]

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        names = ("inputs", "magnitude", "ratio", "is_low")
        return Rows(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


class _Recorder:
    """Quantises as the encoder does and keeps some of what it met."""

    def __init__(self, chooser: Chooser | None, rng: np.random.Generator, share: float) -> None:
        self._chooser, self._rng, self._share = chooser, rng, share
        self.parts: list[Rows] = []

    def __call__(
        self, band: Band, coefficients: Ints, step: int, known: Known
    ) -> tuple[int, Ints, Ints]:
        ratio = np.abs(coefficients) / step
        if band.kind == LOW:
            nearest = np.floor(ratio + 0.5).astype(np.int64)
            values = predicted_difference(np.where(coefficients < 0, -nearest, nearest))
        else:
            chosen = (
                first_guess(ratio) if self._chooser is None
                else self._chooser.magnitudes(ratio, known)
            )  # fmt: skip
            values = np.where(coefficients < 0, -chosen, chosen)
        magnitude = np.abs(values)
        code = mean_code(magnitude)
        if code:
            self._keep(band, magnitude, ratio, known(code))
        return code, values, np.zeros_like(values)

    def _keep(self, band: Band, magnitude: Ints, ratio: Array, known: Inputs) -> None:
        around = canvas(*magnitude.shape)
        around[2:, 2:-2] = magnitude
        inputs = np.concatenate([causal(gather(around)), known]).reshape(N_INPUTS, -1)
        kept = np.flatnonzero(self._rng.random(magnitude.size) < self._share)
        self.parts.append(
            Rows(
                inputs[:, kept].T.astype(np.int8),
                magnitude.reshape(-1)[kept],
                ratio.reshape(-1)[kept],
                np.full(kept.size, band.kind == LOW),
            )
        )


def collect(
    pictures: Sequence[Picture],
    transform: Transform | Start,
    rng: np.random.Generator,
    share: float,
) -> tuple[Rows, Array]:
    """Rows of pictures, a share of their coefficients, and how often which symbol told a mean."""
    chooser, backend = None, blank_backend()
    if isinstance(transform, Transform):
        backend = transform.backend(None)
        chooser = Chooser(transform, backend)
    recorder = _Recorder(chooser, rng, share)
    counts = np.zeros((N_MEAN_TABLES, N_MEAN_SYMBOLS))
    for picture in pictures:
        planes = _carriers(picture)
        step = max(1, round(picture.step * 2**FRACTION_BITS))
        earlier: list[Coded] = []
        for plane in planes:
            found, coded, _ = encode_plane(plane, step, earlier, transform, backend, recorder)
            _count_means(counts, found)
            earlier.append(coded)
    return Rows.joined(recorder.parts), counts


def _count_means(counts: Array, items: Sequence[Item]) -> None:
    for item in items:
        if item.expected is not None:
            table = mean_table(item.expected, item.of_parent)
            counts[table, mean_symbol(item.code, item.expected)] += 1


def blank_backend() -> Backend:
    """A backend whose network and tables mean nothing yet."""
    zero = Layer(
        "dense",
        np.zeros((1, N_INPUTS), np.int8),
        np.zeros(1, np.int32),
        np.ones(1, np.uint8),
        lo=0,
        hi=0,
    )
    escape = np.zeros((N_CLASSES, N_SYMBOLS), np.uint16)
    escape[:, ESCAPE] = 4096
    means = np.zeros((N_MEAN_TABLES, N_MEAN_SYMBOLS), np.uint16)
    means[:, MEAN_ESCAPE] = 4096
    network = Program((zero,), -127, 127, (N_INPUTS,))
    centroids = np.zeros((N_CLASSES, N_CENTROIDS), np.int8)
    prediction = np.zeros((N_LEVELS, N_WEIGHTS), np.int16)
    return Transform(network, escape, centroids, prediction, means).backend(None)


def _carriers(picture: Picture) -> Ints:
    shown = (picture.planes - int(np.median(picture.planes))) << FRACTION_BITS
    return colour.forward(shown) if len(shown) == 3 else shown


@dataclass(frozen=True)
class Start:
    """What stands in for a transform before there is one."""

    centroids: Centroids
    prediction: Weights

    @classmethod
    def of(cls, pictures: Sequence[Picture]) -> Start:
        """Centroids of no effect, and the prediction by least squares over all bands alike."""
        moments = np.zeros((N_LEVELS, N_WEIGHTS + 1, N_WEIGHTS + 1))
        for picture in pictures:
            for plane in _carriers(picture):
                _add_moments(moments, plane)
        weights = [np.linalg.solve(m[:-1, :-1], m[:-1, -1]) for m in moments]
        scaled = np.rint(np.stack(weights) * (1 << WEIGHT_BITS))
        return cls(
            np.zeros((N_CLASSES, N_CENTROIDS), np.int8),
            np.clip(scaled, -32767, 32767).astype(np.int16),
        )


def _add_moments(moments: Array, plane: Ints) -> None:
    """Products of a plane's differences and coefficients, each band weighted by its energy."""
    low = plane
    for level in range(1, N_LEVELS + 1):
        low, *detail = split(low)
        for kind, part in zip((HORIZONTAL, VERTICAL), detail, strict=False):
            band = Band(level, kind, *part.shape)
            rows = np.concatenate([differences(band, low), part[None]]).reshape(N_WEIGHTS + 1, -1)
            scaled = rows.astype(np.float64) / (1 << FRACTION_BITS)
            energy = float((scaled[-1] ** 2).mean())
            if energy > 1e-2:
                moments[level - 1] += scaled @ scaled.T / (energy * scaled.shape[1])
    diagonal = np.arange(N_WEIGHTS)
    moments[:, diagonal, diagonal] += 1e-9


def fresh(hidden: Sequence[int], seed: int) -> tuple[ResidualNet, torch.nn.Parameter]:
    """An untrained network, and the logits of its tables, (N_CLASSES, N_TOKENS)."""
    generator = torch.Generator().manual_seed(seed)
    net = ResidualNet([N_INPUTS, *hidden, 1], generator)
    return net, torch.nn.Parameter(_first_logits())


def train_network(
    net: ResidualNet,
    logits: torch.nn.Parameter,
    rows: Rows,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
    report: Report | None = None,
) -> None:
    """Fit network and tables to rows, in place."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam([*net.parameters(), logits], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=learning_rate, total_steps=steps, pct_start=0.1, final_div_factor=1e3
    )
    inputs = torch.from_numpy(rows.inputs)
    tokens = torch.from_numpy(tokenise(rows.magnitude)[0])
    smoothed = float("nan")
    for step in range(steps):
        pick = torch.randint(len(tokens), (batch,), generator=generator)
        place = net(inputs[pick].float() / 2.0**INPUT_UNIT)[:, 0] * _CLASSES_PER_UNIT
        place = (place + N_CLASSES // 2).clamp(0, N_CLASSES - 1.001)
        lower = place.detach().floor()
        fraction = place - lower
        cost = -torch.nn.functional.log_softmax(logits, 1) / math.log(2)
        index = lower.long()
        wanted = tokens[pick]
        bits = (1 - fraction) * cost[index, wanted] + fraction * cost[index + 1, wanted]
        loss = bits.mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        smoothed = loss.item() if step == 0 else 0.98 * smoothed + 0.02 * loss.item()
        if report is not None and step % 20 == 0:
            report(step, bits=smoothed)


def _first_logits() -> torch.Tensor:
    """Geometric distributions whose mean doubles every four classes."""
    mean = torch.exp2((torch.arange(N_CLASSES) - N_CLASSES / 2) / _CLASSES_PER_UNIT)
    magnitude = torch.tensor(
        [t if t < 16 else 1.25 * 2 ** (4 + (t - 16) / 2) for t in range(N_TOKENS)]
    )
    width = torch.log(torch.tensor([1.0 if t < 16 else 2.0 ** (3 + (t - 16) // 2)
                                    for t in range(N_TOKENS)]))  # fmt: skip
    logits = magnitude[None] * torch.log(mean / (1 + mean))[:, None] + width[None]
    return logits.clamp(min=-30.0)


def lower(net: ResidualNet) -> Program:
    """The network as an integer program."""
    return lower_dense(net, INPUT_UNIT, (_OUTPUT_UNIT,), -127, 127)


def fit(rows: Rows, means: Array, program: Program, prediction: Weights) -> tuple[Transform, float]:
    """The transform of a network, with tables and centroids from rows; bits per coefficient."""
    parts = np.split(rows.inputs, range(1 << 18, len(rows.inputs), 1 << 18))
    run = select().run
    output = np.concatenate([run(program, p.astype(np.int32))[:, 0] for p in parts])
    classes = class_of(output.astype(np.int64))
    token, n_raw, _ = tokenise(rows.magnitude)
    counts = np.zeros((N_CLASSES, N_SYMBOLS))
    np.add.at(counts, (classes, token), 1.0)
    tables = _smoothed(counts)
    cost = 12 - np.log2(np.maximum(tables, 1).astype(np.float64))
    cost = np.where(tables > 0, cost, cost[:, -1:] + 8)
    bits = float((cost[classes, token] + n_raw).mean())
    centroids = _centroids(rows, classes)
    return Transform(program, tables, centroids, prediction, _mean_tables(means)), bits


def _smoothed(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    """Tables from counts; thin classes lean on their neighbours."""
    must_have = np.zeros(N_SYMBOLS, bool)
    must_have[ESCAPE] = True
    padded = np.pad(counts, ((2, 2), (0, 0)), mode="edge")
    around = sum(w * padded[i : i + N_CLASSES] for i, w in enumerate((1, 4, 8, 4, 1)))
    everything = counts.sum(0) + 1e-3
    tables = []
    for own, near in zip(counts, np.asarray(around), strict=True):
        parent = near + 0.1 * everything / everything.sum()
        mixed = own + 24 * parent / parent.sum()
        # What is rarer than a sixteenth of a slot is left to the escape.
        tables.append(normalise(np.where(mixed * 65536 < mixed.sum(), 0, mixed), must_have))
    return np.stack(tables)


def _centroids(rows: Rows, classes: Ints) -> Centroids:
    out = np.zeros((N_CLASSES, N_CENTROIDS))
    detail = ~rows.is_low
    for k in range(1, N_CENTROIDS + 1):
        which = detail & ((rows.magnitude >= k) if k == N_CENTROIDS else (rows.magnitude == k))
        shift = (rows.ratio - rows.magnitude)[which]
        total = np.bincount(classes[which], shift, N_CLASSES)
        count = np.bincount(classes[which], minlength=N_CLASSES)
        prior = shift.mean() if shift.size else 0.0
        out[:, k - 1] = (total + 50 * prior) / (count + 50)
    scaled = np.rint(out * (1 << CENTROID_BITS))
    return np.clip(scaled, -127, 127).astype(np.int8)


def _mean_tables(counts: Array) -> npt.NDArray[np.uint16]:
    must_have = np.zeros(N_MEAN_SYMBOLS, bool)
    must_have[MEAN_ESCAPE] = True
    return np.stack([normalise(row, must_have) for row in counts + 0.02])


def train_transform(
    pictures: Sequence[Picture],
    settings: TransformRecipe,
    *,
    seed: int,
    report: Report | None = None,
) -> tuple[Transform, float]:
    """A transform learned from pictures, and its bits per coefficient on them."""
    rng = np.random.default_rng(seed)
    net, logits = fresh(settings.hidden, seed)
    first = settings.steps // 2
    transform: Transform | Start = Start.of(pictures)
    for steps, rate in ((first, 1.0), (settings.steps - first, 0.5)):
        rows, means = collect(pictures, transform, rng, settings.share)
        later = first if isinstance(transform, Transform) else 0
        train_network(
            net,
            logits,
            rows,
            steps=steps,
            batch=settings.batch,
            learning_rate=rate * settings.learning_rate,
            seed=seed,
            report=None if report is None else partial(_report_from, report, later),
        )
        transform, bits = fit(rows, means, lower(net), transform.prediction)
    assert isinstance(transform, Transform)
    for _ in range(_REFITS):
        rows, means = collect(pictures, transform, rng, settings.share)
        transform, bits = fit(rows, means, transform.network, transform.prediction)
    return transform, bits


def _report_from(report: Report, first: int, step: int, **values: float) -> None:
    report(first + step, **values)
