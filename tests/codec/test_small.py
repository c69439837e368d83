"""Small chunks coded many at a time have the frames, arrays and errors of one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import latrans
from latrans.batch import frame_template, small_chunks
from latrans.engine import select
from latrans.errors import CodecError, ModelNotFoundError
from latrans.format.frame import sealed
from latrans.models import store
from synthetic_models import SAMPLE, make_model

pytestmark = pytest.mark.skipif(select().name != "native", reason="no compiled core")

MODEL = make_model("values")


@pytest.fixture
def codec() -> latrans.Codec:
    return latrans.Codec(MODEL)


@pytest.fixture
def long_way() -> latrans.Codec:
    """A codec whose chunks are never small: it names its axes, though they are the default."""
    return latrans.Codec(MODEL, axes="yx")


def samples(rng, n, shape=SAMPLE):
    """Smooth samples with noise, saturated in places."""
    y, x = np.mgrid[0 : SAMPLE[0], 0 : SAMPLE[1]]
    slopes = rng.integers(-40, 41, (3, n, 1, 1))
    values = slopes[0] * y + slopes[1] * x + 3 * slopes[2] + 128
    values = values + rng.integers(-30, 31, values.shape) * (rng.random((n, 1, 1)) < 0.7)
    return [v.reshape(shape) for v in np.clip(values, 0, 255).astype(np.uint8)]


def quick(arrays):
    """How many of some arrays are coded at once."""
    return sum(frame is not None for frame in small_chunks.encoded(MODEL, None, arrays))


def same(found, array):
    return (
        type(found) is np.ndarray
        and found.dtype == array.dtype
        and np.array_equal(found, array)
        and found.flags.writeable
    )


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 3))
def test_frames_and_arrays_are_those_of_the_long_way(seed, n, threads):
    codec, long_way = latrans.Codec(MODEL), latrans.Codec(MODEL, axes="yx")
    arrays = samples(np.random.default_rng(seed), n)
    assert quick(arrays) == n
    frames = [long_way.encode(a) for a in arrays]
    assert codec.encode_batch(arrays, threads) == frames
    assert [codec.encode(a) for a in arrays] == frames
    assert all(map(same, codec.decode_batch(frames, threads), arrays))
    assert all(same(codec.decode(f), a) for f, a in zip(frames, arrays, strict=True))


def test_the_reference_writes_and_reads_them_alike(codec, always_model):
    reference = latrans.Codec(MODEL, engine="reference")
    arrays = samples(np.random.default_rng(1), 5)
    frames = codec.encode_batch(arrays)
    assert frames == reference.encode_batch(arrays)
    assert all(map(same, reference.decode_batch(frames), arrays))


@pytest.mark.parametrize("shape", [(1, *SAMPLE), (1, 1, *SAMPLE)])
def test_samples_may_stand_in_a_stack_of_one(codec, shape):
    arrays = samples(np.random.default_rng(2), 6, shape)
    assert quick(arrays) == 6
    frames = codec.encode_batch(arrays)
    assert frames == [latrans.Codec(MODEL, axes="n" * (len(shape) - 2) + "yx").encode(a)
                      for a in arrays]  # fmt: skip
    assert all(map(same, codec.decode_batch(frames), arrays))


def test_what_is_unusual_goes_the_long_way(codec):
    usual = samples(np.random.default_rng(3), 1)[0]
    rows, columns = SAMPLE
    others = [
        usual.astype(np.int16),
        usual.astype(">u2"),
        usual > 100,
        np.asfortranarray(usual),
        np.repeat(usual, 2, 1)[:, ::2],
        np.stack([usual, usual]),
        usual[:, 1:],
        usual.reshape(-1),
        usual.reshape(1, rows * columns),
        usual[:0],
        np.uint8(7),
        np.ma.masked_array(usual),
        [[1, 2], [3, 4]],
        b"bytes",
    ]
    assert quick(others) == 0
    mixed = [x for other in others for x in (usual, other)]
    frames = codec.encode_batch(mixed, 2)
    assert frames == [codec.encode(x) for x in mixed]
    for found, x in zip(codec.decode_batch(frames, 2), mixed, strict=True):
        expected = np.frombuffer(x, np.uint8) if isinstance(x, bytes) else np.asarray(x)
        assert np.array_equal(found, expected)


def test_the_fallback_still_takes_what_it_does_better(codec):
    arrays = [np.full(SAMPLE, v, np.uint8) for v in (0, 9)] + samples(np.random.default_rng(4), 9)
    frames = codec.encode_batch(arrays)
    assert latrans.inspect(frames[0]).fallback
    assert all(map(same, codec.decode_batch(frames), arrays))


def test_decoded_arrays_share_no_memory(codec, always_model):
    frames = codec.encode_batch(samples(np.random.default_rng(5), 20))
    arrays = codec.decode_batch(frames)
    before = arrays[1].copy()
    arrays[0][...] = 77
    assert np.array_equal(arrays[1], before)
    assert not any(np.shares_memory(arrays[0], other) for other in arrays[1:])


def test_a_fresh_process_learns_from_what_it_decodes(monkeypatch, always_model):
    monkeypatch.setattr(frame_template, "_templates", {})
    monkeypatch.setattr(frame_template, "_lengths", ())
    model = make_model("values", seed=3)
    arrays = samples(np.random.default_rng(6), 3)
    frames = [latrans.Codec(model, axes="yx").encode(a) for a in arrays]
    assert small_chunks.decoded(frames, None) == [None] * 3
    assert same(latrans.decode(frames[0]), arrays[0])
    assert all(map(same, small_chunks.decoded(frames, None), arrays))


def test_a_model_that_is_not_at_hand_is_missed(codec, monkeypatch, always_model):
    (sample,) = samples(np.random.default_rng(7), 1)
    frame = codec.encode(sample)
    assert small_chunks.decoded([frame], None)[0] is not None
    monkeypatch.setattr(store, "_loaded", {})
    with pytest.raises(ModelNotFoundError):
        latrans.decode(frame)
    assert same(codec.decode(frame), sample)  # which holds it


def test_damage_shows_in_the_frame_that_has_it(codec, always_model):
    arrays = samples(np.random.default_rng(8), 40)
    frames = codec.encode_batch(arrays)
    for damaged in (frames[7][:-1], frames[7][:-9] + b"12345" + frames[7][-4:], b""):
        with pytest.raises(CodecError) as alone:
            codec.decode(damaged)
        with pytest.raises(CodecError) as among:
            codec.decode_batch([*frames[:7], damaged, *frames[8:]], 2)
        assert str(among.value) == str(alone.value)


def test_hostile_frames_end_as_the_reference_says(codec, always_model):
    rng = np.random.default_rng(9)
    reference = latrans.Codec(MODEL, engine="reference")
    frames = codec.encode_batch(samples(rng, 6))
    accepted = 0
    for _ in range(150):
        body = bytearray(frames[rng.integers(6)][:-4])
        for _ in range(rng.integers(1, 4)):
            body[rng.integers(4, len(body))] = rng.integers(256)
        if rng.random() < 0.3:
            del body[rng.integers(4, len(body)) :]
        hostile = sealed(bytes(body))
        outcomes = []
        for decode in (codec.decode, reference.decode):
            try:
                outcomes.append(decode(hostile).tobytes())
            except (CodecError, ModelNotFoundError) as error:
                outcomes.append(type(error))
        assert outcomes[0] == outcomes[1]
        accepted += isinstance(outcomes[0], bytes)
    assert accepted < 150
