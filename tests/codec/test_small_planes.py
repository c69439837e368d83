"""Small planes and tracks: the quick way writes and reads what the general one does."""

import zlib

import numpy as np
import pytest

from latrans import Codec, open_model
from latrans.batch import small_chunks
from latrans.errors import CodecError, ModelNotFoundError
from latrans.residual import coder
from latrans.residual.piece_shape import PieceShape

NativeBackend = pytest.importorskip("latrans.residual.native").NativeBackend

MODELS = ["image-1", "image-fast-1", "series-1", "field-1"]
SHAPES = [(1, 1), (1, 37), (40, 1), (5, 5), (28, 28), (31, 33), (2, 400), (900,), (1023,)]
DTYPES = [np.uint8, np.int8, np.uint16, np.int16, np.int32]


def arrays(rng, n):
    """Integers of many kinds: smooth, noisy, with common divisors, few values, one value."""
    for i in range(n):
        shape, spread = SHAPES[rng.integers(len(SHAPES))], int(rng.choice([1, 3, 20, 200, 40000]))
        values = rng.integers(-spread, spread + 1, shape)
        if i % 2:
            values = np.cumsum(values, axis=-1)
        if i % 5 == 1:
            values *= int(rng.integers(2, 70))
        if i % 5 == 2:
            values = np.where(rng.random(shape) < 0.24, values, 7 * values)
        if i % 5 == 3:
            values = np.abs(values) % 251
        if i % 11 == 4:
            values[...] = spread
        yield values.astype(DTYPES[i % len(DTYPES)])


@pytest.fixture
def the_long_way(monkeypatch):
    """What encodes and decodes without any shortcut."""

    def run(work):
        with monkeypatch.context() as patch:
            patch.setattr(small_chunks, "encoded", lambda model, engine, given: [None] * len(given))
            patch.setattr(small_chunks, "decoded", lambda given, engine: [None] * len(given))
            patch.setattr(coder, "_is_alone", lambda infos: False)
            patch.setattr(NativeBackend, "decode_section", lambda *_: None)
            return work()

    return run


@pytest.mark.parametrize("model", MODELS)
def test_frames_are_those_of_the_general_path(model, the_long_way):
    codec, some = Codec(model), list(arrays(np.random.default_rng(1), 60))
    frames = codec.encode_batch(some, threads=2)
    assert frames == the_long_way(lambda: [codec.encode(array) for array in some])
    assert frames == [codec.encode(array) for array in some]
    for decoded in (codec.decode_batch(frames), the_long_way(lambda: codec.decode_batch(frames))):
        for array, back in zip(some, decoded, strict=True):
            assert back.dtype == array.dtype
            assert np.array_equal(back, array)
            assert back.flags.writeable


def test_smooth_integers_take_the_quick_way():
    image = np.add.outer(np.arange(28) ** 2 // 9, np.arange(28)).astype(np.uint8)
    model = open_model("image-1")
    (frame,) = small_chunks.encoded(model, None, [image])
    assert frame is not None
    (back,) = small_chunks.decoded([frame], None)
    assert back is not None
    assert np.array_equal(back, image)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((32, 32), np.uint8),
        np.zeros((28, 28), np.uint8),
        np.arange(784, dtype=np.int32).reshape(28, 28) * 12,
        np.arange(784, dtype=np.uint32).reshape(28, 28),
        np.arange(784, dtype=">i2").reshape(28, 28),
        np.arange(784, dtype=np.int16).reshape(28, 28).T,
        np.ones((3, 8, 8), np.uint8),
    ],
    ids=["large", "one value", "divisor", "uint32", "big-endian", "fortran", "many planes"],
)
def test_unusual_chunks_go_the_long_way(array):
    assert small_chunks.encoded(open_model("image-1"), None, [array]) == [None]
    back = Codec("image-1").decode(Codec("image-1").encode(array))
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


@pytest.mark.parametrize("model", ["image-1", "series-1"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_damaged_frames_end_as_on_the_general_path(model, dtype, the_long_way):
    rng = np.random.default_rng(3)
    codec = Codec(model)
    walk = np.cumsum(rng.integers(-2, 3, 300)).astype(dtype)
    frame = codec.encode(walk if model == "series-1" else walk.reshape(15, 20))
    codec.decode(frame)

    def outcome(data):
        try:
            return codec.decode(data)
        except CodecError:
            return "damaged"

    for _ in range(150):
        body = bytearray(frame[:-4])
        for at in rng.integers(4, len(body), rng.integers(1, 3)):
            body[at] = rng.integers(256)
        if rng.random() < 0.2:
            del body[-int(rng.integers(1, 9)) :]
        data = bytes(body) + zlib.crc32(body).to_bytes(4, "little")
        try:
            quick, general = outcome(data), the_long_way(lambda data=data: outcome(data))
        except ModelNotFoundError:
            continue  # the damage names another model
        assert np.array_equal(quick, general)


def test_sections_of_small_pieces_are_damaged_or_whole():
    backend = open_model("image-1").backend("native")
    rng = np.random.default_rng(4)
    plane = np.cumsum(rng.integers(-3, 4, (12, 20)), axis=1).astype(np.int32)
    section = coder.encode(backend, [PieceShape(12, 20, 240)], [plane], None, 1).section

    def decoded(section, rows=12, columns=20):
        planes = np.empty((1, rows, columns), np.int32)
        (done,) = backend.sections.decode_alone_each([section], planes)
        return planes[0] if done else None

    assert np.array_equal(decoded(section), plane)
    for n in range(len(section)):
        assert decoded(section[:n]) is None
    assert decoded(section, 0, 5) is None
