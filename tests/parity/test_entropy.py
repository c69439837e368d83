"""The entropy coder: literal bytes, size against entropy, truncation, and its compiled twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latrans.coding.rans import reference
from latrans.coding.rans.tables import TOTAL, cost_bits, normalise, slots, starts
from latrans.errors import CodecError

ENCODERS = [reference.encode]
try:
    from latrans.coding.rans import native
except ImportError:
    native = None
else:
    ENCODERS.append(native.encode)

needs_native = pytest.mark.skipif(native is None, reason="the compiled core is not built")
ESCAPE = 5  # the last of the six symbols used here


def tables_of(rng, n_tables):
    counts = rng.integers(0, 50, (n_tables, ESCAPE + 1)) ** 2
    return np.stack([normalise(row, np.arange(ESCAPE + 1) == ESCAPE) for row in counts])


def message(rng, tables, n, n_states):
    """Random tables and symbols, of which some need an escape: (table, symbol), operations."""
    table = rng.integers(0, len(tables), n)
    symbol = rng.integers(0, ESCAPE, n)
    lane = np.arange(n) % n_states
    operations = []
    for where, t, s in zip(lane.tolist(), table.tolist(), symbol.tolist(), strict=True):
        coded = s if tables[t, s] else ESCAPE
        operations.append((where, int(starts(tables)[t, coded]), int(tables[t, coded]), 12))
        if coded == ESCAPE:
            operations.append((where, s, 1, 8))
        if s:
            operations.append((where, s * 3 % (1 << s), 1, s))  # symbol s has s raw bits
    return (table, symbol, lane), np.array(operations, np.int64).reshape(-1, 4).T


def pop_all(decoder, tables, table, symbol, lane):
    """What the reference decoder finds."""
    found, raws = [], []
    first, slot = starts(tables), slots(tables)
    for where, t in zip(lane.tolist(), table.tolist(), strict=True):
        s = decoder.pop(where, slot[t], first[t], tables[t])
        if s == ESCAPE:
            s = decoder.pop_raw(where, 8)
        found.append(s)
        raws.append(decoder.pop_raw(where, s) if s else 0)
    return found, raws


@pytest.mark.parametrize("encode", ENCODERS)
def test_literal_bytes(encode):
    # By hand, backwards: 16 raw bits push a word of zeros out of 0x10000 and leave 0x11234, 12
    # more 0x11234ABC; then (state // 683 << 12) + 2048 + state % 683, and likewise with 2048.
    lane = np.zeros(4, np.int64)
    start, frequency = np.array([0, 2048, 0xABC, 0x1234]), np.array([2048, 683, 1, 1])
    bits = np.array([12, 12, 12, 16])
    data = encode(lane, start, frequency, bits, 1)
    assert data.hex(" ") == "42 d1 8d cd 00 00"
    decoder = reference.Decoder(data, 1)
    frequencies = np.array([2048, 683, 1365])
    first = np.array([0, 2048, 2731])
    slot = np.repeat(np.arange(3), frequencies)
    assert decoder.pop(0, slot, first, frequencies) == 0
    assert decoder.pop(0, slot, first, frequencies) == 1
    assert decoder.pop_raw(0, 12) == 0xABC
    assert decoder.pop_raw(0, 16) == 0x1234
    decoder.finish()


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize("n_states", [1, 4, 16])
def test_nothing_is_the_states_alone(encode, n_states):
    nothing = np.zeros(0, np.int64)
    data = encode(nothing, nothing, nothing, nothing, n_states)
    assert data == b"\0\0\1\0" * n_states
    reference.Decoder(data, n_states).finish()


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize("sharpness", [0.5, 3.0, 30.0])
def test_size_is_the_entropy(encode, sharpness):
    rng = np.random.default_rng(1)
    table = normalise(rng.random(40) ** sharpness, np.ones(40, bool))
    symbol = rng.choice(40, 20_000, p=table / TOTAL)
    twelve = np.full(symbol.size, 12)
    data = encode(np.arange(symbol.size) % 4, starts(table)[symbol], table[symbol], twelve, 4)
    ideal = cost_bits(table)[symbol].sum() / 8
    assert ideal <= len(data) <= ideal * 1.001 + 4 * 4 + 2


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.sampled_from([1, 4, 16]))
def test_symbols_and_raw_bits_come_back(seed, n, n_states):
    rng = np.random.default_rng(seed)
    tables = tables_of(rng, 3)
    (table, symbol, lane), operations = message(rng, tables, n, n_states)
    data = reference.encode(*operations, n_states)
    decoder = reference.Decoder(data, n_states)
    found, raws = pop_all(decoder, tables, table, symbol, lane)
    decoder.finish()
    assert found == symbol.tolist()
    assert raws == (symbol * 3 % (1 << symbol)).tolist()
    if native is not None:
        assert native.encode(*operations, n_states) == data
        compiled = native.Decoder(data, n_states)
        both = compiled.pop(
            native.Tables(tables), lane, table, ESCAPE, ESCAPE - 1, np.arange(ESCAPE + 1)
        )
        compiled.finish()
        assert [a.tolist() for a in both] == [found, raws]


def test_every_truncation_is_noticed():
    rng = np.random.default_rng(2)
    tables = tables_of(rng, 2)
    (table, symbol, lane), operations = message(rng, tables, 60, 4)
    data = reference.encode(*operations, 4)
    for n in range(len(data)):
        with pytest.raises(CodecError):
            pop_all(reference.Decoder(data[:n], 4), tables, table, symbol, lane)
        if native is not None:
            with pytest.raises(CodecError):
                native.Decoder(data[:n], 4).pop(
                    native.Tables(tables), lane, table, ESCAPE, ESCAPE - 1, np.arange(ESCAPE + 1)
                )


DECODERS = [reference.Decoder] + ([] if native is None else [native.Decoder])


@pytest.mark.parametrize("decoder", DECODERS)
def test_impossible_states_and_odd_lengths_are_refused(decoder):
    with pytest.raises(CodecError, match="impossible state"):
        decoder(b"\0\0\1\0\xff\xff\0\0", 2)
    for data in (b"", b"\0\0\1", b"\0\0\1\0\0"):
        with pytest.raises(CodecError, match="cannot hold"):
            decoder(data, 1)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("data", [b"\0\0\1\0\0\0", b"\1\0\1\0"])
def test_what_does_not_end_where_its_symbols_do_is_refused(decoder, data):
    with pytest.raises(CodecError, match="does not end"):
        decoder(data, 1).finish()


@needs_native
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lane", [4]), ("lane", [-1]), ("frequency", [0]), ("frequency", [5000]), ("start", [-1]),
        ("start", [4096]), ("bits", [0]), ("bits", [17]), ("bits", [12, 12]),
    ],
)  # fmt: skip
def test_operations_that_are_none_are_refused(name, value):
    operation = {"lane": [0], "start": [0], "frequency": [1], "bits": [12], name: value}
    with pytest.raises(ValueError, match="operation"):
        native.encode(**operation, n_states=4)


@needs_native
def test_symbols_that_are_none_are_refused():
    rng = np.random.default_rng(3)
    tables = native.Tables(tables_of(rng, 2))
    raw_bits = np.arange(ESCAPE + 1)
    for lane, table, last, extra in (
        ([1], [0], 4, raw_bits),
        ([0], [2], 4, raw_bits),
        ([0], [0, 0], 4, raw_bits),
        ([0], [0], 6, raw_bits),
        ([0], [0], 4, raw_bits[:-1]),
        ([0], [0], 4, raw_bits + 12),
    ):
        with pytest.raises(ValueError, match=r"lane|last|raw bits"):
            native.Decoder(b"\0\0\1\0", 1).pop(tables, lane, table, ESCAPE, last, extra)
    broken = tables_of(rng, 1)
    broken[0, 0] += 1
    with pytest.raises(ValueError, match="4096"):
        native.Tables(broken)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200))
def test_normalised_tables_sum_to_the_total(counts):
    must_have = np.arange(len(counts)) == 0
    table = normalise(np.array(counts), must_have)
    assert table.sum() == TOTAL
    assert ((table > 0) == ((np.array(counts) > 0) | must_have)).all()
    assert slots(table)[0].tolist() == np.repeat(np.arange(len(counts)), table).tolist()
