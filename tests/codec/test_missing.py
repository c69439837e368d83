"""Missing values: kept by every mode, and not what other values come back as."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import latrans
from latrans.errors import ConfigError
from latrans.missing.conventions import declared_by
from latrans.missing.missing import Missing
from latrans.numcodecs import Latrans
from latrans.transfer.compare import difference
from latrans.zarr import LatransCodec

Array = np.ndarray[Any, Any]
INTEGERS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]
FLOATS = ["f2", "f4", "f8"]
ERROR = 4


def stack(dtype: str, fill: Any) -> Array:
    """Two smooth planes between 0 and 120 with a corner and single samples that are missing."""
    rng = np.random.default_rng(0)
    values = (rng.integers(-3, 4, (2, 40, 56)).cumsum(2) + 60).clip(0, 120).astype(dtype)
    with np.errstate(over="ignore"):
        values[:, :10, :12] = values[0, 30, ::7] = np.array(fill).astype(dtype)
    return values


def extremes(dtype: str) -> list[Any]:
    if np.dtype(dtype).kind == "f":
        return [1e20, -9999.0, 0.0, 60.0]
    info = np.iinfo(dtype)
    return [int(info.max), int(info.min), 0, 60]


CASES = [(dtype, fill) for dtype in INTEGERS + FLOATS for fill in extremes(dtype)]


def check_kept(values: Array, decoded: Array, missing: Missing) -> None:
    """Missing values are where they were and the same, and nothing else is missing."""
    before, after = missing.where(values), missing.where(decoded)
    np.testing.assert_array_equal(before, after)
    assert values[before].tobytes() == decoded[before].tobytes()


@pytest.mark.parametrize(
    ("more", "valid_range"),
    [((), None), ((61,), None), ((), (10, 90)), ((), ((-50, 40), (41, 100)))],
    ids=["one", "two", "a range", "two ranges"],
)
@pytest.mark.parametrize(("dtype", "fill"), CASES)
def test_bounded_mode_keeps_missing_values_and_makes_none(dtype, fill, more, valid_range):
    values, given = stack(dtype, fill), (fill, *more)
    codec = latrans.Codec("image-1", "bounded", ERROR, given, valid_range=valid_range)
    frame = codec.encode(values)
    decoded = codec.decode(frame)
    assert latrans.inspect(frame).mode == "bounded"
    check_kept(values, decoded, Missing.of(given, valid_range))
    left = ~Missing.of(given, valid_range).where(values) & np.isfinite(values)
    error = values[left].astype(np.longdouble) - decoded[left].astype(np.longdouble)
    assert 0 < np.abs(error).max() <= ERROR
    again = codec.decode(codec.encode(decoded))  # errors do not add up
    assert again.tobytes() == decoded.tobytes()


@pytest.mark.parametrize(("dtype", "fill"), [case for case in CASES if case[0][1] in "124"])
def test_lossy_mode_keeps_missing_values_and_makes_none(dtype, fill):
    values = stack(dtype, fill)
    codec = latrans.Codec("image-lossy-1", "lossy", fill_value=fill, quality=20)
    frame = codec.encode(values)
    assert latrans.inspect(frame).mode == "lossy"
    check_kept(values, codec.decode(frame), Missing.of(fill))


def test_the_closed_loop_makes_no_missing_values():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3, 96, 96)).cumsum(1).cumsum(2).astype(np.float32)
    codec = latrans.Codec("field-1", "bounded", 0.5, (0.0, 1.0), valid_range=(-20, 20))
    assert 0 < Missing.of((0.0, 1.0), (-20, 20)).where(values).sum() < values.size
    check_kept(values, codec.decode(codec.encode(values)), codec.missing)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_values_beside_a_mark_stay_beside_it(engine):
    values = np.array([[250, 251, 252, 253, 254, 255] * 12] * 64, np.uint8)
    codec = latrans.Codec("image-1", "bounded", 2, 255, engine=engine)  # 253, 254 round to 255
    decoded = codec.decode(codec.encode(values))
    assert ((values == 255) == (decoded == 255)).all()
    assert np.abs(values.astype(int) - decoded).max() <= 2


@pytest.mark.parametrize("model", ["image-1", "field-1", "series-1", "auto"])
@pytest.mark.parametrize("max_error", [0.4, 1, 300])
def test_booleans_stay_exact_within_any_bound(model, max_error):
    mask = np.add.outer(np.arange(60), np.arange(70)) % 7 < 3
    codec = latrans.Codec(model, mode="bounded", max_error=max_error)
    found = codec.decode(codec.encode(mask))
    assert found.dtype == bool
    np.testing.assert_array_equal(found, mask)


def test_frames_without_missing_values_are_as_before():
    values = stack("f4", -9999.0)
    alone = latrans.Codec("field-1", "bounded", 0.5, -9999.0).encode(values)
    assert alone == latrans.Codec("field-1", "bounded", 0.5, (-9999.0,)).encode(values)
    counts = stack("u2", 65535)
    plain = latrans.Codec("image-1", "bounded", 2).encode(counts[:, 12:28])
    told = latrans.Codec("image-1", "bounded", 2, 65535, valid_range=(0, 60000))
    assert plain == told.encode(counts[:, 12:28])


@pytest.mark.parametrize("kind", [Latrans, LatransCodec])
def test_configurations_keep_several_marks_and_ranges(kind):
    codec = kind("image-1", "bounded", 2, (np.uint8(255), 254, np.nan), valid_range=(None, 200))
    assert (codec.fill_value, codec.valid_range) == ((255, 254), (None, 200))
    stored = codec.to_mapping()
    assert (stored["fill_value"], stored["valid_range"]) == ([255, 254], [None, 200])
    assert kind.from_mapping(stored) == codec
    assert hash(kind.from_mapping(stored)) == hash(codec)
    assert kind("image-1", "bounded", 2, [255]).fill_value == 255
    pairs = kind("image-1", "bounded", 2, valid_range=[[0, 9], [20, 30]])
    assert kind.from_mapping(pairs.to_mapping()) == pairs


@pytest.mark.parametrize(
    ("fill_value", "valid_range"),
    [("none", None), (True, None), (None, (3, 1)), (None, 4), (None, ((0, 5), (4, 9)))],
)
def test_marks_and_ranges_that_make_no_sense_are_refused(fill_value, valid_range):
    with pytest.raises(ConfigError, match="expected"):
        latrans.Codec("image-1", "bounded", 1, fill_value, valid_range=valid_range)


@pytest.mark.parametrize(
    ("attributes", "dtype", "values", "ranges"),
    [
        ({"_FillValue": 255}, "u1", (255,), ()),
        ({"_FillValue": "QIy1eB2vFUQ="}, "f4", (1e20,), ()),  # as xarray writes 1e20
        ({"_FillValue": "-9999"}, "f4", (-9999,), ()),
        ({"_FillValue": "NaN"}, "f4", None, None),
        ({"missing_value": [-1.0, -2.0]}, "f8", (-1.0, -2.0), ()),
        ({"_FillValue": -1, "missing_value": [-1, -2]}, "i2", (-1, -2), ()),
        ({"valid_min": 0, "valid_max": 100}, "i2", (), ((0, 100),)),
        ({"valid_max": 100}, "i2", (), ((-np.inf, 100),)),
        ({"valid_range": [5, 1]}, "i2", None, None),
        ({"valid_range": [0.0, 1.0], "scale_factor": 0.004}, "u1", (), ((0, 250),)),
        ({"valid_range": [0, 1], "scale_factor": 0.004}, "u1", (), ((0, 1),)),
        ({"_Unsigned": "true", "_FillValue": 255}, "i1", (-1,), ((-128, -1), (0, 127))),
        (
            {"_Unsigned": "true", "_FillValue": -1, "valid_range": [0, 254]},
            "i1",
            (-1,),
            ((-128, -2), (0, 127)),
        ),
        ({"_Unsigned": "false", "_FillValue": -1}, "u1", (255,), ((0, 127), (128, 255))),
        ({"_FillValue": 0}, "S3", None, None),
        ({"units": "K"}, "f4", None, None),
    ],
)
def test_attributes_of_cf_and_xarray_say_what_is_missing(attributes, dtype, values, ranges):
    found = declared_by(attributes, dtype)
    assert found == (None if values is None else Missing(values, ranges))


def test_unsigned_data_that_is_stored_signed_does_not_leap():
    read = np.random.default_rng(0).integers(-3, 4, (200, 300)).cumsum(1).clip(-128, 127) + 128
    read[:20, :20] = 255
    values = read.astype("u1").view("i1")
    missing = declared_by({"_Unsigned": "true", "_FillValue": 255}, "i1")
    options = {"fill_value": missing.values, "valid_range": missing.ranges}
    codec = latrans.Codec("image-1", "bounded", ERROR, **options)
    decoded = codec.decode(codec.encode(values)).view("u1").astype(int)
    assert np.abs(decoded - read).max() <= ERROR
    assert ((decoded == 255) == (read == 255)).all()


def test_comparisons_count_what_became_missing_or_ceased_to_be():
    before, after = np.array([1, 2, 255, 9], "u1"), np.array([255, 3, 254, 8], "u1")
    assert difference(before, after, 300, 255).n_outside == 2
    assert difference(before, after, 1, 255).worst == np.inf
    assert difference(before, after, None, 255).n_outside == 2
    assert difference(before, before, 1, 300) == difference(before, before)  # no such uint8
