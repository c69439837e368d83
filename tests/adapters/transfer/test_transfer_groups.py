"""Groups: every array, coordinate and attribute arrives, and xarray opens what it opened before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_samples import run
from latrans.errors import ConfigError
from latrans.transfer import transcode
from transfer_samples import field

zarr = pytest.importorskip("zarr")
from latrans.transfer.options import TransferOptions
from latrans.zarr import LatransCodec

pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")


def dataset() -> Any:
    xarray = pytest.importorskip("xarray")
    temperature = field((4, 96, 120), "f4")
    temperature[0, :5] = np.nan
    return xarray.Dataset(
        {
            "temperature": (("time", "y", "x"), temperature, {"units": "K"}),
            "count": (("y", "x"), field((256, 320), "i4")[:96, :120] * np.ones(1, "i4")),
            "big": (("row", "column"), field((256, 320), "u2")),
            "station": (("row",), np.array([f"s{i}" for i in range(256)])),
            "flag": (("row",), np.arange(256) % 3 == 0),
        },
        coords={
            "time": np.arange("2020-01-01", "2020-01-05", dtype="M8[D]").astype("M8[ns]"),
            "x": np.linspace(0, 1, 120),
            "row": np.arange(256),
            "latitude": (("y", "x"), field((96, 120), "f8")),
        },
        attrs={"title": "made up"},
    )


@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("target_format", [2, 3])
@pytest.mark.parametrize("source_format", [2, 3])
def test_xarray_opens_the_same(
    tmp_path: Path, source_format: int, target_format: int, consolidated: bool
) -> None:
    xarray = pytest.importorskip("xarray")
    original = dataset()
    source, target = tmp_path / "a.zarr", tmp_path / "b.zarr"
    original.to_zarr(source, zarr_format=source_format, consolidated=consolidated)
    before = xarray.open_zarr(source, consolidated=consolidated).load()
    transcode(source, target, "field-1", zarr_format=target_format)
    after = xarray.open_zarr(target, consolidated=consolidated).load()
    xarray.testing.assert_identical(before, after)
    assert "latrans" not in after.attrs
    group = zarr.open_group(target, mode="r")
    has = group.metadata.consolidated_metadata is not None
    assert has == consolidated
    if target_format == 3:
        taken = {name for name, a in group.arrays() if isinstance(a.serializer, LatransCodec)}
        assert taken == {"temperature", "big"}
        assert group["big"].metadata.dimension_names == ("row", "column")


def test_groups_in_groups_and_named_arrays(tmp_path: Path) -> None:
    root = zarr.create_group(tmp_path / "a.zarr", attributes={"a": 1})
    inner = root.create_group("inner", attributes={"b": 2})
    root.create_group("empty")
    inner.create_array("first", data=field((64, 64)), chunks=(32, 32))
    inner.create_array("second", data=field((64, 64)), chunks=(32, 32))
    with pytest.raises(ConfigError, match="arrays="):
        transcode(root, tmp_path / "b.zarr")
    with pytest.raises(ConfigError, match="no array third"):
        transcode(root, tmp_path / "b.zarr", arrays=["third"])
    codec = {"inner/first": LatransCodec("image-fast-1")}
    transcode(root, tmp_path / "b.zarr", codec, arrays=["inner/first"])
    found = zarr.open_group(tmp_path / "b.zarr", mode="r")
    assert dict(found.attrs) == {"a": 1}
    assert dict(found["inner"].attrs) == {"b": 2}
    assert set(found.group_keys()) == {"inner", "empty"}
    assert found["inner/first"].serializer.model == "image-fast-1"
    assert not isinstance(found["inner/second"].serializer, LatransCodec)
    for name in ("first", "second"):
        np.testing.assert_array_equal(found["inner"][name][...], field((64, 64)))


def test_models_travel_with_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import synthetic_models
    from latrans.models import store

    model = synthetic_models.make_model("plane", seed=21)
    monkeypatch.setattr("latrans.codec.smaller_of", lambda packed, *_: packed)
    root = zarr.create_group(tmp_path / "a.zarr")
    root.create_array("first", data=field(), chunks=(64, 64))
    kept: dict[str, Any] = {"model_storage": "beside"}
    transcode(root, tmp_path / "b.zarr", model, **kept)
    monkeypatch.setattr(store, "_loaded", {})
    transcode(tmp_path / "b.zarr", tmp_path / "c.zarr", "image-1")
    found = zarr.open_group(tmp_path / "c.zarr", mode="r")
    np.testing.assert_array_equal(found["first"][...], field())
    assert set(found["models"].array_keys()) == {model.digest}
    assert not isinstance(found[f"models/{model.digest}"].serializer, LatransCodec)
    with pytest.raises(ConfigError, match="inline"):
        transcode(root["first"], tmp_path / "d.zarr", model, **kept)
    transcode(root["first"], tmp_path / "d.zarr", model, model_storage="inline")
    monkeypatch.setattr(store, "_loaded", {})
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "d.zarr")[...], field())


def test_names_of_dimensions_say_what_they_are(tmp_path: Path) -> None:
    names = ("time", "lat", "lon")
    source = zarr.create_array(
        tmp_path / "a.zarr", data=field((6, 64, 64)), chunks=(1, 64, 64), dimension_names=names
    )
    transcode(source, tmp_path / "b.zarr")
    assert zarr.open_array(tmp_path / "b.zarr").serializer.axes == "tyx"


def test_an_unfinished_group_says_so_and_its_members_list_without_warnings(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    from latrans.transfer import job as jobs
    from latrans.transfer import move as moves
    from latrans.transfer import progress

    root = zarr.create_group(tmp_path / "a.zarr")
    for name in ("first", "second"):
        root.create_array(name, data=field(), chunks=(64, 64))
    job = jobs.prepare(
        root, tmp_path / "b.zarr", TransferOptions(chunks="source", block_nbytes=20_000)
    )
    for plan, i in list(job.pending())[:7]:
        moves.move(plan, i)
    recwarn.clear()
    target = zarr.open_group(tmp_path / "b.zarr", mode="r")
    assert {name for name, _ in target.members(max_depth=None)} == {"first", "second"}
    assert not [w for w in recwarn if "not recognized" in str(w.message)]
    for node in (target, target["first"], target["second"]):
        with pytest.raises(ConfigError, match="incomplete"):
            progress.refuse_unfinished(node)
    assert run("verify", tmp_path / "a.zarr", tmp_path / "b.zarr") == 1
    summary = transcode(root, tmp_path / "b.zarr", chunks="source", block_nbytes=20_000)
    assert summary.n_resumed == 7
    assert run("verify", tmp_path / "a.zarr", tmp_path / "b.zarr") == 0
    assert run("verify", tmp_path / "b.zarr", tmp_path / "a.zarr" / "first") == 2


def test_groups_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = dataset()
    original.to_zarr(tmp_path / "a.zarr")
    target = tmp_path / "b.zarr"
    bounded = ("--model", "field-1", "--relative-error", "0.001", "--array", "temperature")
    assert run("compress", tmp_path / "a.zarr", target, *bounded) == 0
    assert "failed chunks 0" in capsys.readouterr().out
    assert run("verify", tmp_path / "a.zarr", target) == 0
    out = capsys.readouterr().out
    assert "temperature: float32 (4, 96, 120), bounded within" in out
    changed = zarr.open_array(tmp_path / "a.zarr" / "big", mode="r+")
    changed[3, 4] += 1
    assert run("verify", tmp_path / "a.zarr", target) == 1
    assert "1 of 81920 samples differ" in capsys.readouterr().out


@pytest.mark.parametrize("consolidated", [True, False])
def test_a_group_is_decompressed_with_consolidated_metadata_where_it_has_some(
    tmp_path: Path, consolidated: bool
) -> None:
    xarray = pytest.importorskip("xarray")
    dataset().to_zarr(tmp_path / "a.zarr", zarr_format=2, consolidated=consolidated)
    assert run("compress", tmp_path / "a.zarr", tmp_path / "b.zarr") == 0
    assert run("decompress", tmp_path / "b.zarr", tmp_path / "c.zarr") == 0
    found = zarr.open_group(tmp_path / "c.zarr", mode="r").metadata.consolidated_metadata
    assert (found is not None) == consolidated
    opened = xarray.open_zarr(tmp_path / "c.zarr", consolidated=consolidated)
    xarray.testing.assert_equal(opened, dataset())


def test_each_bound_is_printed_with_its_array(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    for name, scale in (("small", 1), ("large", 100)):
        group.create_array(name, data=np.arange(40_000, dtype="i4").reshape(200, 200) * scale)
    line = ("compress", tmp_path / "a.zarr", tmp_path / "b.zarr", "--relative-error", "0.01")
    assert run(*line) == 0
    assert "bounded within 39999 (large), 399.99 (small)\n" in capsys.readouterr().out


def test_a_source_that_is_incomplete_is_refused(tmp_path: Path) -> None:
    from latrans.transfer import job as jobs

    root = zarr.create_group(tmp_path / "a.zarr")
    root.create_array("first", data=field(), chunks=(64, 64))
    jobs.prepare(root, tmp_path / "b.zarr", TransferOptions())
    half = zarr.open_group(tmp_path / "b.zarr", mode="r")
    for source in (half, half["first"]):
        with pytest.raises(ConfigError, match="incomplete"):
            transcode(source, tmp_path / "c.zarr")
    assert not (tmp_path / "c.zarr").exists()


def test_models_inline_in_many_arrays_are_refused_or_kept_once(monkeypatch, tmp_path):
    import synthetic_models

    source = zarr.open_group({}, mode="w")
    for name in "ab":
        source.create_array(name, data=np.arange(1 << 16, dtype="i4").reshape(256, 256))
    options = {"model_storage": "inline", "arrays": ["a", "b"]}
    monkeypatch.setattr("latrans.transfer.layout._MAX_INLINE_NBYTES", 1000)
    with pytest.raises(ConfigError, match="model_storage='beside'"):
        transcode(source, tmp_path / "many.zarr", "series-1", **options)
    assert not (tmp_path / "many.zarr").exists()
    transcode(source, tmp_path / "one.zarr", "series-1", model_storage="inline", arrays=["a"])
    own = synthetic_models.make_model("plane", name="own")
    transcode(source, tmp_path / "own.zarr", own, arrays=["a", "b"])
    assert list(zarr.open_group(tmp_path / "own.zarr")["models"]) == [own.digest]
