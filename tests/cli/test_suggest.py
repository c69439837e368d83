"""``latrans suggest``: every codec that takes the data, and what to do with what was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from latrans import rivals
from latrans.cli import main


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    y, x = np.mgrid[:90, :110]
    noise = (x * 7919 + y * 104729) * 2654435761 % 2**32 >> 28
    wave = 400 * np.sin(x / 9) * np.cos(y / 11)
    np.save(tmp_path / "a.npy", (wave + noise + 900).astype(np.uint16))
    return tmp_path / "a.npy"


def run(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> str:
    assert main(["suggest", *map(str, argv)]) == 0
    return capsys.readouterr().out


def test_shipped_codecs_and_rivals_are_in_one_table(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(capsys, picture, "--axes", "yx")
    for label in ("latrans image-1", "zstd-19", "Blosc-zstd-9 bit"):
        assert label in out
    for rival in rivals.named("jpeg,pcodec"):
        assert (rival.missing() or rival.label) in out
    assert out.count("<- smallest") == 1
    table = [line for line in out.splitlines() if line.count(".") >= 4 and "MB/s" not in line]
    bits = [float(line.replace("<- smallest", "").split()[-4]) for line in table]
    assert bits == sorted(bits)
    assert "latrans compress" in out or "latrans train" in out


def test_a_bound_compares_with_codecs_that_keep_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    y, x = np.mgrid[:60, :80]
    field = (np.sin(x / 7) + np.cos(y / 5)).astype(np.float32)
    field[:3] = -999
    np.save(tmp_path / "f.npy", field)
    out = run(capsys, tmp_path / "f.npy", "--bound", "0.001", "--fill-value=-999")
    assert "latrans field-1" in out
    assert "largest error / bound" in out
    assert "zstd-19" not in out
    for rival in rivals.named("sz3,sperr,zfp"):
        assert (rival.missing() or rival.label) in out
    assert "--max-error 0.001 --fill-value -999" in out or "latrans train" in out


def test_only_a_sample_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = (1000 * np.sin(np.arange(200_000) / 30)).astype(np.int16)
    np.savez(tmp_path / "r.npz", signal=recording)
    out = run(capsys, f"{tmp_path}/r.npz:signal", "--samples", "3000")
    assert "(200000,)" in out
    assert "sample (3000,)" in out
    assert "latrans series-1" in out


def test_data_that_no_shipped_codec_suits_is_told_how_to_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "same.npy", np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 256)))
    out = run(capsys, tmp_path / "same.npy", "--axes", "yx")
    assert "latrans train" in out
    assert "--recipe image --axes yx" in out


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((4, 4), bool), ["--bound", "1"], "for integers and floats"),
        (np.zeros((4, 4), np.int16), ["--bound", "-1"], "above 0"),
        (np.zeros((4, 4), np.float32), ["--bound", "0"], "above 0"),
        (np.zeros((0, 4), np.int16), [], "at least one of them"),
        (np.array(["a", "b"]), [], "suggest takes numbers"),
        (np.zeros((4, 4), np.int16), ["--axes", "zyx"], "axes"),
    ],
)
def test_what_cannot_be_tried_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    array: np.ndarray,
    options: list[str],
    message: str,
) -> None:
    np.save(tmp_path / "a.npy", array)
    assert main(["suggest", str(tmp_path / "a.npy"), *options]) == 2
    assert message in capsys.readouterr().err


def test_names_of_dimensions_say_what_the_axes_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zarr = pytest.importorskip("zarr")
    film = np.add.outer(np.arange(6), np.add.outer(np.arange(40), np.arange(50))).astype("f4") / 3
    named = {"dimension_names": ["time", "lat", "lon"]}
    zarr.create_array(tmp_path / "3.zarr", data=film, **named)
    second = zarr.create_array(tmp_path / "2.zarr", data=film, zarr_format=2)
    second.attrs["_ARRAY_DIMENSIONS"] = named["dimension_names"]
    for store in ("3.zarr", "2.zarr"):
        out = run(capsys, tmp_path / store)
        assert "axes tyx;" in out
        assert "axes were guessed" not in out
    assert "axes nyx;" in run(capsys, tmp_path / "3.zarr", "--axes", "nyx")
    zarr.create_array(tmp_path / "odd.zarr", data=film, dimension_names=["a", "b", "c"])
    assert "axes were guessed" in run(capsys, tmp_path / "odd.zarr")


def test_integers_are_tried_with_every_model_and_within_bounds(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(capsys, picture, "--axes", "yx")
    assert "latrans image-1" in out
    assert "latrans field-1" in out
    out = run(capsys, picture, "--axes", "yx", "--bound", "4")
    assert "largest error / bound" in out
    assert "latrans field-1" in out
    errors = [float(line.split()[-1]) for line in out.splitlines() if "latrans image-1 " in line]
    assert errors
    assert max(errors) <= 1
    assert "--max-error 4" in out or "latrans train" in out


@pytest.mark.parametrize(
    "array",
    [
        np.arange(5000).reshape(50, 100) % 7 == 0,
        np.arange("2001-01-01", "2010-01-01", dtype="M8[D]"),
        (np.arange(600) * np.timedelta64(5, "s")).reshape(20, 30),
        np.exp(1j * np.arange(600) / 9).astype(np.complex64).reshape(20, 30),
        np.zeros(50, [("a", "u1"), ("b", "f8")]),
        np.arange(600, dtype=">i4").reshape(20, 30),
    ],
    ids=["bool", "datetime64", "timedelta64", "complex64", "records", "big-endian"],
)
def test_what_compress_takes_is_tried(
    array: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "a.npy", array)
    out = run(capsys, tmp_path / "a.npy")
    assert "latrans " in out.splitlines()[2] or "\nlatrans " in out
    assert "zstd-19" in out


def test_training_is_not_advised_where_no_model_can_take_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", np.cumsum(rng.normal(0, 1e-6, (60, 80)), 1) + 280)
    np.save(tmp_path / "c.npy", np.exp(1j * rng.normal(size=(60, 80))))
    for name in ("a.npy", "c.npy"):
        out = run(capsys, tmp_path / name)
        assert "latrans train" not in out
        assert "No model, not even one of your own, can take this data" in out
    assert "--bound" in run(capsys, tmp_path / "a.npy")
    assert "No model" not in run(capsys, tmp_path / "a.npy", "--bound", "1e-5")


def test_a_model_of_ones_own_is_tried_beside_the_shipped_ones(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from synthetic_models import make_model

    path = picture.with_name("mine.safetensors")
    make_model("plane", name="mine").save(path)
    out = run(capsys, picture, "--axes", "yx", "--model", path)
    assert "latrans mine" in out
    assert "latrans image-1" in out


def test_complex_values_are_told_what_takes_a_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "a.npy", np.exp(1j * np.arange(400.0)).reshape(20, 20))
    assert "--model field-1 --max-error E" in run(capsys, tmp_path / "a.npy")
    assert main(["suggest", str(tmp_path / "a.npy"), "--bound", "0.1"]) == 2
    assert "compress --max-error, which takes complex" in capsys.readouterr().err
