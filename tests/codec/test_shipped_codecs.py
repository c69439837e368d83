"""Shipped codecs: what is in `codecs/` is whole, small, described, and still writes its bytes."""

from __future__ import annotations

import json
import tomllib

import pytest

import latrans
from shipped import CODECS, inputs, measured

NAMES = (
    "digits-1", "field-1", "image-1", "image-fast-1", "image-lossy-1", "rgb-1", "series-1",
    "table-1",
)  # fmt: skip
SHIPPABLE = {
    # Train files whose licence lets their weights be shipped.
    "photo/kodak_landscape_13", "photo/kodak_portrait", "microscopy/fluor_speckles_u16",
    "microscopy/fluor_bpae_3ch_u16", "microscopy/fluor_migration_t48_u16",
    "microscopy/brightfield_t", "satellite/landsat8_10band_u16", "satellite/landsat8_pan_u16",
    "satellite/dem_nrw_1m_f32", "medical/ct_philips_phantom", "medical/ct_ge_head_lower",
    "medical/mr_epi_siemens_u16", "medical/mr_banana_u16", "climate/pcm_trefht_f32",
    "climate/cam_TUV_f32", "climate/glosea4_ens_f32", "ecg_eeg/mitbih_train",
    "ecg_eeg/ptb_15lead", "ecg_eeg/eegmmidb_64ch", "seismic/geofon_9N_i32",
    "seismic/geofon_1D_i32", "seismic/das_idas005_i16", "speech/fsdd_george",
    "speech/fsdd_jackson", "speech/fsdd_yweweler", "imu/fog_S01R02", "imu/fog_S02R01",
    "sensor_table/beijing_Aotizhongxin_f32", "sensor_table/beijing_Dongsi_f32", "mnist/train_10k",
}  # fmt: skip


def test_exactly_the_named_codecs_are_shipped():
    assert sorted(p.name for p in CODECS.iterdir() if p.is_dir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestEachCodec:
    def test_the_model_is_small_and_complete(self, name):
        folder = CODECS / name
        files = {"recipe.toml", "model.safetensors", "card.md", "golden.json"}
        assert {p.name for p in folder.iterdir()} == files
        assert (folder / "model.safetensors").stat().st_size <= 300_000
        assert latrans.open_model(name).name == name

    def test_it_was_trained_on_shippable_files_alone(self, name):
        recipe = tomllib.loads((CODECS / name / "recipe.toml").read_text("utf-8"))
        named = {s["file"].removesuffix(".npz") for s in recipe["sources"]}
        assert named <= SHIPPABLE
        trained_on = {e["name"] for e in latrans.open_model(name).training["data"]}
        assert len(trained_on) == len(named)

    def test_it_still_writes_and_reads_its_golden_bytes(self, name):
        golden = json.loads((CODECS / name / "golden.json").read_text("utf-8"))
        assert measured(name) == golden

    def test_its_lossless_golden_inputs_come_back(self, name):
        for array, options in inputs(name).values():
            if options.get("mode", "lossless") == "lossless":
                frame = latrans.encode(array, model=name, **options)
                assert not latrans.inspect(frame).fallback
                assert latrans.decode(frame).tobytes() == array.tobytes()
