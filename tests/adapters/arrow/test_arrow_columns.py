"""Numeric columns encoded together: exact or within bounds, filtered, damaged, read elsewhere."""

from __future__ import annotations

import json
import pickle
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import latrans

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pc = pytest.importorskip("pyarrow.compute")

from arrow_samples import FLOATS, same, station
from latrans.arrow import ColumnsType, decode_columns, encode_columns
from latrans.arrow.columns import encoder
from latrans.arrow.columns import value as column_value
from latrans.arrow.columns.type import ROW_BITS, id_of
from latrans.errors import CodecError, ConfigError, ModelError

Array = np.ndarray[Any, Any]
NUMBERS = ["ticks", "pressure", "warmth", "count", "open", "far"]
KINDS = [
    pa.bool_(), pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(),
    pa.int64(), pa.uint64(), *FLOATS, pa.date32(), pa.date64(), pa.time32("s"), pa.time64("us"),
    pa.timestamp("ns", "Europe/Berlin"), pa.timestamp("s"), pa.duration("ms"),
]  # fmt: skip


def values_of(column: pa.ChunkedArray) -> list[bytes]:
    storage = [chunk.storage for chunk in column.chunks]
    return [v for s in storage for v in s.field("data").drop_null().to_pylist()]


def resealed(value: bytes) -> bytes:
    """A value with its checksum made anew."""
    return value[:-4] + struct.pack("<I", zlib.crc32(value[:-4]))


@st.composite
def columns(draw: st.DrawFn) -> pa.Table:
    """Any numbers in columns of any kinds, any bits in floats, nulls in any place."""
    n = draw(st.sampled_from([1, 2, 3, 17, 300]))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    made = {}
    for i, kind in enumerate(draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))):
        width = 1 if pa.types.is_boolean(kind) else kind.bit_width // 8
        dtype = np.dtype(f"u{width}")
        smooth = draw(st.booleans())
        if pa.types.is_boolean(kind):
            data = np.packbits(rng.random(n) < 0.5, bitorder="little").tobytes()
        elif kind in FLOATS and smooth:
            values = np.round(np.cumsum(rng.normal(size=n)), 1).astype(kind.to_pandas_dtype())
            values[rng.random(n) < 0.1] = draw(st.sampled_from([np.nan, np.inf, -0.0]))
            data = values.tobytes()
        elif smooth and kind not in FLOATS:
            data = rng.integers(0, 100, n).astype(dtype).tobytes()
        else:
            data = rng.bytes(width * n)
        mask = rng.random(n) < draw(st.sampled_from([0, 0, 0.2, 1]))
        valid = pa.py_buffer(np.packbits(~mask, bitorder="little")) if mask.any() else None
        made[f"c{i}"] = pa.Array.from_buffers(kind, n, [valid, pa.py_buffer(data)])
    return pa.table(made)


@settings(max_examples=60, deadline=None)
@given(columns())
def test_any_numbers_come_back_bit_for_bit(table: pa.Table) -> None:
    same(decode_columns(encode_columns(table, table.column_names)), table)


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@pytest.mark.parametrize("beside", [None, pa.int8()], ids=str)
def test_special_floats_keep_their_bits(kind: pa.DataType, beside: pa.DataType | None) -> None:
    unsigned = FLOATS[kind]
    nan = int(np.array(np.nan, kind.to_pandas_dtype()).view(unsigned))
    top = 1 << (8 * np.dtype(unsigned).itemsize - 1)
    inf = int(np.array(np.inf, kind.to_pandas_dtype()).view(unsigned))
    patterns = [0, top, 1, nan, nan | top, nan + 1, inf + 1, inf, inf | top, 1 | top] * 20
    array = pa.Array.from_buffers(kind, 200, [None, pa.py_buffer(np.array(patterns, unsigned))])
    made = {"a": array} if beside is None else {"a": array, "b": pa.array([1] * 200, beside)}
    same(decode_columns(encode_columns(pa.table(made), list(made))), pa.table(made))


@pytest.mark.parametrize("n", [0, 1, 2, 500])
def test_a_table_comes_back_with_names_types_and_order(n: int) -> None:
    table = station(n)
    encoded = encode_columns(table, NUMBERS, name="sensors")
    assert encoded.column_names == ["name", "sensors", "place"]
    assert isinstance(encoded.schema.field("sensors").type, ColumnsType)
    same(decode_columns(encoded), table)


def test_chunks_do_not_matter() -> None:
    table = station(500)
    parts = pa.concat_tables([table[:1], table[1:1], table[1:333], table[333:]])
    assert encode_columns(parts, NUMBERS) == encode_columns(table, NUMBERS)


def test_columns_may_be_encoded_step_by_step() -> None:
    table = station()
    encoded = encode_columns(table, ["far", "pressure"], name="a")
    same(decode_columns(encode_columns(encoded, ["count", "ticks"], name="b")), table)


def test_long_tables_have_several_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "VALUE_ROWS", 100)
    table = station(450)
    encoded = encode_columns(table, NUMBERS, threads=2)
    assert encoded["columns"].num_chunks == len(values_of(encoded["columns"])) == 5
    same(decode_columns(encoded, threads=2), table)


def test_columns_are_predicted_from_each_other() -> None:
    walk = np.cumsum(np.random.default_rng(0).integers(-90, 90, 20000))
    alone = pa.table({"a": walk})
    both = pa.table({"a": walk, "b": walk.astype(np.float32) / 10})
    sizes = [len(values_of(encode_columns(t, t.column_names)["columns"])[0]) for t in (alone, both)]
    assert sizes[1] < 1.3 * sizes[0]


@pytest.mark.parametrize("bound", [1e-3, 0.25, 3.0, 1e9])
def test_bounds_hold_and_nulls_and_nans_stay(bound: float) -> None:
    table = station(3000)
    names = ("pressure", "warmth", "count", "far")
    encoded = encode_columns(table, NUMBERS, max_error=dict.fromkeys(names, bound))
    assert encoded.schema.field("columns").type.bounds == (None, bound, bound, bound, None, bound)
    found = decode_columns(encoded)
    same(found.select(["ticks", "open", "name"]), table.select(["ticks", "open", "name"]))
    for name in ("pressure", "warmth", "count"):
        assert found[name].is_null().equals(table[name].is_null())
        one, other = (t[name].drop_null().to_numpy().astype(float) for t in (found, table))
        assert np.array_equal(np.isnan(one), np.isnan(other))
        assert np.nanmax(np.abs(one - other)) <= bound


def test_each_column_has_a_bound_of_its_own() -> None:
    table = station(3000)
    exact = values_of(encode_columns(table, NUMBERS)["columns"])[0]
    encoded = encode_columns(table, NUMBERS, max_error={"pressure": 0.5, "count": 4})
    assert len(values_of(encoded["columns"])[0]) < len(exact)
    found = decode_columns(encoded)
    off = {
        name: np.abs(
            found[name].drop_null().to_numpy().astype(float)
            - table[name].drop_null().to_numpy().astype(float)
        ).max()
        for name in ("pressure", "count")
    }
    assert 0.1 < off["pressure"] <= 0.5
    assert 1 <= off["count"] <= 4
    rest = [name for name in table.column_names if name not in off]
    same(found.select(rest), table.select(rest))


def test_a_bound_that_cannot_be_kept_leaves_a_column_exact() -> None:
    big = np.random.default_rng(0).normal(size=400).astype(np.float32) * np.float32(1e30)
    table = pa.table({"big": big, "whole": np.arange(400) // 7, "wide": np.arange(400) + (1 << 60)})
    bounds = {"big": 1.0, "whole": 0.5, "wide": 10}
    same(decode_columns(encode_columns(table, table.column_names, max_error=bounds)), table)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([pa.float16(), pa.float32(), pa.float64(), pa.int8(), pa.uint16(), pa.int64()]),
    st.floats(1e-6, 1e6),
    st.floats(1e-3, 1e5),
    st.integers(0, 1 << 32),
)
def test_any_bound_holds(kind: pa.DataType, bound: float, size: float, seed: int) -> None:
    dtype = np.dtype(kind.to_pandas_dtype())
    values = np.random.default_rng(seed).normal(size=300) * size
    if dtype.kind != "f":
        info = np.iinfo(dtype)
        values = np.clip(np.rint(values), info.min, info.max)
    with np.errstate(over="ignore"):
        values = values.astype(dtype)
    table = pa.table({"a": pa.array(values, kind)})
    found = decode_columns(encode_columns(table, ["a"], max_error=bound))["a"]
    finite = np.isfinite(values)
    back = np.asarray(found)
    assert np.array_equal(back[~finite], values[~finite])
    assert (np.abs(back[finite].astype(float) - values[finite].astype(float)) <= bound).all()


def test_rows_may_be_taken_sorted_and_doubled() -> None:
    table = station()
    some = [0, 400, 3, 3, 499, 17]
    encoded = encode_columns(table, NUMBERS)
    same(decode_columns(encoded.take(some)), table.take(some))
    same(decode_columns(encoded[:9]), table[:9])


def test_rows_without_their_value_are_an_error_not_other_rows() -> None:
    encoded = encode_columns(station(), NUMBERS)
    with pytest.raises(CodecError, match=r"1 of 1 values of these rows are not there.*filters"):
        decode_columns(encoded[1:])
    other = encode_columns(station(seed=1), NUMBERS)
    with pytest.raises(CodecError, match="1 of 2 values"):
        decode_columns(pa.concat_tables([encoded, other[5:]]))


def test_rows_that_a_join_left_empty_are_null() -> None:
    encoded = encode_columns(pa.table({"k": range(9), "a": np.arange(9.0)}), ["a"], name="s")
    joined = pa.table({"k": [0, 3, 77]}).join(encoded.drop(["s"]), "k")
    assert len(joined) == 3
    storage = encoded["s"].chunk(0).storage.take(pa.array([0, 3, None]))
    column = pa.ExtensionArray.from_storage(encoded.schema.field("s").type, storage)
    assert decode_columns(pa.table({"s": column}))["a"].to_pylist() == [0.0, 3.0, None]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (["name"], {}, "holds no numbers"),
        (["nothing"], {}, "no column 'nothing'"),
        ([], {}, "no columns"),
        (["far", "far"], {}, "twice"),
        ("far", {}, "list of names"),
        (["far"], {"max_error": {"place": 1}}, "not among the columns"),
        (["open"], {"max_error": {"open": 1}}, "is of bool"),
        (["far"], {"max_error": -1}, "above 0"),
        (["far", "count"], {"max_error": 1.0}, "names no column.*far, count.*identifiers"),
        (["far", "open"], {"max_error": 1.0}, "names no column"),
        (["far", "count"], {"codec": latrans.Codec("table-1", "bounded", 1.0)}, "names no column"),
        (["far"], {"codec": latrans.Codec("digits-1", "lossy")}, "no mode 'lossy'"),
        (["far"], {"codec": "image-1"}, "do not suit this model"),
        (["far"], {"name": "place"}, "more than one column 'place'"),
    ],
)
def test_what_cannot_be_encoded_is_refused(columns: Any, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        encode_columns(station(20), columns, **options)


def test_damaged_values_are_refused() -> None:
    (value,) = values_of(encode_columns(station(60), NUMBERS)["columns"])
    dtypes = [np.dtype(t) for t in ("i8", "f8", "f4", "i2", "u1", "u8")]
    assert len(column_value.unpack(value, dtypes)) == 6
    for n in range(0, len(value), 7):
        with pytest.raises(CodecError):
            column_value.unpack(value[:n], dtypes)
    for i in range(len(value)):
        damaged = bytearray(value)
        damaged[i] ^= 1 << (i % 8)
        with pytest.raises(CodecError):
            column_value.unpack(bytes(damaged), dtypes)


def test_hostile_values_are_refused_or_decode() -> None:
    table = encode_columns(station(60), NUMBERS, max_error={"pressure": 0.5, "count": 3})
    (value,) = values_of(table["columns"])
    dtypes = [np.dtype(t) for t in ("i8", "f8", "f4", "i2", "u1", "u8")]
    rng = np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(value)
        damaged[int(rng.integers(0, len(value) - 4))] = int(rng.integers(0, 256))
        try:
            found = column_value.unpack(resealed(bytes(damaged)), dtypes)
        except (CodecError, ModelError):
            continue
        assert [column.numbers.dtype for column in found] == dtypes


def test_values_of_other_columns_are_refused() -> None:
    (value,) = values_of(encode_columns(station(60), NUMBERS)["columns"])
    with pytest.raises(CodecError, match="6 columns"):
        column_value.unpack(value, [np.dtype(np.int8)])
    with pytest.raises(CodecError):
        column_value.unpack(value, [np.dtype(np.int8)] * 6)
    newer = bytearray(value)
    newer[0] = 2
    with pytest.raises(CodecError, match="version 2"):
        column_value.frames_in(resealed(bytes(newer)))


def test_rows_that_claim_other_places_are_refused() -> None:
    encoded = encode_columns(pa.table({"a": np.arange(9.0)}), ["a"])
    kind, storage = encoded.schema.field("columns").type, encoded["columns"].chunk(0).storage
    (value,) = values_of(encoded["columns"])
    rows = np.arange(9) + (id_of(value) << ROW_BITS) + 3
    parts = [pa.array(rows), storage.field("data")]
    struct_array = pa.StructArray.from_arrays(parts, fields=list(storage.type))
    column = pa.ExtensionArray.from_storage(kind, struct_array)
    with pytest.raises(CodecError, match="refer to rows"):
        decode_columns(pa.table({"columns": column}))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"columns": {"a": "string"}},
        {"columns": {"a": "no type"}},
        {"columns": ["a"]},
        {"positions": [-1]},
        {"positions": []},
        {"positions": [True]},
        {"bounds": {"a": 0}},
        {"codec": {"model": "x", "wrong": 1}},
        {"columns": None},
    ],
    ids=str,
)
def test_damaged_parameters_of_the_type_are_refused(change: dict[str, Any]) -> None:
    kind = encode_columns(pa.table({"a": [1]}), ["a"]).schema.field("columns").type
    stored = json.loads(kind.__arrow_ext_serialize__())
    assert ColumnsType.__arrow_ext_deserialize__(kind.storage_type, json.dumps(stored)) == kind
    text = json.dumps({**stored, **change}).encode()
    with pytest.raises(CodecError):
        ColumnsType.__arrow_ext_deserialize__(kind.storage_type, text)


def test_the_type_compares_hashes_and_pickles() -> None:
    one = encode_columns(station(20), NUMBERS).schema.field("columns").type
    other = encode_columns(station(20), NUMBERS, max_error={"far": 1}).schema.field("columns").type
    assert one == encode_columns(station(30), NUMBERS).schema.field("columns").type
    assert one != other
    assert one != pa.int8()
    copied = pickle.loads(pickle.dumps(one))
    assert copied == one
    assert hash(copied) == hash(one)


@pytest.mark.parametrize("fill", [-999, 0, 25, 1e20])
@pytest.mark.parametrize("kind", [*FLOATS, pa.int16(), pa.int32()])
def test_bounded_columns_keep_missing_values_and_make_none(kind: pa.DataType, fill: float) -> None:
    dtype = np.dtype(kind.to_pandas_dtype())
    if fill == 1e20 and dtype not in ("f4", "f8"):
        fill = 1000
    rng = np.random.default_rng(0)
    numbers = (20 + rng.normal(size=3000).cumsum() / 8).clip(2, 26).astype(dtype)
    numbers[100:180] = numbers[::97] = dtype.type(fill)
    table = pa.table({"t": pa.array(range(3000)), "v": pa.array(numbers, kind)})
    codec = latrans.Codec("table-1", fill_value=(fill, 7000))
    found = decode_columns(encode_columns(table, ["t", "v"], codec, max_error={"v": 1}))
    after, there = found["v"].to_numpy(), numbers != dtype.type(fill)
    np.testing.assert_array_equal(after != dtype.type(fill), there)
    error = np.abs(after.astype("f8") - numbers.astype("f8"))[there].max()
    assert error <= 1
    assert error > 0 or fill in (25, 1e20)  # exact where a mark is too near, or too large
