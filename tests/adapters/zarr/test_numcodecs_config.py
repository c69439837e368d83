"""The numcodecs codec's configuration: values, copies, models, other processes."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask.base import tokenize
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs.registry import get_codec

import latrans
from adapter_samples import ABSENT, assert_same_bits, make_array, run_python
from latrans.errors import ConfigError, ModelNotFoundError
from latrans.format.frame import Frame, pack
from latrans.numcodecs import Latrans

CONFIGS: list[dict[str, Any]] = [
    {},
    {"model": "image-1"},
    {"mode": "bounded", "max_error": 0.25},
    {"mode": "bounded", "max_error": 1e-3, "fill_value": 1e20},
    {"fill_value": -9223372036854775807},
    {"axes": "yx"},
    {"model": ABSENT, "mode": "lossy", "axes": "tyx"},
]


@pytest.fixture(scope="module")
def codec() -> Latrans:
    return Latrans()


class TestConfig:
    @pytest.mark.parametrize("config", CONFIGS)
    def test_configuration_survives_json_and_the_registry(self, config):
        codec = Latrans(**config)
        stored = codec.get_config()
        assert stored["id"] == "latrans"
        again = get_codec(json.loads(json.dumps(stored, allow_nan=False)))
        assert type(again) is Latrans
        assert again == codec
        assert again.get_config() == stored

    @pytest.mark.parametrize("config", CONFIGS)
    def test_configuration_names_model_and_mode_and_what_was_given(self, config):
        stored = Latrans(**config).get_config()
        expected = {"id": "latrans", "model": "image-1", "mode": "lossless", **config}
        assert stored == expected

    def test_the_engine_is_not_part_of_a_configuration(self):
        assert "engine" not in Latrans().get_config()

    @pytest.mark.parametrize("config", CONFIGS)
    def test_repr_is_the_call_that_makes_it(self, config):
        codec = Latrans(**config)
        assert eval(repr(codec), {"Latrans": Latrans}) == codec

    def test_repr_of_an_inline_model_is_short(self):
        codec = Latrans(model="data:application/octet-stream;base64," + "A" * 100_000)
        assert len(repr(codec)) < 300
        assert len(codec.get_config()["model"]) > 100_000

    @pytest.mark.parametrize("config", CONFIGS)
    def test_copies_and_pickles_are_equal(self, config):
        codec = Latrans(**config)
        for again in (
            copy.copy(codec),
            copy.deepcopy(codec),
            *map(_pickled, range(2, 6), [codec] * 4),
        ):
            assert again == codec
            assert hash(again) == hash(codec)
            assert again.get_config() == codec.get_config()
            assert tokenize(again) == tokenize(codec)

    def test_equality_and_hash_go_by_configuration(self):
        codecs = [Latrans(**config) for config in CONFIGS[1:]]
        assert len({*codecs, *map(copy.copy, codecs)}) == len(codecs)
        assert Latrans() == Latrans(model="image-1", mode="lossless")
        assert Latrans() != Latrans(mode="lossy")
        assert Latrans() != "latrans"

    @pytest.mark.parametrize("name", ["model", "mode", "max_error", "fill_value", "axes"])
    def test_an_instance_cannot_be_changed(self, name):
        codec = Latrans()
        with pytest.raises(AttributeError):
            setattr(codec, name, "lossy")

    def test_numpy_numbers_become_json_numbers(self):
        codec = Latrans(
            mode="bounded", max_error=np.float32(0.5), fill_value=np.array(-999, "i2")[()]
        )
        assert json.loads(json.dumps(codec.get_config())) == {
            "id": "latrans",
            "model": "image-1",
            "mode": "bounded",
            "max_error": 0.5,
            "fill_value": -999,
        }

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float32("nan")])
    def test_non_finite_fill_values_count_as_not_given(self, value):
        # They are kept exactly anyway, and JSON has no such numbers.
        assert Latrans(fill_value=value) == Latrans()

    def test_a_path_is_stored_as_a_string(self):
        assert Latrans(model=Path("some") / "model.safetensors").model == str(
            Path("some/model.safetensors")
        )

    @pytest.mark.parametrize(
        "config",
        [
            {"mode": "perfect"},
            {"mode": None},
            {"mode": ["lossless"]},
            {"mode": "bounded"},
            {"mode": "bounded", "max_error": 0},
            {"mode": "bounded", "max_error": -1.0},
            {"mode": "bounded", "max_error": float("nan")},
            {"mode": "bounded", "max_error": float("inf")},
            {"mode": "bounded", "max_error": "0.1"},
            {"mode": "bounded", "max_error": True},
            {"fill_value": "0"},
            {"fill_value": 1j},
            {"fill_value": 2**64},
            {"axes": 2},
            {"axes": ["y", "x"]},
            {"model": None},
            {"model": ""},
            {"model": 3},
            {"model": {"name": "image-1"}},
        ],
    )
    def test_unusable_values_are_a_config_error(self, config):
        with pytest.raises(ConfigError):
            get_codec({"id": "latrans", **config})

    def test_unknown_entries_are_a_config_error_that_names_them(self):
        with pytest.raises(ConfigError, match="level") as caught:
            get_codec({"id": "latrans", "model": "image-1", "level": 9})
        assert "max_error" in str(caught.value)  # what was expected

    @settings(deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from(["model", "mode", "max_error", "fill_value", "axes", "x", ""]),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text()
            | st.lists(st.text()),
        )
    )
    def test_no_configuration_raises_anything_but_a_config_error(self, config):
        try:
            codec = get_codec({"id": "latrans", **config})
        except ConfigError:
            return
        assert get_codec(json.loads(json.dumps(codec.get_config()))) == codec


class TestModels:
    def test_a_model_that_is_not_at_hand_shows_when_data_is_encoded(self):
        codec = get_codec({"id": "latrans", "model": ABSENT})  # no error yet
        with pytest.raises(ModelNotFoundError, match="0" * 16):
            codec.encode(make_array("|u1", (32, 32)))

    def test_an_unknown_name_is_named_in_the_error(self):
        codec = Latrans(model="no-such-model-7")
        with pytest.raises(ModelNotFoundError, match="no-such-model-7"):
            codec.encode(make_array("|u1", (32, 32)))

    def test_a_frame_whose_model_is_not_at_hand_names_its_digest(self, codec):
        frame = pack(
            Frame("lossless", np.dtype("u1"), (8, 8), model_digest=b"\xab" * 8, residual=bytes(40))
        )
        with pytest.raises(ModelNotFoundError, match="ab" * 8):
            codec.decode(frame)

    def test_a_model_object_is_stored_by_digest_and_found_again(self):
        model = latrans.open_model("image-1")
        codec = Latrans(model=model)
        assert codec.get_config()["model"] == f"sha256:{model.digest}"
        assert len(pickle.dumps(codec)) < 1000  # the weights stay here
        values = make_array("|u1", (32, 32))
        again = get_codec(json.loads(json.dumps(codec.get_config())))
        assert again == codec
        assert again.encode(values) == codec.encode(values)
        assert_same_bits(again.decode(codec.encode(values)), values)


class TestFreshInterpreter:
    def test_the_entry_point_needs_no_import_and_loads_no_heavy_library(self):
        run_python(
            """
            import sys, numcodecs, numpy as np
            assert "latrans" not in sys.modules
            codec = numcodecs.get_codec({"id": "latrans", "model": "image-1"})
            values = np.arange(24 * 24, dtype="u2").reshape(24, 24)
            assert (codec.decode(codec.encode(values)) == values).all()
            assert type(codec).__module__ == "latrans.numcodecs"
            heavy = {"torch", "zarr", "dask", "pyarrow", "xarray"} & set(sys.modules)
            assert not heavy, heavy
            """
        )

    def test_a_codec_pickled_here_works_there(self):
        codec = Latrans(mode="bounded", max_error=0.5)
        run_python(
            f"""
            import pickle
            codec = pickle.loads({pickle.dumps(codec)!r})
            assert codec.max_error == 0.5
            assert bytes(codec.decode(codec.encode(b"abc"))) == b"abc"
            """
        )


def _pickled(protocol: int, codec: Latrans) -> Latrans:
    again: Latrans = pickle.loads(pickle.dumps(codec, protocol))
    return again
