"""Axes: every array becomes planes or tracks and comes back; defaults are those of FORMAT.md 4."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latrans
from latrans.chunk.pieces import arrange
from latrans.coding.schedule import LANES, TRACK_BLOCK, TRACK_LANE
from latrans.errors import CodecError, ConfigError
from latrans.format import axes


@st.composite
def layouts(draw: st.DrawFn) -> tuple[str, tuple[int, ...], str]:
    """Valid axes, a shape, and the geometry."""
    geometry = draw(st.sampled_from(["plane", "track"]))
    must, may = ("x", "yztc") if geometry == "plane" else ("t", "zcyx")
    letters = must + "".join(draw(st.sets(st.sampled_from(may)))) + "n" * draw(st.integers(0, 2))
    named = "".join(draw(st.permutations(letters)))
    shape = tuple(draw(st.integers(1, 5)) for _ in named)
    return named, shape, geometry


class TestLayouts:
    @given(layouts())
    def test_split_and_join_are_inverses(self, case):
        named, shape, geometry = case
        assert axes.check(named, len(shape), geometry) == named
        array = np.arange(math.prod(shape)).reshape(shape)
        layout = axes.layout(named, shape, geometry)
        planes = layout.split(array)
        assert planes.shape == (layout.n_planes, *layout.shape)
        assert planes.flags.c_contiguous
        back = layout.join(planes, shape)
        assert np.array_equal(back, array)
        assert back.flags.c_contiguous

    @given(layouts())
    def test_planes_run_along_space_and_tracks_along_time(self, case):
        named, shape, geometry = case
        layout = axes.layout(named, shape, geometry)
        along = "x" if geometry == "plane" else "t"
        assert layout.shape[1] == shape[named.index(along)]
        rows = shape[named.index("y")] if geometry == "plane" and "y" in named else 1
        assert layout.shape[0] == rows

    @given(layouts())
    def test_independent_items_stand_outermost(self, case):
        layout = axes.layout(*case)
        assert list(layout.ordered) == sorted(layout.ordered)

    @given(layouts())
    def test_references_stay_within_an_item_and_the_horizon(self, case):
        named, shape, geometry = case
        layout = axes.layout(named, shape, geometry)
        n_items = math.prod(n for n, letter in zip(shape, named, strict=True) if letter == "n")
        per_item = layout.n_planes // n_items
        for index in range(layout.n_planes):
            for distance in itertools.chain(*layout.neighbours(index)):
                assert 1 <= distance <= layout.max_reference_distance
                assert (index - distance) // per_item == index // per_item


class TestDefaults:
    @pytest.mark.parametrize(
        ("contract", "shape", "geometry", "expected"),
        [
            ("yx", (7,), "plane", "x"),
            ("yx", (5, 6), "plane", "yx"),
            ("yx", (9, 5, 6), "plane", "nyx"),
            ("yx", (2, 9, 5, 6), "plane", "nnyx"),
            ("yx", (50, 60, 3), "plane", "yxc"),
            ("yx", (2, 50, 60, 4), "plane", "nyxc"),
            ("yx", (50, 60, 5), "plane", "nyx"),
            ("yx", (4, 60, 3), "plane", "nyx"),
            ("zyx", (50, 60, 3), "plane", "zyx"),
            ("zyx", (50, 60), "plane", "yx"),
            ("nyx", (28, 28), "plane", "yx"),
            ("yxc", (50, 60, 3), "plane", "yxc"),
            ("yxc", (9, 50, 60), "plane", "nyx"),
            ("yxc", (50, 60), "plane", "yx"),
            ("yxc", (2, 50, 60, 3), "plane", "nyxc"),
            ("nyx", (9, 28, 28), "plane", "nyx"),
            ("t", (99,), "track", "t"),
            ("t", (3, 99), "track", "ct"),
            ("t", (99, 3), "track", "tc"),
            ("t", (9, 9), "track", "ct"),
            ("t", (2, 3, 99), "track", "nnt"),
            ("ct", (99,), "track", "t"),
        ],
    )
    def test_table(self, contract, shape, geometry, expected):
        found = axes.default(contract, shape, geometry)
        assert found == expected
        axes.check(found, len(shape), geometry)

    @given(
        shape=st.lists(st.integers(1, 20), min_size=1, max_size=6).map(tuple),
        model=st.sampled_from(
            [("yx", "plane"), ("zyx", "plane"), ("nyx", "plane"), ("t", "track")]
        ),
    )
    def test_every_shape_has_valid_ones(self, shape, model):
        contract, geometry = model
        axes.check(axes.default(contract, shape, geometry), len(shape), geometry)


class TestRefusals:
    @pytest.mark.parametrize(
        ("named", "ndim", "geometry", "match"),
        [
            ("yx", 3, "plane", "name 2 dimensions, the array has 3"),
            ("qyx", 3, "plane", "unknown letters"),
            ("YX", 2, "plane", "unknown letters"),
            ("yz", 2, "plane", "needs 'x' once"),
            ("xx", 2, "plane", "needs 'x' once"),
            ("yxyn", 4, "plane", "repeat a letter"),
            ("ccx", 3, "plane", "repeat a letter"),
            ("yx", 2, "track", "needs 't' once"),
        ],
    )
    def test_of_arguments_and_of_frames(self, named, ndim, geometry, match):
        with pytest.raises(ConfigError, match=match):
            axes.check(named, ndim, geometry)
        with pytest.raises(CodecError, match=match):
            axes.checked_from_frame(named, ndim, geometry)


class TestPieces:
    @pytest.mark.parametrize(
        "n", [1, 2, TRACK_LANE, 2 * TRACK_LANE - 1, 2 * TRACK_LANE, TRACK_BLOCK, TRACK_BLOCK + 5]
    )
    @pytest.mark.parametrize("named", ["t", "ct", "nct", "cnt"])
    def test_tracks_are_cut_and_pasted(self, n, named):
        shape = (*(2, 3)[: len(named) - 1], n)
        layout = axes.layout(named, shape, "track")
        planes = np.arange(math.prod(shape)).reshape(-1, 1, n)
        plan = arrange("track", layout, planes.shape, planes)
        parts = plan.cut(planes)
        assert np.array_equal(plan.paste(parts), planes)
        for info, part in zip(plan.infos, parts, strict=True):
            assert part.shape == (info.rows, info.columns)
            assert info.rows <= LANES
            assert (info.rows - 1) * info.columns < info.n_samples <= info.rows * info.columns
        # Decoders know the same pieces, without the samples.
        blind = arrange("track", layout, planes.shape, None)
        assert [(i.rows, i.columns, i.n_samples) for i in blind.infos] == [
            (i.rows, i.columns, i.n_samples) for i in plan.infos
        ]
        assert (blind.places, blind.max_reference_distance) == (
            plan.places,
            plan.max_reference_distance,
        )

    def test_candidates_lie_within_the_horizon_and_have_the_same_shape(self):
        layout = axes.layout("nct", (2, 5, TRACK_BLOCK + 9), "track")
        rng = np.random.default_rng(0)
        planes = rng.integers(0, 9, (10, 1, TRACK_BLOCK + 9))
        plan = arrange("track", layout, planes.shape, planes)
        assert any(info.candidates for info in plan.infos)
        for i, info in enumerate(plan.infos):
            for distances in info.candidates:
                for distance in distances:
                    assert 1 <= distance <= plan.max_reference_distance
                    assert plan.infos[i - distance].n_samples == info.n_samples


class TestArraysOfNamedAxes:
    @given(layouts())
    def test_come_back(self, models, case):
        named, shape, geometry = case
        array = np.arange(math.prod(shape), dtype=np.int16).reshape(shape)
        codec = latrans.Codec(models[geometry], axes=named)
        frame = codec.encode(array)
        assert np.array_equal(latrans.decode(frame), array)

    def test_axes_are_kept_only_where_they_are_not_the_default(self, models, always_model):
        array = np.add.outer(np.arange(20), np.arange(30)).astype(np.uint8)
        plain = latrans.Codec(models["plane"]).encode(array)
        assert latrans.Codec(models["plane"], axes="yx").encode(array) == plain
        assert len(latrans.Codec(models["plane"], axes="nx").encode(array)) > len(plain) - 20
        other = latrans.Codec(models["plane"], axes="xy").encode(array)
        assert other != plain
        assert np.array_equal(latrans.decode(other), array)

    def test_the_right_axes_pay(self, models):
        rng = np.random.default_rng(1)
        picture = rng.normal(0, 30, (40, 40)).cumsum(0).cumsum(1) / 20
        frames = np.stack([picture + rng.normal(0, 1, picture.shape) for _ in range(5)])
        array = frames.astype(np.int16)
        sizes = {
            named: len(latrans.Codec(models["plane"], axes=named).encode(array))
            for named in ("tyx", "nyx")
        }
        assert sizes["tyx"] < sizes["nyx"]
