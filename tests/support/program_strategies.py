"""Random programs, and inputs that fit them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from latrans.engine.program import ACCUMULATOR_LIMIT, Layer, Program


@st.composite
def programs(draw: st.DrawFn) -> tuple[Program, np.ndarray[Any, Any]]:
    """A provable program of one to four layers, and a batch that often touches its range."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dense = draw(st.booleans())
    channels = draw(st.integers(1, 20))
    lo, hi = draw(st.sampled_from([(0, 255), (-127, 127), (0, 0), (-2047, 2047), (0, 1 << 20)]))
    shape: tuple[int | None, ...] = (channels,) if dense else (channels, None, None)
    size = () if dense else (draw(st.integers(0, 9)), draw(st.integers(1, 9)))
    x = rng.integers(lo, hi + 1, (draw(st.integers(0, 6)), channels, *size))
    x = np.where(rng.random(x.shape) < 0.2, rng.choice([lo, hi], x.shape), x)
    input_range, layers = (lo, hi), []
    for _ in range(draw(st.integers(1, 4))):
        factor = draw(st.sampled_from([(1, 2), (2, 1), (2, 2), (3, 1)]))
        if not dense and channels % (factor[0] * factor[1]) == 0 and draw(st.booleans()):
            layers.append(Layer("shuffle", factor=factor))
            channels //= factor[0] * factor[1]
            continue
        kernel = () if dense else (draw(st.sampled_from([1, 3, 5])), draw(st.sampled_from([1, 3])))
        stride = (1, 1) if dense else (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
        layer = _weighted(draw, rng, channels, max(-lo, hi), kernel, stride)
        layers.append(layer)
        channels, lo, hi = layer.weight.shape[0], layer.lo, layer.hi
    return Program(tuple(layers), *input_range, shape), x.astype(np.int32)


def _weighted(
    draw: st.DrawFn,
    rng: np.random.Generator,
    channels: int,
    largest: int,
    kernel: tuple[int, ...],
    stride: tuple[int, int],
) -> Layer:
    n_out = draw(st.integers(1, 20))
    depth = channels * int(np.prod(kernel, dtype=int))
    # As large as the proof allows, so that a lost high bit would show.
    top = min(127, (ACCUMULATOR_LIMIT // 2) // max(1, depth * largest))
    room = ACCUMULATOR_LIMIT - 1 - depth * top * largest
    lo, hi = draw(st.sampled_from([(0, 255), (-127, 127), (-2047, 2047), (3, 3)]))
    return Layer(
        "conv" if kernel else "dense",
        rng.integers(-top, top + 1, (n_out, channels, *kernel)).astype(np.int8),
        rng.integers(-room, room + 1, n_out).astype(np.int32),
        rng.integers(1, draw(st.sampled_from([4, 16, 32])), n_out).astype(np.uint8),
        lo,
        hi,
        stride,
    )
