"""The scripts in ``pipelines``: each runs as people run it, says what it did, and how it ended."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans
from places import ROOT

pytest.importorskip("dask.array")
zarr = pytest.importorskip("zarr")

FOLDER = ROOT / "pipelines"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py"))


Called = Callable[..., str]


def run(script: str, *arguments: object) -> str:
    """What a script prints that runs as people run it."""
    command = [sys.executable, str(FOLDER / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """Runs a script in this process, which saves seconds; its stderr where it could not start."""

    def called(script: str, *arguments: object, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(FOLDER / script), run_name="__main__")
        printed = capsys.readouterr()
        assert (ended.value.code or 0) == status, printed.out + printed.err
        return printed.err if status == 2 else printed.out

    return called


def figure(printed: str, name: str) -> float:
    """A number of a summary."""
    found = re.search(rf"^{name} +([\d,.]+)", printed, re.M)
    assert found, printed
    return float(found[1].replace(",", ""))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of four planes."""
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(64), np.arange(96)) // 2
    planes = (ramp + rng.integers(0, 3, (4, 64, 96))).astype(np.uint8)
    path = tmp_path_factory.mktemp("pipelines") / "stack.npy"
    np.save(path, planes)
    return path


@pytest.fixture(scope="module")
def encoded(stack: Path) -> Path:
    """The stack as `encode.py` writes it, with latents in its frames."""
    target = stack.with_name("lossy.zarr")
    printed = run("encode.py", stack, target, "--mode", "lossy", "--chunks", "1,32,32")
    assert figure(printed, "bytes in") == 4 * 64 * 96
    assert 0 < figure(printed, "bytes out") < figure(printed, "bytes in")
    assert figure(printed, "worst error") > 0
    assert zarr.open_array(target).chunks == (1, 32, 32)
    return target


def test_there_is_a_script_for_each_job() -> None:
    names = ["encode", "latents", "to_parquet", "train", "transcode", "verify"]
    assert [f"{name}.py" for name in names] == SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_how_to_run_it(script: str, call: Called) -> None:
    printed = call(script, "--help")
    assert "--scheduler ADDRESS" in printed
    assert f"python pipelines/{script}" in printed
    text = (FOLDER / script).read_text()
    assert len(text.splitlines()) < 80  # jobs; what they do is in the library


def test_documented_commands_have_only_options_that_exist(call: Called) -> None:
    documents = [FOLDER.parent / "README.md", *FOLDER.glob("*.py")]
    lines = [line.strip() for path in documents for line in path.read_text("utf-8").splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("python pipelines/")]
    assert {Path(command[1]).name for command in commands} == set(SCRIPTS)
    helps = {script: call(script, "--help") for script in SCRIPTS}
    for _, path, *arguments in commands:
        for option in (argument for argument in arguments if argument.startswith("-")):
            assert f"{option} " in helps[Path(path).name], (path, option)


def test_transcode_keeps_a_group_and_verify_holds_it_to_its_source(
    stack: Path, tmp_path: Path, call: Called
) -> None:
    planes = np.load(stack).astype(np.uint16).repeat(2, 1)
    source = zarr.create_group(tmp_path / "a.zarr", zarr_format=2, attributes={"title": "a test"})
    source.create_array("planes", data=planes, chunks=(1, 64, 96))
    source.create_array("z", data=np.arange(4.0))
    target = tmp_path / "b.zarr"
    where = (f"file://{tmp_path / 'a.zarr'}", f"file://{target}", "--chunks", "source")
    printed = run("transcode.py", *where, "--threads", 2, "--arrays", "planes")
    assert figure(printed, "failed chunks") == 0
    group = zarr.open_group(target, mode="r")
    assert group.attrs["title"] == "a test"
    assert np.array_equal(group["planes"][...], planes)
    assert np.array_equal(group["z"][...], np.arange(4.0))
    assert "complete" in call("transcode.py", *where, status=2)

    printed = run("verify.py", target, "--source", tmp_path / "a.zarr")
    assert (figure(printed, "worst error"), figure(printed, "failed chunks")) == (0, 0)
    chunk = target / "planes" / "c" / "1" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    printed = call("verify.py", target, status=1)
    assert figure(printed, "failed chunks") == 1
    assert "checksum" in printed
    group = zarr.open_group(tmp_path / "a.zarr", mode="r+")
    group["planes"][3, 1, 1] += 1
    printed = call("verify.py", target, "--source", tmp_path / "a.zarr", status=1)
    assert "1 samples of its block break the promise of mode lossless" in printed


def test_latents_are_written_with_scores_and_a_picture(
    encoded: Path, tmp_path: Path, call: Called
) -> None:
    target = tmp_path / "latents.zarr"
    picture: tuple[Any, ...] = ("--picture", tmp_path / "latents.png")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        picture = ()
    printed = run("latents.py", encoded, target, *picture)
    assert figure(printed, "failed chunks") == 0
    group = zarr.open_group(target, mode="r")
    assert group["latents"].shape == (4, 12, 8, 12)
    assert group["scores"].shape == (4, 2, 3)
    lossy = latrans.Codec("image-1", "lossy", axes="nyx")
    plane = np.load(encoded.with_name("stack.npy"))[:1, :32, :32]
    assert np.array_equal(group["latents"][:1, :, :4, :4], lossy.latents(plane))
    if picture:
        assert (tmp_path / "latents.png").read_bytes().startswith(b"\x89PNG")
    assert "--overwrite" in call("latents.py", encoded, target, status=2)
    (encoded / "c" / "1" / "1" / "1").write_bytes(b"damaged")
    damaged = call("latents.py", encoded, target, "--overwrite", status=1)
    assert figure(damaged, "failed chunks") == 1
    assert "chunk (1, 1, 1): CodecError" in damaged


def test_train_writes_a_model_that_says_what_it_saw(stack: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "mine.safetensors"
    source = tmp_path / "stack.zarr"
    zarr.create_array(source, data=np.load(stack), chunks=(1, 64, 96))
    options = ("--recipe", "field", "--steps", 10, "--samples", 60_000, "--name", "mine")
    printed = run("train.py", stack, source, "--out", out, *options)
    model = latrans.open_model(out)
    assert (model.name, printed.splitlines()[0]) == ("mine", str(out))
    assert figure(printed, "held out") == len(model.training["sampling"]["held"]) == 1


def test_what_cannot_be_done_is_said_in_one_line(stack: Path, tmp_path: Path, call: Called) -> None:
    zarr.create_group(tmp_path / "group.zarr")
    for arguments, expected in (
        (("encode.py", tmp_path / "none.npy", tmp_path / "t.zarr"), "does not exist"),
        (("encode.py", tmp_path / "*.tif", tmp_path / "t.zarr"), "No files found"),
        (("encode.py", tmp_path / "group.zarr", tmp_path / "t.zarr"), "expected an array"),
        (("transcode.py", "s3://bucket/a.zarr", tmp_path / "t.zarr"), "s3fs"),
        (("verify.py", stack), "not a Zarr array"),
        (("encode.py", stack, tmp_path / "t.zarr", "--chunks", "8,8"), "do not fit"),
        (("encode.py", stack, tmp_path / "t.zarr", "--engine", "torch"), "for clusters"),
        (("train.py", tmp_path / "none.npy", "--out", tmp_path / "m"), "does not exist"),
    ):
        message = call(*arguments, status=2)
        assert expected in message
        assert message.count("\n") == 1


def test_images_are_stacked_where_they_agree(stack: Path, tmp_path: Path, call: Called) -> None:
    tifffile = pytest.importorskip("tifffile")
    planes = np.load(stack)
    for i, plane in zip((1, 2, 10), planes, strict=False):
        tifffile.imwrite(tmp_path / f"t{i}.tif", plane)
    pattern, target = tmp_path / "*.tif", tmp_path / "t.zarr"
    call("encode.py", pattern, target, "--chunks", "1,32,32", "--block-mb", 0.001, "--axes", "zyx")
    array = zarr.open_array(target, mode="r")
    np.testing.assert_array_equal(array[...], planes[:3])
    assert array.attrs["source_files"] == ["t1.tif", "t2.tif", "t10.tif"]
    printed = call("verify.py", target, "--source", pattern)
    assert (figure(printed, "worst error"), figure(printed, "failed chunks")) == (0, 0)
    tifffile.imwrite(tmp_path / "t3.tif", planes[3].astype("u2"))
    message = call("encode.py", pattern, tmp_path / "new.zarr", status=2)
    assert "t3.tif uint16" in message
    assert not (tmp_path / "new.zarr").exists()


def test_object_stores_are_reached_by_url(stack: Path, tmp_path: Path, call: Called) -> None:
    fsspec = pytest.importorskip("fsspec")
    place = f"memory://{tmp_path.name}"
    options = ("--threads", 1, "--block-mb", 0.01, "--quiet")
    call("encode.py", stack, f"{place}/a.zarr", "--chunks", "1,32,32", *options)
    call("transcode.py", f"{place}/a.zarr", f"{place}/b.zarr", "--zarr-format", 2, *options)
    printed = call("verify.py", f"{place}/b.zarr", "--source", f"{place}/a.zarr", *options)
    assert (figure(printed, "worst error"), figure(printed, "failed chunks")) == (0, 0)
    call("latents.py", f"{place}/b.zarr", f"{place}/l.zarr", "--model", "image-1", *options)
    assert zarr.open_array(f"{place}/l.zarr/latents").shape == (4, 12, 8, 12)
    printed = call("verify.py", f"{place}/a.zarr", "--source", stack, *options)
    assert figure(printed, "bytes out") == 24 * np.mean(
        [fsspec.filesystem("memory").size(p) for p in fsspec.filesystem("memory").find(
            f"/{tmp_path.name}/a.zarr/c")]
    )  # fmt: skip
    assert "share" in call(
        "transcode.py", f"{place}/a.zarr", f"{place}/c.zarr", "--workers", 1, status=2
    )


def test_jobs_run_on_a_cluster_that_exists(stack: Path, tmp_path: Path, call: Called) -> None:
    distributed = pytest.importorskip("distributed")
    target, latents = tmp_path / "a.zarr", tmp_path / "latents.zarr"
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        address = ("--scheduler", cluster.scheduler_address)
        call("encode.py", stack, target, *address, "--chunks", "1,64,96")
        call("latents.py", target, latents, "--model", "image-1", *address)
        printed = call("verify.py", target, "--source", stack, *address)
    assert figure(printed, "failed chunks") == 0
    assert np.array_equal(zarr.open_array(target)[...], np.load(stack))
    assert zarr.open_array(latents / "latents").shape == (4, 12, 8, 12)
