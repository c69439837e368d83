"""Models of one's own: what is written with one can be read by whoever has latrans."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans
from cli_samples import picture, run
from latrans.errors import ConfigError, LatransWarning, ModelNotFoundError
from latrans.models import store
from places import ROOT
from synthetic_models import make_model

zarr = pytest.importorskip("zarr")

import latrans.zarr
from latrans.transfer import transcode
from latrans.zarr import models

Forget = Callable[[], None]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model file that nobody else has, whose frames are kept however large they are."""
    monkeypatch.setattr("latrans.codec.smaller_of", lambda packed, *_: packed)
    made = make_model("plane", seed=31)
    made.save(tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Forget:
    """Call it to be another process, in which no model was opened yet."""
    monkeypatch.setenv("LATRANS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LATRANS_MODEL_PATH", raising=False)

    def forgetting() -> None:
        monkeypatch.setattr(store, "_loaded", {})
        monkeypatch.setattr(store, "_names", {})

    return forgetting


def group(path: Path) -> zarr.Group:
    made = zarr.create_group(path)
    made.create_array("raw", data=wide(), chunks=(200, 200), dimension_names=["y", "x"])
    return made


def wide() -> np.ndarray[Any, Any]:
    """Large enough to be taken in a group."""
    return picture(200, 200)


# --- the default --------------------------------------------------------------------------------


def by_create(source: Path, target: Path, model: Path) -> None:
    latrans.zarr.create(target, data=wide(), model=model)


def by_transcode(source: Path, target: Path, model: Path) -> None:
    transcode(source, target, latrans.open_model(model))


def by_dask_transcode(source: Path, target: Path, model: Path) -> None:
    pytest.importorskip("dask.array")
    from latrans.dask import transcode

    transcode(source, target, model, scheduler="synchronous", progress=False)


def by_to_zarr(source: Path, target: Path, model: Path) -> None:
    da = pytest.importorskip("dask.array")
    from latrans.dask import to_zarr

    to_zarr(da.from_array(wide()), target, model, scheduler="synchronous", progress=False)


def by_compress(source: Path, target: Path, model: Path) -> None:
    assert run("compress", source, target, "--model", model) == 0


def by_pipeline(source: Path, target: Path, model: Path) -> None:
    pytest.importorskip("dask.array")
    script = ROOT / "pipelines" / "encode.py"
    before, sys.argv = sys.argv, [str(script), *map(str, (source, target, "--model", model))]
    try:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = before
    assert ended.value.code == 0


WAYS = (by_create, by_transcode, by_dask_transcode, by_to_zarr, by_compress, by_pipeline)


@pytest.mark.parametrize("write", WAYS, ids=lambda way: way.__name__[3:])
def test_what_is_written_with_ones_own_model_is_read_without_its_file(
    write: Any, model: Path, forget: Forget, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", wide())
    write(tmp_path / "a.npy", tmp_path / "a.zarr", model)
    model.unlink()
    forget()
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a.zarr")[...], wide())
    assert run("verify", tmp_path / "a.npy", tmp_path / "a.zarr") == 0


@pytest.mark.parametrize("way", ["transcode", "dask", "compress", "create"])
def test_what_is_too_large_for_metadata_lies_beside_the_arrays_of_a_group(
    way: str, model: Path, forget: Forget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MAX_INLINE_NBYTES", 100)
    source, target = tmp_path / "a.zarr", tmp_path / "b.zarr"
    group(source)
    if way == "transcode":
        transcode(source, target, model)
    elif way == "dask":
        by_dask_transcode(source, target, model)
    elif way == "compress":
        by_compress(source, target, model)
    else:
        latrans.zarr.create(target, name="raw", data=wide(), model=model)
    model.unlink()
    forget()
    np.testing.assert_array_equal(latrans.zarr.open(target, "raw")[...], wide())
    assert len(list((target / "models").iterdir())) == 1 + (target / "models/zarr.json").exists()


def test_at_the_root_of_a_store_what_is_too_large_is_refused_with_the_choices(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MAX_INLINE_NBYTES", 100)
    for write in (by_create, by_transcode):
        np.save(tmp_path / "a.npy", wide())
        with pytest.raises(ConfigError, match=r"into a group.*model_storage='name'"):
            write(tmp_path / "a.npy", tmp_path / "a.zarr", model)
        assert not (tmp_path / "a.zarr").exists()


def test_a_model_by_name_alone_is_asked_for_and_warned_of(
    model: Path, forget: Forget, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(LatransWarning, match="readers need its file"):
        latrans.zarr.create({}, data=wide(), model=model, model_storage="name")
    np.save(tmp_path / "a.npy", wide())
    target = tmp_path / "a.zarr"
    options = ("--model", model, "--model-storage", "name")
    assert run("compress", tmp_path / "a.npy", target, *options) == 0
    assert "latrans: warning: model " in capsys.readouterr().err
    forget()
    assert run("verify", tmp_path / "a.npy", target) == 2
    assert "--model" in capsys.readouterr().err


def test_shipped_models_stay_names(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    for given in ("image-1", latrans.open_model("image-1"), latrans.open_model("image-1").data):
        assert models.storage_of(given, None, True) == "name"
        assert models.storage_of(given, "name", False) == "name"
    assert models.storage_of("auto", None, True) == "name"
    assert not [w for w in recwarn if issubclass(w.category, LatransWarning)]
    changed = latrans.Model.from_bytes(make_model("plane").data)
    object.__setattr__(changed, "name", "image-1")
    assert models.storage_of(changed, None, True) == "inline"


@pytest.mark.parametrize("kind", ["arrays", "columns"])
def test_parquet_files_hold_models_that_are_not_shipped(
    kind: str, model: Path, forget: Forget, tmp_path: Path
) -> None:
    pa = pytest.importorskip("pyarrow")
    la = pytest.importorskip("latrans.arrow")
    rows = pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack([wide()] * 2))
    table = pa.table({"image": rows, "n": pa.array(range(2))})
    codecs: dict[str, Any] = {"codecs": {"image": model}}
    if kind == "columns":
        track = make_model("track", seed=32)
        track.save(model)
        codecs = {"tables": {"t": (["n"], model)}}
    la.write_parquet(table, tmp_path / "a.parquet", **codecs)
    la.write_parquet(table, tmp_path / "b.parquet", model_in_footer=False, **codecs)
    model.unlink()
    forget()
    if kind == "arrays":
        with pytest.raises(ModelNotFoundError):
            la.read_parquet(tmp_path / "b.parquet")
    assert la.read_parquet(tmp_path / "a.parquet") == table


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [3, 2])
@pytest.mark.parametrize("depth", ["raw", "deep/er/raw"])
def test_models_are_found_in_groups_above_the_path_that_is_given(
    zarr_format: Any, depth: str, model: Path, forget: Forget, tmp_path: Path
) -> None:
    target = tmp_path / "a.zarr"
    latrans.zarr.create(
        target, name=depth, data=wide(), model=model, model_storage="beside",
        zarr_format=zarr_format,
    )  # fmt: skip
    model.unlink()
    np.save(tmp_path / "a.npy", wide())
    for read in (
        lambda: run("verify", tmp_path / "a.npy", target / depth),
        lambda: run("decompress", target / depth, tmp_path / "b.npy", "--overwrite"),
        lambda: int((latrans.zarr.open(target / depth)[...] != wide()).any()),
    ):
        forget()
        assert read() == 0
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), wide())


def test_dask_finds_models_in_stores(model: Path, forget: Forget, tmp_path: Path) -> None:
    pytest.importorskip("dask.array")
    from latrans.dask import from_zarr, map_latents, verify

    make_model("conv", seed=33).save(model)
    target = tmp_path / "a.zarr"
    kept: dict[str, Any] = {"model": model, "model_storage": "beside", "mode": "lossy"}
    latrans.zarr.create(target, name="raw", data=wide(), **kept)
    expected = latrans.zarr.open(target, "raw")[...]
    here: dict[str, Any] = {"scheduler": "synchronous"}
    model.unlink()
    forget()
    assert map_latents(target / "raw").compute(**here).any()
    forget()
    assert not verify(target / "raw", progress=False, **here).failures
    forget()
    np.testing.assert_array_equal(from_zarr(target / "raw").compute(**here), expected)


def test_models_come_from_files_where_the_store_has_none(
    model: Path, forget: Forget, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dask = pytest.importorskip("dask")
    from latrans.dask import from_zarr, verify

    np.save(tmp_path / "a.npy", wide())
    target = tmp_path / "a.zarr"
    options = ("--model", model, "--model-storage", "name")
    assert run("compress", tmp_path / "a.npy", target, *options) == 0
    for argv in (
        ("verify", tmp_path / "a.npy", target),
        ("decompress", target, tmp_path / "b.npy"),
        ("suggest", target),
    ):
        forget()
        assert run(*argv) == 2
        assert run(*argv, "--model", model) == 0
    forget()
    assert run("inspect", target) == 0
    assert "not found" in capsys.readouterr().out
    assert run("inspect", target, "--model", model) == 0
    assert "not found" not in capsys.readouterr().out
    with dask.config.set(scheduler="synchronous"):
        forget()
        assert not verify(target, model=model, progress=False).failures
        forget()
        assert (from_zarr(target, model=model) == wide()).all().compute()


def test_a_codec_decodes_with_the_model_that_it_was_given(model: Path, forget: Forget) -> None:
    frame = latrans.Codec(str(model)).encode(wide())
    data = model.read_bytes()
    for given in (str(model), data, latrans.Model.from_bytes(data)):
        forget()
        with pytest.raises(ModelNotFoundError):
            latrans.Codec("image-1").decode(frame)
        np.testing.assert_array_equal(latrans.Codec(given).decode(frame), wide())


def test_training_takes_no_model_of_a_store_for_data(model: Path, tmp_path: Path) -> None:
    from latrans.train.files import open_arrays

    latrans.zarr.create(
        tmp_path / "a.zarr", name="raw", data=wide(), model=model, model_storage="beside"
    )
    assert [array.name for array in open_arrays(tmp_path / "a.zarr")] == ["a.zarr/raw"]


def test_inspect_names_a_model_that_is_inline(
    model: Path, forget: Forget, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "a.npy", picture())
    assert run("compress", tmp_path / "a.npy", tmp_path / "a.zarr", "--model", model) == 0
    name = latrans.open_model(model).name
    forget()
    capsys.readouterr()
    assert run("inspect", tmp_path / "a.zarr", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["array"]["configuration"]["model"].startswith("inline")
    assert [kind["model_name"] for kind in found["kinds"]] == [name]


def test_a_group_is_decompressed_whole_without_its_models(
    model: Path, forget: Forget, tmp_path: Path
) -> None:
    source = group(tmp_path / "a.zarr")
    source.create_array("inner/mask", data=wide() > 50, chunks=(100, 100))
    source.attrs["title"] = "scan"
    kept = ("--model-storage", "beside")
    assert run("compress", tmp_path / "a.zarr", tmp_path / "b.zarr", "--model", model, *kept) == 0
    forget()
    assert run("decompress", tmp_path / "b.zarr", tmp_path / "c.zarr") == 0
    back = zarr.open_group(tmp_path / "c.zarr", mode="r")
    assert dict(back.attrs) == {"title": "scan"}
    assert {path for path, _ in back.members(max_depth=None)} == {"raw", "inner", "inner/mask"}
    np.testing.assert_array_equal(back["raw"][...], wide())
    np.testing.assert_array_equal(back["inner/mask"][...], wide() > 50)
    assert back["raw"].metadata.dimension_names == ("y", "x")
    assert "latrans" not in (tmp_path / "c.zarr" / "raw" / "zarr.json").read_text()
    assert run("decompress", tmp_path / "b.zarr", tmp_path / "c.npy") == 2


# --- what is printed ----------------------------------------------------------------------------


def test_models_are_shown_in_a_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = latrans.open_model(model)
    array = latrans.zarr.create(tmp_path / "a.zarr", data=wide(), model=model)
    for text in (repr(opened), repr(latrans.Codec(opened)), repr(latrans.Codec(opened.data))):
        assert len(text) < 250
        assert "\n" not in text
    assert opened.digest[:16] in repr(opened)
    inline = array.serializer
    assert len(inline.model) > 1000
    for text in (repr(inline), str(array.info), repr(latrans.Codec(inline.model))):
        assert opened.digest in text
        assert inline.model[:200] not in text
    for options in ((), ("--json",)):
        assert run("inspect", tmp_path / "a.zarr", *options) == 0
        printed = capsys.readouterr().out
        assert opened.digest in printed
        assert len(printed) < 2000
    assert opened.digest in json.loads(printed)["array"]["configuration"]["model"]
    with pytest.raises(ModelNotFoundError) as caught:
        latrans.open_model("data:" + "A" * 100_000)
    assert len(str(caught.value)) < 600
