"""The Zarr v3 codec in metadata: configurations, what is refused, models, other processes."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest
import zarr
from dask.base import tokenize
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.core.dtype import parse_data_type
from zarr.registry import get_codec_class

import latrans
import latrans.codec
from adapter_samples import (
    ABSENT,
    assert_same_bits,
    create,
    make_array,
    make_pair,
    make_spec,
    run_python,
)
from latrans.errors import ConfigError, ModelNotFoundError
from latrans.zarr import LatransCodec

pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")

CONFIGS: list[dict[str, Any]] = [
    {},
    {"mode": "bounded", "max_error": 0.25},
    {"mode": "bounded", "max_error": 1e-3, "fill_value": 1e20},
    {"axes": "yx", "fill_value": -(2**63)},
    {"model": ABSENT, "mode": "lossy"},
]


class TestRefused:
    @pytest.mark.parametrize("dtype", ["string", "variable_length_bytes"])
    def test_dtypes_of_variable_size_are_refused_when_the_array_is_made(self, dtype):
        for kind in ("v3", "v3-sharded"):
            with pytest.raises(ConfigError, match="cannot store dtype"):
                create(kind, shape=(4,), dtype=dtype)

    def test_both_checks_refuse_them(self):
        dtype = parse_data_type("string", zarr_format=3)
        with pytest.raises(ConfigError, match="cannot store dtype"):
            LatransCodec().validate(shape=(4,), dtype=dtype, chunk_grid=None)
        spec = dataclasses.replace(make_spec((4,), "u1"), dtype=dtype)
        with pytest.raises(ConfigError, match="cannot store dtype"):
            LatransCodec().evolve_from_array_spec(spec)

    @pytest.mark.parametrize("axes", ["yx", "tyxc", "x"])
    @pytest.mark.parametrize("kind", ["v3", "v3-sharded"])
    def test_axes_that_do_not_fit_are_refused_when_the_array_is_made(self, axes, kind):
        with pytest.raises(ConfigError, match="dimensions"):
            create(kind, codec={"axes": axes}, shape=(4, 4, 4), dtype="u1")

    def test_a_numcodecs_codec_is_no_serializer(self):
        from latrans.numcodecs import Latrans

        with pytest.raises(TypeError):
            zarr.create_array({}, shape=(4, 4), dtype="u1", serializer=Latrans())


class TestMetadata:
    @pytest.mark.parametrize("config", CONFIGS)
    def test_configuration_survives_json(self, config):
        codec = LatransCodec(**config)
        stored = json.loads(json.dumps(codec.to_dict(), allow_nan=False))
        expected = {"model": "image-1", "mode": "lossless", **config}
        assert stored == {"name": "latrans", "configuration": expected}
        assert LatransCodec.from_dict(stored) == codec

    @pytest.mark.parametrize("config", CONFIGS)
    def test_zarr_json_holds_it_and_a_reopened_array_has_it(self, config, tmp_path):
        create("v3", tmp_path, config, shape=(4, 4), dtype="<f4")
        stored = json.loads((tmp_path / "zarr.json").read_text())
        assert stored["codecs"] == [LatransCodec(**config).to_dict()]
        assert zarr.open_array(tmp_path).serializer == LatransCodec(**config)

    @pytest.mark.parametrize("serializer", [{"name": "latrans"}, LatransCodec().to_dict()])
    def test_a_configuration_as_plain_data(self, serializer):
        values = make_array("<i2")
        z = create("v3", data=values, serializer=serializer)
        assert z.serializer == LatransCodec()
        assert_same_bits(z[:], values)

    @pytest.mark.parametrize(
        "data",
        [
            {},
            {"name": "latrans", "configuration": {"model_id": "x"}},
            {"name": "latrans", "configuration": {"mode": "perfect"}},
            {"name": "latrans", "configuration": {"model": None}},
            {"name": "latrans", "configuration": []},
            {"name": "other", "configuration": {}},
            {"configuration": {}},
        ],
    )
    def test_what_cannot_be_used_is_never_a_key_error(self, data):
        with pytest.raises((ValueError, TypeError)) as caught:
            LatransCodec.from_dict(data)
        assert not isinstance(caught.value, KeyError)

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
    def test_any_configuration_works_or_is_a_config_error(self, configuration):
        try:
            codec = LatransCodec.from_dict({"name": "latrans", "configuration": configuration})
        except ConfigError:
            return
        assert LatransCodec.from_dict(json.loads(json.dumps(codec.to_dict()))) == codec

    @pytest.mark.parametrize("config", CONFIGS)
    def test_copies_and_pickles_are_equal(self, config):
        codec = LatransCodec(**config)
        pickled = pickle.dumps(codec)
        assert len(pickled) < 1000
        for again in (
            copy.copy(codec), copy.deepcopy(codec), dataclasses.replace(codec),
            pickle.loads(pickled),
        ):  # fmt: skip
            assert again == codec
            assert hash(again) == hash(codec)
            assert tokenize(again) == tokenize(codec)
            assert again.to_dict() == codec.to_dict()

    def test_different_configurations_are_different_tokens(self):
        assert len({tokenize(LatransCodec(**config)) for config in CONFIGS}) == len(CONFIGS)

    def test_an_instance_cannot_be_changed(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            LatransCodec().mode = "lossy"

    def test_evolving_takes_nothing_over(self):
        codec = LatransCodec()
        assert codec.evolve_from_array_spec(make_spec((100, 200), "<f4")) == codec

    def test_the_registry_finds_the_class(self):
        assert get_codec_class("latrans") is LatransCodec


class TestModels:
    def test_the_error_reaches_the_caller_through_every_layer(self):
        codec = LatransCodec(model=ABSENT)
        chunk, spec = make_pair(make_array("|u1", (32, 32)))
        for call in (
            lambda: codec._encode_sync(chunk, spec),
            lambda: asyncio.run(codec._encode_single(chunk, spec)),
            lambda: asyncio.run(codec.encode([(None, spec), (chunk, spec)])),
        ):
            with pytest.raises(ModelNotFoundError, match="0" * 16):
                call()

    def test_a_model_object_is_stored_by_digest_and_found_again(self, tmp_path):
        model = latrans.open_model("image-1")
        values = make_array("|u1", (32, 32))
        z = create("v3", tmp_path, {"model": model}, data=values)
        assert f'"sha256:{model.digest}"' in (tmp_path / "zarr.json").read_text()
        again = zarr.open_array(tmp_path)
        assert again.serializer == z.serializer
        again[:16] = values[:16]
        assert_same_bits(again[:], values)
        assert len(pickle.dumps(z.serializer)) < 1000  # the weights stay here


class TestFreshInterpreter:
    def test_writing_needs_no_import_of_latrans_and_loads_no_torch(self):
        run_python(
            """
            import sys, numpy as np, zarr
            values = np.arange(32 * 32, dtype="i4").reshape(32, 32)
            codec = {"name": "latrans", "configuration": {"model": "image-1"}}
            z = zarr.create_array({}, data=values, chunks=(8, 8), shards=(16, 16),
                                  serializer=codec, compressors=None)
            assert (z[:] == values).all()
            heavy = {"torch", "dask", "pyarrow", "xarray"} & set(sys.modules)
            assert not heavy, heavy
            """
        )

    def test_an_array_pickled_here_works_there(self, tmp_path):
        values = make_array("<i2")
        z = create("v3", tmp_path, data=values, chunks=(8, 8))
        run_python(
            f"""
            import pickle
            z = pickle.loads({pickle.dumps(z)!r})
            assert z[:].sum() == {int(values.sum())}
            z[:8] = 0
            """
        )
        assert not z[:8].any()
