"""The command line, end to end: every command on small arrays, and what is left when it fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans
import synthetic_models
from cli_samples import files, picture, run
from latrans.cli import demo, main
from latrans.cli.demo_data import Sample
from latrans.models import store

zarr = pytest.importorskip("zarr")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", picture())
    return tmp_path / "a.npy"


@pytest.fixture
def packed(source: Path) -> Path:
    """A latrans Zarr array of four chunks, made from `source`."""
    target = source.with_name("a.zarr")
    assert run("compress", source, target, "--chunks", "32,32") == 0
    return target


# --- inspect, models ----------------------------------------------------------------------------


def test_inspect_a_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = latrans.encode(picture().astype(np.float32), mode="bounded", max_error=0.5)
    (tmp_path / "a.frame").write_bytes(frame)
    assert run("inspect", tmp_path / "a.frame", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model_name"] == "image-1"
    assert (found["mode"], found["max_error"]) == ("bounded", 0.5)
    assert (found["dtype"], found["shape"]) == ("float32", [48, 60])
    assert found["nbytes"] == len(frame)
    assert run("inspect", tmp_path / "a.frame") == 0
    assert "image-1" in capsys.readouterr().out


def test_inspect_an_array(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("inspect", packed, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["array"]["configuration"]["model"] == "image-1"
    assert found["chunks"]["stored"] == 4
    chunks = [path for path in (packed / "c").rglob("*") if path.is_file()]
    assert found["chunks"]["bytes"] == sum(path.stat().st_size for path in chunks)
    assert sum(kind["n_chunks"] for kind in found["kinds"]) == 4
    assert run("inspect", packed) == 0
    assert "image-1" in capsys.readouterr().out


def test_inspect_and_verify_without_the_model(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = synthetic_models.make_model("plane", seed=5)
    path, target = source.with_name("own.safetensors"), source.with_name("own.zarr")
    model.save(path)
    monkeypatch.setattr("latrans.codec.smaller_of", lambda packed, *_: packed)
    named = ("--model", path, "--model-storage", "name")
    assert run("compress", source, target, *named) == 0
    path.unlink()
    monkeypatch.setattr(store, "_loaded", {})
    capsys.readouterr()
    assert run("inspect", target) == 0
    out = capsys.readouterr().out
    assert "not found" in out
    assert model.digest[:16] in out
    assert run("verify", source, target) == 2
    assert model.digest[:16] in capsys.readouterr().err


def test_inspect_a_sharded_array_and_one_of_format_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from latrans.numcodecs import Latrans
    from latrans.zarr import LatransCodec

    sharded = zarr.create_array(
        tmp_path / "sharded.zarr",
        shape=(48, 60),
        dtype="u2",
        chunks=(16, 20),
        shards=(48, 60),
        serializer=LatransCodec(),
        compressors=None,
    )
    second = zarr.create_array(
        tmp_path / "second.zarr",
        shape=(48, 60),
        dtype="u2",
        chunks=(16, 20),
        zarr_format=2,
        compressors=Latrans(),
    )
    for array, name in ((sharded, "sharded.zarr"), (second, "second.zarr")):
        array[...] = picture()
        assert run("inspect", tmp_path / name, "--json") == 0
        assert json.loads(capsys.readouterr().out)["chunks"]["stored"] == 9


def test_models_lists_the_shipped_codecs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    out = capsys.readouterr().out
    for name in ("digits-1", "image-1", "series-1", "field-1"):
        line = next(line for line in out.splitlines() if line.startswith(name))
        assert latrans.open_model(name).digest[:16] in line


# --- train --------------------------------------------------------------------------------------


SMALL_RECIPE = """
name = "small"
version = 1
geometry = "plane"
axes = "yx"
[predictor]
hidden = [8]
examples = 2
rows = 500
batch = 64
"""


def test_train_then_compress(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    model = source.with_name("own.safetensors")
    recipe = source.with_name("small.toml")
    recipe.write_text(SMALL_RECIPE)
    options = ("--recipe", recipe, "--steps", "12", "--name", "own", "--seed", "3")
    model.write_bytes(b"somebody's")
    assert run("train", source, "--out", model, *options) == 2
    assert model.read_bytes() == b"somebody's"
    capsys.readouterr()
    assert run("train", source, "--out", model, *options, "--overwrite") == 0
    out = capsys.readouterr().out
    assert latrans.open_model(model).digest[:16] in out
    assert "own.safetensors: own, digest " in out
    assert "bits per sample in training" in out
    assert files(source.parent) == {"a.npy", "own.safetensors", "small.toml"}
    target = source.with_name("own.zarr")
    assert run("compress", source, target, "--model", model) == 0
    assert run("verify", source, target) == 0


def test_train_hands_every_option_over(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def fit(data: Any, recipe: Any, **options: Any) -> Any:
        seen.append((data, recipe, options))
        return latrans.open_model("field-1")

    monkeypatch.setattr(latrans, "fit", fit, raising=False)
    out = ("--out", source.with_name("m.safetensors"), "--overwrite")
    assert run("train", "folder", *out) == 0
    assert run("train", "a.npy", "b.zarr", "--recipe", "r.toml", "--axes", "zyx", *out) == 0
    assert run("train", "a.npy", "--from", "image-1", *out) == 0
    nothing = {"axes": None, "name": None, "seed": None, "steps": None, "start": None}
    assert seen == [
        ("folder", "image", nothing),
        (["a.npy", "b.zarr"], "r.toml", {**nothing, "axes": "zyx"}),
        ("a.npy", "image", {**nothing, "start": "image-1"}),
    ]


# --- demo ---------------------------------------------------------------------------------------


def test_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("matplotlib", "pcodec", "imagecodecs"):
        pytest.importorskip(package)
    small = (picture() % 200).astype(np.uint8)
    field = (picture() / np.float32(3)).astype(np.float32)
    synthetic_models.make_model("conv").save(tmp_path / "conv.safetensors")
    monkeypatch.setattr(demo, "_MIN_SECONDS", 0.0)
    monkeypatch.setattr(
        demo,
        "samples",
        lambda: iter(
            [
                Sample("picture", small, str(tmp_path / "conv.safetensors"), "yx", (48, 60)),
                Sample("field", field, "field-1", "yx", (48, 60)),
            ]
        ),
    )
    assert run("demo", "--out", tmp_path / "demo") == 0
    out = capsys.readouterr().out
    assert "Every array came back exactly" in out
    assert (tmp_path / "demo" / "demo.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("lacking", ["matplotlib", "pcodec", "imagecodecs", "skimage", "nibabel"])
def test_demo_shows_what_it_has_and_names_what_is_missing(
    lacking: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for package in ("matplotlib", "pcodec", "imagecodecs"):
        pytest.importorskip(package)
    small = (picture() % 200).astype(np.uint8)
    loads = {"one": lambda: small, "two": lambda: small.astype(np.uint16)}
    for module in [name for name in sys.modules if name.partition(".")[0] == lacking]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, lacking, None)
    monkeypatch.setattr(demo, "_MIN_SECONDS", 0.0)

    def made() -> Any:
        from latrans.cli.demo_data import MissingSample

        yield Sample("one", loads["one"](), "image-1", "yx", (48, 60))
        if lacking in ("skimage", "nibabel"):
            yield MissingSample("other", f"{lacking} is not installed")
        yield Sample("two", loads["two"](), "image-1", "yx", (48, 60))

    monkeypatch.setattr(demo, "samples", made)
    assert run("demo", "--out", tmp_path / "demo") == 0
    out = capsys.readouterr().out
    assert "\none " in out
    assert "\ntwo " in out
    assert f"{lacking} is not installed" in out
    assert "pip install 'latrans[demo]'" in out
    assert (tmp_path / "demo" / "demo.png").exists() == (lacking != "matplotlib")


def test_samples_of_packages_that_are_missing_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from latrans.cli import demo_data

    pytest.importorskip("matplotlib")
    for package in ("skimage", "nibabel", "obspy"):
        for module in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, package, None)
    found = list(demo_data.samples())
    there = [one.name for one in found if isinstance(one, Sample)]
    assert there == ["head, MR slice", "terrain heights", "membrane current"]
    lacking = {one.reason for one in found if isinstance(one, demo_data.MissingSample)}
    assert {f"{name} is not installed" for name in ("skimage", "nibabel", "obspy")} == lacking


def test_a_demo_of_nothing_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from latrans.cli.demo_data import MissingSample

    monkeypatch.setattr(
        demo, "samples", lambda: iter([MissingSample("one", "skimage is not installed")])
    )
    assert run("demo", "--out", tmp_path / "demo") == 2
    assert "one (skimage is not installed)" in capsys.readouterr().err


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("compress missing.npy new.zarr", "missing.npy"),
        ("compress missing.zarr new.zarr", "missing.zarr does not exist"),
        ("compress notes.txt new.zarr", "notes.txt"),
        ("compress broken.npz new.zarr", "not an .npz file"),
        ("compress two.npz new.zarr", "name one"),
        ("compress two.npz:c new.zarr", "no array 'c'"),
        ("compress objects.npy new.zarr", "objects.npy"),
        ("compress a.npy new.zarr --model nobody-9", "nobody-9"),
        ("compress a.npy new.zarr --mode lossless --max-error 1", "takes no maximum error"),
        ("compress a.npy new.zarr --mode bounded", "max_error"),
        ("compress a.npy new.zarr --axes tzyx", "names 4 dimensions"),
        ("compress a.npy new.zarr --axes qq", "qq"),
        ("compress a.npy new.zarr --chunks 4", "do not fit"),
        ("compress a.npy new.zarr --model field-1 --mode lossy", "no lossy mode"),
        ("compress a.npy new.zarr --workers 0", "workers is 0"),
        ("decompress a.zarr memory://new.zarr", "local paths only"),
        ("decompress a.zarr new.tiff", ".npy nor .zarr"),
        ("decompress group.zarr new.npy", "is a Zarr group"),
        ("verify a.npy plain.zarr.missing", "does not exist"),
        ("inspect plain.zarr", "not written with latrans"),
        ("inspect notes.txt", "frame"),
        ("train a.npy --out new.bin", ".safetensors"),
        ("train a.npy --out folder.safetensors --overwrite", "is a folder"),
        ("train a.npy --out new.safetensors --recipe nobody", "nobody"),
        ("train missing.npy --out new.safetensors", "missing.npy"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(
    broken_inputs: Path, capsys: pytest.CaptureFixture[str], argv: str, expected: str
) -> None:
    if argv.startswith("train"):
        pytest.importorskip("torch")
    before = files(broken_inputs)
    assert main(argv.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("latrans: ")
    assert err.count("\n") == 1
    assert expected in err
    assert files(broken_inputs) == before


@pytest.fixture
def broken_inputs(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    np.save(tmp_path / "a.npy", picture())
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    np.savez(tmp_path / "two.npz", a=picture(), b=picture())
    (tmp_path / "broken.npz").write_bytes(b"PK, but no more")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "folder.safetensors").mkdir()
    zarr.create_group(tmp_path / "group.zarr").create_array("inner", data=picture())
    zarr.create_array(tmp_path / "plain.zarr", data=picture())
    shutil.copytree(tmp_path / "plain.zarr", tmp_path / "a.zarr")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_dash_m(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "latrans", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=dict(os.environ),
    )
    assert done.stdout == f"latrans {latrans.__version__}\n"
