"""The transform's compiled kernels, one per instruction set: all write and read the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latrans.engine import select
from latrans.engine.program import Layer, Program
from latrans.errors import CodecError
from latrans.transform import section
from latrans.transform.contexts import N_INPUTS
from latrans.transform.native import NativeBackend
from latrans.transform.protocol import Backend, ReferenceBackend
from latrans.transform.transform import Transform
from synthetic_transform import make_transform

LEVELS = ("portable", "avx2", "avx512")


def backends(transform: Transform) -> dict[str, Backend]:
    """The reference, and the kernels that this machine runs."""
    found: dict[str, Backend] = {}
    for level in LEVELS:
        try:
            found[level] = NativeBackend(transform, level)
        except ValueError:
            assert level != "portable"
    return {"reference": ReferenceBackend(transform, select("reference")), **found}


def with_backend(transform: Transform, backend: Backend) -> Transform:
    """A transform that runs on one backend, whatever the engine."""
    mine = replace(transform)
    mine.__dict__["_ready"] = dict.fromkeys(("native", "reference"), backend)
    return mine


def read(
    transform: Transform, data: bytes, shape: tuple[int, int, int]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Planes, and the values of all bands."""
    parts = list(section.decode(transform, None, data, shape))
    bands = [values for _, _, planes in parts for c in planes for values in c.values.values()]
    return np.concatenate([integers for _, integers, _ in parts]), bands


def assert_all_agree(
    transform: Transform, planes: np.ndarray, step: int, colours: bool, reference: bool = True
) -> None:
    mine = {name: with_backend(transform, b) for name, b in backends(transform).items()}
    data = {section.encode(t, None, planes, step, colours) for t in mine.values()}
    assert len(data) == 1
    [data] = data
    if not reference:
        del mine["reference"]
    (first, bands), *others = (read(t, data, planes.shape) for t in mine.values())
    assert np.abs(first - planes).max() <= 6 * step / 1024 + 2
    for found, other_bands in others:
        assert np.array_equal(first, found)
        assert all(map(np.array_equal, bands, other_bands))


def noisy(shape: tuple[int, ...], seed: int, amplitude: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.indices(shape).sum(0) / 9) + np.sin(np.indices(shape)[-1] / 3)
    return np.rint(amplitude * (wave + 0.1 * rng.standard_normal(shape))).astype(np.int64)


def network(widths: list[int], lo: int, hi: int) -> Program:
    rng = np.random.default_rng(len(widths))
    layers, n_in = [], N_INPUTS
    for i, n in enumerate([*widths, 1]):
        last = i == len(widths)
        weight = rng.integers(-30, 31, (n, n_in)).astype(np.int8)
        bias = rng.integers(-500, 500, n).astype(np.int32)
        shift = np.full(n, 6, np.uint8)
        limits = (-2047, 2047) if last else (lo, hi)
        layers.append(Layer("dense", weight, bias, shift, *limits))
        n_in = n
    return Program(tuple(layers), -127, 127, (N_INPUTS,))


@settings(max_examples=8, deadline=None)
@given(
    st.integers(1, 50), st.integers(1, 90), st.integers(0, 2**32),
    st.sampled_from([3.0, 100.0, 30000.0]), st.integers(6, 18),
)  # fmt: skip
def test_planes_of_any_size_and_scale(rows, columns, seed, amplitude, fineness):
    planes = noisy((1, rows, columns), seed, amplitude)
    step = max(int(amplitude * 1024) >> (fineness - 6), section.least_step(planes))
    assert_all_agree(make_transform(), planes, step, False)


def test_planes_of_sixteen_states():
    planes = noisy((1, 190, 200), 1, 90.0)
    assert_all_agree(make_transform(), planes, 2 << 10, False, reference=False)


def test_colours():
    assert_all_agree(make_transform(), noisy((3, 24, 40), 2, 90.0), 2 << 10, True)


def test_numbers_that_need_64_bits():
    planes = noisy((3, 17, 33), 3, 2.0**28)
    assert_all_agree(make_transform(), planes, section.least_step(planes), True)
    assert_all_agree(make_transform(), planes[:1], 1 << 36, False)


@pytest.mark.parametrize(
    ("widths", "lo", "hi"),
    [([], 0, 0), ([5], 0, 255), ([32, 16], 0, 255), ([20, 7, 3], 3, 200), ([9, 6], -200, 900)],
)
def test_networks_of_any_shape(widths, lo, hi):
    transform = replace(make_transform(), network=network(widths, lo, hi))
    assert_all_agree(transform, noisy((1, 40, 50), 4, 60.0), 3 << 10, False)


def test_a_strong_prediction():
    weights = np.full((3, 3), 30000, np.int16)
    transform = replace(make_transform(), prediction=weights)
    assert_all_agree(transform, noisy((1, 60, 70), 5, 200.0), 8 << 10, False)


@pytest.mark.parametrize("level", LEVELS)
def test_a_stream_that_ends_early_is_a_codec_error(level):
    transform = make_transform()
    if level not in backends(transform):
        pytest.skip(f"this machine has no {level}")
    mine = with_backend(transform, backends(transform)[level])
    planes = noisy((1, 190, 200), 6, 90.0)
    data = section.encode(mine, None, planes, 1 << 10, False)
    for n in range(2, len(data) - 70, len(data) // 40):
        with pytest.raises(CodecError):
            list(section.decode(mine, None, data[:n], planes.shape))
