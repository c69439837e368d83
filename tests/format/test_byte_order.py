"""The same bytes and values on machines of either byte order and with any NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors

from latrans.format.varint import Reader
from latrans.maps import mask as masks
from latrans.maps.base import Stored
from latrans.models.model import Model
from latrans.models.store import open_model
from latrans.transform import colour, lifting
from places import SUPPORT

TYPES = ("u2", "i4", "u8", "f4", "f8")


def of_order(array: np.ndarray[Any, Any], order: str) -> np.ndarray[Any, Any]:
    return array.astype(array.dtype.newbyteorder(order))


@pytest.mark.parametrize("dtype", TYPES)
def test_exceptions_are_little_endian_on_every_machine(dtype: str) -> None:
    values, at = np.arange(300, 360).astype(dtype), np.array([3, 7, 8])
    written = {masks.exceptions(of_order(values, order), at) for order in "<>"}
    assert len(written) == 1
    positions, found = masks.read_exceptions(Reader(written.pop()), 60, np.dtype(dtype))
    assert positions.tolist() == at.tolist()
    assert found.dtype == np.dtype(dtype)
    assert found.tolist() == values[at].tolist()


def test_masks_are_little_endian_on_every_machine() -> None:
    values = np.array([np.nan, 1, np.inf, -0.0, 2, np.nan], np.float32).reshape(2, 3)
    mask = masks.of(values, ~np.isfinite(values))
    assert mask is not None
    other = masks.Mask(mask.where, of_order(mask.patterns, ">"), of_order(mask.index, ">"))
    assert other.write() == mask.write()
    found = masks.read(Reader(mask.write()), values.shape, values.dtype)
    assert found.patterns.dtype.isnative
    back = np.zeros_like(values)
    masks.restore(back, found)
    assert back[mask.where].tobytes() == values[mask.where].tobytes()


@pytest.mark.parametrize("dtype", TYPES)
def test_stored_values_are_little_endian_on_every_machine(dtype: str) -> None:
    values = (np.arange(700) * 7919 % 641).astype(dtype)
    integers, stored = Stored().forward(values)
    assert Stored().forward(of_order(values, ">"))[1] == stored
    found = stored.invert(integers, np.dtype(dtype))
    assert found.dtype == np.dtype(dtype)
    assert found.tobytes() == values.tobytes()


def test_tensors_of_models_are_read_as_little_endian() -> None:
    data = open_model("image-lossy-1").data
    raw = {name: bytes(t["data"]) for name, t in safetensors.deserialize(data)}
    transform = Model.from_bytes(data).transform
    assert transform is not None
    for part in ("tables", "prediction", "means"):
        values = getattr(transform, part)
        assert values.dtype.isnative
        assert values.astype(values.dtype.newbyteorder("<")).tobytes() == raw[f"transform.{part}"]


def test_transforms_reckon_in_64_bits_whatever_they_are_given() -> None:
    noise = np.arange(3 * 20 * 24) * 2654435761 % (1 << 23) * 255
    planes = noise.reshape(3, 20, 24) - (1 << 30)
    for function in (colour.forward, colour.backward):
        found = function(planes.astype(np.int32))
        assert found.dtype == np.int64
        assert np.array_equal(found, function(planes))
    for plane in planes:
        parts = lifting.split(plane)
        for narrow, wide in zip(lifting.split(plane.astype(np.int32)), parts, strict=True):
            assert narrow.dtype == np.int64
            assert np.array_equal(narrow, wide)
        zeros = np.zeros(parts[3].shape, np.int32)
        found = lifting.join(*parts[:3], zeros)
        assert np.array_equal(found, lifting.join(*parts[:3], zeros.astype(np.int64)))
        assert np.array_equal(lifting.join(*parts), plane)


def test_frames_of_another_machine_are_the_same_here(tmp_path: Path) -> None:
    program = SUPPORT / "machine_frames.py"
    for what in ("write", "check"):
        command = [sys.executable, str(program), what, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        assert done.returncode == 0, done.stdout + done.stderr
