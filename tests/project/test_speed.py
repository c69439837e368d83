"""The benchmark of speed, on small arrays of its own."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from places import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import speed

    return speed


def picture(rows: int, columns: int) -> np.ndarray[Any, Any]:
    y, x = np.mgrid[:rows, :columns]
    return (60 * np.sin(x / 6) + 50 * np.cos(y / 5) + 120).astype(np.uint8)


def test_every_codec_that_suits_is_measured_both_ways(
    speed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "a.npy", picture(40, 50))
    target = tmp_path / "speed.csv"
    options = ["--runs", "2", "--rivals", "zstd-3", "--batch", "--profile", "--csv", str(target)]
    assert speed.main([str(tmp_path / "a.npy"), "--axes", "yx", *options]) == 0
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    codecs = [row["codec"] for row in rows]
    assert {"latrans image-1", "latrans image-fast-1", "zstd-3"} <= set(codecs)
    for row in rows:
        assert int(row["samples"]) == 2000
        for what in ("encode", "decode", "encode, all cores", "decode, all cores"):
            assert float(row[f"{what} Ms/s"]) > 0
    printed = capsys.readouterr().out
    assert "predict and classify" in printed


def test_fields_are_measured_within_a_fraction_of_their_range(speed: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", picture(40, 50).astype(np.float32) / 7)
    target = tmp_path / "speed.csv"
    options = ["--runs", "1", "--rivals", "none", "--models", "field-1", "--csv", str(target)]
    assert speed.main([str(tmp_path / "f.npy"), "--axes", "yx", *options]) == 0
    with target.open(newline="") as file:
        assert [row["mode"] for row in csv.DictReader(file)] == ["lossless", "1e-3"]


def test_small_planes_are_measured_as_chunks(
    speed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import speed_measure

    monkeypatch.setattr(speed_measure, "_SMALL_CHUNKS", 20)
    np.save(tmp_path / "d.npy", np.stack([picture(28, 28)] * 600))
    options = ["--runs", "1", "--rivals", "none", "--models", "image-fast-1", "--axes", "nyx"]
    assert speed.main([str(tmp_path / "d.npy"), *options, "--max-samples", "4000"]) == 0
    assert "chunks of (28, 28)" in capsys.readouterr().out


def test_shares_of_a_profile_sum_to_the_whole(speed: Any) -> None:
    import latrans
    import speed_measure
    import speed_profile

    codec = latrans.Codec("image-fast-1")
    contender = speed_measure.Contender("a", codec.encode, codec.decode, len, codec)
    lines = speed_profile.report(contender, picture(64, 64)).splitlines()[1:]
    for column in (-2, -1):
        assert sum(float(line.split()[column]) for line in lines) == pytest.approx(100, abs=1)
