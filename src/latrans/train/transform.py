"""Training of lossy models: classes that tell how large a coefficient is, then their tables.

The network places every coefficient on a line of classes; between two classes the cost is that
of both tables, interpolated, so that network and tables learn together.  Rows come from the
encoder itself: first from plain rounding, then from the choices that the learned costs lead to.
After lowering, tables and centroids are counted anew with the integer network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from ..coding.fixed_point import Ints
from ..coding.rans.tables import normalise
from ..engine import select
from ..engine.program import Program
from ..transform import signs
from ..transform.contexts import N_INPUTS
from ..transform.predict import Weights
from ..transform.protocol import N_CLASSES, class_of
from ..transform.quantise import CENTROID_BITS, N_CENTROIDS, Centroids
from ..transform.stream import MEAN_ESCAPE, N_MEAN_SYMBOLS
from ..transform.symbols import ESCAPE, N_SYMBOLS, N_TOKENS, tokenise
from ..transform.transform import Transform
from .coefficients import CoefficientRows, Start, Statistics, collect
from .descent import Report, descend
from .pictures import Picture
from .predictor import INPUT_UNIT, ResidualNet, lower_dense
from .sections import TransformRecipe

Array = npt.NDArray[np.float64]

_OUTPUT_UNIT = 6  # outputs count in 1/64; a class is a quarter of the float unit
_CLASSES_PER_UNIT = 4
_REFITS = 2  # tables change choices, choices change tables


def fresh(hidden: Sequence[int], seed: int) -> tuple[ResidualNet, torch.nn.Parameter]:
    """An untrained network, and the logits of its tables, (N_CLASSES, N_TOKENS)."""
    generator = torch.Generator().manual_seed(seed)
    net = ResidualNet([N_INPUTS, *hidden, 1], generator)
    return net, torch.nn.Parameter(_first_logits())


def train_network(
    net: ResidualNet,
    logits: torch.nn.Parameter,
    rows: CoefficientRows,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
    report: Report | None = None,
) -> None:
    """Fit network and tables to rows, in place."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.from_numpy(rows.inputs)
    tokens = torch.from_numpy(tokenise(rows.magnitude)[0])

    def loss(pick: torch.Tensor) -> torch.Tensor:
        place = net(inputs[pick].float() / 2.0**INPUT_UNIT)[:, 0] * _CLASSES_PER_UNIT
        place = (place + N_CLASSES // 2).clamp(0, N_CLASSES - 1.001)
        lower = place.detach().floor()
        fraction = place - lower
        cost = -torch.nn.functional.log_softmax(logits, 1) / math.log(2)
        index = lower.long()
        wanted = tokens[pick]
        bits = (1 - fraction) * cost[index, wanted] + fraction * cost[index + 1, wanted]
        return bits.mean()

    descend(
        net,
        loss,
        len(tokens),
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        generator=generator,
        report=report,
        also=[logits],
        last_share=1e-3,
    )


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


def fit(
    rows: CoefficientRows,
    statistics: Statistics,
    program: Program,
    prediction: Weights,
    sign_weights: signs.Weights,
) -> tuple[Transform, float]:
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
    bits = float((cost[classes, token] + n_raw + (token > 0)).mean())
    transform = Transform(
        network=program,
        tables=tables,
        centroids=_centroids(rows, classes),
        prediction=prediction,
        means=_mean_tables(statistics.means),
        sign_weights=sign_weights,
        sign_tables=_sign_tables(statistics.sign_counts),
    )
    return transform, bits


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


def _centroids(rows: CoefficientRows, classes: Ints) -> Centroids:
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


def _sign_tables(counts: Array) -> npt.NDArray[np.uint16]:
    pairs = counts + 8
    first = np.clip(np.rint(4096 * pairs[:, 0] / pairs.sum(1)), 16, 4080)
    return np.stack([first, 4096 - first], 1).astype(np.uint16)


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
    prediction = transform.prediction
    for steps, rate in ((first, 1.0), (settings.steps - first, 0.5)):
        rows, statistics = collect(pictures, transform, rng, settings.share)
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
        weights = statistics.sign_weights()
        transform, bits = fit(rows, statistics, lower(net), prediction, weights)
    assert isinstance(transform, Transform)
    network, weights = transform.network, transform.sign_weights
    for _ in range(_REFITS):
        rows, statistics = collect(pictures, transform, rng, settings.share)
        transform, bits = fit(rows, statistics, network, prediction, weights)
    return transform, bits


def _report_from(report: Report, first: int, step: int, **values: float) -> None:
    report(first + step, **values)
