"""Pictures and recordings that come inside other packages: no download, no licence to accept."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sample:
    """One array of the demo, and how it is stored.

    Attributes
    ----------
    name : str
    array : numpy.ndarray
        As the package gives it; only axes may have been moved.
    model, axes : str
        What `latrans.Codec` is given.
    chunks : tuple of int
        The same for every codec.
    """

    name: str
    array: Array
    model: str
    axes: str
    chunks: tuple[int, ...]


@dataclass(frozen=True)
class MissingSample:
    """A sample that is not there, because the package that it comes in is not, or no longer has it.

    Attributes
    ----------
    name, reason : str
    """

    name: str
    reason: str


def samples() -> Iterator[Sample | MissingSample]:
    """Load the samples one by one; those of packages that are missing say so."""
    sources: tuple[tuple[str, Callable[[], Array], str, str], ...] = (
        ("photo, grey", lambda: _picture("camera"), "image-1", "yx"),
        ("photo, colour", lambda: _picture("astronaut"), "rgb-1", "yxc"),
        ("grass", lambda: _picture("grass"), "image-1", "yx"),
        ("moon", lambda: _picture("moon"), "image-1", "yx"),
        ("cell, microscope", lambda: _picture("cell"), "image-1", "yx"),
        ("tissue, stained", lambda: _picture("immunohistochemistry"), "rgb-1", "yxc"),
        ("head, MR slice", _mr_slice, "image-1", "yx"),
        ("brain, MR volumes", _mr_volumes, "image-1", "tzyx"),
        ("terrain heights", _terrain, "image-1", "yx"),
        ("stereo disparity", _disparity, "field-1", "yx"),
        ("seismometer, 2 ch", lambda: _seismogram("CH.BALST..LH_two_channels"), "series-1", "ct"),
        ("seismometer", lambda: _seismogram("IUANMO.seed")[0], "series-1", "t"),
        ("membrane current", _membrane, "series-1", "t"),
    )
    for name, load, model, axes in sources:
        try:
            array = np.ascontiguousarray(load())
        except ModuleNotFoundError as error:
            yield MissingSample(
                name, f"{(error.name or str(error)).partition('.')[0]} is not installed"
            )
            continue
        except Exception as error:  # of a package that has it no more, or reads it no more
            yield MissingSample(name, f"{type(error).__name__}: {error}")
            continue
        # Large pictures are cut as they would be in an archive; tracks and volumes are one chunk.
        caps = {"y": 512, "x": 512}
        chunks = tuple(min(n, caps.get(a, n)) for n, a in zip(array.shape, axes, strict=True))
        yield Sample(name, array, model, axes, chunks)


def _picture(name: str) -> Array:
    import skimage.data

    return np.asarray(getattr(skimage.data, name)())


def _disparity() -> Array:
    """float32 pixels of a stereo pair; infinite where no match was found."""
    with (resources.files("skimage") / "data" / "motorcycle_disp.npz").open("rb") as file:
        return np.asarray(np.load(file)["arr_0"])


def _mr_slice() -> Array:
    raw = gzip.decompress(_matplotlib_sample("s1045.ima.gz"))
    return np.frombuffer(raw, ">u2").reshape(256, 256).astype(np.uint16)  # pcodec needs native


def _terrain() -> Array:
    import io

    return np.asarray(
        np.load(io.BytesIO(_matplotlib_sample("jacksboro_fault_dem.npz")))["elevation"]
    )


def _membrane() -> Array:
    return np.frombuffer(_matplotlib_sample("membrane.dat"), "<f4").astype(np.float32, copy=False)


def _matplotlib_sample(name: str) -> bytes:
    folder = resources.files("matplotlib") / "mpl-data" / "sample_data"
    return (folder / name).read_bytes()


def _mr_volumes() -> Array:
    import nibabel

    with resources.as_file(resources.files("nibabel") / "tests" / "data") as folder:
        image = nibabel.load(folder / "example4d.nii.gz")
        return np.asarray(image.dataobj).transpose(3, 2, 1, 0)  # x, y, z, t to t, z, y, x


def _seismogram(name: str) -> Array:
    import obspy

    traces = obspy.read(f"/path/to/{name}")  # ObsPy's own spelling for a file it ships
    n = min(len(trace.data) for trace in traces)
    return np.stack([trace.data[:n] for trace in traces])
