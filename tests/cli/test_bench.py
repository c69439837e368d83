"""``latrans bench``: engines side by side, and what it says of them."""

from __future__ import annotations

import numpy as np
import pytest

from latrans.cli import bench, main
from latrans.engine import select
from latrans.errors import ConfigError


def run(capsys, *words):
    code = main(["bench", *map(str, words)])
    return code, capsys.readouterr()


def test_engines_are_measured_side_by_side(capsys):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    code, said = run(
        capsys, "--chunks", "32,34", "--count", 3, "--runs", 1, "--batch", 2, "--threads", 2
    )
    assert code == 0, said.err
    assert "3 chunks of uint16 (32, 34)" in said.out
    for engine in dict.fromkeys((select().description, select("torch:cpu").description)):
        assert f"{engine}, encode" in said.out
        assert f"{engine}, decode" in said.out
    for word in ("GB/s", "without transfers", "device", "transfers", "maps", "entropy coding"):
        assert word in said.out
    assert "calls of the device" in said.out
    assert "same bytes from all" in said.out


def test_the_compiled_engine_alone(capsys, tmp_path):
    pytest.importorskip("latrans.engine.native", reason="the compiled core is not built")
    np.save(tmp_path / "a.npy", np.arange(64 * 70, dtype=np.int16).reshape(64, 70))
    code, said = run(
        capsys, tmp_path / "a.npy", "--device", "native", "--chunks", "48,48", "--runs", 2
    )
    assert code == 0, said.err
    assert "4 chunks of int16 (48, 48), (48, 22), (16, 48) ..." in said.out
    assert "torch" not in said.out


def test_series_are_cut_along_time(capsys, tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3000, dtype=np.int16) % 700)
    words = (tmp_path / "a.npy", "--device", select().name, "--model", "series-1")
    code, said = run(capsys, *words, "--chunks", "1500", "--runs", 1)
    assert code == 0, said.err
    assert "2 chunks of int16 (1500,)" in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "abacus"], "device is 'abacus'"),
        (["--device", "cuda:77"], "CUDA"),
        (["--count", "0"], "count is 0"),
        (["--batch", "0"], "batch is 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(capsys, words, said):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    code, found = run(capsys, *words)
    assert code == 2
    assert said in found.err


def test_devices_name_engines():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    beside = ["native"] if select().name == "native" else []
    assert bench.engines("cpu") == [*beside, "torch:cpu"]
    assert bench.engines("cpu, native") == [*beside, "torch:cpu"]
    with pytest.raises(ConfigError, match="expected cpu, cuda"):
        bench.engines("")


def test_synthetic_planes_differ_and_stay_the_same():
    first, again = (bench.synthetic((40, 50), 3) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])
    assert {(a.dtype, a.shape) for a in first} == {(np.dtype(np.uint16), (40, 50))}
