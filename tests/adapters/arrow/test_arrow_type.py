"""The Arrow extension type: frames are those of the codec, nulls stay, values come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latrans

pa = pytest.importorskip("pyarrow")

from arrow_samples import counting, drawings, frames_of, table, tensors
from latrans.arrow import (
    Cells,
    TensorArray,
    TensorType,
    decode_array,
    decode_table,
    encode_array,
    encode_table,
    read_parquet,
    write_parquet,
)
from latrans.errors import CodecError, ConfigError, ModelNotFoundError

VALUE_TYPES = ("bool", "uint8", "int16", "uint32", "int64", "float16", "float32", "float64")


def test_a_value_is_the_frame_that_the_codec_writes() -> None:
    images = drawings()
    codec = latrans.Codec("digits-1")
    encoded = encode_array(tensors(images), codec)
    assert encoded.type.storage_type == pa.large_binary()
    assert frames_of(encoded) == [codec.encode(image) for image in images]


def test_the_type_says_what_it_holds_and_which_codec_wrote_it() -> None:
    encoded = encode_table(table(), {"image": latrans.Codec("digits-1", "lossy")})
    kind = encoded.schema.field("image").type
    assert isinstance(kind, TensorType)
    digest = latrans.open_model("digits-1").digest
    assert json.loads(kind.__arrow_ext_serialize__()) == {
        "version": 1,
        "value_type": "uint8",
        "shape": [28, 28],
        "dim_names": ["y", "x"],
        "codec": {"model": f"sha256:{digest}", "mode": "lossy"},
    }
    assert kind.codec.mode == "lossy"
    assert kind.value_type == pa.uint8()


def test_tables_come_back_equal_with_their_nulls_and_chunks() -> None:
    whole = table(12, nulls=True)
    chunked = pa.concat_tables([whole.slice(0, 5), whole.slice(5, 1), whole.slice(6)])
    encoded = encode_table(chunked, {"image": "digits-1"})
    assert encoded["image"].null_count == whole["image"].null_count > 0
    assert decode_table(encoded).combine_chunks() == whole.combine_chunks()


def test_metadata_of_schema_and_fields_stays() -> None:
    schema = table().schema.with_metadata({"by": "us"})
    schema = schema.set(1, schema.field(1).with_metadata({"unit": "grey"}))
    marked = table().cast(schema)
    back = decode_table(encode_table(marked, {"image": "digits-1"}))
    assert back.schema.equals(marked.schema, check_metadata=True)


def test_scalars_and_arrays_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    images = drawings()
    encoded = encode_array(tensors(images), "digits-1")
    assert isinstance(encoded, TensorArray)
    assert np.array_equal(encoded[3].as_py(), images[3])
    monkeypatch.setenv("LATRANS_NUM_THREADS", "1")
    counts = counting(monkeypatch)
    assert np.array_equal(encoded.to_numpy(), images)
    assert np.array_equal(encoded.to_numpy_ndarray(), images)
    assert sum(counts) == 2 * len(images)
    assert all(map(np.array_equal, encoded.to_pylist(), images))
    assert encoded.decode() == decode_array(encoded)
    assert np.array_equal(encoded[4:7].to_numpy_ndarray(), images[4:7])


def test_null_rows_are_none() -> None:
    encoded = encode_table(table(6, nulls=True), {"image": "digits-1"})["image"].chunk(0)
    rows = encoded.to_pylist()
    assert [row is None for row in rows] == [True, False, False] * 2
    assert encoded[0].as_py() is None
    found = encoded.to_numpy()
    assert found.dtype == object
    assert found[0] is None
    assert np.array_equal(found[1], drawings(6)[1])
    with pytest.raises(ConfigError, match="nulls"):
        encoded.to_numpy_ndarray()


@pytest.mark.parametrize("name", VALUE_TYPES)
def test_every_value_type_comes_back(name: str) -> None:
    rows = (np.arange(60).reshape(5, 3, 4) * 1.5 % 7).astype(name)
    flat = pa.array(rows.reshape(-1))
    kind = pa.fixed_shape_tensor(flat.type, (3, 4))
    storage = pa.FixedSizeListArray.from_arrays(flat, type=kind.storage_type)
    column = pa.ExtensionArray.from_storage(kind, storage)
    encoded = encode_array(column, "image-1")
    assert encoded.to_numpy().dtype == rows.dtype
    assert decode_array(encoded) == column


def test_permuted_tensors_are_taken_in_their_logical_order() -> None:
    rows = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(rows.transpose(0, 2, 1, 3))
    assert np.array_equal(encode_array(column, "image-1").to_numpy(), column.to_numpy_ndarray())
    # Arrow's specification: the i-th logical dimension is the permutation[i]-th as stored.
    kind = pa.fixed_shape_tensor(pa.int16(), (3, 4, 5), ["a", "b", "c"], permutation=[2, 0, 1])
    permuted = pa.ExtensionArray.from_storage(kind, tensors(rows).storage)
    encoded = encode_array(permuted, "image-1")
    assert encoded.type.shape == (5, 3, 4)
    assert encoded.type.dim_names == ("c", "a", "b")
    assert np.array_equal(encoded.to_numpy(), rows.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.uint8()),
        pa.large_list(pa.uint8()),
        pa.list_(pa.uint8(), 784),
        pa.list_(pa.list_(pa.uint8())),
        pa.list_(pa.list_(pa.uint8(), 28)),
        pa.list_(pa.list_(pa.uint8(), 28), 28),
        pa.binary(),
        pa.large_binary(),
        pa.binary(784),
    ],
    ids=str,
)
def test_lists_and_bytes_with_a_shape_are_tensors(kind: Any) -> None:
    images = drawings(5)
    if pa.types.is_fixed_size_binary(kind) or "binary" in str(kind):
        values: list[Any] = [image.tobytes() for image in images]
    else:
        nested = pa.types.is_list(kind.value_type) or pa.types.is_fixed_size_list(kind.value_type)
        values = images.tolist() if nested else images.reshape(5, 784).tolist()
    values[1] = None
    column = pa.array([values[4], *values], kind)[1:]
    dtype = np.uint8 if "binary" in str(kind) else None
    encoded = encode_array(column, "digits-1", shape=(28, 28), dtype=dtype)
    assert encoded.type.shape == (28, 28)
    assert frames_of(encoded)[2] == latrans.Codec("digits-1").encode(images[2])
    assert frames_of(encoded)[1] is None
    decoded = decode_array(encoded)
    assert isinstance(decoded, pa.FixedShapeTensorArray)
    assert np.array_equal(decoded.drop_null().to_numpy_ndarray(), images[[0, 2, 3, 4]])


def test_bytes_in_the_other_byte_order_are_turned() -> None:
    rows = np.arange(6, dtype=">i2").reshape(2, 3)
    column = pa.array([row.tobytes() for row in rows])
    found = encode_array(column, "series-1", shape=(3,), dtype=">i2").to_numpy()
    assert np.array_equal(found, rows)
    assert found.dtype == np.dtype("=i2")


def test_lists_of_any_length_come_back_as_lists() -> None:
    values = [[1, 2, 3], None, [], list(range(500))]
    column = pa.array([[9], *values], pa.large_list(pa.int32()))[1:]
    encoded = encode_array(column, "series-1")
    assert encoded.type.shape is None
    assert pa.types.is_large_list(decode_array(encoded).type)
    assert decode_array(encoded).to_pylist() == values
    assert encoded.to_numpy()[3].tolist() == values[3]
    with pytest.raises(ConfigError, match="differ in shape"):
        encoded.to_numpy_ndarray()


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int16()),
        pa.large_list(pa.int16()),
        pa.list_(pa.int16(), 3),
        pa.list_(pa.list_(pa.int16(), 3), 2),
        pa.list_(pa.list_(pa.list_(pa.bool_(), 2), 3), 1),
        pa.struct([("data", pa.list_(pa.int16())), ("shape", pa.list_(pa.int32(), 2))]),
        pa.struct([("data", pa.large_list(pa.int16())), ("shape", pa.list_(pa.int32(), 2))]),
    ],
    ids=str,
)
def test_columns_come_back_with_the_type_that_they_had(kind: Any, tmp_path: Path) -> None:
    if pa.types.is_struct(kind):
        values: list[Any] = [{"data": [1, 2], "shape": [1, 2]}, {"data": [3], "shape": [1, 1]}]
    else:
        depth = str(kind).count("list")
        values = {1: [[1, 2, 3], [4, 5, 6]], 2: [[[1, 2, 3], [4, 5, 6]]] * 2}.get(
            depth, [[[[True, False], [False, False], [True, True]]]] * 2
        )
    column = pa.array([values[1], None, *values, None, None], kind)
    whole = pa.table({"n": range(6), "a": column})[1:]
    for part in (whole, pa.concat_tables([whole[:2], whole[2:2], whole[2:]]), whole[:0]):
        encoded = encode_table(part, {"a": "series-1"})
        assert decode_table(encoded).equals(part)
        write_parquet(part, tmp_path / "a.parquet", {"a": "series-1"})
        assert read_parquet(tmp_path / "a.parquet").equals(part)
        assert encoded.schema == read_parquet(tmp_path / "a.parquet", decode=False).schema


def test_files_go_together_whichever_lists_their_rows_were(tmp_path: Path) -> None:
    for name, kind in (("a", pa.list_(pa.int16())), ("b", pa.large_list(pa.int16()))):
        column = pa.array([[1, 2], [3]], kind)
        write_parquet(pa.table({"a": column}), tmp_path / f"{name}.parquet", {"a": "series-1"})
    for names in ("ab", "ba"):
        found = read_parquet([tmp_path / f"{name}.parquet" for name in names])["a"]
        assert found.to_pylist() == [[1, 2], [3]] * 2
        assert (found.type == pa.list_(pa.int16())) == (names == "ab")


def test_tensors_of_any_shape_come_back_with_their_shapes() -> None:
    kind = pa.struct([("data", pa.large_list(pa.uint8())), ("shape", pa.list_(pa.int32(), 2))])
    values = [{"data": list(range(h * w)), "shape": [h, w]} for h, w in ((2, 3), (5, 1), (4, 4))]
    column = pa.array([*values, None], kind)
    encoded = encode_array(column, "image-1")
    assert encoded[0].as_py().shape == (2, 3)
    assert decode_array(encoded) == column
    wrong = pa.array([{"data": [1, 2, 3], "shape": [2, 2]}], kind)
    with pytest.raises(ConfigError, match="same number"):
        encode_array(wrong, "image-1")


@pytest.mark.parametrize(
    ("values", "kind", "shape"),
    [
        ([[1, None, 3]], pa.list_(pa.int16()), None),
        ([[1, None, 3]], pa.list_(pa.int16(), 3), None),
        ([[[1, 2], None]], pa.list_(pa.list_(pa.int16())), (2, 2)),
        ([{"data": [1, None], "shape": [1, 2]}], None, None),
    ],
)
def test_a_null_inside_a_row_is_refused_with_advice(values: Any, kind: Any, shape: Any) -> None:
    if kind is None:
        kind = pa.struct([("data", pa.list_(pa.uint8())), ("shape", pa.list_(pa.int32(), 2))])
    with pytest.raises(ConfigError, match="fill it first"):
        encode_array(pa.array(values, kind), "series-1", shape=shape)


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        (pa.array([1, 2]), {}, "holds no arrays"),
        (pa.array(["a"]), {}, "holds no arrays"),
        (pa.array([["a"]]), {}, "values are object"),
        (pa.array([[1, 2], [3]]), {"shape": (2,)}, "1 items where 2 are expected"),
        (pa.array([[1, 2], [3, 4]], pa.list_(pa.int8(), 2)), {"shape": (3,)}, "not"),
        (pa.array([[[1]]]), {}, "needs the shape"),
        (pa.array([b"abc"]), {}, "needs shape and dtype"),
        (pa.array([b"abc"]), {"shape": (2,), "dtype": "u1"}, "3 items where 2"),
        (pa.array([b"abc"], pa.binary(3)), {"shape": (2,), "dtype": "u1"}, "3 bytes"),
        (pa.array([[1]]), {"dtype": "u1"}, "columns of bytes"),
        (pa.array([[]], pa.list_(pa.timestamp("s"))), {}, "cast"),
    ],
)
def test_columns_without_arrays_are_refused(column: Any, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        encode_array(column, "series-1", **options)


def test_tables_refuse_unknown_columns_and_encoded_ones() -> None:
    with pytest.raises(ConfigError, match="no column 'picture'; there are label, image"):
        encode_table(table(), {"picture": "digits-1"})
    with pytest.raises(ConfigError, match="no codec"):
        encode_table(table(), {"image": "digits-1"}, shapes={"label": (1,)})
    encoded = encode_table(table(), {"image": "digits-1"})
    with pytest.raises(ConfigError, match="already"):
        encode_table(encoded, {"image": "digits-1"})
    with pytest.raises(ConfigError, match="nothing to decode"):
        decode_table(encoded, columns=["label"])
    assert decode_table(encoded, columns=["image"]).schema == table().schema


def test_plain_bytes_that_are_frames_decode_by_what_they_say() -> None:
    images = drawings(4)
    frames = latrans.Codec("digits-1").encode_batch(list(images))
    decoded = decode_array(pa.array([None, *frames], pa.binary()))
    assert np.array_equal(decoded.drop_null().to_numpy_ndarray(), images)
    rows = decode_array(pa.array([latrans.encode(np.arange(n)) for n in (2, 3)]))
    assert rows.to_pylist() == [[0, 1], [0, 1, 2]]


def test_a_frame_of_another_shape_than_the_columns_is_refused() -> None:
    kind = encode_array(tensors(drawings(2)), "digits-1").type
    for array in (np.zeros((28, 27), np.uint8), np.zeros((28, 28), np.int8)):
        column = pa.array([latrans.encode(array)], pa.large_binary())
        with pytest.raises(CodecError, match="do not belong together"):
            decode_array(pa.ExtensionArray.from_storage(kind, column))


def test_damaged_frames_and_offsets_are_codec_errors() -> None:
    encoded = encode_array(tensors(drawings(3)), "digits-1")
    for frame in (b"", b"\xca", frames_of(encoded)[0][:-1]):
        column = pa.ExtensionArray.from_storage(encoded.type, pa.array([frame], pa.large_binary()))
        with pytest.raises(CodecError):
            column.to_numpy()
    offsets = pa.py_buffer(np.array([0, 3, -(1 << 40), 3], np.int64))
    wild = pa.Array.from_buffers(pa.large_binary(), 3, [None, offsets, pa.py_buffer(b"abc")])
    with pytest.raises(CodecError, match="damaged"):
        pa.ExtensionArray.from_storage(encoded.type, wild).to_numpy()


def test_rows_that_no_memory_holds_are_codec_errors() -> None:
    cells = Cells(np.dtype(np.uint8), 2, (1 << 20, 1 << 20))
    column = pa.array([None] * 1000, pa.large_binary())
    wild = pa.ExtensionArray.from_storage(TensorType(cells, {"model": "auto"}), column)
    with pytest.raises(CodecError, match="memory"):
        decode_array(wild)


@given(st.lists(st.none() | st.lists(st.integers(-(2**31), 2**31 - 1), max_size=40), max_size=8))
def test_any_lists_come_back(values: list[list[int] | None]) -> None:
    column = pa.array(values, pa.large_list(pa.int32()))
    assert decode_array(encode_array(column, "series-1")).to_pylist() == values


@given(st.lists(st.none() | st.binary(max_size=40), min_size=1, max_size=5))
def test_any_bytes_decode_or_are_codec_errors(values: list[bytes | None]) -> None:
    kind = encode_array(tensors(drawings(1)), "digits-1").type
    column = pa.ExtensionArray.from_storage(kind, pa.array(values, pa.large_binary()))
    if any(value is not None for value in values):
        with pytest.raises(CodecError):
            decode_array(column)
    else:
        assert decode_array(column).null_count == len(values)


def test_a_missing_model_is_named() -> None:
    frame = bytearray(latrans.Codec("digits-1").encode(drawings(1)[0]))
    frame[6:14] = bytes(8)
    from hostile import sealed

    column = pa.array([sealed(frame[:-4])], pa.large_binary())
    with pytest.raises(ModelNotFoundError, match=r"0000000000000000.*LATRANS_MODEL_PATH"):
        decode_array(column)


def test_rows_can_be_taken_filtered_and_sorted() -> None:
    encoded = encode_table(table(12), {"image": "digits-1"})
    chosen = encoded.sort_by([("label", "descending")]).filter(pa.compute.field("label") == 2)
    assert np.array_equal(chosen["image"].combine_chunks().to_numpy(), drawings(12)[2::4])
