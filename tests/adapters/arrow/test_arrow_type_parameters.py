"""The extension type's parameters: stored, hostile, registered, in streams and fields."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow")

from adapter_samples import run_python
from arrow_samples import drawings, table, tensors
from latrans.arrow import Cells, TensorType, encode_array, encode_table
from latrans.arrow.tensor.type import parse, tensor_type
from latrans.errors import CodecError


def stored(**changes: Any) -> bytes:
    parameters = {
        "version": 1,
        "value_type": "uint8",
        "shape": [28, 28],
        "dim_names": None,
        "codec": {"model": "auto", "mode": "lossless"},
    }
    return json.dumps({**parameters, **changes}).encode()


@pytest.mark.parametrize(
    "serialized",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        stored(version=2),
        stored(value_type="object"),
        stored(value_type=["u1"]),
        stored(shape=[1 << 30, 1 << 30]),
        stored(shape=[-1]),
        stored(shape=[1.5]),
        stored(shape=[True]),
        stored(shape=[]),
        stored(shape=[1] * 65),
        stored(shape=None),
        stored(shape=None, ndim=10**6),
        stored(shape="ab"),
        stored(dim_names=["y"]),
        stored(list_type="list"),
        stored(list_type="other"),
        stored(list_type=["list"]),
        stored(shape=None, ndim=1, list_type="fixed_size_list"),
        stored(codec=None),
        stored(codec={"model": "x", "other": 1}),
        stored(codec={"mode": "perfect"}),
    ],
)
def test_hostile_parameters_are_codec_errors(serialized: bytes) -> None:
    with pytest.raises(CodecError):
        parse(serialized)


@given(st.binary(max_size=60) | st.from_type(dict[str, int]).map(lambda d: json.dumps(d).encode()))
def test_random_parameters_are_codec_errors(serialized: bytes) -> None:
    with pytest.raises(CodecError):
        parse(serialized)


def test_parameters_come_back() -> None:
    for cells in (
        Cells(np.dtype("float32"), 3, (1, 2, 3), ("a", "b", "c")),
        Cells(np.dtype("bool"), 2),
        Cells(np.dtype("bool"), 1, None, None, "list"),
        Cells(np.dtype("bool"), 2, (2, 3), None, "fixed_size_list"),
    ):
        kind = TensorType(cells, {"model": "auto", "mode": "bounded", "max_error": 0.5})
        assert parse(kind.__arrow_ext_serialize__()) == (kind.cells, kind.configuration)
        assert pickle.loads(pickle.dumps(kind)) == kind
        other = TensorType(cells, {"model": "auto"})
        assert other != kind


def test_streams_bring_the_type_along() -> None:
    encoded = encode_table(table(nulls=True), {"image": "digits-1"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, encoded.schema) as writer:
        writer.write_table(encoded)
    assert pa.ipc.open_stream(sink.getvalue()).read_all() == encoded


def test_the_type_is_registered_once_and_another_copys_is_understood() -> None:
    run_python("""
        import json, pyarrow as pa, numpy as np
        class Other(pa.ExtensionType):
            def __init__(self, text): self.text = text; super().__init__(pa.large_binary(), NAME)
            def __arrow_ext_serialize__(self): return self.text
            @classmethod
            def __arrow_ext_deserialize__(cls, storage, text): return cls(text)
        NAME = "latrans.tensor"
        pa.register_extension_type(Other(b""))
        import latrans.arrow as la
        from latrans.arrow.tensor.type import register
        register()
        rows = np.arange(24, dtype="u1").reshape(2, 3, 4)
        encoded = la.encode_table(
            pa.table({"a": pa.FixedShapeTensorArray.from_numpy_ndarray(rows)}), {"a": "image-1"}
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, encoded.schema) as writer: writer.write_table(encoded)
        found = pa.ipc.open_stream(sink.getvalue()).read_all()
        assert type(found.schema.field("a").type) is Other
        assert np.array_equal(la.decode_table(found)["a"].combine_chunks().to_numpy_ndarray(), rows)
    """)
    run_python("from latrans.arrow.tensor.type import register; register(); register()")


def test_fields_that_kept_only_their_metadata_are_understood() -> None:
    kind = encode_array(tensors(drawings(1)), "digits-1").type
    plain = pa.field(
        "image",
        pa.binary(),
        metadata={
            "ARROW:extension:name": "latrans.tensor",
            "ARROW:extension:metadata": kind.__arrow_ext_serialize__(),
        },
    )
    assert tensor_type(plain) == kind
    assert tensor_type(pa.field("label", pa.int64())) is None
    assert tensor_type(pa.binary()) is None
