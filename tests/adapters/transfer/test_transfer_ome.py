"""OME-Zarr: 0.4 in format 2 becomes 0.5 in format 3, and back, with the axes of its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latrans.errors import LatransWarning
from latrans.transfer import ome, transcode
from transfer_samples import field

zarr = pytest.importorskip("zarr")

AXES = [
    {"name": "c", "type": "channel"},
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


def multiscales(version: str | None) -> list[dict[str, Any]]:
    """Two levels of an image of four dimensions."""
    levels = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [1, 1, n, n]}]}
        for i, n in enumerate((1, 2))
    ]
    found: dict[str, Any] = {"axes": AXES, "datasets": levels, "name": "made up"}
    return [found if version is None else {**found, "version": version}]


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """A plate of one well of one image with one label, as 0.4 has them."""
    root = zarr.create_group(tmp_path / "plate.zarr", zarr_format=2)
    root.attrs["plate"] = {"version": "0.4", "wells": [{"path": "A/1"}], "field_count": 1}
    well = root.create_group(
        "A/1", attributes={"well": {"version": "0.4", "images": [{"path": "0"}]}}
    )
    omero = {"version": "0.4", "channels": [{"label": "DNA"}]}
    image = well.create_group(
        "0", attributes={"multiscales": multiscales("0.4"), "omero": omero, "_creator": "someone"}
    )
    labels = image.create_group("labels", attributes={"labels": ["cells"]})
    label = labels.create_group(
        "cells", attributes={"multiscales": multiscales("0.4"), "image-label": {"version": "0.4"}}
    )
    for group in (image, label):
        for i, n in enumerate((1, 2)):
            group.create_array(
                str(i), data=field((2, 3, 80 // n, 90 // n)), chunks=(1, 1, 80, 90),
                chunk_key_encoding={"name": "v2", "separator": "/"},
            )  # fmt: skip
    root.create_group("notes", attributes={"labels": ["these", "are", "nobody's"]})
    return tmp_path / "plate.zarr"


def attributes(place: Path, path: str) -> dict[str, Any]:
    return dict(zarr.open_group(place / path, mode="r").attrs)


def test_version_04_becomes_05_with_its_axes(plate: Path) -> None:
    target = plate.with_name("new.zarr")
    transcode(plate, target, "image-1")
    assert attributes(target, "") == {
        "ome": {"version": "0.5", "plate": {"wells": [{"path": "A/1"}], "field_count": 1}}
    }
    assert attributes(target, "A/1")["ome"]["well"] == {"images": [{"path": "0"}]}
    assert attributes(target, "A/1/0") == {
        "_creator": "someone",
        "ome": {
            "version": "0.5",
            "multiscales": multiscales(None),
            "omero": {"channels": [{"label": "DNA"}]},
        },
    }
    assert attributes(target, "A/1/0/labels") == {"ome": {"version": "0.5", "labels": ["cells"]}}
    label = attributes(target, "A/1/0/labels/cells")["ome"]
    assert label == {"version": "0.5", "multiscales": multiscales(None), "image-label": {}}
    assert attributes(target, "notes") == {"labels": ["these", "are", "nobody's"]}
    for path in ("A/1/0", "A/1/0/labels/cells"):
        for level in ("0", "1"):
            before = zarr.open_array(plate / path / level, mode="r")
            after = zarr.open_array(target / path / level, mode="r")
            assert after.metadata.dimension_names == ("c", "z", "y", "x")
            np.testing.assert_array_equal(before[...], after[...])
    assert zarr.open_array(target / "A/1/0/0").serializer.axes == "czyx"


def test_version_05_becomes_04_again(plate: Path) -> None:
    transcode(plate, plate.with_name("new.zarr"), "image-1")
    back = plate.with_name("back.zarr")
    transcode(plate.with_name("new.zarr"), back, "image-1", zarr_format=2)
    for path in ("", "A/1", "A/1/0", "A/1/0/labels", "notes"):
        assert attributes(back, path) == attributes(plate, path)
    assert zarr.open_array(back / "A/1/0/0").metadata.dimension_separator == "/"


def test_axes_are_used_where_the_format_stays(plate: Path) -> None:
    target = plate.with_name("new.zarr")
    transcode(plate, target, "image-1", zarr_format=2)
    assert attributes(target, "A/1/0") == attributes(plate, "A/1/0")
    array = zarr.open_array(target / "A/1/0/0", mode="r")
    assert array.compressors[0].axes == "czyx"
    assert "_ARRAY_DIMENSIONS" not in array.attrs
    assert (target / "A/1/0/0/0/0/0/0").is_file()


def test_other_versions_stay_as_they_are(tmp_path: Path) -> None:
    old = [{"version": "0.3", "axes": ["z", "y", "x"], "datasets": [{"path": "0"}]}]
    root = zarr.create_group(tmp_path / "a.zarr", zarr_format=2, attributes={"multiscales": old})
    root.create_array("0", data=field((3, 128, 128)))
    with pytest.warns(LatransWarning, match=r"version 0\.3 stay as they are"):
        transcode(root, tmp_path / "b.zarr")
    found = zarr.open_group(tmp_path / "b.zarr", mode="r")
    assert dict(found.attrs) == {"multiscales": old}
    assert found["0"].metadata.dimension_names == ("z", "y", "x")


def test_attributes_that_only_look_alike_do_no_harm() -> None:
    groups: dict[str, dict[str, Any]] = {
        "": {"multiscales": "yes", "labels": 3, "ome": None},
        "a": {"multiscales": [{"axes": 3, "datasets": 4}, 5]},
        "b": {"multiscales": [{"axes": [1, None], "datasets": [{}, 6]}]},
    }
    ome.dimension_names(groups)
    with pytest.warns(LatransWarning):
        assert ome.attributes_of(groups, 2, 3) == groups
    plain = {"": {"labels": [1], "title": "x"}}
    assert ome.attributes_of(plain, 2, 3) == plain
