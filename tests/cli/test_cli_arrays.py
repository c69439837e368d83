"""compress, decompress and verify, end to end on small arrays, and what is left when they fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans
import synthetic_models
from cli_samples import files, picture, run
from latrans.cli import arrays
from latrans.errors import CodecError

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


# --- compress, decompress, verify ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["npy", "npz", "npz member", "zarr"])
def test_every_source_goes_to_zarr_and_back(tmp_path: Path, kind: str) -> None:
    array = picture()
    source = {
        "npy": "a.npy",
        "npz": "a.npz",
        "npz member": "b.npz:second",
        "zarr": "plain.zarr",
    }[kind]
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", array)
    np.savez(tmp_path / "b.npz", first=array[:1], second=array)
    plain = zarr.create_array(
        tmp_path / "plain.zarr", data=array, chunks=(20, 20), dimension_names=["north", "east"]
    )
    plain.attrs["unit"] = "m"

    target = tmp_path / "out.zarr"
    assert run("compress", tmp_path / source, target, "--chunks", "32,32") == 0
    stored = zarr.open_array(target, mode="r")
    np.testing.assert_array_equal(stored[...], array)
    assert stored.dtype == array.dtype
    if kind == "zarr":
        assert dict(stored.attrs) == {"unit": "m"}
        assert stored.metadata.dimension_names == ("north", "east")
    assert run("verify", tmp_path / source, target) == 0

    assert run("decompress", target, tmp_path / "back.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), array)
    assert run("decompress", target, tmp_path / "back.zarr") == 0
    back = zarr.open_array(tmp_path / "back.zarr", mode="r")
    np.testing.assert_array_equal(back[...], array)
    assert "latrans" not in (tmp_path / "back.zarr" / "zarr.json").read_text()


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.0, -0.0, np.nan, np.inf, 1e20], np.float32),
        np.zeros((0, 5), np.int16),
        np.array(7, np.int64),
        np.array([True, False, True]),
        np.asfortranarray(picture()),
        picture().astype(">u2"),
    ],
    ids=["special floats", "empty", "scalar", "bool", "F order", "big-endian"],
)
def test_unusual_arrays_come_back_exactly(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    np.save(tmp_path / "a.npy", array)
    assert run("compress", tmp_path / "a.npy", tmp_path / "a.zarr") == 0
    assert run("verify", tmp_path / "a.npy", tmp_path / "a.zarr") == 0
    assert run("decompress", tmp_path / "a.zarr", tmp_path / "b.npy") == 0
    back = np.load(tmp_path / "b.npy")
    assert back.shape == array.shape
    assert back.astype(array.dtype).tobytes() == array.tobytes()


def test_bounded_by_an_absolute_and_by_a_relative_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    field = (picture() / np.float32(3)).astype(np.float32)
    np.save(tmp_path / "f.npy", field)
    for option, value, bound in (
        ("--max-error", "0.25", 0.25),
        ("--relative-error", "0.01", 0.01 * float(field.max() - field.min())),
    ):
        target = tmp_path / "f.zarr"
        model = ("--model", "field-1", "--overwrite")
        assert run("compress", tmp_path / "f.npy", target, option, value, *model) == 0
        decoded = zarr.open_array(target, mode="r")[...].astype(np.float64)
        assert 0 < np.abs(decoded - field).max() <= bound
        assert run("verify", tmp_path / "f.npy", target) == 0
        assert run("verify", tmp_path / "f.npy", target, "--max-error", bound / 100) == 1
    assert "violation" in capsys.readouterr().out


def test_lossy_arrays_promise_nothing(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target, model = source.with_name("lossy.zarr"), source.with_name("conv.safetensors")
    synthetic_models.make_model("conv").save(model)
    assert run("compress", source, target, "--mode", "lossy", "--model", model) == 0
    assert run("verify", source, target) == 0
    assert "worst error" in capsys.readouterr().out


def test_verify_finds_one_changed_sample(
    source: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = picture()
    changed[40, 7] += 3
    np.save(source, changed)
    assert run("verify", source, packed) == 1
    out = capsys.readouterr().out
    assert "1 of 2880 samples differ, worst error 3 at (40, 7)" in out
    assert "violation" in out


def test_verify_finds_another_shape_and_a_damaged_chunk(source: Path, packed: Path) -> None:
    np.save(source, picture()[:-1])
    assert run("verify", source, packed) == 1
    np.save(source, picture())
    chunk = packed / "c" / "1" / "0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    assert run("verify", source, packed) == 1


def test_blocks_cover_the_array_once() -> None:
    seen = np.zeros((17, 9, 11), int)
    for block in arrays.blocks(seen.shape, (4, 3, 5), 2, 200):
        seen[block] += 1
        assert all(s.start % n == 0 for s, n in zip(block, (4, 3, 5), strict=True))
        assert seen[block].size * 2 <= 200
    assert (seen == 1).all()


# --- what is left -------------------------------------------------------------------------------


def test_a_chunk_that_fails_is_named_and_a_rerun_tries_it_again(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encode = latrans.Codec._encode_some

    def fails_at_the_last_chunk(self: latrans.Codec, arrays: Any) -> list[bytes]:
        if any(np.array_equal(array[:16, :28], picture()[32:, 32:]) for array in arrays):
            raise CodecError("no")
        return encode(self, arrays)

    target = source.with_name("new.zarr")
    with monkeypatch.context() as patch:
        patch.setattr(latrans.Codec, "_encode_some", fails_at_the_last_chunk)
        assert run("compress", source, target, "--chunks", "32,32") == 2
    printed = capsys.readouterr()
    assert "chunk (1, 1): CodecError: no" in printed.err
    assert "failed chunks 1\n" in printed.out
    assert files(target / "c" / "0") == {"0", "1"}
    assert files(target / "c" / "1") == {"0"}
    assert run("verify", source, target) == 1
    assert "incomplete" in capsys.readouterr().out
    assert run("decompress", target, source.with_name("back.npy")) == 2
    assert "incomplete" in capsys.readouterr().err
    assert run("compress", source, target, "--chunks", "32,32") == 0
    assert run("verify", source, target) == 0


def test_an_interrupted_compress_leaves_an_incomplete_target(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("latrans.transfer.local.move", interrupted)
        assert run("compress", source, source.with_name("new.zarr")) == 130
    assert run("verify", source, source.with_name("new.zarr")) == 1
    assert run("compress", source, source.with_name("new.zarr")) == 0


def test_a_configuration_that_cannot_work_keeps_what_it_would_replace(
    source: Path, packed: Path
) -> None:
    assert (
        run("compress", source, packed, "--overwrite", "--model", "field-1", "--mode", "lossy") == 2
    )
    assert files(source.parent) == {"a.npy", "a.zarr"}
    assert run("verify", source, packed) == 0


def test_another_call_does_not_go_on_with_an_unfinished_target(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = source.with_name("new.zarr")
    with monkeypatch.context() as patch:
        patch.setattr("latrans.transfer.local.move", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run("compress", source, target)
    capsys.readouterr()
    assert run("compress", source, target, "--chunks", "24,24") == 2
    assert "another transfer (arrays / block" in capsys.readouterr().err
    assert run("compress", source, target, "--no-resume") == 2
    assert run("compress", source, target, "--chunks", "24,24", "--overwrite") == 0
    assert run("verify", source, target) == 0


def test_existing_targets_need_overwrite(source: Path, packed: Path) -> None:
    back = source.with_name("back.npy")
    for argv in (("compress", source, packed), ("decompress", packed, back)):
        back.touch()
        assert run(*argv) == 2
        assert run(*argv, "--overwrite") == 0
    np.testing.assert_array_equal(np.load(back), picture())
    assert files(source.parent) == {"a.npy", "a.zarr", "back.npy"}
