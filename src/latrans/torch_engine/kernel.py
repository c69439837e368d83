"""A strip of planes decoded in one launch: the steps of `residual.reference` as a Triton kernel.

One program decodes one plane's strip by itself: 16 lanes side by side in one warp, the networks as
float32 products that are exact, the board in memory.  Everything is as in `residual`, on the
layouts of `layout` and with the tables of `tables`.

Triton comes with PyTorch for CUDA.
"""

# Triton's language is not typed.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import triton
import triton.language as tl

from ..coding.tokens import ESCAPE
from ..residual.classes import MAX_SCALE
from .kernel_parts import LANES
from .kernel_parts import cell as _cell
from .kernel_parts import cells as _cells
from .kernel_parts import clamp as _clamp
from .kernel_parts import layer as _layer
from .kernel_parts import leading as _leading
from .kernel_parts import put as _put
from .kernel_parts import ratio as _ratio
from .kernel_parts import raw as _raw
from .kernel_parts import symbols as _symbols
from .tables import ESCAPED

TAPS = tl.constexpr(32)  # rows of the tile of own neighbours
_LIMIT = tl.constexpr(1 << 45)  # of a prediction relative to its base
_MAX_SCALE = tl.constexpr(MAX_SCALE)
_ESCAPED = tl.constexpr(ESCAPED)
_ESCAPE = tl.constexpr(ESCAPE)


@triton.jit
def decode_strip(
    boards, inputs, states_at, last_at, bad_at,  # of every item
    n_cells, words, begins, entries,
    weights, trained, shifts, sigmas, limits, experts,  # of every item, lane by lane
    networks, logarithms, units, classes, lengths, zigzags,
    cells, kept, shift_at, active_at, samples_at, n_steps,
    terms, factors, error_weights, error_places, log_counts,
    samples_begin, errors_begin, sums_begin, energy_begin, tail0, tail1, log_step,
    step_size, per_step, still_below, first_step, n_states, n_groups, keep,
    N_TAPS: tl.constexpr, N_SAMPLES: tl.constexpr, BASE0: tl.constexpr, BASE1: tl.constexpr,
    LEFT: tl.constexpr, ABOVE: tl.constexpr,
    N_SEEN: tl.constexpr, N_ERRORS: tl.constexpr, N_APART: tl.constexpr, INNER: tl.constexpr,
    RECENT0: tl.constexpr, RECENT1: tl.constexpr, N_SUMS: tl.constexpr, N_WINDOWS: tl.constexpr,
    N_OTHERS: tl.constexpr, N_TERMS: tl.constexpr, N_TOLD: tl.constexpr, N_GATES: tl.constexpr,
    MEDIAN: tl.constexpr, UP: tl.constexpr, N_ADAPTIVE: tl.constexpr,
    N_REFERENCES: tl.constexpr, N_DESCRIBED: tl.constexpr, N_THEIRS: tl.constexpr,
    REF_BASE0: tl.constexpr, REF_BASE1: tl.constexpr, N_NEAR: tl.constexpr,
    N_THEIR_ERRORS: tl.constexpr, N_ALL_TAPS: tl.constexpr, N_TABLES: tl.constexpr,
    FLAT: tl.constexpr, CLOSED: tl.constexpr,
    N_IN: tl.constexpr, IN: tl.constexpr, H1: tl.constexpr, H2: tl.constexpr,
    NETWORK_SIZE: tl.constexpr, NO_NETWORK: tl.constexpr, N_CELLS: tl.constexpr,
):  # fmt: skip
    item = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, LANES)
    board = boards + item * n_cells
    mine = inputs + item * (IN * LANES)
    taps = tl.arange(0, TAPS)[:, None]
    eight = tl.arange(0, 8)[:, None]
    sixteen = tl.arange(0, 16)[:, None]
    states = tl.load(states_at + item * LANES + lane)
    last = tl.load(last_at + item)
    bad = tl.load(bad_at + item * LANES + lane)
    by_lane = item * LANES + lane
    given = weights + by_lane[None, :] * N_ALL_TAPS
    own_weights = tl.load(given + taps, mask=(taps < N_TAPS) & (lane >= 0)[None, :], other=0)
    trained_weights = tl.load(trained + taps, mask=taps < N_TAPS, other=0)
    shift = tl.load(shifts + by_lane)
    up_by, down_by = tl.maximum(8 - shift, 0), tl.maximum(shift - 8, 0)
    sigma = tl.load(sigmas + by_lane)
    log_sigma = tl.load(logarithms + _leading(sigma))
    lo, hi = tl.load(limits + item * 2), tl.load(limits + item * 2 + 1)
    expert = tl.load(experts + item)
    silent = expert == NO_NETWORK
    network = networks + tl.where(silent, 0, expert) * NETWORK_SIZE
    seen_at = tl.load(error_places + eight)
    seen_weights = tl.load(error_weights + eight)
    if N_ADAPTIVE > 0:
        bent = tl.zeros((16, LANES), tl.int64)
        before = tl.zeros((16, LANES), tl.int64)
        predicted_error = tl.zeros((LANES,), tl.int64)
        power_before = tl.full((LANES,), 1, tl.int64)
        miss = sigma

    for s in range(n_steps):
        here = cells + tl.load(kept + s) * (N_CELLS * LANES)
        by = tl.load(shift_at + s)
        active = tl.load(active_at + s * LANES + lane) != 0
        # Differences and linear predictions.
        base = _cell(board, here, by, BASE0)
        if UP:
            base = (base + _cell(board, here, by, BASE1) + 1) >> 1
        base8 = base << 8
        own = _cells(board, here, by, taps, (taps < N_TAPS) & (lane >= 0)[None, :]) - base[None, :]
        own = tl.where(taps < N_TAPS, own, 0)
        total = tl.sum(own_weights * own, 0)
        level = base
        if UP:
            level = _cell(board, here, by, LEFT)
        magnitude = tl.abs(own)
        scale = (tl.sum(tl.where(taps < 8, magnitude, 0), 0) << 5) + 64
        near = tl.sum(tl.where(taps < 3, magnitude, 0), 0) * 85 + 64
        far = (tl.sum(tl.where((taps >= 8) & (taps < 16), magnitude, 0), 0) << 5) + 64
        by_scale = _leading(scale)
        log_scale = tl.load(logarithms + by_scale)
        equal = (own == (level - base)[None, :]).to(tl.int64)
        flat = tl.sum(tl.where(taps < 12, equal, 0), 0) == 12
        first_reference = N_SAMPLES + N_ERRORS + N_SUMS
        for r in tl.static_range(N_REFERENCES):
            row = first_reference + r * N_THEIRS
            above = _cell(board, here, by, row + REF_BASE0)
            if UP:
                above = (above + _cell(board, here, by, row + REF_BASE1) + 1) >> 1
            there = (sixteen < N_THEIRS) & (lane >= 0)[None, :]
            theirs = tl.where(
                there, _cells(board, here, by, row + sixteen, there) - above[None, :], 0
            )
            their_weights = tl.load(given + N_TAPS + r * N_THEIRS + sixteen, mask=there, other=0)
            total += tl.sum(their_weights * theirs, 0)
        prediction = _clamp((total << up_by) >> down_by, _LIMIT) + base8
        by_model = _clamp(tl.sum(trained_weights * own, 0) >> 4, _LIMIT) + base8

        # Errors around.
        there8 = (eight < N_SEEN) & (lane >= 0)[None, :]
        seen = _cells(board, here, by, N_SAMPLES + eight, there8)
        mean = tl.sum(seen_weights * tl.abs(seen), 0) >> 3
        energy = ((230 * mean + 26 * tl.minimum(sigma, 3 * mean + 77)) >> 8) + 5
        by_energy = _leading(energy)
        log_energy = tl.load(logarithms + by_energy)
        recent = (
            (
                tl.abs(_cell(board, here, by, N_SAMPLES + RECENT0))
                + tl.abs(_cell(board, here, by, N_SAMPLES + RECENT1))
            )
            >> 1
        ) + 1
        relative = _ratio(seen, energy[None, :], by_energy[None, :], units)
        tl.store(mine + seen_at * LANES + lane[None, :], relative.to(tl.float32), mask=there8)

        # Alternative predictions; gates come after the three other outputs.
        others = tl.zeros((16, LANES), tl.int64)
        offered = (sixteen >= 3) & (sixteen < 3 + N_OTHERS) & (lane >= 0)[None, :]
        for j in tl.static_range(N_TERMS):
            which = tl.load(terms + j * 16 + sixteen)
            factor = tl.load(factors + j * 16 + sixteen)
            others += factor * _cells(board, here, by, which, offered)
        if MEDIAN:
            left, over = _cell(board, here, by, LEFT), _cell(board, here, by, ABOVE)
            least, most = tl.minimum(left, over)[None, :], tl.maximum(left, over)[None, :]
            others = tl.where(sixteen == 3, tl.minimum(tl.maximum(others, least), most), others)
        moves = tl.where(offered, (others << 8) - prediction[None, :], 0)
        moves = tl.where(sixteen == 2 + N_GATES, (by_model - prediction)[None, :], moves)

        at = 17 + N_SEEN
        n_more = 0
        if N_ADAPTIVE > 0:
            missed = _cell(board, here, by, N_SAMPLES) - predicted_error
            learnt = _ratio(missed, power_before, _leading(power_before), units)
            bent = _clamp(bent + _clamp(learnt, 32)[None, :] * before, 1 << 18)
            miss += (tl.abs(missed) - miss) >> 4
            errors = _cells(
                board, here, by, N_SAMPLES + sixteen, (sixteen < N_ADAPTIVE) & (lane >= 0)[None, :]
            )
            before = _ratio(errors, energy[None, :], by_energy[None, :], units)
            share = _clamp(tl.sum(bent * before, 0) >> 11, 1 << 12)
            predicted_error = (energy >> 10) * share + (((energy & 1023) * share) >> 10)
            power_before = energy
            moves = tl.where(sixteen == 1 + N_GATES, predicted_error[None, :], moves)
            n_more = 2
            _put(mine, at + 3 + N_WINDOWS + N_TOLD, share >> 6)
            _put(
                mine,
                at + 4 + N_WINDOWS + N_TOLD,
                (tl.load(logarithms + _leading(miss + 1)) - log_energy) >> 1,
            )
        compared = _ratio(moves, energy[None, :], by_energy[None, :], units)
        told = (sixteen >= 3) & (sixteen < 3 + N_TOLD) & (lane >= 0)[None, :]
        tl.store(
            mine + (at + N_WINDOWS + sixteen) * LANES + lane[None, :],
            compared.to(tl.float32),
            mask=told,
        )
        after = at + 3 + N_WINDOWS + N_TOLD + n_more
        _put(mine, after, tl.sum(tl.where(sixteen == 2 + N_GATES, compared, 0), 0))

        # Windows of errors.
        window = tl.zeros((LANES,), tl.int64)
        if N_SUMS > 0:
            end = _cell(board, here, by, N_SAMPLES + N_ERRORS)
            for w in tl.static_range(N_WINDOWS):
                window = end - _cell(board, here, by, N_SAMPLES + N_ERRORS + 1 + w)
                _put(
                    mine,
                    at + 3 + w,
                    (
                        tl.load(logarithms + _leading(window + 1))
                        - tl.load(log_counts + w)
                        - log_energy
                    )
                    >> 1,
                )
        else:
            around = tl.arange(0, 128)[:, None]
            within = (around >= N_APART) & (around < N_ERRORS) & (lane >= 0)[None, :]
            sizes = tl.abs(_cells(board, here, by, N_SAMPLES + around, within))
            inner = tl.sum(tl.where(around < N_APART + INNER, sizes, 0), 0)
            window = tl.sum(sizes, 0)
            _put(
                mine,
                at + 3,
                (tl.load(logarithms + _leading(inner + 1)) - tl.load(log_counts) - log_energy) >> 1,
            )
            _put(
                mine,
                at + 4,
                (tl.load(logarithms + _leading(window + 1)) - tl.load(log_counts + 1) - log_energy)
                >> 1,
            )

        # The other inputs.
        nearest = _cells(board, here, by, eight, (eight >= 0) & (lane >= 0)[None, :])
        nearest = _ratio((nearest - base[None, :]) << 8, scale[None, :], by_scale[None, :], units)
        tl.store(mine + eight * LANES + lane[None, :], nearest.to(tl.float32))
        _put(mine, 8, (log_scale - 256) >> 2)
        _put(mine, 9, (tl.load(logarithms + _leading(near)) - log_scale) >> 1)
        _put(mine, 10, (tl.load(logarithms + _leading(far)) - log_scale) >> 1)
        _put(mine, 11, _ratio(prediction - base8, scale, by_scale, units))
        _put(mine, 12, (((prediction + 128) & 255) - 128) >> 1)
        _put(mine, 13, (log_energy - log_scale) >> 1)
        _put(mine, 14, (log_energy - 256) >> 2)
        _put(mine, 15, (log_sigma - log_energy) >> 1)
        _put(mine, 16, (tl.load(logarithms + _leading(recent)) - log_energy) >> 1)
        _put(mine, at, 16 * tl.sum(tl.where(taps < 6, equal, 0), 0))
        _put(mine, at + 1, 4 * tl.sum(tl.where(taps < 24, equal, 0), 0))
        _put(mine, at + 2, tl.where(window < still_below, 64, 0).to(tl.int64))
        for r in tl.static_range(N_DESCRIBED):
            row = first_reference + N_REFERENCES * N_THEIRS + r * (N_THEIR_ERRORS + 1)
            put = after + 1 + r * (3 + N_THEIR_ERRORS + N_NEAR)
            # Lanes without a sample see anything.
            power = tl.maximum(_cell(board, here, by, row + N_THEIR_ERRORS), 1)
            by_power = _leading(power)
            log_power = tl.load(logarithms + by_power)
            centre = _cell(board, here, by, row)
            _put(mine, put, _ratio(centre, power, by_power, units))
            _put(mine, put + 1, _ratio(centre, energy, by_energy, units))
            _put(mine, put + 2, (log_power - log_energy) >> 1)
            for i in tl.static_range(N_THEIR_ERRORS):
                size = tl.abs(_cell(board, here, by, row + i)) + 1
                _put(mine, put + 3 + i, (tl.load(logarithms + _leading(size)) - log_power) >> 1)
            start = first_reference + r * N_THEIRS
            above = _cell(board, here, by, start + REF_BASE0)
            if UP:
                above = (above + _cell(board, here, by, start + REF_BASE1) + 1) >> 1
            there = (eight < N_NEAR) & (lane >= 0)[None, :]
            close = _cells(board, here, by, start + eight, there) - above[None, :]
            close = _ratio(close << 8, scale[None, :], by_scale[None, :], units)
            tl.store(
                mine + (put + 3 + N_THEIR_ERRORS + eight) * LANES + lane[None, :],
                close.to(tl.float32),
                mask=there,
            )
        tl.debug_barrier()

        # The network.
        rows = tl.arange(0, IN)[:, None]
        x = tl.load(
            mine + rows * LANES + lane[None, :],
            mask=(rows < N_IN) & (lane >= 0)[None, :],
            other=0.0,
        )
        part = network
        x = _layer(part, part + H1 * IN, part + H1 * (IN + 1), x, H1, IN)
        part += H1 * (IN + 3)
        x = _layer(part, part + H2 * H1, part + H2 * (H1 + 1), x, H2, H1)
        part += H2 * (H1 + 3)
        x = _layer(part, part + 16 * H2, part + 16 * (H2 + 1), x, 16, H2)
        outputs = tl.where(silent, 0.0, x).to(tl.int64)

        # Places.
        out0 = tl.sum(tl.where(sixteen == 0, outputs, 0), 0)
        out1 = tl.sum(tl.where(sixteen == 1, outputs, 0), 0)
        out2 = tl.sum(tl.where(sixteen == 2, outputs, 0), 0)
        gates = tl.where((sixteen >= 3) & (sixteen < 3 + N_GATES), outputs * moves, 0)
        expected = prediction
        centred = prediction + (tl.sum(gates, 0) >> 6) + ((energy * out0) >> 6)
        if FLAT:
            expected = tl.where(flat, level << 8, expected)
            centred = tl.where(flat, level << 8, centred)
        centred = tl.minimum(tl.maximum(centred, lo << 8), hi << 8)
        anchor = tl.zeros((LANES,), tl.int64)
        if CLOSED:
            anchor = (tl.minimum(tl.maximum(expected, lo << 8), hi << 8) + 128) >> 8
            distance = centred - (anchor << 8)
            centred = ((distance >> 8) * per_step + (((distance & 255) * per_step) >> 8)) >> 8
        centre = (centred + 128) >> 8
        fraction = centred - (centre << 8)
        phase = tl.minimum(tl.abs(fraction) >> 5, 3)
        size = ((log_energy + out1 - 96 - log_step) * 3) >> 5
        size = tl.minimum(tl.maximum(size, 0), _MAX_SCALE)
        tail = (out2 >= tail0).to(tl.int64) + (out2 >= tail1).to(tl.int64)
        found = tl.load(classes + (tail * (_MAX_SCALE + 1) + size) * 4 + phase)
        if FLAT:
            found = tl.where(flat, 0, found)
        low = found >> 8

        # Symbols and raw bits.
        begin = tl.load(begins + item * N_TABLES + (found & 255))
        token, states, last = _symbols(
            begin, active, entries, states, words, last, n_states, n_groups
        )
        bits = tl.where(active, tl.load(lengths + token) + low, 0)
        if tl.max(bits, 0) >= _ESCAPED:
            escaped = bits >= _ESCAPED
            number, states, last = _raw(
                tl.where(escaped, 8, 0).to(tl.int64), states, words, last, n_states, n_groups
            )
            token = tl.where(escaped, tl.minimum(number, _ESCAPE - 1), token)
            bits = tl.where(active, tl.load(lengths + token) + low, 0)
        raw = tl.zeros((LANES,), tl.int64)
        if tl.max(bits, 0) > 0:
            raw, states, last = _raw(tl.minimum(bits, 16), states, words, last, n_states, n_groups)
        if tl.max(bits, 0) > 16:
            top, states, last = _raw(
                tl.maximum(bits - 16, 0), states, words, last, n_states, n_groups
            )
            raw |= top << 16

        # Samples.
        high = raw >> low
        zigzag = tl.load(zigzags + token) | (high << 1)
        quotient = (zigzag >> 1) ^ (-(zigzag & 1))
        offset = (quotient << low) | (raw - (high << low))
        value = tl.where(fraction < 0, centre - offset, centre + offset)
        if CLOSED:
            value = anchor + step_size * value
        value = value.to(tl.int32).to(tl.int64)  # modulo 2**32
        limited = tl.minimum(tl.maximum(value, lo), hi)
        bad |= (active & (limited != value)).to(tl.int32)
        error = (limited << 8) - prediction
        error = tl.where((s == first_step) & (lane == 0), sigma, error)
        target = tl.load(samples_at + s * LANES + lane)
        tl.store(board + samples_begin + target, limited, mask=active)
        tl.store(board + errors_begin + target, error, mask=active)
        if keep > 0:
            tl.store(board + energy_begin + target, energy, mask=active)
        if N_SUMS > 0:
            # The cell after that of the sum up to the sample before.
            where = tl.load(here + (N_SAMPLES + N_ERRORS) * LANES + lane) + by + 1
            tl.store(
                board + where,
                _cell(board, here, by, N_SAMPLES + N_ERRORS) + tl.abs(error),
                mask=active,
            )
        tl.debug_barrier()

    tl.store(states_at + item * LANES + lane, states)
    tl.store(last_at + item, last)
    tl.store(bad_at + item * LANES + lane, bad)
