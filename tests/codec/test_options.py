"""One record says what a codec is told, wherever it is told."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

import latrans
from latrans.config import Configured
from latrans.errors import ConfigError
from latrans.options import CodecOptions

STORED = {field.name for field in fields(CodecOptions)} - {"engine"}


def test_configurations_hold_what_a_codec_is_told_but_the_engine():
    assert {field.name for field in fields(Configured)} == STORED
    codec = latrans.Codec("field-1", "bounded", 0.5, fill_value=-1, axes="yx", engine="native")
    assert set(codec.stored()) == STORED
    stored = Configured(**codec.stored()).to_mapping()
    assert stored == {
        "model": "field-1", "mode": "bounded", "max_error": 0.5, "fill_value": -1, "axes": "yx",
    }  # fmt: skip


def test_a_codec_with_other_options_is_made_by_replace():
    codec = latrans.Codec("image-1", fill_value=[0, 255], engine="reference")
    other = replace(codec, mode="bounded", max_error=2)
    assert isinstance(other, latrans.Codec)
    assert (other.mode, other.max_error, other.fill_value) == ("bounded", 2.0, [0, 255])
    assert (other.engine, codec.mode) == ("reference", "lossless")
    again = pickle.loads(pickle.dumps(other))
    assert again.stored() == other.stored()


def test_options_cannot_be_set():
    with pytest.raises(FrozenInstanceError):
        latrans.Codec().mode = "lossy"


def test_paths_become_strings_and_bounds_floats():
    options = CodecOptions(Path("a.safetensors"), "bounded", 1)
    assert (options.model, options.max_error) == ("a.safetensors", 1.0)
    assert isinstance(options.max_error, float)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "exact"}, "mode"),
        ({"mode": "bounded"}, "max_error > 0"),
        ({"mode": "bounded", "max_error": float("nan")}, "max_error > 0"),
        ({"max_error": 1}, "mode='bounded'"),
        ({"quality": 50}, "mode 'lossy'"),
        ({"mode": "lossy", "quality": 50, "step": 1}, "quality"),
        ({"fill_value": "none"}, "fill_value"),
        ({"valid_range": (3, 1)}, "valid_range"),
    ],
)
def test_what_does_not_go_together_is_refused(options, said):
    for kind in (CodecOptions, latrans.Codec):
        with pytest.raises(ConfigError, match=said):
            kind(**options)
