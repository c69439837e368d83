"""Engine "torch" writes the bytes of the compiled engine on real recordings and pictures, too."""

from __future__ import annotations

import numpy as np
import pytest

from places import ROOT

pytest.importorskip("torch", reason="PyTorch is not installed")

from latrans import Codec
from latrans.torch_engine.backend import TorchBackend

DATA = ROOT.parent / "shared" / "data"
MOST = {"y": 53, "x": 41, "t": 1500}  # of an axis in a piece
CHUNK = {"y": 34, "x": 36, "t": 1100}  # leave chunks at the edges that are smaller


def items():
    if not DATA.is_dir():
        return []
    import ratio_files

    return ratio_files.find(DATA, None)


def axes_of(item):
    return item.axes or "tc"


def is_of_planes(item):
    return {"y", "x"} <= set(axes_of(item))


def chunks_of(item):
    """Chunks of a piece from the middle of an array, ragged at its edges."""
    array = np.load(item.source)["data"]
    for axis, letter in enumerate(axes_of(item)):
        most = 2 if letter == "t" and is_of_planes(item) else MOST.get(letter, 2)
        n = min(array.shape[axis], most)
        first = (array.shape[axis] - n) // 2
        array = np.take(array, range(first, first + n), axis)
    parts = [array]
    for axis, letter in enumerate(axes_of(item)):
        step = CHUNK.get(letter, array.shape[axis])
        parts = [q for p in parts for q in np.split(p, range(step, p.shape[axis], step), axis)]
    return parts


def codec_of(item, chunk):
    """Model and mode for an array, by what kind of array it is."""
    if chunk.shape[-2:] == (28, 28):
        return "digits-1", {}
    if not is_of_planes(item):
        return ("table-1" if item.category == "sensor_table" else "series-1"), {}
    if chunk.dtype.kind == "f":
        finite = chunk[np.isfinite(chunk)]
        extent = float(np.ptp(finite)) if finite.size else 0.0
        bounded = {"mode": "bounded", "max_error": extent / 1000}
        return "field-1", bounded if extent else {}
    return ("rgb-1" if axes_of(item).endswith("c") and chunk.shape[-1] == 3 else "image-1"), {}


@pytest.mark.parametrize("item", items(), ids=lambda item: item.name)
def test_bytes_and_samples_are_those_of_the_compiled_engine(item, monkeypatch):
    chunks = chunks_of(item)
    model, options = codec_of(item, chunks[0])
    options |= {"axes": axes_of(item), "fill_value": item.fill_value}
    native = Codec(model, engine="native", **options)
    torch = Codec(model, engine="torch:cpu", **options)
    frames = native.encode_batch(chunks)
    assert torch.encode_batch(chunks) == frames
    # On CPU tensors the host decodes unless told otherwise.
    monkeypatch.setattr(
        TorchBackend, "decoding", lambda self, *section: self._decoder.section(*section)
    )
    expected = native.decode_batch(frames)
    for found, wanted in zip(torch.decode_batch(frames), expected, strict=True):
        assert found.dtype == wanted.dtype
        assert found.tobytes() == wanted.tobytes()


@pytest.mark.skipif(bool(items()), reason="the recordings are there, see the test above")
def test_recordings_are_there():
    pytest.skip("needs ../shared/data beside the repository")
