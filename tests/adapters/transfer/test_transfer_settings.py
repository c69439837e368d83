"""Settings by path: each has an effect or is refused; axes that are given become names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_samples import run
from latrans.errors import ConfigError
from latrans.transfer import transcode
from latrans.transfer.dimensions import completed, of_axes
from transfer_samples import field

zarr = pytest.importorskip("zarr")
from latrans.zarr import LatransCodec


@pytest.fixture
def group(tmp_path: Path) -> Path:
    root = zarr.create_group(tmp_path / "in.zarr")
    for name in ("air", "sea", "deep/sea"):
        root.create_array(name, data=field((200, 200), "f4"), chunks=(100, 100))
    root.create_array("small", data=np.arange(6.0))
    return tmp_path / "in.zarr"


def coded(place: Path) -> set[str]:
    """Arrays of a group that latrans has written."""
    members = zarr.open_group(place, mode="r").members(max_depth=None)
    return {
        path
        for path, node in members
        if isinstance(getattr(node, "serializer", None), LatransCodec)
    }


@pytest.mark.parametrize("where", ["local", "dask"])
def test_codecs_by_path_take_what_they_name_and_the_others_are_copied(
    group: Path, where: str
) -> None:
    move: Any = transcode
    if where == "dask":
        pytest.importorskip("dask.array")
        from latrans.dask import transcode as move
    target = group.with_name("out.zarr")
    move(group, target, {"air": "field-1", "/deep/sea/": "image-1", "small": "series-1"})
    assert coded(target) == {"air", "deep/sea", "small"}
    before, after = zarr.open_group(group, mode="r"), zarr.open_group(target, mode="r")
    assert after["deep/sea"].serializer.model == "image-1"
    for name in ("air", "sea", "deep/sea", "small"):
        np.testing.assert_array_equal(before[name][...], after[name][...])


@pytest.mark.parametrize(
    ("codec", "options", "expected"),
    [
        ({"air": "field-1", "seas": "field-1"}, {}, "no array seas, .*codec=.* mean sea?"),
        ({"deep/see": "field-1"}, {}, "mean deep/sea?"),
        ("field-1", {"arrays": ["aire"]}, "no array aire, .*arrays=.* mean air?"),
        ("field-1", {"chunks": {"ais": (9, 9)}}, "no array ais, .*chunks="),
        ("field-1", {"shards": {"xyzzy": (9, 9)}}, "shards=.* it has air, deep/sea, sea, small"),
        ({"air": "field-1"}, {"arrays": ["air", "sea"]}, "none for sea"),
        ({"air": "field-1", "sea": "field-1"}, {"arrays": ["air"]}, "codec= names sea.*copies"),
        ("field-1", {"chunks": {"small": (2,)}}, "chunks= names small.*copies"),
    ],
)
def test_settings_that_would_have_no_effect_are_refused(
    group: Path, codec: Any, options: dict[str, Any], expected: str
) -> None:
    target = group.with_name("out.zarr")
    with pytest.raises(ConfigError, match=expected):
        transcode(group, target, codec, **options)
    assert not target.exists()


def test_an_array_has_the_empty_path(group: Path) -> None:
    source = zarr.open_group(group, mode="r")["air"]
    with pytest.raises(ConfigError, match="an array itself, whose path is ''"):
        transcode(source, {}, {"air": "field-1"})
    transcode(source, group.with_name("out.zarr"), {"": "field-1"}, chunks={"": (50, 50)})
    assert zarr.open_array(group.with_name("out.zarr")).chunks == (50, 50)


def test_chunks_of_arrays_that_are_not_named_are_the_default(group: Path) -> None:
    transcode(group, group.with_name("out.zarr"), "field-1", chunks={"/air": (40, 50)})
    found = zarr.open_group(group.with_name("out.zarr"), mode="r")
    assert (found["air"].chunks, found["sea"].chunks) == ((40, 50), (200, 200))


def test_axes_become_names_of_dimensions_where_there_are_none(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", field((3, 4, 40, 50)))
    named = zarr.create_array(
        tmp_path / "named.zarr", data=field((4, 40, 50)), dimension_names=["when", None, "lon"]
    )
    for i, (source, axes, expected) in enumerate(
        (
            (tmp_path / "a.npy", "tzyx", ("t", "z", "y", "x")),
            (tmp_path / "a.npy", "nnyx", ("n1", "n2", "y", "x")),
            (named.store_path.store.root, "tyx", ("when", "y", "lon")),
        )
    ):
        target = tmp_path / f"{i}.zarr"
        assert run("compress", source, target, "--axes", axes) == 0
        array = zarr.open_array(target, mode="r")
        assert (array.metadata.dimension_names, array.serializer.axes) == (expected, axes)
    transcode(tmp_path / "a.npy", tmp_path / "two.zarr", LatransCodec(axes="tzyx"), zarr_format=2)
    assert zarr.open_array(tmp_path / "two.zarr").attrs["_ARRAY_DIMENSIONS"] == list("tzyx")
    transcode(tmp_path / "a.npy", tmp_path / "guessed.zarr")
    assert zarr.open_array(tmp_path / "guessed.zarr").metadata.dimension_names is None


def test_names_are_completed_and_never_changed() -> None:
    assert completed(2, None, None) is None
    assert completed(2, ("a", "b", "c"), ("y", "x")) == ("y", "x")
    assert completed(2, ("x", "x"), ("y", "x")) == ("x", "x")
    assert completed(3, (None, "y", "x"), of_axes("yxc")) == (None, "y", "x")
    assert of_axes(None) is None


def test_keys_of_chunks_are_written_as_before_in_format_2(tmp_path: Path) -> None:
    source = zarr.create_array(
        tmp_path / "a.zarr", data=field((64, 64)), chunks=(32, 32), zarr_format=2,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )  # fmt: skip
    transcode(source, tmp_path / "b.zarr", zarr_format=2, chunks="source")
    assert (tmp_path / "b.zarr" / "1" / "1").is_file()
