"""The benchmark of sizes, on a small folder of its own."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latrans import rivals
from latrans.models import store
from places import ROOT

BENCHMARKS = ROOT / "benchmarks"

TABLE = """# Data

| file | split | dtype | shape | axes | what |
|---|---|---|---|---|---|
| pictures/a.npz | dev | uint8 | (2, 40, 50) | Z,Y,X | two planes |
| pictures/seen.npz | train | uint8 | (40, 50) | Y,X | not to be measured |
| fields/f.npz | dev | float32 | (3, 20, 30) | T(month),Y,X | land fill 1e20 (masked) |
| sounds/s.npz | dev | int16 | (900, 2) | T,channel(left,right) | a recording |
"""


@pytest.fixture
def ratio(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import ratio

    return ratio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    y, x = np.mgrid[:40, :50]
    picture = (60 * np.sin(x / 6) + 50 * np.cos(y / 5) + 120).astype(np.uint8)
    field = np.stack([picture[:20, :30] * 0.37 + k for k in range(3)]).astype(np.float32)
    field[:, :4, :6] = 1e20
    time = np.arange(900)
    sound = np.stack([np.sin(time / 11), np.cos(time / 13)], 1) * 900
    for name, array in {
        "pictures/a": np.stack([picture, picture + 1]),
        "pictures/seen": picture,
        "fields/f": field,
        "sounds/s": sound.astype(np.int16),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.savez(tmp_path / f"{name}.npz", data=array)
    (tmp_path / "README.md").write_text(TABLE)
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_with_a_table_is_measured_in_every_mode(
    ratio: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = folder / "out.csv"
    assert ratio.main([str(folder), "--csv", str(target), "--modes", "lossless,1e-2,1e-3"]) == 0
    found = rows(target)
    assert [(row["file"], row["mode"]) for row in found] == [
        ("pictures/a", "lossless"),
        ("fields/f", "lossless"),
        ("fields/f", "1e-2"),
        ("fields/f", "1e-3"),
        ("sounds/s", "lossless"),
    ]
    assert [row["axes"] for row in found] == ["zyx", "tyx", "tyx", "tyx", "tc"]
    for row in found:
        assert float(row["error"]) <= (0 if row["mode"] == "lossless" else 1)
        assert row["cpu"]
        assert "numpy" in row["versions"]
        if row["mode"] == "lossless":
            assert float(row["zstd-19 bits"]) >= float(row["best_bits"])
            assert float(row["ratio"]) == pytest.approx(
                float(row["bits"]) / float(row["best_bits"]), abs=1e-3
            )
    out = capsys.readouterr().out
    assert "all lossless: 3 figures, geometric mean of the ratio to the best" in out
    assert "pictures, lossless, bits per sample" in out


def test_rivals_come_from_the_cache_where_it_has_them(ratio: Any, folder: Path) -> None:
    cache, target = folder / "cache.json", folder / "out.csv"
    options = ["--only", "pictures", "--modes", "lossless", "--rivals", "zstd"]
    assert ratio.main([str(folder), *options, "--cache", str(cache)]) == 0
    known = json.loads(cache.read_text())
    taken = [r for r in rivals.named("zstd") if r.suits(np.zeros((2, 4, 4), np.uint8), "zyx")]
    assert len(known) == len(taken) == 4
    for entry in known.values():
        entry["nbytes"] = 1
    cache.write_text(json.dumps(known))
    options += ["--cache", str(cache), "--csv", str(target)]
    assert ratio.main([str(folder), *options]) == 0
    assert float(rows(target)[0]["best_bits"]) == pytest.approx(8 / 4000, abs=1e-5)


def test_single_arrays_and_plain_folders_take_axes(ratio: Any, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    array = np.add.outer(np.arange(30), np.arange(200)).astype(np.uint16)
    np.save(tmp_path / "one.npy", array)
    zarr.create_array(tmp_path / "two.zarr", data=array)
    target = tmp_path / "out.csv"
    options = ["--axes", "yx", "--rivals", "none", "--csv", str(target), "--model", "image-1"]
    assert ratio.main([str(tmp_path), *options]) == 0
    assert [(row["file"], row["best"]) for row in rows(target)] == [("one", ""), ("two", "")]
    assert ratio.main([str(tmp_path / "one.npy"), *options, "--max-samples", "600"]) == 0
    (row,) = rows(target)
    height, width = map(int, row["shape"].split("x"))
    assert height * width <= 600


def test_training_data_is_known_by_its_name(
    ratio: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = store.open_model("image-1").training["data"][0]["name"].partition(":")[0]
    np.savez(tmp_path / trained, data=np.zeros((20, 20), np.uint8))
    assert ratio.main([str(tmp_path), "--rivals", "none"]) == 2
    assert "is among the training data of" in capsys.readouterr().err


def test_training_data_is_known_by_its_content(
    ratio: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], models: dict[str, Any]
) -> None:
    np.save(tmp_path / "renamed.npy", np.zeros((20, 20), np.uint8))
    digest = hashlib.sha256((tmp_path / "renamed.npy").read_bytes()).hexdigest()
    data = [{"name": "original.npy", "sha256": digest, "dtype": "|u1", "shape": [20, 20]}]
    model = dataclasses.replace(next(iter(models.values())), training={"data": data})
    model.save(tmp_path / "model.safetensors")
    options = ["--rivals", "none", "--model", str(tmp_path / "model.safetensors")]
    assert ratio.main([str(tmp_path / "renamed.npy"), *options]) == 2
    assert "renamed is among the training data" in capsys.readouterr().err


def test_nothing_to_measure_is_said(
    ratio: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ratio.main([str(tmp_path)]) == 2
    assert "holds no" in capsys.readouterr().err


def test_a_picture_is_drawn(ratio: Any, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    target = folder / "ratio.png"
    options = ["--modes", "lossless", "--rivals", "zstd-19", "--plot", str(target)]
    assert ratio.main([str(folder), *options]) == 0
    assert target.read_bytes()[:4] == b"\x89PNG"


def test_a_broken_promise_is_a_failure(
    ratio: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from latrans import Codec

    decode = Codec.decode
    monkeypatch.setattr(Codec, "decode", lambda self, frame: decode(self, frame) + 1)
    assert ratio.main([str(folder), "--only", "pictures", "--rivals", "none"]) == 1
    captured = capsys.readouterr()
    assert "WRONG" in captured.out
    assert "not what was promised" in captured.err


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("N,Y,X,C", "nyxc"),
        ("band,Y,X", "cyx"),
        ("case,var(T,U,V),level,Y,X", "nnzyx"),
        ("(T x level),Y,X", "tyx"),
        ("row(hour),column(PM2.5,O3)", "tc"),
        ("var(rho,E),K,J,I", "nzyx"),
        ("axis0,axis1 (T,channel as stored)", None),
    ],
)
def test_axes_are_read_from_the_names_of_dimensions(
    ratio: Any, text: str, axes: str | None
) -> None:
    import ratio_files

    assert ratio_files.letters(text) == axes
