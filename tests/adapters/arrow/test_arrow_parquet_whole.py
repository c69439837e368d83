"""Parquet files whole, damaged and on their own: writes that fail, truncation, models inside."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from adapter_samples import run_python
from arrow_samples import table, tensors
from latrans.arrow import models, read_parquet, write_parquet
from latrans.errors import CodecError, ModelError
from synthetic_models import make_model

IMAGE = {"image": "digits-1"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.parquet"


@pytest.fixture
def written(path: Path) -> Path:
    write_parquet(table(40), path, IMAGE, row_group_size=10)
    return path


def test_a_write_that_fails_leaves_what_was_there(written: Path) -> None:
    before = written.read_bytes()

    def batches() -> Iterator[Any]:
        yield table(4).to_batches()[0]
        raise RuntimeError("the source broke off")

    reader = pa.RecordBatchReader.from_batches(table(4).schema, batches())
    with pytest.raises(RuntimeError, match="broke off"):
        write_parquet(reader, written, IMAGE)
    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


def test_every_truncation_is_a_codec_error(written: Path) -> None:
    data = written.read_bytes()
    for n in [*range(0, 12), *range(12, len(data), len(data) // 40), len(data) - 1]:
        written.write_bytes(data[:n])
        with pytest.raises(CodecError, match="cannot be read as Parquet"):
            read_parquet(written)


def test_flipped_bits_are_errors_or_change_nothing(written: Path) -> None:
    data = written.read_bytes()
    rng = np.random.default_rng(0)
    caught = 0
    for at in rng.integers(4, len(data), 150).tolist():
        written.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        try:
            found = read_parquet(written)
        except (CodecError, ModelError):
            caught += 1
            continue
        for name in ("image", "label"):
            if name in found.column_names:
                assert found[name].combine_chunks() == table(40)[name].combine_chunks()
    assert caught > 30


def test_no_parquet_file_and_no_file(path: Path) -> None:
    path.write_bytes(b"not parquet at all")
    with pytest.raises(CodecError, match="not a Parquet file"):
        read_parquet(path)
    with pytest.raises(FileNotFoundError):
        read_parquet(path.with_name("other.parquet"))


def test_a_file_with_its_model_needs_nothing_beside_it(path: Path) -> None:
    model = make_model("plane", seed=77, name="elsewhere")
    rows = np.add.outer(np.arange(3), np.add.outer(np.arange(40), np.arange(30))).astype(np.uint8)
    whole = pa.table({"image": tensors(rows)})
    alone = path.with_name("alone.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latrans.codec.smaller_of", lambda packed, *_: packed)
        write_parquet(whole, path, {"image": latrans.Codec(model)}, model_in_footer=True)
        write_parquet(whole, alone, {"image": latrans.Codec(model)}, model_in_footer=False)
    run_python(f"""
        import numpy as np, latrans, latrans.arrow as la
        rows = {rows.tolist()}
        found = la.read_parquet({str(path)!r})["image"].combine_chunks().to_numpy_ndarray()
        assert found.tolist() == rows
    """)
    run_python(f"""
        import latrans.arrow as la
        from latrans.errors import ModelNotFoundError
        assert len(la.read_parquet({str(alone)!r}, columns=[])) == 3
        assert len(la.read_parquet({str(alone)!r}, decode=False)) == 3
        try:
            la.read_parquet({str(alone)!r})
        except ModelNotFoundError as error:
            assert {model.digest[:16]!r} in str(error) and "LATRANS_MODEL_PATH" in str(error)
        else:
            raise AssertionError
    """)


def test_models_in_footers_are_verified() -> None:
    model = make_model("plane", seed=78, name="forged")
    entry = models.MODEL + model.digest.encode()
    for key, text, message in (
        (entry, base64.b64encode(model.data[:-1]), "has digest"),
        (entry, b"!!!", "damaged"),
        (models.MODEL + b"short", b"", "by its digest"),
        (models.MODEL + b"A" * 64, b"", "by its digest"),
        (models.MODEL + b"0" * 64, base64.b64encode(model.data), "has digest"),
    ):
        with pytest.raises(ModelError, match=message):
            models.take_in({key: text})


def test_models_in_footers_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_MAX_BASE64", 1000)
    with pytest.raises(ModelError, match="exceed 1000"):
        models.take_in({models.MODEL + b"0" * 64: b"A" * 1001})
    with pytest.raises(ModelError, match="at most 1000"):
        models.inside([latrans.open_model("digits-1").digest])


def test_copies_of_a_file_stay_readable(written: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "x.parquet"
    copy.parent.mkdir()
    shutil.copy(written, copy)
    assert read_parquet(str(copy)) == read_parquet(copy) == read_parquet(written)
