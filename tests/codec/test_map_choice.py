"""Which map a chunk gets, and that it pays."""

from __future__ import annotations

import numpy as np
import pytest

import latrans
from latrans.format.frame import unpack
from map_checks import (
    DIVIDED,
    GRID,
    PALETTE,
    TWO_LAYER,
)


@pytest.mark.usefixtures("always_model")
class TestChoice:
    """Which map a chunk gets is seen in its frame; each is smaller than any rival's bytes."""

    def section(self, model: latrans.Model, array: np.ndarray, axes: str | None = None) -> bytes:
        frame = latrans.Codec(model, axes=axes).encode(array)
        assert np.array_equal(latrans.decode(frame), array, equal_nan=array.dtype.kind == "f")
        return unpack(frame).maps

    def smooth(self, shape: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng(0)
        return np.rint(500 * np.sin(np.indices(shape).sum(0) / 9) + rng.normal(0, 2, shape))

    def test_packed_floats_get_their_grid(self, models):
        maps_section = self.section(models["plane"], (self.smooth((40, 40)) / 64).astype("f4"))
        assert maps_section[2] & 63 in (TWO_LAYER, DIVIDED, GRID)
        assert len(maps_section) < 24

    def test_every_plane_gets_its_own_grid(self, models):
        steps = 0.7 ** np.arange(5)[:, None, None]
        stack = (self.smooth((5, 40, 40)) * steps + 273.15).astype("f4")
        maps_section = self.section(models["plane"], stack, "zyx")
        assert maps_section[:6] == b"\x06\x03zyx\0"
        assert len(maps_section) < 5 * 25
        assert maps_section[7] & 63 in (DIVIDED, GRID)

    def test_columns_get_what_they_count_in(self, models):
        t = self.smooth((3000,))
        table = np.stack([t / 100, np.rint(t / 9) * 0.25, np.rint(t) * 1000, t], 1) + 0.0
        for dtype in ("f4", "f8"):
            maps_section = self.section(models["track"], table.astype(dtype), "tc")
            assert maps_section[0] & 2
            assert len(maps_section) < 500

    def test_spread_values_get_a_palette(self, models):
        levels = np.random.default_rng(1).integers(0, 4, (40, 40))
        sparse = np.array([87, 90, 12_345_678, 12_399_999], "i4")[levels]
        assert self.section(models["plane"], sparse)[2] & 63 == PALETTE

    def test_channels_may_differ(self, models):
        grid = (self.smooth((40, 40)) / 16).astype("f4")
        levels = np.where(grid > 0, np.float32(0.1), np.float32(70.03))
        maps_section = self.section(models["plane"], np.stack([grid, levels]), "cyx")
        assert maps_section[0] & 2

    def test_colours_that_move_together_become_differences(self, models):
        rng = np.random.default_rng(2)
        grey = (self.smooth((60, 60)) / 4 + 128 + rng.normal(0, 12, (60, 60)))[..., None]
        rgb = np.clip(grey + rng.normal(0, 1, (60, 60, 3)), 0, 255).astype("u1")
        assert self.section(models["plane"], rgb)[0] & 1
        noise = rng.integers(0, 256, (60, 60, 3)).astype("u1")
        frame = unpack(latrans.Codec(models["plane"]).encode(noise))
        assert not frame.maps or not frame.maps[0] & 1

    def test_one_column_of_noise_does_not_spoil_a_table(self, models):
        counts = self.smooth((3000,)) + 0.0
        noise = np.random.default_rng(0).normal(size=3000)
        table = np.stack([counts / 100, noise, counts], 1)
        frame = latrans.Codec(models["track"], axes="tc").encode(table)
        alone = latrans.Codec(models["track"], axes="tc").encode(table[:, ::2])
        assert latrans.decode(frame).tobytes() == table.tobytes()
        assert len(frame) < len(alone) + noise.nbytes + 40
        assert unpack(latrans.Codec(models["track"]).encode(noise)).fallback

    def test_a_mask_is_cheap(self, models):
        array = (self.smooth((40, 40)) / 16).astype("f4")
        clean = len(latrans.Codec(models["plane"]).encode(array))
        array[10:30, 10:30] = 1e20
        assert len(latrans.Codec(models["plane"]).encode(array)) < clean + 40
