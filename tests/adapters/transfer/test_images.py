"""Images as sources: stacks in natural order; those that do not agree are refused by name."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_samples import files, picture, run
from latrans.errors import ConfigError
from latrans.transfer import images, tiff, transcode
from latrans.transfer.sources import open_source

zarr = pytest.importorskip("zarr")
tifffile = pytest.importorskip("tifffile")
imageio = pytest.importorskip("imageio.v3")

Array = np.ndarray[Any, Any]


def opened(spec: object) -> Any:
    with open_source(str(spec)) as source:
        return source


def write(path: Path, array: Array, **options: Any) -> None:
    """A TIFF file whose planes are no colours, unless said otherwise."""
    tifffile.imwrite(path, array, **{"photometric": "minisblack", **options})


@pytest.mark.parametrize(
    "other",
    [
        picture().astype("u1"),
        picture()[:, :30],
        picture()[:1],
        np.stack([picture().astype("u1")] * 3, -1),
    ],
    ids=["dtype", "cropped", "broadcast", "colours"],
)
@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_images_that_do_not_agree_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: Array, suffix: str
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, array in (("a", picture()), ("b", other)):
        imageio.imwrite(folder / f"{name}{suffix}", array)
    for spec in (folder, f"{folder}/*{suffix}"):
        assert run("compress", spec, tmp_path / "out.zarr") == 2
        message = capsys.readouterr().err
        assert f"but b{suffix} {other.dtype} {other.shape}" in message
        assert f"a{suffix} is uint16 (48, 60)" in message
    assert files(tmp_path) == {"scans"}


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_stacks_are_in_natural_order_and_keep_names(tmp_path: Path, suffix: str) -> None:
    for i in (1, 2, 10):
        imageio.imwrite(tmp_path / f"t{i}{suffix}", picture() + i)
    (tmp_path / f"._t1{suffix}").write_bytes(b"what some systems leave beside files")
    (tmp_path / "notes.txt").write_text("no image")
    stack = np.stack([picture() + i for i in (1, 2, 10)])
    for i, spec in enumerate((tmp_path, f"{tmp_path}/t*{suffix}")):
        target = tmp_path / f"out{i}.zarr"
        assert run("compress", spec, target, "--axes", "tyx") == 0
        array = zarr.open_array(target, mode="r")
        np.testing.assert_array_equal(array[...], stack)
        assert array.attrs["source_files"] == [f"t{i}{suffix}" for i in (1, 2, 10)]
        assert run("verify", spec, target) == 0


def test_natural_order_takes_any_names() -> None:
    names = ["", "1", "2", "10", "a", "a1", "a1b", "a01b", "a2", "a10", "a²"]
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(names).tolist()
        found = sorted(shuffled, key=images.natural)
        assert found.index("a2") < found.index("a10")
        assert found == sorted(names, key=images.natural)


PLANES = np.stack([picture() + i for i in range(5)])


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, None),
        ({"compression": "zlib"}, None),
        ({"byteorder": ">"}, None),
        ({"metadata": None}, None),
        ({"metadata": {"axes": "ZYX"}, "ome": True}, "zyx"),
        ({"metadata": {"axes": "TYX"}, "imagej": True}, "tyx"),
        ({"compression": "zlib", "tile": (32, 32), "bigtiff": True}, None),
    ],
    ids=["plain", "compressed", "big-endian", "bare", "OME", "ImageJ", "tiles"],
)
def test_pages_of_a_tiff_become_planes(
    tmp_path: Path, options: dict[str, Any], names: str | None
) -> None:
    path = tmp_path / "a.tif"
    write(path, PLANES, **options)
    assert run("compress", path, tmp_path / "a.zarr", "--chunks", "2,32,32") == 0
    array = zarr.open_array(tmp_path / "a.zarr", mode="r")
    np.testing.assert_array_equal(array[...], PLANES)
    assert array.attrs["source_files"] == ["a.tif"]
    if names:
        assert array.metadata.dimension_names == tuple(names)
        assert array.serializer.axes == names
    assert run("verify", path, tmp_path / "a.zarr") == 0
    assert run("suggest", path, "--samples", 500) == 0
    write(path, PLANES + (PLANES == 9), **options)
    assert run("verify", path, tmp_path / "a.zarr") == 1


def test_pages_written_one_by_one_are_planes_of_one_image(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for plane in PLANES:
            file.write(plane)
    np.testing.assert_array_equal(opened(tmp_path / "a.tif")[...], PLANES)
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(PLANES[0])
        file.write(PLANES[0, :9])
    with pytest.raises(ConfigError, match=r"b\.tif holds 2 images that differ"):
        opened(tmp_path / "b.tif")


def test_overviews_are_no_planes_and_files_of_one_image_are_not_stacked(tmp_path: Path) -> None:
    tiles: dict[str, Any] = {"tile": (16, 16), "metadata": None, "photometric": "minisblack"}
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(PLANES[0], **tiles)
        file.write(PLANES[0, ::2, ::2], subfiletype=1, **tiles)
    np.testing.assert_array_equal(opened(tmp_path / "a.tif")[...], PLANES[0])

    text = tifffile.OmeXml()
    text.addimage("uint16", (2, 48, 60), (2, 1, 1, 48, 60, 1), axes="ZYX")
    xml = text.tostring().replace("<TiffData", '<TiffData FirstZ="{}" ', 1)
    (tmp_path / "parts").mkdir()
    data = "".join(
        f'<TiffData FirstZ="{i}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{i}.ome.tif">urn:uuid:0000000{i}-0000-0000-0000-000000000000</UUID>'
        "</TiffData>"
        for i in range(2)
    )
    start, end = xml.index("<TiffData"), xml.index("</Pixels>")
    xml = xml[:start] + data + xml[end:]
    for i in range(2):
        uuid = f'UUID="urn:uuid:0000000{i}-0000-0000-0000-000000000000"'
        own = re.sub(r'UUID="urn:uuid:[^"]*"', uuid, xml, count=1)
        write(tmp_path / "parts" / f"{i}.ome.tif", PLANES[i], description=own, metadata=None)
    source = opened(tmp_path / "parts" / "0.ome.tif")
    np.testing.assert_array_equal(source[...], PLANES[:2])
    np.testing.assert_array_equal(source.reread(np.s_[0:2, 0:48, 0:60]), PLANES[:2])
    with pytest.raises(ConfigError, match="part of an OME-TIFF of several files"):
        opened(tmp_path / "parts")
    (tmp_path / "parts" / "1.ome.tif").unlink()
    with pytest.raises(ConfigError, match="some of which are missing"):
        opened(tmp_path / "parts" / "0.ome.tif")


def test_images_are_data_to_train_on(tmp_path: Path) -> None:
    from latrans.train.files import open_arrays

    for i, plane in enumerate(PLANES):
        write(tmp_path / f"{i}.tif", plane)
    for spec in (tmp_path, f"{tmp_path}/*.tif"):
        (named,) = open_arrays(str(spec))
        np.testing.assert_array_equal(named.array[1:3], PLANES[1:3])
    pytest.importorskip("torch")
    out = tmp_path / "m.safetensors"
    assert run("train", f"{tmp_path}/*.tif", "--recipe", "field", "--steps", 2, "--out", out) == 0


def test_boxes_of_large_pages_are_decoded_by_tiles_and_strips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "LARGE_NBYTES", 0)
    colours = np.stack([PLANES[0], PLANES[0] + 1, PLANES[0] * 2], -1)
    cases: list[tuple[Array, dict[str, Any]]] = [
        (PLANES, {"compression": "zlib", "tile": (16, 32)}),
        (PLANES, {"compression": "zlib", "rowsperstrip": 7, "predictor": True}),
        (colours, {"photometric": "rgb", "compression": "zlib", "tile": (32, 16)}),
        (
            np.moveaxis(colours, -1, 0),
            {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib",
             "rowsperstrip": 5},
        ),
    ]  # fmt: skip
    for array, options in cases:
        write(tmp_path / "a.tif", array, **options)
        source = opened(tmp_path / "a.tif")
        for key in (np.s_[:2, 3:40, 5:58], np.s_[1, 40:, -3:], np.s_[..., 2:3], np.s_[2:1]):
            np.testing.assert_array_equal(source[key], array[key])
        np.testing.assert_array_equal(source.reread(np.s_[0:2, 3:9, 1:3]), array[:2, 3:9, 1:3])


def test_indices_of_a_stack_are_those_of_its_array(tmp_path: Path) -> None:
    for i, plane in enumerate(PLANES):
        write(tmp_path / f"{i}.tif", plane)
    source = pickle.loads(pickle.dumps(opened(tmp_path)))
    assert (source.shape, source.dtype, source.ndim) == (PLANES.shape, PLANES.dtype, 3)
    for key in (np.s_[2], np.s_[1:4:2, ::-3, 5], np.s_[..., -1], np.s_[:, 3:3], np.s_[-1, -1, -1]):
        np.testing.assert_array_equal(source[key], PLANES[key])
    np.testing.assert_array_equal(np.asarray(source), PLANES)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_what_copying_reads_wrongly_shows_in_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    for i in range(3):
        imageio.imwrite(tmp_path / f"{i}{suffix}", PLANES[i])
    part = images.ImageFile.part

    def wrong(self: images.ImageFile, box: Any) -> Array:
        return part(self, box) & 255

    with monkeypatch.context() as patch:
        patch.setattr(images.ImageFile, "part", wrong)
        assert run("compress", tmp_path, tmp_path / "a.zarr") == 2
        assert "samples differ" in capsys.readouterr().err
        assert run("compress", tmp_path, tmp_path / "b.zarr", "--no-verify") == 0
        assert run("verify", tmp_path, tmp_path / "b.zarr") == 1


def test_a_file_that_changes_meanwhile_is_named(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.tif", PLANES[i])
    source = opened(tmp_path)
    write(tmp_path / "1.tif", PLANES[1, :7])
    with pytest.raises((ConfigError, ValueError), match=r"1\.tif|beyond|shape"):
        transcode(source, zarr.storage.MemoryStore())


@pytest.mark.parametrize(("package", "suffix"), [("tifffile", ".tif"), ("imageio", ".png")])
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, suffix: str
) -> None:
    (tmp_path / f"a{suffix}").write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.v3", None)
    with pytest.raises(ConfigError, match=f"needs {package}: pip install"):
        opened(tmp_path / f"a{suffix}")


def test_damaged_images_and_patterns_of_other_things_are_refused(tmp_path: Path) -> None:
    for name in ("a.tif", "a.png"):
        (tmp_path / name).write_bytes(b"no image at all")
        with pytest.raises(ConfigError, match=name):
            opened(tmp_path / name)
    np.save(tmp_path / "b.npy", picture())
    with pytest.raises(ConfigError, match=r"b\.npy, which is not an image"):
        opened(f"{tmp_path}/b*")
    with pytest.raises(ConfigError, match="No files found"):
        opened(f"{tmp_path}/*.jpg")
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none.tif")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="a folder with no Zarr array or group: expected"):
        opened(tmp_path / "empty")


def test_colours_and_frames_of_other_formats(tmp_path: Path) -> None:
    colours = np.stack([picture().astype("u1"), picture().astype("u1") // 2] * 2, -1)[..., :3]
    imageio.imwrite(tmp_path / "a.png", colours)
    imageio.imwrite(tmp_path / "a.jpg", colours)
    for name in ("a.png", "a.jpg"):
        assert run("compress", tmp_path / name, tmp_path / f"{name}.zarr", "--model", "rgb-1") == 0
        array = zarr.open_array(tmp_path / f"{name}.zarr", mode="r")
        np.testing.assert_array_equal(array[...], imageio.imread(tmp_path / name))
        assert array.metadata.dimension_names == ("y", "x", "c")


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("a.nc", b"CDF\x01", "xarray.open_dataset('a.nc').to_zarr('a.zarr')"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "h5py.File('a.h5')"),
        ("a.dat", b"\x89HDF\r\n\x1a\n", "h5py.File('a.dat')"),
        ("a.parquet", b"PAR1", "--columns NAME=MODEL"),
        ("a.dat", b"II*\0", "is an image"),
        ("a.xyz", b"what", "transcode(array, 'out.zarr')"),
    ],
)
@pytest.mark.parametrize("command", ["suggest", "compress", "verify", "inspect", "decompress"])
def test_files_of_other_libraries_are_told_what_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, name: str, head: bytes,
    expected: str,
) -> None:  # fmt: skip
    path = tmp_path / name
    path.write_bytes(head + b"\0" * 100)
    more = {"compress": ["out.zarr"], "verify": [path], "decompress": ["out.npy"]}.get(command, [])
    assert run(command, path, *more) == 2
    message = capsys.readouterr().err
    assert "No group found" not in message
    if command == "decompress" and name.endswith(".parquet"):
        expected = "from a Parquet file to another"
    assert expected in message
