"""Rivals: what they are given comes back, whatever is installed of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from latrans import rivals
from latrans.errors import RivalError
from latrans.rivals import Rival, pictures
from latrans.rivals.apart import measure
from latrans.rivals.measure import largest_error, value_range

Array = np.ndarray[Any, Any]
LOSSLESS = [rival for rival in rivals.all_rivals() if not rival.bounded]
BOUNDED = [rival for rival in rivals.all_rivals() if rival.bounded]


def smooth(*shape: int) -> Array:
    total = np.zeros(shape)
    for i, axis in enumerate(np.indices(shape)):
        total += (i + 2) * np.sin(axis / (5 + i)) * 40
    return total


def arrays() -> dict[str, tuple[Array, str]]:
    noise = np.arange(48 * 60).reshape(48, 60) * 7919 % 5
    picture = (smooth(48, 60) + 150 + noise).astype(np.uint8)
    sound = (smooth(3, 500) * 20).astype(np.int16)
    field = smooth(3, 20, 24).astype(np.float32)
    gaps = field.copy()
    gaps[0, :4], gaps[1, 5, 5], gaps[2, 3] = np.nan, np.inf, 1e20
    return {
        "picture": (picture, "yx"),
        "colours": (np.stack([picture, picture // 2, 255 - picture], 2), "yxc"),
        "colour film": (np.stack([np.stack([picture] * 3, 2)] * 2), "nyxc"),
        "narrow picture": (picture[:, :1], "yx"),
        "deep stack": (np.stack([picture, picture // 2]).astype(np.uint16) * 200, "zyx"),
        "columns first": (np.stack([picture, picture // 2]).astype(np.uint16), "cxy"),
        "signed": (picture.astype(np.int16) - 300, "yx"),
        "far integers": (picture.astype(np.int32) + 2**24, "yx"),
        "digits": (np.stack([picture[:28, i : i + 28] for i in range(7)]), "nyx"),
        "sound": (sound[0], "t"),
        "stereo": (np.ascontiguousarray(sound[:2].T), "tc"),
        "recordings": (np.stack([sound, -sound]), "nct"),
        "24 bits": (sound.astype(np.int32) * 1000, "ct"),
        "32 bits": (sound.astype(np.int32) * 300_000, "ct"),
        "big-endian": (sound.astype(">i2"), "ct"),
        "flags": (picture > 150, "yx"),
        "noise": (np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8), "yx"),
        "field": (field, "zyx"),
        "doubles": (field.astype(np.float64), "nyx"),
        "gaps": (gaps, "zyx"),
        "table": (np.ascontiguousarray(smooth(4, 300).T.astype(np.float32)), "tc"),
    }


def ready(rival: Rival) -> Rival:
    if rival.missing():
        pytest.skip(rival.missing())
    return rival


def test_labels_are_names() -> None:
    labels = [rival.label for rival in rivals.all_rivals()]
    assert len(set(labels)) == len(labels) >= 15
    assert [rival.label for rival in rivals.named("ZSTD-19, sz3")] == ["zstd-19", "SZ3"]


PAIRS = [
    pytest.param(rival, name, id=f"{rival.label}, {name}")
    for rival in LOSSLESS
    for name, (array, axes) in arrays().items()
    if rival.suits(array, axes)
]


@pytest.mark.parametrize(("rival", "name"), PAIRS)
def test_lossless_rivals_give_back_every_bit(rival: Rival, name: str) -> None:
    array, axes = arrays()[name]
    outcome = measure(ready(rival), array, axes, None, None)
    assert outcome.error == 0
    assert 0 < outcome.nbytes < array.nbytes + 4096


@pytest.mark.parametrize("rival", BOUNDED, ids=lambda rival: rival.label)
@pytest.mark.parametrize("name", ["field", "doubles", "gaps", "table"])
def test_bounded_rivals_keep_gaps_and_nearly_their_bound(rival: Rival, name: str) -> None:
    array, axes = arrays()[name]
    assert ready(rival).suits(array, axes)
    outcome = measure(rival, array, axes, 0.25, 1e20)
    assert outcome.kept(rounded=True)
    assert 0 < outcome.nbytes < array.nbytes


def test_every_array_has_a_rival_and_pictures_have_several() -> None:
    taken = {
        name: [rival.label for rival in rivals.all_rivals() if rival.suits(array, axes)]
        for name, (array, axes) in arrays().items()
    }
    assert all(taken.values())
    assert {"JPEG XL e9", "JPEG 2000", "JPEG-LS", "WebP"} <= set(taken["picture"])
    assert {"FLAC -8", "WavPack -hhx4"} <= set(taken["stereo"])
    assert "FLAC -8" not in taken["32 bits"]
    assert {"SZ3", "SPERR", "ZFP", "pcodec-8"} <= set(taken["field"])


def test_what_is_missing_is_named_with_what_to_do() -> None:
    absent = Rival(
        label="Nothing",
        install="pip install nothing",
        suits=lambda array, axes: True,
        encode=lambda *_: b"",
        decode=lambda data: np.zeros(0),
        modules=("no_such_module",),
        commands=("no-such-command",),
    )
    assert absent.missing() == (
        "Nothing needs no_such_module, no-such-command: pip install nothing"
    )


def test_failures_of_rivals_are_errors_of_latrans() -> None:
    (zstd,) = rivals.named("zstd-19")
    failing = dataclasses.replace(zstd, decode=lambda data: np.zeros(3)[7])
    with pytest.raises(RivalError, match="zstd-19 failed: IndexError"):
        measure(failing, np.zeros(3), "t", None, None)
    with pytest.raises(RivalError, match="pip install"):
        measure(dataclasses.replace(zstd, modules=("absent",)), np.zeros(3), "t", None, None)


def test_planes_of_a_few_samples_share_sheets() -> None:
    seen: list[tuple[int, ...]] = []

    def keep(image: Array) -> bytes:
        seen.append(image.shape)
        return image.tobytes()

    array = np.arange(10 * 5 * 7, dtype=np.uint16).reshape(10, 5, 7)
    encoded = pictures.encode(array, "nyx", keep)
    assert seen == [(25, 14)]
    back = pictures.decode(
        encoded, lambda stream: np.frombuffer(stream, np.uint16).reshape(seen[0])
    )
    assert np.array_equal(back, array)


def test_errors_are_measured_in_bounds() -> None:
    array = np.array([1.0, np.nan, 9.0, 4.0])
    assert largest_error(array, np.array([1.5, np.nan, 9.0, 4.0]), 0.25, None) == 2
    assert largest_error(array, np.array([1.5, 0.0, 9.0, 4.0]), 0.25, None) == np.inf
    assert largest_error(array, np.array([1.0, np.nan, 8.9, 4.0]), 0.25, 9.0) == np.inf
    assert largest_error(array, array.copy(), None, None) == 0
    assert largest_error(array, array + 1e-12, None, None) == np.inf
    assert largest_error(array, array[:2], None, None) == np.inf
    assert value_range(array, 9.0) == 3
