"""Parts of the Triton kernel: cells, ratios, rANS and layers, for the 16 lanes of a strip.

Twins of `coding.fixed_point`, `coding.rans` and `experts`.
"""

# Triton's language is not typed.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import triton
import triton.language as tl

LANES = tl.constexpr(16)
_LOW = tl.constexpr(1 << 16)
_FIRST = tl.constexpr(1023 << 6)
_N_LEADING = tl.constexpr(64 << 6)


@triton.jit
def cells(board, here, shift, row, there):
    """Cells of the board: rows (n, 1) of neighbours, by lane."""
    lane = tl.arange(0, LANES)[None, :]
    index = tl.load(here + row * LANES + lane, mask=there, other=0)
    return tl.load(board + index + shift, mask=there, other=0)


@triton.jit
def cell(board, here, shift, row):
    """One neighbour of every lane."""
    index = tl.load(here + row * LANES + tl.arange(0, LANES))
    return tl.load(board + index + shift)


@triton.jit
def leading(value):
    """As `units.Tables.leading`."""
    return (value.to(tl.float64).to(tl.int64, bitcast=True) >> 46) - _FIRST


@triton.jit
def clamp(value, limit):
    return tl.minimum(tl.maximum(value, -limit), limit)


@triton.jit
def ratio(value, unit, leading, units):
    """value / unit in 1/16, limited."""
    drop = tl.load(units + leading)
    reciprocal = tl.load(units + _N_LEADING + leading)
    half = tl.load(units + 2 * _N_LEADING + leading)
    shift = tl.load(units + 3 * _N_LEADING + leading)
    most = unit << 3
    value = tl.minimum(tl.maximum(value, -most), most) >> drop
    return clamp((value * reciprocal + half) >> shift, 127)


@triton.jit
def put(inputs, row, value):
    """Enter one input of all lanes."""
    tl.store(inputs + row * LANES + tl.arange(0, LANES), clamp(value, 127).to(tl.float32))


@triton.jit
def _refill(new, words, last):
    """States with a word more where they are too small, and the word that was taken last."""
    needs = (new < _LOW).to(tl.int64)
    rank = tl.cumsum(needs, 0)
    word = tl.load(words + last + rank).to(tl.int64)
    return tl.where(needs > 0, (new << 16) | word, new), last + tl.sum(needs, 0)


@triton.jit
def _mine(states, slot):
    """State of each lane."""
    at = tl.arange(0, LANES)[:, None]
    return tl.sum(tl.where(at == slot[None, :], states[:, None], 0), 0)


@triton.jit
def _give_back(states, new, slot, group):
    """States after lanes of one group have used theirs."""
    at = tl.arange(0, LANES)[:, None]
    used = (at == slot[None, :]) & group[None, :]
    found = tl.sum(tl.where(used, new[None, :], 0), 1)
    return tl.where(tl.sum(used.to(tl.int32), 1) > 0, found, states)


@triton.jit
def raw(bits, states, words, last, n_states, n_groups):
    """Next raw bits of each lane, states, and the word that was taken last."""
    lane = tl.arange(0, LANES)
    slot = lane % n_states
    value = tl.zeros((LANES,), tl.int64)
    for g in range(n_groups):
        group = lane // n_states == g
        asked = tl.where(group, bits, 0)
        state = _mine(states, slot)
        new = state >> asked
        value += tl.where(group, state - (new << asked), 0)
        # Those of other groups stay as they are, which is never too small.
        new, last = _refill(new, words, last)
        states = _give_back(states, new, slot, group)
    return value, states, last


@triton.jit
def symbols(begin, active, entries, states, words, last, n_states, n_groups):
    """Next symbol of each lane, states, and the word that was taken last."""
    lane = tl.arange(0, LANES)
    slot = lane % n_states
    token = tl.zeros((LANES,), tl.int64)
    for g in range(n_groups):
        group = (lane // n_states == g) & active
        state = _mine(states, slot)
        entry = tl.load(entries + begin + (state & 4095))
        new = ((entry >> 12) & 8191) * (state >> 12) + (entry & 4095)
        new = tl.where(group, new, state)
        token += tl.where(group, entry >> 25, 0)
        new, last = _refill(new, words, last)
        states = _give_back(states, new, slot, group)
    return token, states, last


@triton.jit
def layer(weights, bias, limits, x, n_out: tl.constexpr, n_in: tl.constexpr):
    """One layer: weights and bias hold the shift, see `experts`."""
    out = tl.arange(0, n_out)[:, None]
    w = tl.load(weights + out * n_in + tl.arange(0, n_in)[None, :])
    y = tl.dot(w, x, input_precision="ieee") + tl.load(bias + out)
    y = tl.maximum(tl.floor(y), tl.load(limits + out))
    return tl.minimum(y, tl.load(limits + n_out + out))
